from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import projects
import pyoxigraph as ox
import pytest
import sqlalchemy as sa
from clocks import NOON, TickingClock
from projects import DEFINITION, Harvester, asking
from rdf_terms import solutions

from harvesters.ledger import tables as t
from harvesters.ledger.models import LINKS, LinkCheck, LinkState, State
from harvesters.network.fetch import LocalRateLimiter, NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest
from harvesters.runs.upkeep import (
    LinkProgress,
    check_due_links,
    check_source,
    due_links,
    links,
    save_link,
)
from harvesters.source import Source, parse
from journal.outage import Outage
from vocab.iris import BASE
from vocab.terms import DCT, DQV

PAGES = "https://pages.example"
DAY = timedelta(days=1)


@dataclass
class Web:
    """A registry of projects with pages, and the web site of these pages; *answers* has the
    response by path.
    """

    projects: list[dict[str, Any]]
    answers: dict[str, Callable[[], httpx.Response]] = field(default_factory=dict)
    robots: str = ""
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "pages.example":
            page = int(request.url.params.get("page", "1"))
            rows = self.projects[page * 3 - 3 : page * 3]
            return httpx.Response(200, json={"total": len(self.projects), "results": rows})
        if request.url.path == "/robots.txt":
            return httpx.Response(200, text=self.robots)
        self.requests.append(request)
        return self.answers.get(request.url.path, lambda: httpx.Response(200, text="<html>"))()


@pytest.fixture
def web() -> Web:
    return Web([project(number) for number in range(1, 4)])


def project(number: int) -> dict[str, Any]:
    row: dict[str, Any] = projects.project(number)
    return {**row, "page": f"{PAGES}/{number}"}


@pytest.fixture
def source() -> Source:
    fields = {**DEFINITION["fields"], "pages": "page"}
    return parse("projects", {**DEFINITION, "check_links": True, "fields": fields}, "test")


@pytest.fixture
def context(tmp_path: Path, web: Web) -> Iterator[HarvestContext]:
    ledger, settings = f"sqlite:///{tmp_path}/ledger.sqlite", NetworkSettings("admin@example.org")
    with open_context(tmp_path / "data", ledger, BASE, settings) as real:
        yield asking(replace(real, now=TickingClock()), web)


def clock(context: HarvestContext) -> TickingClock:
    assert isinstance(context.now, TickingClock)
    return context.now


def check(context: HarvestContext, source: Source) -> int:
    return check_source(context, source, LinkProgress(), lambda: True)


def states(context: HarvestContext) -> dict[str, LinkState | None]:
    stored = links(context.ledger, "projects")
    return {link.url.removeprefix(f"{PAGES}/"): link.state for link in stored}


def published(context: HarvestContext) -> dict[str, str]:
    """Return the published state by link, read from the journal."""
    store = ox.Store()
    for entry in context.journal.entries():
        for row in entry.rows():
            [quad] = ox.parse(row[2:], ox.RdfFormat.N_QUADS)
            (store.add if row.startswith("A ") else store.remove)(quad)
    query = f"SELECT ?url ?state {{ GRAPH <{BASE}links/projects> {{ ?m <{DQV}computedOn> ?url ; <{DQV}value> ?state }} }}"
    rows = solutions(store.query(query))
    return {row["url"].value.removeprefix(f"{PAGES}/"): row["state"].value for row in rows}


def first_link(context: HarvestContext) -> Any:
    (link,) = (item for item in links(context.ledger, "projects") if item.url == f"{PAGES}/1")
    return link


def test_links_are_checked_once_with_a_small_request_and_published(
    filled: Harvester, web: Web
) -> None:
    counts = [check(filled.context, filled.source), check(filled.context, filled.source)]

    assert counts == [3, 0]
    assert [request.headers["Range"] for request in web.requests] == ["bytes=0-1023"] * 3
    assert "admin@example.org" in web.requests[0].headers["User-Agent"]
    assert states(filled.context) == dict.fromkeys("123", LinkState.ALIVE)
    assert published(filled.context) == dict.fromkeys("123", "alive")
    [run] = [run for run in [filled.ledger.last_run(LINKS, [State.COMMITTED])] if run]
    assert run.entry == filled.entries[-1].number
    publish_vocabulary(filled.context)
    assert published(filled.context) == dict.fromkeys("123", "alive")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(httpx.Response(206, content=b"x"), LinkState.ALIVE), (httpx.Response(416), LinkState.ALIVE),
     (httpx.Response(301, headers={"Location": f"{PAGES}/new"}), LinkState.MOVED),
     (httpx.Response(301, headers={"Location": f"{PAGES}/1/"}), LinkState.ALIVE),
     (httpx.Response(403), LinkState.BLOCKED), (httpx.Response(429), LinkState.BLOCKED),
     (httpx.Response(451), LinkState.BLOCKED), (httpx.Response(404), None), (httpx.Response(500), None)],
    ids=["part", "short", "moved", "slash", "forbidden", "limited", "legal", "missing", "broken"],
)  # fmt: skip
def test_an_answer_is_a_state(
    filled: Harvester, web: Web, answer: httpx.Response, state: LinkState | None
) -> None:
    def once() -> httpx.Response:
        del web.answers["/1"]  # the target of a redirect answers 200
        return answer

    web.answers["/1"] = once

    check(filled.context, filled.source)

    link, place = first_link(filled.context), f"{PAGES}/new" if state is LinkState.MOVED else None
    assert (link.state, link.location) == (state, place)


def test_a_private_address_is_not_requested(harvester: Harvester, web: Web) -> None:
    web.projects[0]["page"] = "http://127.0.0.1:9/private"
    harvester.harvest()

    network = replace(harvester.context.network, transport=None)
    check(replace(harvester.context, network=network), harvester.source)

    assert states(harvester.context)["http://127.0.0.1:9/private"] is LinkState.BLOCKED


def test_robots_txt_is_obeyed(harvester: Harvester, web: Web) -> None:
    web.robots = "User-agent: *\nDisallow: /"
    harvester.harvest()

    check(harvester.context, harvester.source)

    assert web.requests == []
    assert states(harvester.context) == dict.fromkeys("123", LinkState.BLOCKED)


def test_a_link_is_gone_only_after_failures_on_several_days_and_a_success_forgets_them(
    filled: Harvester, web: Web
) -> None:
    check(filled.context, filled.source)
    now, failed = clock(filled.context), first_link(filled.context)
    for _ in range(9):  # on one day
        failed = failed.after(LinkCheck(None, "404"), now())
    back = failed.after(LinkCheck(LinkState.ALIVE, "200"), now())
    assert (failed.state, failed.failures) == (LinkState.ALIVE, 9)
    assert (back.state, back.failures, back.failing_since) == (LinkState.ALIVE, 0, None)
    web.answers["/1"] = lambda: httpx.Response(404)
    seen = []
    clock(filled.context).now += 14 * DAY
    for _ in range(4):
        clock(filled.context).now += DAY
        check(filled.context, filled.source)
        seen.append(states(filled.context)["1"])

    assert seen == [LinkState.ALIVE, LinkState.ALIVE, LinkState.ALIVE, LinkState.GONE]
    assert published(filled.context)["1"] == "gone"
    assert first_link(filled.context).answer == "404"


def test_a_link_that_comes_back_is_alive_again_and_published(filled: Harvester, web: Web) -> None:
    web.answers["/1"] = lambda: httpx.Response(410)
    for _ in range(5):
        check(filled.context, filled.source)
        clock(filled.context).now += DAY
    gone = published(filled.context)["1"]
    del web.answers["/1"]
    clock(filled.context).now += 7 * DAY
    check(filled.context, filled.source)

    assert (gone, published(filled.context)["1"]) == ("gone", "alive")


def test_links_of_no_record_are_deleted(filled: Harvester, web: Web) -> None:
    check(filled.context, filled.source)
    web.projects[0]["page"] = f"{PAGES}/9"
    filled.harvest(full=True)
    check(filled.context, filled.source)

    assert sorted(states(filled.context)) == ["2", "3", "9"]
    assert sorted(published(filled.context)) == ["2", "3", "9"]


def test_only_sources_that_ask_for_it_are_checked_within_the_time_of_a_round(
    filled: Harvester, web: Web
) -> None:
    counts = []
    unasked = replace(filled.source, check_links=False)
    for source, seconds in ((unasked, 0), (filled.source, 30), (filled.source, 0)):
        time = map(float, itertools.count(0, seconds))
        outage = Outage("cannot", "can")
        check_due_links(filled.context, [source], LinkProgress(), outage, partial(next, time))
        counts.append(len(web.requests))

    assert counts == [0, 0, 3]
    assert due_links(filled.ledger, "projects", clock(filled.context)(), 9) == []


def test_a_moved_link_names_where_it_answers(filled: Harvester, web: Web) -> None:
    web.answers["/1"] = lambda: httpx.Response(302, headers={"Location": f"{PAGES}/new?a=<b>"})
    check(filled.context, filled.source)

    graph = filled.ledger.graph(filled.iris.links("projects"))
    assert f"<{DCT}isReplacedBy> <{PAGES}/new?a=%3Cb%3E>" in graph
    assert published(filled.context)["1"] == "moved"


@dataclass
class HostAnswers:
    """Web sites whose pages all answer with the same response, by host; *seconds* has how long
    the slow ones take.
    """

    answers: dict[str, httpx.Response]
    seconds: dict[str, float] = field(default_factory=dict)
    time: float = 0.0
    requests: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        self.requests.append(request.url.host)
        self.time += self.seconds.get(request.url.host, 0.01)
        return self.answers.get(request.url.host) or httpx.Response(206, content=b"x")


HOSTS = ("a.example", "b.example", "c.example")


@pytest.fixture
def many(source: Source, context: HarvestContext, web: Web) -> Source:
    web.projects = [
        {**project(number), "page": f"https://{HOSTS[number % 3]}/{number}"} for number in range(30)
    ]
    harvest(source, context)
    return source


@pytest.mark.parametrize(
    ("status", "headers", "minutes"),
    [(429, {"Retry-After": "300"}, 5), (429, {}, 60), (503, {"Retry-After": "999999999"}, 24 * 60)],
    ids=["retry-after", "limited", "longest"],
)
def test_a_host_that_limits_requests_rests_and_the_others_go_on(
    many: Source, context: HarvestContext, status: int, headers: dict[str, str], minutes: int
) -> None:
    sites = HostAnswers({"a.example": httpx.Response(status, headers=headers)})
    slept: list[float] = []
    begun = clock(context).now

    checked = check(asking(context, sites, rate_limiter=LocalRateLimiter(slept.append)), many)

    assert (checked, slept) == (21, [])
    assert [sites.requests.count(host) for host in HOSTS[:2]] == [1, 10]
    waiting = [
        link.due - begun - timedelta(minutes=minutes)
        for link in links(context.ledger, "projects")
        if "a.example" in link.url and link.checked is None
    ]
    assert len(waiting) == 9
    assert all(timedelta(0) <= more < timedelta(minutes=5) for more in waiting)


def test_a_slow_host_rests_for_twenty_times_as_long_as_it_took(
    many: Source, context: HarvestContext
) -> None:
    sites, progress, counts = HostAnswers({}, {"a.example": 25.0}), LinkProgress(), []
    for _ in range(3):
        timed = asking(context, sites)
        counts.append(check_source(timed, many, progress, lambda: True, lambda: sites.time))
        clock(context).now += timedelta(seconds=600)

    assert counts == [21, 1, 1]
    assert sites.requests.count("a.example") == 3


def test_states_are_published_by_the_round_that_ends_with_the_last_link(filled: Harvester) -> None:
    progress, seen = LinkProgress(), []
    for number in (2, 3):  # links of a round
        left = iter([True] * number)
        check_source(filled.context, filled.source, progress, lambda left=left: next(left, False))  # type: ignore[misc]
        seen.append(published(filled.context))

    assert seen == [{}, dict.fromkeys("123", "alive")]


def test_states_that_a_process_found_before_it_ended_are_published_by_the_next(
    filled: Harvester,
) -> None:
    check_source(filled.context, filled.source, LinkProgress(), lambda: False)
    for link in due_links(filled.ledger, "projects", clock(filled.context)(), 9):
        save_link(
            filled.ledger,
            link.after(LinkCheck(LinkState.ALIVE, "200"), clock(filled.context)()),
        )

    assert check(filled.context, filled.source) == 0
    assert published(filled.context) == dict.fromkeys("123", "alive")


def test_one_process_publishes_states_at_most_once_a_day(harvester: Harvester, web: Web) -> None:
    web.answers["/1"] = lambda: httpx.Response(500)
    harvester.harvest()
    progress, seen = LinkProgress(), []
    check_source(harvester.context, harvester.source, progress, lambda: True)
    del web.answers["/1"]
    for hours in (23.9, 0.2):
        with harvester.ledger.transaction() as connection:
            connection.execute(sa.update(t.link).values(due=NOON))
        clock(harvester.context).now += timedelta(hours=hours)
        check_source(harvester.context, harvester.source, progress, lambda: True)
        seen.append(sorted(published(harvester.context)))

    assert seen == [["2", "3"], ["1", "2", "3"]]


def test_each_source_has_its_share_of_a_round(many: Source, context: HarvestContext) -> None:
    other = replace(many, name="others")
    harvest(other, context)
    sites = HostAnswers({}, dict.fromkeys(HOSTS, 4.0))

    check_due_links(
        asking(context, sites), [many, other], LinkProgress(), Outage("", ""), lambda: sites.time
    )

    checked = [
        [link.checked for link in links(context.ledger, item.name)] for item in (many, other)
    ]
    assert [len([*filter(None, times)]) for times in checked] == [7, 6]
