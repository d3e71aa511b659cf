"""Two moments are compared: every number equals what the entries of the journal add up to."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from app_client import served
from live_server import ROOT
from publish_fixture import read_journal
from rows import each

from journal.journal import Journal
from publisher.history.change_reader import History
from publisher.history.comparison import (
    CHANGES,
    FACETS,
    Comparison,
    Numbers,
    compare,
    find_moment,
    list_records,
    parse_within,
)
from publisher.releases.builder import build_release
from vocab.describe import describe, quads
from vocab.initiative import Basis, Claim, Event, Initiative, Resource, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record

IRIS = Iris()
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ENTRIES, SOURCES = 24, ("alpha", "beta")
COUNTRIES = [f"http://metadata.un.org/sdg/codes/geoArea/{code}" for code in ("404", "646", "800")]
State = dict[str, frozenset[str]]  # the triples of each graph


def random_thing(key: str, chance: random.Random) -> Resource:
    title = (Text(f"Project {key} {chance.randrange(5)}", "en"),)
    if chance.random() < 0.2:
        return Event(key=key, titles=title, start="2025-05-01")
    basis = chance.choice([Basis.DECLARED, Basis.DECLARED, Basis.CROSSWALKED])
    return Initiative(
        key=key,
        titles=title,
        countries=tuple(chance.sample(COUNTRIES, chance.randrange(3))),
        goals=tuple(
            Claim(f"http://metadata.un.org/sdg/{goal}", basis, "x")
            for goal in chance.sample(range(1, 6), chance.randrange(3))
        ),
        action_lines=(Claim(IRIS.concept("action-line", f"C{chance.randrange(1, 4)}")),)
        if chance.random() < 0.7
        else (),
    )


def rows_of(thing: Resource, source: str, time: datetime) -> set[str]:
    lines = [
        *describe(thing, IRIS, source),
        *describe_record(
            thing.key, IRIS, Provenance(source, "run", "fields", "ab" * 32, START, time)
        ),
    ]
    return set(quads(lines, IRIS.record(source, thing.key)))


def write_journal(journal: Journal) -> list[State]:
    """Append random additions, changes, removals and returns; return the state after each entry."""
    chance, published = random.Random(7), dict[tuple[str, str], set[str]]()
    states: list[State] = []
    for number in range(1, ENTRIES + 1):
        source, time = chance.choice(SOURCES), START + timedelta(days=number)
        rows: list[str] = []
        for key in sorted({str(chance.randrange(40)) for _ in range(chance.randrange(1, 12))}):
            old = published.pop((source, key), set())
            new = (
                set()
                if old and chance.random() < 0.35
                else {row.replace("#published>", "#vanished>") for row in old}
                if old and chance.random() < 0.3
                else rows_of(random_thing(key, chance), source, time)
            )
            rows += [f"D {row}" for row in sorted(old - new)] + [
                f"A {row}" for row in sorted(new - old)
            ]
            if new:
                published[source, key] = new
        journal.append(rows, run=f"run-{number}", time=time)
        states.append({IRIS.record(*name): frozenset(lines) for name, lines in published.items()})
    return states


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def states(data: Path) -> list[State]:
    return write_journal(Journal(data / "journal"))


@pytest.fixture(scope="module")
def history(data: Path, states: list[State]) -> History:
    opened: History = read_journal(data)
    return opened


def own_sets(lines: frozenset[str], graph: str) -> set[tuple[str, str]]:
    """Return the facets and codes of a record, read from its triples by patterns of this test."""
    text, ns = "\n".join(lines), re.escape(IRIS.ns)
    results = {("source", graph.removeprefix(f"{IRIS.base}record/").partition("/")[0])}
    results |= {
        ("kind", kind)
        for kind in re.findall(rf"primaryTopic> <{re.escape(IRIS.base)}id/(\w+)/", text)
    }
    results |= {
        ("country", code)
        for code in re.findall(
            r"/dc/terms/spatial> <http://metadata\.un\.org/sdg/codes/geoArea/(\d+)>", text
        )
    }
    results |= {
        ("goal", code)
        for code in re.findall(rf"<{ns}goal> <http://metadata\.un\.org/sdg/(\d+)>", text)
    }
    return results | {
        ("line", code)
        for code in re.findall(
            rf"<{ns}actionLine> <{re.escape(IRIS.base)}scheme/action-line/([^>]+)>", text
        )
    }


def arithmetic(
    states: list[State], one: int, other: int, member: tuple[str, str] | None
) -> Numbers:
    def members(number: int) -> set[str]:
        return {
            graph
            for graph, lines in states[number - 1].items()
            if member is None or member in own_sets(lines, graph)
        }

    before, after = members(one), members(other)
    touched = {
        graph
        for graph in before & after
        if any(states[n].get(graph) != states[n - 1].get(graph) for n in range(one, other))
    }
    vanished = {
        graph
        for graph in touched
        if [any("#vanished>" in line for line in states[n - 1][graph]) for n in (one, other)]
        == [False, True]
    }
    return Numbers(
        len(before),
        len(after),
        len(after - before),
        len(vanished),
        len(before - after),
        len(touched - vanished),
    )


def between(data: Path, history: History, one: int, other: int, *within: str) -> Comparison:
    before, after = (find_moment(history, data, f"entry/{number}") for number in (one, other))
    return compare(history, before, after, parse_within([*within]))


@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 100), marks=pytest.mark.nightly)]
)
def test_a_random_pair_equals_the_arithmetic_of_the_journal(
    data: Path, history: History, states: list[State], seeds: range
) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        one, other = sorted((chance.randint(1, ENTRIES), chance.randint(1, ENTRIES)))

        result = between(data, history, one, other)

        assert result.total == arithmetic(states, one, other, None)
        members = {
            item
            for state in states[one - 1 : other]
            for graph, lines in state.items()
            for item in own_sets(lines, graph)
        }
        expected = {item: arithmetic(states, one, other, item) for item in sorted(members)}
        results = {
            (facet, code): numbers
            for facet in FACETS
            for code, numbers in result.by_facet[facet].items()
        }
        assert results == {
            item: numbers for item, numbers in expected.items() if numbers != Numbers()
        }


@each("seed", range(10))
def test_a_set_has_the_numbers_of_its_row(
    data: Path, history: History, states: list[State], seed: int
) -> None:
    chance = random.Random(seed)
    one, other = sorted((chance.randint(1, ENTRIES), chance.randint(1, ENTRIES)))
    whole = between(data, history, one, other)

    for facet in ("source", "country", "line"):
        for code, numbers in whole.by_facet[facet].items():
            assert between(data, history, one, other, f"{facet}:{code}").total == numbers


@each("seed", range(20))
def test_two_sets_have_the_records_that_are_in_both(
    data: Path, history: History, states: list[State], seed: int
) -> None:
    chance = random.Random(seed)
    one, other = sorted((chance.randint(1, ENTRIES), chance.randint(1, ENTRIES)))

    result = between(data, history, one, other, "country:404", "source:beta")

    members = [
        {
            graph
            for graph, lines in states[number - 1].items()
            if {("country", "404"), ("source", "beta")} <= own_sets(lines, graph)
        }
        for number in (one, other)
    ]
    assert (result.total.before, result.total.after) == (len(members[0]), len(members[1]))
    assert (result.total.new, result.total.gone) == (
        len(members[1] - members[0]),
        len(members[0] - members[1]),
    )
    assert between(data, history, one, other, "country:404", "country:999").total == Numbers()


def test_an_entry_in_two_parts_changes_a_record_once(tmp_path: Path) -> None:
    journal, graph, other = Journal(tmp_path / "journal"), *(IRIS.record("a", key) for key in "xy")
    thing = f"<{IRIS.thing('initiative', 'a', 'x')}>"
    title = f'A {thing} <http://purl.org/dc/terms/title> "X" <{graph}> .'
    apart = f'A {thing} <http://purl.org/dc/terms/title> "X" <{other}> .'
    added, removed = (
        f"{sign} {thing} <http://purl.org/dc/terms/spatial> <{COUNTRIES[0]}> <{graph}> ."
        for sign in "AD"
    )
    for rows in ([title, added], [removed, apart, added], [removed]):
        journal.append(rows, run="run", time=START)
    history = read_journal(tmp_path)
    first, second, third = (
        find_moment(history, tmp_path, f"entry/{number}") for number in (1, 2, 3)
    )

    assert compare(history, first, second).by_facet["country"] == {"404": Numbers(1, 1, 0, 0, 0, 1)}
    assert compare(history, second, third).by_facet["country"] == {"404": Numbers(1, 0, 0, 0, 1, 0)}


@each("only", CHANGES)
def test_a_number_counts_the_records_of_its_list(
    data: Path, history: History, states: list[State], only: str
) -> None:
    one, other = (find_moment(history, data, f"entry/{number}") for number in (5, 17))

    for within in ((), ("source:alpha",), ("country:404", "source:beta"), ("line:C1:declared",)):
        listed = [*list_records(history, one, other, within, only)]
        assert len(listed) == getattr(compare(history, one, other, within).total, only)
        assert len(set(listed)) == len(listed)


@each(
    "text, message",
    [("2025-12-31", r"2025-12-31 is before the first entry of the journal, which is of 2026-01-02T12:00:00Z"),
     ("entry/99", "'entry/99' is no published entry of the journal, which has the entries 1 to 24"), ("entry/0", "is no published entry"),
     ("release/9", "there is no release 9"), ("yesterday", "'yesterday' is no date such as 2026-01-31"), ("0000-00-00", "is no date"),
     ("", "is no date")],
)  # fmt: skip
def test_a_moment_that_is_none_is_refused_with_what_there_is(
    data: Path, history: History, text: str, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        find_moment(history, data, text)
    for member in ("colour:red", "country:", "source:a b", "line:C1:guessed", "all"):
        with pytest.raises(Exception, match="is no set; name one as source:demo"):
            parse_within([member])


def test_a_date_is_its_end(data: Path, history: History) -> None:
    assert find_moment(history, data, "2026-01-06").entry == 5  # The entry is of noon.
    assert find_moment(history, data, "2026-01-06T11:59:59Z").entry == 4
    assert find_moment(history, data, "2027-01-01").entry == ENTRIES
    assert find_moment(history, data, "now").entry == ENTRIES


async def test_the_page_its_data_and_its_lists_agree(data: Path, states: list[State]) -> None:
    if not (data / "releases").exists():
        build_release(data, IRIS, START + timedelta(days=60))
    query = urlencode({"from": "entry/5", "to": "release/1"})
    async with served(data) as client:
        page = await client.get(f"/compare?{query}", headers={"Accept": "text/html"})
        figures = (await client.get(f"/compare.json?{query}")).json()["figures"]
        [row] = figures[0]["rows"]
        expected = arithmetic(states, 5, ENTRIES, None)
        assert {name: row[name] for name in CHANGES} == {
            name: getattr(expected, name) for name in CHANGES
        }
        assert page.status_code == 200
        for name in CHANGES:
            listed = await client.get(row[f"{name}_records"])
            assert len([*csv.reader(io.StringIO(listed.text))]) - 1 == row[name]
            assert row[f"{name}_records"].replace("&", "&amp;") in page.text
        for path, status in (
            ("/compare?from=2020-01-01", 400),
            ("/compare?from=entry/9&to=entry/3", 400),
            ("/compare?from=release/7", 404),
            ("/compare?from=entry/1&within=colour:red", 400),
            ("/compare/records", 400),
            ("/compare/records?from=entry/1&only=all", 400),
            (f"/compare?from=entry/1&record={IRIS.base}record/alpha/none", 404),
            ("/compare?from=entry/1&record=none", 400),
        ):
            assert (await client.get(path)).status_code == status, path


async def test_versions_of_a_record_are_compared_field_by_field(
    data: Path, states: list[State]
) -> None:
    def title(state: State, graph: str) -> str:
        return next(
            iter(re.findall(r'dc/terms/title> "([^"]*)"', "\n".join(state.get(graph, ())))), ""
        )

    changed = [
        graph
        for graph in states[-1]
        if (old := title(states[7], graph)) and old != title(states[-1], graph)
    ]
    assert changed
    async with served(data) as client:
        text = (
            await client.get(
                "/compare",
                params={"from": "entry/8", "record": changed[0]},
                headers={"Accept": "text/html"},
            )
        ).text

    assert f'<del dir="auto">{title(states[7], changed[0])}</del>' in text
    assert f'<ins dir="auto">{title(states[-1], changed[0])}</ins>' in text


def diff(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "stocktake", "--data", str(data), "diff", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


def test_the_command_prints_the_same_numbers(data: Path, states: list[State]) -> None:
    document: dict[str, Any] = json.loads(
        diff(data, "entry/5", "entry/17", "--format", "json").stdout
    )
    listed = diff(
        data, "entry/5", "entry/17", "--only", "gone", "--within", "source:alpha"
    ).stdout.splitlines()
    early = diff(data, "2020-01-01")

    expected = arithmetic(states, 5, 17, None)
    assert {name: document["figures"][0]["rows"][0][name] for name in CHANGES} == {
        name: getattr(expected, name) for name in CHANGES
    }
    assert all(
        "from=entry%2F5&to=entry%2F17" in row["new_records"]
        for row in document["figures"][0]["rows"]
    )
    assert len(listed) - 1 == arithmetic(states, 5, 17, ("source", "alpha")).gone
    assert (early.returncode, early.stdout) == (1, "")
    assert "2020-01-01 is before the first entry of the journal" in early.stderr
