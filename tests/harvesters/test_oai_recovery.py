from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
import simulated
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rows import each
from simulated import (
    Handler,
    Oai,
    ScriptedRegistry,
    SimulatedRecord,
    broken,
    crashed,
    define_source,
    harvest_page_by_page,
    keys,
    records,
    truncated,
)

from harvesters.errors import LimitedError, ParseError, UnavailableError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import Source


def source(**options: Any) -> Source:
    return define_source("oai-pmh", "oai_dc", options=options)


def harvest(respond: Handler, cursor: str | None = None, **options: Any) -> list[Page[Any]]:
    return simulated.harvest(respond, source(**options), cursor=cursor)


def read_keys(pages: Iterable[Page[Any]]) -> dict[str | None, Any]:
    """Return the first readable item of each key, as a run takes it. A key may come again only on a
    page that announces it.
    """
    results: dict[str | None, Any] = {}
    for page in pages:
        for item in page.items:
            assert page.again or item.key not in results or item.key is None, (
                f"{item.key} came twice without a notice"
            )
            if not isinstance(results.get(item.key), Record | DeletedRecord):
                results[item.key] = item
    return results


def kinds(pages: Iterable[Page[Any]]) -> dict[str | None, type]:
    return {key: type(item) for key, item in read_keys(pages).items()}


def expected(respond: Oai) -> dict[str | None, type]:
    kinds: dict[str | None, type] = {
        item.key: DeletedRecord if item.deleted else Record for item in respond.stored
    }
    return {**kinds, **{key: InvalidRecord for key in respond.poison if kinds.get(key) is Record}}


def shuffled(items: Sequence[SimulatedRecord], seed: int = 1) -> list[SimulatedRecord]:
    return random.Random(seed).sample(items, len(items))


@each("order", [list, shuffled])
@each(
    "count, page, places",
    [(1, 10, [0]), (2, 10, [0, 1]), (7, 7, range(7)), (100, 100, range(0, 100, 9)), (230, 100, [0, 99, 100, 199, 200, 229])],
)  # fmt: skip
def test_one_poison_record_costs_one_record(count: int, page: int, places: Any, order: Any) -> None:
    for position in places:
        respond = Oai(order(records(count)), page, poison={f"k{position:04}"})

        pages = harvest(respond)

        assert kinds(pages) == expected(respond)
        assert pages[-1].cursor is None


@each("spoil", [broken, truncated, crashed])
def test_whatever_spoils_the_answer_the_reason_is_reported_at_its_key(spoil: Any) -> None:
    respond = Oai(records(25, deleted={3, 7}), poison={"k0012"}, spoil=spoil)

    pages = harvest(respond)

    assert kinds(pages) == expected(respond)
    assert "registry.example" in read_keys(pages)["k0012"].reason


GROUPS = [("x",), ("x", "y"), ("y",)]
IN_SETS = [
    SimulatedRecord(item.key, item.stamp, groups=GROUPS[number % 3])
    for number, item in enumerate(records(60))
]


@each(
    "stored, page, how, sets",
    [*((records(45, apart=apart, deleted={5}), 10, {"granularity": granularity, "poison": {"k0013", "k0031"}}, {})
       for granularity in ("day", "second") for apart in (timedelta(0), timedelta(seconds=1), timedelta(hours=5), timedelta(days=3))),
     # One page has no readable record at all.
     (records(150), 100, {"poison": {f"k{number:04}" for number in range(20, 60)}}, {}),
     # Every token has expired when it is used.
     *((order(records(60)), 10, {"expired": lambda times, place: True}, {}) for order in (list, shuffled)),
     # The records come in no order, and the first token has expired.
     ([*records(30)[15:25], *records(30)[:15], *records(30)[25:]], 10, {"expired": lambda times, place: times == 1}, {}),
     (IN_SETS, 10, {"poison": {"k0021", "k0030"}}, {"set": ["x", "y"]})],
)  # fmt: skip
def test_windows_that_are_cut_lose_no_record_and_bring_the_same_each_time(
    stored: list[SimulatedRecord], page: int, how: dict[str, Any], sets: dict[str, Any]
) -> None:
    first, second = Oai(stored, page, **how), Oai(stored, page, **how)

    pages, again = harvest(first, **sets), harvest(second, **sets)

    assert kinds(pages) == expected(first)
    assert [(keys([one]), one.cursor) for one in pages] == [
        (keys([one]), one.cursor) for one in again
    ]
    assert pages[-1].incomplete_reason is None


@each(
    "respond, message",
    [(Oai(records(900), 100, poison={record.key for record in records(900)}), "301 responses in a row cannot be read"),
     (Oai(records(60, apart=timedelta(0)), expired=lambda times, place: True), "expired")],
)  # fmt: skip
def test_a_list_of_which_nothing_can_be_had_ends_the_run(respond: Oai, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        harvest(respond)


@each("place", [0, 50, 99, 137])
def test_a_poison_record_costs_requests_by_the_logarithm_of_its_page(place: int) -> None:
    sound, respond = Oai(records(300), 100), Oai(records(300), 100, poison={f"k{place:04}"})

    for repository in (sound, respond):
        harvest(repository)

    assert len(respond.request_log) - len(sound.request_log) <= 4 * 8 + 8 + 4


@each("status, error", [(429, LimitedError), (500, UnavailableError)])
def test_a_failure_of_the_health_check_keeps_its_own_error(
    status: int, error: type[Exception]
) -> None:
    respond = Oai(records(30), poison={"k0004"}, spoil=crashed)

    def limiting(request: httpx.Request) -> httpx.Response:
        is_check = request.url.params["verb"] == "Identify"
        return httpx.Response(status) if is_check else respond(request)

    with pytest.raises(error):
        harvest(limiting)


@each("order", [list, shuffled])
def test_a_cut_list_has_its_total_and_is_complete_since_its_windows_leave_no_moment_out(
    order: Any,
) -> None:
    pages = harvest(Oai(order(records(50)), poison={"k0004"}))

    assert (pages[-1].reported_total, pages[-1].incomplete_reason) == (50, None)


def test_without_listidentifiers_the_run_ends_at_the_moment_that_cannot_be_read() -> None:
    respond = Oai(records(40), poison={"k0017"}, mute={"ListIdentifiers"})
    read: list[Page[Any]] = []

    failure = pytest.raises(ParseError, match=r"ListIdentifiers.*answered 500")
    with failure, simulated.open_client(respond) as fetch:
        read.extend(PROTOCOLS["oai-pmh"].collect(source(), fetch, None))

    assert {*read_keys(read)} == {element.key for element in respond.stored[:17]}


@each("offset", range(10, 60, 10))
@each("order", [list, shuffled])
def test_a_token_that_has_expired_loses_no_record(offset: int, order: Any) -> None:
    respond = Oai(
        order(records(60)), expired=lambda times, place: place == offset and times <= offset // 10
    )

    pages = harvest(respond)

    assert kinds(pages) == expected(respond)
    assert (pages[-1].reported_total, pages[-1].incomplete_reason) == (60, None)
    assert pages[-1].again


def test_a_list_in_order_goes_on_from_its_newest_datestamp() -> None:
    respond = Oai(records(60), granularity="day", expired=lambda times, place: times == 3)

    harvest(respond)

    assert [row["from"] for row in respond.request_log if "from" in row] == ["2025-01-09"]


@each("status", [400, 404, 410])
def test_a_token_refused_by_a_status_has_expired(status: int) -> None:
    plain = Oai(records(60))
    refusals = [httpx.Response(status)]

    def respond(request: httpx.Request) -> httpx.Response:
        refused = "resumptionToken" in request.url.params and len(plain.request_log) == 3
        return refusals.pop() if refused and refusals else plain(request)

    assert kinds(harvest(respond)) == expected(plain)
    assert refusals == []


def test_an_error_of_the_protocol_is_no_broken_page() -> None:
    answer = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><error code="noSetHierarchy">no</error></OAI-PMH>'
    server = ScriptedRegistry(lambda _: httpx.Response(200, content=answer))

    with pytest.raises(ParseError, match="noSetHierarchy: no"):
        harvest(server)

    assert len(server.requests) == 1


def part(token: str, *keys: str, size: int | None = None) -> httpx.Response:
    content = "" if size is None else f' completeListSize="{size}"'
    body = "".join(
        f"<record><header><identifier>{key}</identifier><datestamp>2025-01-01</datestamp></header><metadata><dc/></metadata></record>"
        for key in keys
    )
    text = f"<ListRecords>{body}<resumptionToken{content}>{token}</resumptionToken></ListRecords>"
    return httpx.Response(
        200,
        content=f'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">{text}</OAI-PMH>'.encode(),
    )


def in_turn(*answers: httpx.Response) -> Handler:
    """Answer requests for lists in turn, and any other request by 404."""
    left = iter(answers)
    return lambda request: next(left) if "List" in str(request.url) else httpx.Response(404)


def test_a_few_empty_pages_are_passed_over_and_many_or_repeated_ones_end_the_run() -> None:
    pages = harvest(in_turn(part("1", "a"), part("2"), part("3"), part("", "b")))
    assert kinds(pages) == {"a": Record, "b": Record}
    assert pages[-1].incomplete_reason is None

    numbers = iter(range(10_000))
    with pytest.raises(ParseError, match="page 101 in a row without a record"):
        harvest(lambda request: part(f"t{next(numbers)}"))
    with pytest.raises(ParseError, match="repeats the records of an earlier page"):
        harvest(in_turn(part("1", "a", "b"), part("2", "b", "a")))


@each(
    "first, second, reason",
    [((("1", "a", "b"), {"size": 4}), (("", "c", "d"), {"size": 3}), "shrank from 4 to 3"),
     ((("1", "a", "b"), {"size": 4}), (("", "c", "d"), {"size": 5}), "grew from 4 to 5"),
     ((("1", "a", "b"), {"size": 4}), (("", "c", "d"), {"size": 4}), "None")],
)  # fmt: skip
def test_a_total_that_changes_is_doubted(first: Any, second: Any, reason: str) -> None:
    pages = harvest(in_turn(*(part(*names, **places) for names, places in (first, second))))

    assert reason in str(pages[-1].incomplete_reason)


def test_a_list_of_a_set_that_ends_before_its_size_is_doubted() -> None:
    parts = (part("1", "a", size=3), part("", "b", size=3), part("", "c"))

    pages = harvest(in_turn(*parts), set=["x", "y"])

    assert str(pages[-1].incomplete_reason) == "the list ended after 2 of 3 records"


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seed=st.integers(0, 10_000), count=st.integers(1, 35), size=st.integers(1, 20), poison=st.sets(st.integers(0, 34), max_size=3),
    apart=st.sampled_from([timedelta(0), timedelta(seconds=1), timedelta(hours=9)]), granularity=st.sampled_from(["day", "second"]),
    ordered=st.booleans(), expires=st.sampled_from([0, 0, 3, 5]), sized=st.booleans(),
)  # fmt: skip
def test_a_run_that_is_killed_at_any_page_brings_the_same_records(
    seed: int, count: int, size: int, poison: set[int], apart: timedelta, granularity: str, ordered: bool, expires: int, sized: bool
) -> None:  # fmt: skip
    stored = records(count, apart=apart, deleted={2, 11})
    stored = stored if ordered else shuffled(stored, seed)
    keys = {f"k{number:04}" for number in poison}

    def repository() -> Oai:
        return Oai(stored, size, granularity, keys, expired=lambda times, _: times == expires > 0, sized=sized)  # fmt: skip

    undisturbed = harvest(repository())
    killed = harvest_page_by_page(repository, source())

    assert all(len(page.cursor or "") < 4000 for page in killed)
    assert kinds(undisturbed) == expected(repository())
    assert kinds(killed) == kinds(undisturbed)
