"""Simulated registries, the source definitions that read them, and a client without retries."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import httpx
from fetch_client import fetch_with

from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.page_model import Page
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import Source

URL = "https://registry.example/api"
Handler: TypeAlias = Callable[[httpx.Request], httpx.Response]

FORMS = {
    "day": ("YYYY-MM-DD", "%Y-%m-%d"),
    "second": ("YYYY-MM-DDThh:mm:ssZ", "%Y-%m-%dT%H:%M:%SZ"),
}
START = datetime(2025, 1, 1, tzinfo=UTC)
HEAD = '<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>{now}</responseDate>'


def define_source(protocol: Any = "json", mapping: Any = "fields", **more: Any) -> Source:
    fields = {"title": "name"} if mapping == "fields" else {}
    definition = {"url": URL, "licence": "https://example.org/l", "fields": fields, **more}
    return Source(name="a", title="A", protocol=protocol, mapping=mapping, **definition)


def open_client(registry: Handler, **settings: Any) -> Fetch:
    quick: dict[str, Any] = {
        "pause": 0,
        "robots": False,
        "retry_policy": RetryPolicy(max_attempts=1),
    }
    return fetch_with(httpx.MockTransport(registry), **{**quick, **settings})


def answer_with(element: Any) -> httpx.Response:
    """Return a response: a number is its status, a text its body, any other value its JSON."""
    if isinstance(element, httpx.Response):
        return element
    if isinstance(element, int):
        return httpx.Response(element)
    text = element if isinstance(element, bytes | str) else json.dumps(element)
    return httpx.Response(200, content=text)


class ScriptedRegistry:
    """A registry that answers from a table of queries or paths, or by a function, and logs its
    requests.
    """

    def __init__(self, answers: Mapping[str, Any] | Handler) -> None:
        self.answers = answers
        self.request_log: list[str] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.query.decode()
        self.request_log.append(query or request.url.path)
        self.requests.append(request)
        if callable(self.answers):
            return self.answers(request)
        return answer_with(self.answers.get(query, self.answers.get(request.url.path, 404)))

    def open_client(self, **settings: Any) -> Fetch:
        return fetch_with(httpx.MockTransport(self), **{"pause": 0, "robots": False, **settings})


class Site:
    """A host of *pages* by path; `answer_with` makes responses of them."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self.pages = pages
        self.request_log: list[str] = []

    def name(self, request: httpx.Request) -> str:
        return request.url.path.removeprefix("/")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = self.name(request)
        self.request_log.append(name)
        return answer_with(self.pages.get(name, 404))


def harvest(
    registry: Handler, source: Source, since: datetime | None = None, cursor: str | None = None
) -> list[Page[Any]]:
    """Return the pages that the protocol of *source* collects."""
    with open_client(registry) as fetch:
        return list(PROTOCOLS[source.protocol].collect(source, fetch, since, cursor))


def harvest_page_by_page(make: Callable[[], Handler], source: Source) -> list[Page[Any]]:
    """Return the pages of successive runs, each of which reads a registry that *make* returns and
    is killed after its first page.
    """
    pages: list[Page[Any]] = []
    while not pages or pages[-1].cursor is not None:
        assert len(pages) < 1000
        cursor = pages[-1].cursor if pages else None
        with open_client(make()) as fetch:
            pages.append(
                next(iter(PROTOCOLS[source.protocol].collect(source, fetch, None, cursor)))
            )
    return pages


def kinds(pages: Iterable[Page[Any]]) -> dict[str | None, type]:
    return {item.key: type(item) for item in items(pages)}


def items(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item for page in pages for item in page.items]


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for item in items(pages)]


@dataclass(frozen=True)
class SimulatedRecord:
    key: str
    stamp: datetime
    deleted: bool = False
    groups: tuple[str, ...] = ()


DC = '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">'


def records(
    count: int, *, apart: timedelta = timedelta(hours=7), deleted: Collection[int] = ()
) -> list[SimulatedRecord]:
    return [
        SimulatedRecord(f"k{number:04}", START + number * apart, number in deleted)
        for number in range(count)
    ]


def broken(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body.replace(b"<dc:title>", b"<dc:title>\x01", 1))


def truncated(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body[: len(body) * 2 // 3])


def crashed(body: bytes) -> httpx.Response:
    return httpx.Response(500)


@dataclass
class Oai:
    """A repository: *stored* has its records in the order of its lists, *page* is the number of
    records in a response, and each response with a key of *poison* is spoiled.

    *expired* returns whether a token is refused, from the number of requests with a token so far
    and the offset of this one. *request_log* has all requests.
    """

    stored: Sequence[SimulatedRecord]
    page: int = 10
    granularity: str = "second"
    poison: Collection[str] = ()
    spoil: Callable[[bytes], httpx.Response] = broken
    expired: Callable[[int, int], bool] = lambda times, offset: False
    sized: bool = True
    mute: Collection[str] = ()  # verbs that always fail
    request_log: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        parameters = dict(request.url.params)
        self.request_log.append(parameters)
        verb = parameters["verb"]
        if verb in self.mute:
            return httpx.Response(500)
        if verb == "Identify":
            name = FORMS[self.granularity][0]
            return self._respond(
                f"<Identify><earliestDatestamp>2025-01-01</earliestDatestamp><granularity>{name}</granularity></Identify>"
            )
        if verb == "GetRecord":
            one = next(item for item in self.stored if item.key == parameters["identifier"])
            return self._spoilt(f"<GetRecord>{self._record(one)}</GetRecord>", [one])
        return self._list(verb, parameters)

    def _list(self, verb: str, parameters: Mapping[str, str]) -> httpx.Response:
        terms, offset = dict(parameters), 0
        if token := parameters.get("resumptionToken"):
            terms = json.loads(token)
            offset = terms.pop("offset")
            if self.expired(sum("resumptionToken" in item for item in self.request_log), offset):
                return self._respond('<error code="badResumptionToken">expired</error>')
        chosen = [item for item in self.stored if self._wanted(item, terms)]
        if not chosen:
            return self._respond('<error code="noRecordsMatch"/>')
        part = chosen[offset : offset + self.page]
        body = "".join(
            self._record(item) if verb == "ListRecords" else self._header(item) for item in part
        )
        after = (
            json.dumps({**terms, "offset": offset + self.page})
            if offset + self.page < len(chosen)
            else ""
        )
        size = f' completeListSize="{len(chosen)}" cursor="{offset}"' if self.sized else ""
        last = f"<resumptionToken{size}>{after}</resumptionToken>" if after or offset else ""
        text = f"<{verb}>{body}{last}</{verb}>"
        return self._spoilt(text, part) if verb == "ListRecords" else self._respond(text)

    def _wanted(self, item: SimulatedRecord, terms: Mapping[str, str]) -> bool:
        """Return whether a list has *item*; fail if a request has another granularity."""
        stamp = self._stamp(item)
        for name in ("from", "until"):
            assert len(terms.get(name, stamp)) == len(stamp), (
                "from and until are in the repository's granularity"
            )
        return terms.get("from", stamp) <= stamp <= terms.get("until", stamp) and terms.get(
            "set", ""
        ) in ("", *item.groups)

    def _stamp(self, item: SimulatedRecord) -> str:
        return f"{item.stamp:{FORMS[self.granularity][1]}}"

    def _header(self, item: SimulatedRecord) -> str:
        sets = "".join(f"<setSpec>{name}</setSpec>" for name in item.groups)
        status = ' status="deleted"' if item.deleted else ""
        return f"<header{status}><identifier>{item.key}</identifier><datestamp>{self._stamp(item)}</datestamp>{sets}</header>"

    def _record(self, item: SimulatedRecord) -> str:
        body = (
            ""
            if item.deleted
            else f"<metadata>{DC}<dc:title>Project {item.key}</dc:title></oai_dc:dc></metadata>"
        )
        return f"<record>{self._header(item)}{body}</record>"

    def _respond(self, body: str) -> httpx.Response:
        now = START + timedelta(days=400)
        return httpx.Response(
            200,
            content=(HEAD.format(now=f"{now:%Y-%m-%dT%H:%M:%SZ}") + body + "</OAI-PMH>").encode(),
        )

    def _spoilt(self, body: str, part: Sequence[SimulatedRecord]) -> httpx.Response:
        response = self._respond(body)
        return (
            self.spoil(response.content)
            if any(item.key in self.poison for item in part)
            else response
        )
