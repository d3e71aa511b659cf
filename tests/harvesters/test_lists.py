"""What every paged protocol does when a registry's list goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, ClassVar

import httpx
import pytest
import replay
import simulated
from pyoxigraph import RdfFormat, Store
from rows import each
from simulated import (
    START,
    Oai,
    ScriptedRegistry,
    SimulatedRecord,
    define_source,
    harvest,
    harvest_page_by_page,
    keys,
    kinds,
    open_client,
)

from harvesters.errors import HarvestError, UnavailableError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import Source

TEXT = "Result window is too large"


def key(number: int) -> str:
    return f"k{number:04}"


def stamp(number: int) -> str:
    return f"{date(2020, 1, 1) + timedelta(days=number)}"


def truncated(text: str) -> httpx.Response:
    return httpx.Response(200, text=text[:-9])


def crashed(text: str) -> httpx.Response:
    return httpx.Response(500, text=TEXT)


@dataclass
class UnreliableRegistry:
    """A list of *count* records. Of the records that a request selects, it sends the first *cap*,
    at most *most* at once; to a request for later ones it answers as *fault* says. It spoils each
    answer that has a record of *poison*.
    """

    count: int
    cap: int = 10**9
    fault: str = ""
    poison: Collection[int] = ()
    spoil: Callable[[str], httpx.Response] = truncated
    most: int = 10**9
    total: int | None = None
    log: list[dict[str, str]] = field(default_factory=list)

    prefix: ClassVar[str] = ""
    # Whether poison records are reported with their keys.
    names_known: ClassVar[bool] = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(dict(request.url.params))
        first, last, start, size = self.select(self.log[-1])
        size = min(size, self.most)
        rows = [number for number in range(self.count) if first <= self.sorted_by(number) < last]
        part = rows[start : min(start + size, self.cap)]
        if start >= self.cap and start < len(rows) and size:
            match self.fault:
                case "an error":
                    return httpx.Response(400, text=TEXT)
                case "an outage":
                    return crashed("")
                case "an error page":
                    return httpx.Response(200, text=f"<html><title>{TEXT}</title></html>")
                case "a repeated page":
                    part = rows[self.cap - size : self.cap]
        text = self.render(part, len(rows) if self.total is None else self.total, start)
        is_spoilt = not {*self.poison}.isdisjoint(part) and not self.is_about_keys(self.log[-1])
        return self.spoil(text) if is_spoilt else httpx.Response(200, text=text)

    def truth(self) -> dict[str | None, type]:
        names = {number: f"{self.prefix}{key(number)}" for number in range(self.count)}
        lost = [names[number] if self.names_known else None for number in self.poison]
        sound: dict[str | None, type] = {names[n]: Record for n in names if n not in self.poison}
        return {**sound, **dict.fromkeys(lost, InvalidRecord)}

    def sorted_by(self, number: int) -> str:
        return stamp(number)

    def is_about_keys(self, parameters: dict[str, str]) -> bool:
        return False

    def source(self, size: int = 10) -> Source:
        raise NotImplementedError

    def select(self, parameters: dict[str, str]) -> tuple[str, str, int, int]:
        """Return the first selected value, the one behind the last, the place of the first record,
        and the size of the page.
        """
        raise NotImplementedError

    def render(self, part: list[int], total: int, start: int) -> str:
        raise NotImplementedError


class CkanPortal(UnreliableRegistry):
    names_known = True

    def source(self, size: int = 10) -> Source:
        return define_source("ckan", "ckan_package", options={"rows": size})

    def sorted_by(self, number: int) -> str:
        return key(number)

    def is_about_keys(self, parameters: dict[str, str]) -> bool:
        return parameters.get("fl") == "id" and self.names_known

    def select(self, parameters: dict[str, str]) -> tuple[str, str, int, int]:
        base = re.search(r'id:\["(\w+)" TO \*\]', parameters.get("fq", ""))
        first = base[1] if base else ""
        return first, "~", int(parameters["start"]), int(parameters["rows"])

    def render(self, part: list[int], total: int, start: int) -> str:
        packages = [{"id": key(number), "title": "x"} for number in part]
        return json.dumps({"success": True, "result": {"count": total, "results": packages}})


class ForgetfulPortal(CkanPortal):
    names_known = False


class UnsortedPortal(CkanPortal):
    def sorted_by(self, number: int) -> str:
        return key(94 - number)

    def render(self, part: list[int], total: int, start: int) -> str:
        return super().render([94 - number for number in part], total, start)


class CatalogueService(UnreliableRegistry):
    options: ClassVar[dict[str, Any]] = {"modified": "dct:modified"}

    def source(self, size: int = 10) -> Source:
        options = {"size": size, **self.options}
        return define_source("csw", fields={"title": "dc:title"}, options=options)

    def select(self, parameters: dict[str, str]) -> tuple[str, str, int, int]:
        bounds = dict(re.findall(r"(>=|<) '(.*?)'", parameters.get("constraint", "")))
        start, size = int(parameters["startPosition"]) - 1, int(parameters["maxRecords"])
        return bounds.get(">=", ""), bounds.get("<", "~"), start, size

    def render(self, part: list[int], total: int, start: int) -> str:
        records = "".join(
            f"<csw:Record><dc:identifier>{key(n)}</dc:identifier><dct:modified>{stamp(n)}</dct:modified></csw:Record>"
            for n in part
        )
        names = " ".join(f'xmlns:{name}="{address}"' for name, address in NAMESPACES.items())
        results = (
            f'<csw:SearchResults numberOfRecordsMatched="{total}">{records}</csw:SearchResults>'
        )
        return f"<csw:GetRecordsResponse {names}>{results}</csw:GetRecordsResponse>"


class SortedService(CatalogueService):
    options: ClassVar[dict[str, Any]] = {"sort": "dc:identifier:A"}

    def sorted_by(self, number: int) -> str:
        return key(number)


class UndatedService(CatalogueService):
    options: ClassVar[dict[str, Any]] = {}


class JsonPages(UnreliableRegistry):
    options: ClassVar[dict[str, Any]] = {"page": "page", "first": 0, "since": "since"}

    def source(self, size: int = 10) -> Source:
        options = {
            "records": "rows",
            "total": "total",
            "limit": "limit",
            "size": size,
            **self.options,
        }
        return define_source(options={**options, "modified": "changed"})

    def select(self, parameters: dict[str, str]) -> tuple[str, str, int, int]:
        size, since = int(parameters["limit"]), parameters.get("since", "")[:10]
        page = int(parameters.get("page", 0))
        return since, "~", int(parameters.get("offset", page * size)), size

    def render(self, part: list[int], total: int, start: int) -> str:
        rows = [{"id": key(number), "changed": stamp(number)} for number in part]
        after = start + len(part)
        following = str(after) if part and after < total else None
        return json.dumps({"total": total, "next": following, "rows": rows})


class JsonOffsets(JsonPages):
    options: ClassVar[dict[str, Any]] = {"offset": "offset", "since": "since"}


class JsonCursors(JsonPages):
    options: ClassVar[dict[str, Any]] = {"cursor": "offset", "next": "next", "since": "since"}


class UndatedPages(JsonPages):
    options: ClassVar[dict[str, Any]] = {"page": "page", "first": 0}


class OaiRepository(UnreliableRegistry):
    """A repository whose list comes in the order of datestamps."""

    names_known = True
    size = 10

    def source(self, size: int = 10) -> Source:
        self.size = size
        return define_source("oai-pmh", "oai_dc")

    def stored(self) -> list[SimulatedRecord]:
        days = (START + timedelta(days=number) for number in range(self.count))
        return [SimulatedRecord(key(number), day) for number, day in enumerate(days)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(dict(request.url.params))
        poison = {key(number) for number in self.poison}
        spoil = simulated.crashed if self.spoil is crashed else simulated.truncated
        oai = Oai(self.stored(), self.size, "day", poison, spoil)
        offset = json.loads(self.log[-1].get("resumptionToken", "{}")).get("offset", 0)
        if self.log[-1]["verb"] == "ListRecords" and offset >= self.cap:
            match self.fault:
                case "an error":
                    return httpx.Response(400, text=TEXT)
                case "an outage":
                    return httpx.Response(500, text=TEXT)
                case "an error page":
                    return httpx.Response(200, text=f"<html><title>{TEXT}</title></html>")
                case "a repeated page":
                    token = json.dumps({"metadataPrefix": "oai_dc", "offset": offset - self.size})
                    repeated = {"verb": "ListRecords", "resumptionToken": token}
                    request = httpx.Request("GET", request.url.copy_with(params=repeated))
                case "an empty page":
                    last = f'<resumptionToken completeListSize="{self.count}"/>'
                    return oai._respond(f"<ListRecords>{last}</ListRecords>")
        answer = oai(request)
        size = answer.text if self.total is None else re.sub(r'ListSize="\d+"', f'ListSize="{self.total}"', answer.text)  # fmt: skip
        return httpx.Response(answer.status_code, text=size)


class UnsortedRepository(OaiRepository):
    def stored(self) -> list[SimulatedRecord]:
        return super().stored()[::-1]


class SparqlEndpoint(UnreliableRegistry):
    """An endpoint that answers as *fault* says if it is asked for more than *cap* subjects."""

    prefix = "urn:"
    names_known = True

    @cached_property
    def store(self) -> Store:
        store = Store()
        subjects = "".join(f"<urn:{key(n)}> a <urn:Project> ." for n in range(self.count))
        store.load(input=subjects, format=RdfFormat.TURTLE)
        return store

    def source(self, size: int = 10) -> Source:
        options = {"types": "urn:Project", "size": size, "modified": ""}
        return define_source("sparql", fields={"title": "dct:title"}, options=options)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(dict(request.url.params))
        query = self.log[-1]["query"]
        limit = re.search(r"LIMIT (\d+)", query)
        if limit and int(limit[1]) > self.cap:
            match self.fault:
                case "an error":
                    return httpx.Response(400, text=TEXT)
                case "an outage":
                    return httpx.Response(500, text=TEXT)
                case "an error page":
                    return httpx.Response(200, text=f"<html><title>{TEXT}</title></html>")
                case "an empty page":
                    return httpx.Response(200, json={"results": {"bindings": []}})
                case "a repeated page":
                    query = re.sub(r'> "urn:\w+"', '> ""', query).replace(limit[0], f"LIMIT {self.cap}")  # fmt: skip
        url = request.url.copy_set_param("query", query)
        answer: httpx.Response = replay.endpoint(self.store, httpx.Request("GET", url))
        if "CONSTRUCT" in query and any(f"urn:{key(n)}>" in query for n in self.poison):
            return self.spoil(answer.text + "<urn:a> <urn:b> .")
        return answer


class LinkedPages(UnreliableRegistry):
    """A list whose pages link to the next; behind *cap* records it answers as *fault* says."""

    prefix = "urn:"
    size = 10
    # The reason for an error page has these words.
    refusal: ClassVar[str] = "HTML page"
    # This is the text of a page, with places for its records and its link.
    form: ClassVar[str]
    record: ClassVar[str]
    link: ClassVar[str]

    def source(self, size: int = 10) -> Source:
        self.size = size
        return self.definition()

    def definition(self) -> Source:
        raise NotImplementedError

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(dict(request.url.params))
        start = int(self.log[-1].get("start", 0))
        if start >= self.cap:
            match self.fault:
                case "an error":
                    return httpx.Response(400, text=TEXT)
                case "an outage":
                    return crashed("")
                case "an error page":
                    return httpx.Response(200, text=f"<html><title>{TEXT}</title></html>")
                case "a repeated page":
                    start = 0
        end = min(start + self.size, self.count)
        records = "".join(self.record.replace("KEY", key(n)) for n in range(start, end))
        link = (
            self.link.replace("ADDRESS", f"{simulated.URL}?start={end}") if end < self.count else ""
        )
        return httpx.Response(200, text=self.form.replace("LINK", link).replace("RECORDS", records))


class FeedPages(LinkedPages):
    form = '<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>LINKRECORDS</feed>'
    record = "<entry><id>urn:KEY</id><title>KEY</title></entry>"
    link = '<link rel="next" href="ADDRESS"/>'

    def definition(self) -> Source:
        return define_source("feed", "feed_entry")


class HtmlPages(LinkedPages):
    refusal = "has no record"
    form = "<!DOCTYPE html><html><body><ul>RECORDS</ul>LINK</body></html>"
    record = '<li><a id="urn:KEY">KEY</a></li>'
    link = '<a rel="next" href="ADDRESS">more</a>'

    def definition(self) -> Source:
        options = {"records": "//li", "key": "a/@id", "next": "//a[@rel = 'next']/@href"}
        return define_source("html", fields={"title": "a"}, options=options)


class ActivityPages(LinkedPages):
    form = '{"type": "OrderedCollectionPage", "orderedItems": [RECORDS null]LINK}'
    record = '{"type": "Create", "object": {"id": "urn:KEY"}},'
    link = ', "prev": "ADDRESS"'

    def definition(self) -> Source:
        return define_source("activitystreams")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        return httpx.Response(answer.status_code, text=answer.text.replace(", null]", "]"))


NAMESPACES = {
    "csw": "http://www.opengis.net/cat/csw/2.0.2",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dct": "http://purl.org/dc/terms/",
}

Paged = type[UnreliableRegistry]
COUNTED: list[Paged] = [
    CkanPortal,
    CatalogueService,
    SortedService,
    JsonPages,
    JsonOffsets,
    JsonCursors,
    OaiRepository,
]
PAGED: list[Paged] = [
    CkanPortal,
    CatalogueService,
    SortedService,
    JsonPages,
    JsonOffsets,
    JsonCursors,
    OaiRepository,
    UnsortedRepository,
    SparqlEndpoint,
]
SIZED: list[Paged] = [CkanPortal, ForgetfulPortal, CatalogueService, UndatedPages, JsonOffsets]
UNSPLIT: list[Paged] = [UnsortedPortal, UndatedService, UndatedPages]
LINKED: list[Paged] = [FeedPages, HtmlPages, ActivityPages]
FAULTS = ["an error", "an outage", "an error page", "an empty page", "a repeated page"]


def read(registry: UnreliableRegistry) -> tuple[list[Page[Any]], str]:
    """Return the pages, and the reason why they are incomplete ("None" if they are not)."""
    source, pages = registry.source(), list[Page[Any]]()
    with open_client(registry) as fetch:
        try:
            for page in PROTOCOLS[source.protocol].collect(source, fetch, None):
                pages.append(page)
        except HarvestError as error:
            return pages, str(error)
    return pages, str(pages[-1].incomplete_reason)


@each("paged", PAGED)
@each("fault", FAULTS)
def test_a_list_that_ends_at_a_cap_is_split(paged: Paged, fault: str) -> None:
    registry = paged(95, 40, fault)

    pages, reason = read(registry)

    assert (kinds(pages), reason) == (registry.truth(), "None")
    assert (pages[-1].cursor, pages[-1].reported_total) == (None, 95)
    assert len(registry.log) < 170


@each("paged", UNSPLIT)
@each("fault", FAULTS)
def test_a_cap_on_a_list_that_cannot_be_split_is_named(paged: Paged, fault: str) -> None:
    pages, reason = read(paged(95, 40, fault))

    named = {"an empty page": "ended after 40 of 95", "a repeated page": "repeats the records"}
    assert len(keys(pages)) == 40
    assert named.get(fault, TEXT) in reason


@each("paged", COUNTED)
def test_a_total_that_no_list_reaches_costs_few_requests(paged: Paged) -> None:
    registry = paged(95, total=1000)

    pages, reason = read(registry)

    assert kinds(pages) == registry.truth()
    assert "of 1,000 records" in reason
    assert len(registry.log) <= 75


@each("paged", [*SIZED, OaiRepository, SparqlEndpoint])
@each(
    "count, size, poison",
    [(1, 10, [0]), (7, 7, [3]), (100, 100, [0]), (100, 100, [99]), (23, 10, [21]),
     (50, 10, [0, 9, 10, 22, 45])],
)  # fmt: skip
def test_one_poison_record_costs_one_record(
    paged: Paged, count: int, size: int, poison: list[int]
) -> None:
    registry = paged(count, poison=poison, spoil=crashed if count == 100 else truncated)

    pages = harvest(registry, registry.source(size))

    assert kinds(pages) == registry.truth()
    assert pages[-1].cursor is None
    reason = f"the record at {poison[0] + 1} of the list cannot be read, and its key is unknown"
    assert str(pages[-1].incomplete_reason) == (str(None) if paged.names_known else reason)


@each("paged", SIZED)
def test_a_poison_record_costs_requests_by_the_logarithm_of_the_page(paged: Paged) -> None:
    sound, registry = paged(300), paged(300, poison=[137])

    for each_registry in (sound, registry):
        harvest(each_registry, each_registry.source(100))

    assert len(registry.log) - len(sound.log) <= 3 * 7 + 7


@each("paged", SIZED)
def test_a_list_is_left_after_three_failures_of_the_server_for_neighbours(paged: Paged) -> None:
    registry = paged(100, poison=range(20, 100), spoil=crashed)

    pages, reason = read(registry)

    assert f'answered 500 ("{TEXT}")' in reason
    assert len({*keys(pages)}) < 25
    assert len(registry.log) < 120


@each("paged", [CkanPortal, CatalogueService])
def test_a_registry_that_sends_fewer_than_asked_is_read_in_pieces_all_the_same(
    paged: Paged,
) -> None:
    registry = paged(50, poison=[17], most=8)

    assert len(keys(harvest(registry, registry.source(40)))) == 50


@each("paged", [*PAGED, *LINKED])
def test_a_registry_that_is_down_is_not_read_in_pieces(paged: Paged) -> None:
    server = ScriptedRegistry(lambda _: httpx.Response(503))

    with pytest.raises(UnavailableError):
        harvest(server, paged(1).source())

    assert len(server.requests) <= 3


@each("paged", LINKED)
@each("fault", ["an error", "an outage", "an error page", "a repeated page"])
def test_behind_a_page_that_no_other_links_to_nothing_is_read(
    paged: type[LinkedPages], fault: str
) -> None:
    pages, reason = read(paged(95, 40, fault))

    named = {"an error page": paged.refusal, "a repeated page": "repeats"}
    assert (len(keys(pages)), pages[-1].cursor is None) == (40, False)
    assert named.get(fault, TEXT) in reason


@each("paged", LINKED)
def test_a_list_of_linked_pages_goes_on_behind_each(paged: Paged) -> None:
    registry = paged(33)

    whole = harvest(registry, registry.source(4))
    killed = harvest_page_by_page(lambda: registry, registry.source(4))

    assert [keys([page]) for page in killed] == [keys([page]) for page in whole]
    assert (kinds(killed), whole[-1].incomplete_reason) == (registry.truth(), None)


@each("paged", PAGED)
@each("poison, cap", [([], 12), ([3, 17, 18], 10**9)])
def test_a_run_that_is_killed_at_any_page_brings_the_same_records(
    paged: Paged, poison: list[int], cap: int
) -> None:
    registry = paged(33, cap, "an error", poison if paged is not JsonCursors else [])

    whole = harvest(registry, registry.source(4))
    killed = harvest_page_by_page(lambda: registry, registry.source(4))

    assert [(keys([page]), page.incomplete_reason) for page in killed] == [
        (keys([page]), page.incomplete_reason) for page in whole
    ]
    assert kinds(killed) == registry.truth()


@each("paged", COUNTED)
@each("later, message", [(39, "shrank from 40 to 39"), (41, "grew from 40 to 41")])
def test_a_total_that_changes_is_doubted(paged: Paged, later: int, message: str) -> None:
    registry = paged(40)
    changed = replace(registry, count=later)

    def respond(request: httpx.Request) -> httpx.Response:
        return (changed if registry.log else registry)(request)

    assert message in str(harvest(respond, registry.source())[-1].incomplete_reason)


@each("paged", [*PAGED, *LINKED])
@each("cursor", ["10", "nonsense", '{"v":0,"offset":2}', '{"v":3,"unheard":2}'])
def test_a_cursor_of_another_version_begins_the_list_anew(paged: Paged, cursor: str) -> None:
    registry = paged(15)

    pages = harvest(registry, registry.source(), cursor=cursor)

    assert kinds(pages) == registry.truth()
    assert all(page.again for page in pages)
