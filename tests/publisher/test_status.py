"""Pages, headers, JSON and SPARQL state the same freshness, and time alone can change it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import followers
import httpx
import pytest
import pytest_asyncio
from app_client import asking, served
from clocks import ManualClock
from event_loops import session_loop
from fastapi import FastAPI
from publish_fixture import copy_data
from pyoxigraph import NamedNode
from rdf_terms import value
from rows import each
from waiting import wait_until

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.follow import EmbeddedStore, Runner
from publisher.store.query_service import QueryService
from vocab.describe import quads
from vocab.iris import Iris
from vocab.provenance import (
    FreshnessInputs,
    RunStatistics,
    SourceStatus,
    describe_run,
    describe_source_statuses,
)

IRIS = Iris()
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
HTML = {"Accept": "text/html"}
# Some states have another name on pages than in the data.
WORDS = {"live": "up to date", "frozen": "on hold"}


def account(run: str, state: str, **counts: int) -> RunStatistics:
    return RunStatistics(
        run=run,
        source=run.partition(".")[0],
        started=NOW - DAY,
        ended=NOW,
        state=state,
        network={"200": 3, "429": 1},
        counts=counts,
    )


def source_statuses() -> list[SourceStatus]:
    """Return the statuses of a source in each state, one of which has a plan that waits."""
    live = FreshnessInputs(success=NOW - DAY, late_from=NOW + DAY)
    late = FreshnessInputs(success=NOW - 9 * DAY, late_from=NOW - 7 * DAY)
    failed = account("beta.7", "failed", withheld=4)
    return [
        SourceStatus("demo", NOW - DAY, NOW - DAY, "committed", 124, None, live, full_harvest=NOW - DAY, due=NOW + DAY, missing=2),
        SourceStatus("alpha", NOW - DAY, NOW - 9 * DAY, "held", 9, "5 of 9 vanished <b>", late, run="alpha.3", plan="alpha.3"),
        SourceStatus("beta", NOW, NOW - DAY, "failed", 9, "503", FreshnessInputs(NOW - DAY, 3, NOW + DAY), run="beta.7", account=failed),
        SourceStatus("gamma", NOW, NOW, "unchanged", 9, None, FreshnessInputs(NOW, 0, NOW + DAY, is_held=True), hold="they migrate"),
        SourceStatus("nova", None, None, None, 0, None, FreshnessInputs(late_from=NOW + DAY), due=NOW + DAY),
        SourceStatus("omega", None, None, None, 0, None, FreshnessInputs(retired=True)),
    ]  # fmt: skip


def write_statuses(data: Path, *sources: SourceStatus) -> None:
    lines = quads(describe_source_statuses(sources, IRIS, NOW), IRIS.status)
    (data / "status.nq").write_text("".join(f"{line}\n" for line in lines))


def append_account(data: Path, run: str, quads_after: int) -> int:
    """Append an entry with the account of a run; return the number of its statements."""
    lines = describe_run(account(run, "committed", quads_after=quads_after), IRIS)
    rows = [f"A {quad}" for quad in quads(lines, IRIS.run(run))]
    Journal(data / "journal").append(rows, run=run, time=NOW)
    return len(rows)


@pytest.fixture(scope="module")
def data(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the world with a fourth entry, which has a correct account of its run."""
    data: Path = copy_data(small, tmp_path_factory.mktemp("status"), "store")
    entries = Journal(data / "journal").entries()
    before = sum(1 if row[0] == "A" else -1 for entry in entries for row in entry.rows())
    size = len(describe_run(account("demo.4", "committed", quads_after=0), IRIS))
    append_account(data, "demo.4", before + size)
    write_statuses(data, *source_statuses())
    return data


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(data: Path) -> AsyncIterator[FastAPI]:
    async with QueryService(data, IRIS, Limits(seconds=240, wait=240), readers=1) as service:
        await service.wait_until_current()
        yield create_app(service)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(app) as opened:
        yield opened


@session_loop
async def test_json_page_and_sparql_state_the_same_states(client: httpx.AsyncClient) -> None:
    wanted = {
        "alpha": "late", "beta": "failing", "demo": "live", "gamma": "frozen", "nova": "new",
        "omega": "retired",
    }  # fmt: skip
    sparql = "PREFIX ops: <operations#> SELECT ?source ?state { ?source ops:freshness ?state }"

    json = (await client.get("/status.json")).json()
    page = (await client.get("/status", headers=HTML)).text
    asked = await client.get("/sparql", params={"query": sparql, "format": "csv"})
    turtle = await client.get("/status", headers={"Accept": "text/turtle"})

    rows = [line.split(",") for line in asked.text.splitlines()[1:]]
    assert {item["source"]: item["state"] for item in json["sources"]} == wanted
    assert {one.rpartition("/")[2]: state.rpartition("#")[2] for one, state in rows} == wanted
    for state in wanted.values():
        assert page.count(f'<span class="state {state}">{WORDS.get(state, state)}</span>') == 1
    assert "they migrate" in page
    assert "vanished &lt;b&gt;" in page
    assert "ops:lateFrom" in turtle.text


@session_loop
async def test_json_has_every_field_of_the_page(client: httpx.AsyncClient) -> None:
    body = (await client.get("/status", headers={"Accept": "application/json"})).json()

    def fields(item: dict[str, Any], *names: str) -> list[Any]:
        return [item[name] for name in names]

    alpha, beta = body["sources"][:2]
    waiting = fields(alpha, "held_plan", "last_outcome", "last_reason")
    assert waiting == ["alpha.3", "held", "5 of 9 vanished <b>"]
    assert fields(beta, "consecutive_failures", "withheld", "published") == [3, 4, 9]
    states = ("new", "live", "late", "failing", "frozen", "retired")
    assert body["states"] == dict.fromkeys(states, 1)
    store = body["store"]
    assert fields(store, "position", "run", "lag", "agrees") == [4, "demo.4", 0, True]
    assert store["quads"] == store["quads_by_account"]
    assert "matches" in (await client.get("/status", headers=HTML)).text


async def test_a_store_that_differs_from_its_metadata_is_reported(
    data: Path, tmp_path: Path
) -> None:
    copy_data(data, tmp_path, "store")
    append_account(tmp_path, "demo.5", 7)

    async with served(tmp_path) as client:
        store = (await client.get("/status.json")).json()["store"]
        page = await client.get("/status", headers=HTML)

    assert (store["agrees"], store["quads_by_account"]) == (False, 7)
    assert "differs" in page.text


@session_loop
@each(
    "path, state",
    [("/source/demo", "live"), ("/record/demo/a%2F1", "live"), ("/page/initiative/demo/a%2F1", "live"),
     ("/data/initiative/demo/a%2F1.ttl", "live"), ("/sparql?query=ASK%20%7B%7D", "new=1, live=1, late=1, failing=1, frozen=1, retired=1"),
     ("/", "new=1, live=1, late=1, failing=1, frozen=1, retired=1")],
)  # fmt: skip
async def test_answers_say_what_they_were_made_from(
    client: httpx.AsyncClient, path: str, state: str
) -> None:
    headers = (await client.get(path, headers={"Origin": "https://elsewhere.example"})).headers

    confirmed = f"{NOW - DAY:%Y-%m-%dT%H:%M:%SZ}" if state == "live" else None
    assert headers["stocktake-position"] == "4"
    assert headers["stocktake-time"] == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert headers["stocktake-freshness"] == state
    assert headers.get("stocktake-confirmed") == confirmed
    assert "Stocktake-Freshness" in headers["access-control-expose-headers"]


@session_loop
async def test_every_page_states_the_entry_and_a_record_when_it_was_confirmed(
    client: httpx.AsyncClient,
) -> None:
    home = (await client.get("/", headers=HTML)).text
    thing = (await client.get("/page/initiative/demo/a%2F1", headers=HTML)).text

    assert "Journal entry 4" in home
    assert 'href="/status"' in home
    assert "confirmed" not in home
    assert f'last confirmed at the source <time datetime="{NOW - DAY:%Y-%m-%dT%H:%M:%SZ}">' in thing


@session_loop
@pytest.mark.parametrize(
    "path", ["/page/initiative/demo/a%2F1", "/record/demo/a%2F1", "/source/demo"]
)
async def test_the_page_of_a_record_states_how_its_registry_fares(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path, headers=HTML)).text

    text = " ".join(re.sub(r"<[^>]*>", " ", page).split()).replace(" UTC", "")
    then = f"{NOW - DAY:%-d %B %Y %H:%M}"
    assert f"Freshness up to date Last attempt {then} Last success {then}" in text
    assert "Consecutive failures 0" in text
    if path == "/source/demo":
        times = r"<dt>(?:Last attempt|Last success|Next due|Late from)</dt><dd>(.*?)</dd>"
        facts = re.findall(times, page)
        assert '<span class="state live">up to date</span>' in page
        assert "Of these, missing at the source" in page
        assert len(facts) >= 3
        assert [fact for fact in facts if not fact.endswith(" UTC")] == []


@session_loop
@pytest.mark.parametrize(("run", "outcome"), [("demo.4", "committed"), ("beta.7", "failed")])
async def test_a_run_shows_its_counts_with_or_without_a_journal_entry(
    client: httpx.AsyncClient, run: str, outcome: str
) -> None:
    page = await client.get(f"/run/{run}", headers=HTML)
    json = (await client.get(f"/run/{run}?format=json")).json()
    turtle = await client.get(f"/run/{run}", headers={"Accept": "text/turtle"})

    assert "429" in page.text
    assert (json["run"], json["outcome"]) == (run, outcome)
    assert (json["network"], json["counts"]["fetched"]) == ({"200": 3, "429": 1}, 0)
    assert "QualityMeasurement" in turtle.text
    assert "lastAttempt" not in turtle.text


@session_loop
@pytest.mark.parametrize("source", ["beta", "nova"])
async def test_a_source_that_published_nothing_has_a_page_of_its_state(
    client: httpx.AsyncClient, source: str
) -> None:
    listed = await client.get("/status", headers=HTML)
    page = await client.get(f"/source/{source}", headers=HTML)
    turtle = await client.get(f"/source/{source}.ttl")
    links = set(re.findall(r'href="(/source/[^"#?]+)"', page.text))

    assert f'href="/source/{source}"' in listed.text
    assert f"<h1>{source}</h1>" in page.text
    assert f'<span class="state {"failing" if source == "beta" else "new"}">' in page.text
    assert "<h2>Records</h2>" not in page.text
    assert "Cite this number" not in page.text
    assert "ops:publishedRecords" in turtle.text
    assert "gamma" not in turtle.text
    assert {link for link in links if (await client.get(link)).status_code != 200} == set()
    assert (await client.get("/source/unknown", headers=HTML)).status_code == 404


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def follower(tmp_path: Path, clock: ManualClock) -> Iterator[Runner[EmbeddedStore]]:
    """Yield a follower, by *clock*, of a journal of one entry and of a status file."""
    row = "A <https://x.org/s> <https://x.org/p> <https://x.org/o> <https://x.org/g> ."
    Journal(tmp_path / "journal").append([row], run="r", time=NOW)
    marks = FreshnessInputs(success=NOW, late_from=NOW + 2 * DAY)
    write_statuses(tmp_path, SourceStatus("demo", NOW, NOW, "committed", 1, None, marks))
    with closing(followers.follower(tmp_path, now=clock.now)) as opened:
        yield opened


def status_statements(follower: Runner[EmbeddedStore]) -> set[str]:
    """Return the states of sources in the store, in its graphs and in their merge."""
    result = follower.store.merge.quads_for_pattern(
        None, NamedNode(f"{IRIS.operations}freshness"), None, None
    )
    return {value(quad.object).rpartition("#")[2] for quad in result}


def settle(follower: Runner[EmbeddedStore]) -> None:
    """Step until nothing is new; on a busy machine the indexes need several steps."""
    wait_until(lambda: follower.step() is None, "nothing that is new", pause=0)


def test_the_store_turns_a_source_late_at_its_instant_though_no_file_changed(
    follower: Runner[EmbeddedStore], clock: ManualClock
) -> None:
    settle(follower)
    before = status_statements(follower)
    clock.advance(2 * DAY - timedelta(seconds=1))
    quiet = follower.step()
    still = status_statements(follower)
    clock.advance(timedelta(seconds=1))

    turned = follower.step()

    assert (before, still, status_statements(follower)) == ({"live"}, {"live"}, {"late"})
    assert quiet is None
    assert turned is not None


@pytest.mark.parametrize(
    "bad",
    ["no quads", f'<{IRIS.source("demo")}> <{IRIS.operations}lateFrom> "soon" <{IRIS.status}> .\n'],
)
def test_a_status_file_that_cannot_be_read_changes_nothing(
    follower: Runner[EmbeddedStore], tmp_path: Path, bad: str
) -> None:
    settle(follower)
    good = (tmp_path / "status.nq").read_text()
    (tmp_path / "status.part").write_text(good)
    (tmp_path / "status.part").replace(tmp_path / "status.nq")
    assert follower.step() is None  # The file was replaced by an equal one.
    (tmp_path / "status.nq").write_text(good.replace("\n", "\n" + bad, 1) if "soon" in bad else bad)

    follower.step()

    assert status_statements(follower) == {"live"}


@session_loop
async def test_the_oldest_submission_that_waits_is_stated(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = (await client.get("/status.json")).json()
    monkeypatch.setattr(app.state, "waiting_submissions", lambda: (3, NOW))
    monkeypatch.setattr(app.state, "submissions_open", lambda: True)
    opened = (await client.get("/status.json?again")).json()
    page = await client.get("/status?again", headers=HTML)
    join = await client.get("/join", headers=HTML)

    assert closed["submissions"] is None
    assert opened["submissions"] == {"waiting": 3, "oldest": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}
    assert "The oldest waits since" in page.text
    assert 'href="/submit"' in join.text
