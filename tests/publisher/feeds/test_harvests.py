"""Harvests by other programs are complete before, across and after a commit with changes and
deletions; they are compared with the journal record by record.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from feed_clients import Got, Scenario, by_sickle, shown_count, wait
from live_server import served
from mutating_source import RecordStatements, alive, begin, is_gone, move, read_graphs
from processes import free_port, started, wait_for_url

OAI = ("sickle", "scythe")
TITLE = "<http://purl.org/dc/terms/title> "
COUNT = """
    SELECT ?graph (COUNT(*) AS ?quads) { GRAPH ?graph { ?s ?p ?o } FILTER(STRSTARTS(STR(?graph), STR(<record/>))) } GROUP BY ?graph
"""


def whole(state: RecordStatements) -> dict[str, frozenset[str] | None]:
    """Return what a harvest by OAI-PMH has: the statements of each record, None where it is gone."""
    return {record: None if is_gone(lines) else lines for record, lines in state.items()}


def names(state: RecordStatements) -> dict[str, set[str]]:
    """Return the titles of each record that is there."""
    results = {
        record: {line.partition(TITLE)[2] for line in lines if TITLE in line}
        for record, lines in alive(state).items()
    }
    return {
        record: {title.rpartition('"')[0][1:].replace('\\"', '"') for title in titles}
        for record, titles in results.items()
    }


@pytest.mark.parametrize("client", OAI)
@pytest.mark.parametrize("when", ["before", "across", "since", "after"])
def test_a_harvest_by_oai_pmh_has_all_there_is_and_doubles_nothing(
    scenario: Scenario, when: str, client: str
) -> None:
    got = scenario.got[when, client]

    expected = whole(scenario.after if when in ("since", "after") else scenario.before)
    if when == "since":  # This harvest has only what the commit touched.
        expected = {name: lines for name, lines in expected.items() if name in scenario.touched}
    assert got.last == expected
    assert got.doubled == []
    if when == "after":
        assert sum(lines is None for lines in got.last.values()) == 16


def replica(versions: list[tuple[str, Any]]) -> RecordStatements:
    """Return what a follower of the stream has: the version of each record at the last position."""
    ordered = sorted(versions, key=lambda version: version[1][1])
    return {record: lines for record, (_, _, _, lines) in ordered}


@pytest.mark.parametrize(("when", "members"), [("before", 380), ("across", 466), ("after", 466)])
def test_ldes_client_replicates_every_version_exactly(
    scenario: Scenario, when: str, members: int
) -> None:
    got = scenario.got[when, "ldes"].items

    assert replica(got) == (scenario.before if when == "before" else scenario.after)
    assert len({version for _, (version, *_) in got}) == len(got) == members
    if when == "after":
        new = Counter(action for _, (_, position, action, _) in got if position > 380)
        assert new == {"Create": 27, "Update": 43, "Delete": 16}


def feed(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what a reader of the feed knows that starts from the newest entry: what it meets first
    of each record.
    """
    out: dict[str, Any] = {}
    for name, result in items:
        out.setdefault(name, result)
    return out


@pytest.mark.parametrize("when", ["before", "across", "after"])
def test_feedparser_finds_each_record_with_its_title_and_each_deletion_by_the_archives(
    scenario: Scenario, when: str
) -> None:
    state = scenario.after if when == "after" else scenario.before

    got = feed(scenario.got[when, "feedparser"].items)

    titles = names(state)
    gone = {record for record, result in got.items() if result is None}
    there = {record for record, item in got.items() if item and item[0] in titles[record]}
    assert gone == {record for record, lines in state.items() if is_gone(lines)}
    assert there == set(titles)


@pytest.mark.parametrize("when", ["before", "across", "after"])
def test_the_activities_give_the_last_state_of_each_record(scenario: Scenario, when: str) -> None:
    # A page that is requested after the commit includes the commit.
    state = scenario.before if when == "before" else scenario.after

    got = scenario.got[when, "activities"].last

    topics = {
        next(line for line in lines if "primaryTopic" in line).rpartition("<")[2][:-1]: record
        for record, lines in state.items()
    }
    assert {topics[topic] for topic, item in got.items() if item is not None} == set(alive(state))
    gone = set(state) - set(alive(state))
    assert {topics[topic] for topic, item in got.items() if item is None} == gone


@pytest.mark.parametrize("when", ["before", "after"])
def test_icalendar_finds_each_event_once_with_its_title_and_no_other(
    scenario: Scenario, when: str
) -> None:
    state = scenario.after if when == "after" else scenario.before
    events = {
        record: titles for record, titles in names(state).items() if "/record/demo/e" in record
    }

    got = scenario.got[when, "icalendar"]

    assert {uid: {str(item["summary"])} for uid, item in got.items} == events
    assert got.doubled == []
    assert len(events) == (31 if when == "after" else 30)


def test_the_store_itself_holds_what_the_harvests_were_compared_with(
    scenario: Scenario, moving: tuple[Path, str]
) -> None:
    answer = httpx.post(f"{moving[1]}/sparql", data={"query": COUNT, "format": "json"})

    rows = answer.json()["results"]["bindings"]
    sizes = {row["graph"]["value"]: int(row["quads"]["value"]) for row in rows}
    assert sizes == {item: len(lines) for item, lines in scenario.after.items()}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a store in a process of its own; yield the settings that name it."""
    program = shutil.which("oxigraph", path=str(Path(sys.executable).parent)) or shutil.which(
        "oxigraph"
    )
    if program is None:
        pytest.skip("no oxigraph")
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [program, "serve", "--location", str(tmp_path / "store"), "--bind", f"127.0.0.1:{port}"]
    with started(line) as store:
        wait_for_url(f"{url}/query?query=ASK%7B%7D", store)
        names = {"SPARQL_URL": "query", "SPARQL_UPDATE_URL": "update", "GRAPH_STORE_URL": "store"}
        yield {f"STOCKTAKE_{name}": f"{url}/{path}" for name, path in names.items()}


def test_a_harvest_over_a_store_by_url_has_all_there_is_before_and_after_a_commit(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    data = tmp_path / "data"
    begin(data)
    with served(
        data,
        {
            "STOCKTAKE_QUERY_LIMITS": "budget=0, each=0",
            "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
            **elsewhere,
        },
    ) as url:
        wait(lambda: shown_count(url) == 380)
        before, first = read_graphs(data), Got(list(by_sickle(url)))
        move(data)
        wait(lambda: shown_count(url) == 466)
        second = Got(list(by_sickle(url)))

    for state, got in ((before, first), (read_graphs(data), second)):
        assert got.last == {
            record: None if is_gone(lines) else lines for record, lines in state.items()
        }
