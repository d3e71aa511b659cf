"""The tables follow the store: after changes they are the same as when they are made anew, wherever
the follower is stopped.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import followers
import pytest
from column_store import write_columns
from followers import follower
from publish_fixture import copy_data
from small_world import CHANGED, IRIS, RICH, SEEN, plain, record_rows

from journal.journal import Journal
from publisher.data.tables import FacetIndex, Filter, make_filter, open_facet_index
from publisher.store.changes import JournalReader
from publisher.store.columns import database
from publisher.store.columns.database import FILE, ColumnUpdater
from publisher.store.search.index import SearchUpdater
from publisher.store.search.searcher import Searcher
from publisher.store.snapshots import newest_snapshot
from vocab.describe import quads
from vocab.initiative import Event, Initiative, Party, Role, Text
from vocab.lookup import SDG
from vocab.schemes import statements
from vocab.terms import DCT, FOAF, SCHEMA, VIVO

KIND = IRIS.concept("stakeholder-type", "civil-society")
FUNDER = Party(Role.FUNDER, Text("Fund for Health", "en"), kind=KIND)
TURNS = Initiative(key="turns", titles=(Text("It turns", "en"),))
FIRST = (RICH, *(plain(number) for number in range(10)), TURNS)
SECOND = (
    replace(RICH, titles=(Text("Telemedicine, renamed", "en"),), goals=(), prizes=()),
    replace(plain(3), countries=("http://metadata.un.org/sdg/codes/geoArea/250",), parties=(FUNDER,)),
    Event(key="turns", titles=(Text("It turned into an event", "en"),), start="2026-05-01"), plain(99),
)  # fmt: skip
Tables = dict[str, list[Any]]
TABLES = {
    "things": "SELECT iri, kind, title, begins, changed FROM things",
    "marks": "SELECT iri, facet, code, bases FROM marks JOIN codes USING (value) JOIN things USING (thing)",
    "parties": "SELECT things.iri, organizations.iri, roles FROM parties JOIN organizations USING (organization) JOIN things USING (thing)",
    "prizes": "SELECT iri, category, stage, year FROM prizes JOIN things USING (thing)",
}


@pytest.fixture(scope="module")
def leveled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a store and tables that are level with its journal."""
    data = tmp_path_factory.mktemp("leveled")
    rows = [
        f"A {quad}"
        for graph, lines in statements(IRIS.base)
        if graph.endswith(("area", "itu-region"))
        for quad in quads(lines, graph)
    ]
    records = [row for item in FIRST for row in record_rows("demo", item)]
    Journal(data / "journal").append([*rows, *records], run="run-1", time=SEEN)
    level(data)
    return data


@pytest.fixture
def data(leveled: Path, tmp_path: Path) -> Path:
    """Return a copy of the folder, which a test may change."""
    return Path(shutil.copytree(leveled, tmp_path, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def whole(leveled: Path) -> Tables:
    """Return the tables before the change."""
    return read_tables(newest(leveled))


@pytest.fixture(scope="module")
def anew(leveled: Path, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Return the tables of a new store after the change."""
    data = copy_data(leveled, tmp_path_factory.mktemp("anew"))
    change(data)
    return read_tables(level(data))


def change(data: Path) -> None:
    """Append an entry that replaces some records and removes one."""
    old = {item.key: set(record_rows("demo", item)) for item in FIRST}
    new = {item.key: set(record_rows("demo", item)) for item in SECOND} | {"5": set()}
    gone = sorted(f"D {row[2:]}" for key, rows in new.items() for row in old.get(key, set()) - rows)
    come = sorted(row for key, rows in new.items() for row in rows - old.get(key, set()))
    Journal(data / "journal").append([*gone, *come], run="run-2", time=CHANGED)


def level(data: Path, folder: str = "store", *others: type[SearchUpdater]) -> str:
    """Step until nothing is new; return the newest snapshot's folder."""
    return str(followers.level(follower(data, others, folder=folder)))


def newest(data: Path) -> str:
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot
    return snapshot.path


def opened_index(path: str) -> FacetIndex:
    index = open_facet_index(path)
    assert index is not None
    return index


def read_tables(path: str) -> Tables:
    return rows_of(Path(path) / "columns" / FILE)


def rows_of(file: Path) -> Tables:
    with duckdb.connect(str(file), read_only=True) as opened:
        return {
            name: sorted(opened.execute(text).fetchall(), key=str) for name, text in TABLES.items()
        }


def test_after_a_change_they_are_as_if_made_anew(data: Path, whole: Tables, anew: Tables) -> None:
    change(data)

    path = level(data)
    after = read_tables(path)

    assert after == anew
    assert {name: after[name] != whole[name] for name in TABLES} == dict.fromkeys(TABLES, True)
    # A type that another record states of an organization counts for all records that name it.
    chosen = opened_index(path).list_things(make_filter(stakeholder="civil-society"), "newest", 10)
    assert IRIS.thing("initiative", "demo", "a/1") in [line.iri for line in chosen]


def test_indexes_of_which_most_would_change_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With this limit, entries as small as these count as large.
    monkeypatch.setattr("publisher.store.changes.SMALL", 0)
    monkeypatch.setattr(SearchUpdater, "_apply_entries", None)
    journal = Journal(tmp_path / "journal")
    journal.append(record_rows("demo", plain(0)), run="run-1", time=SEEN)
    # The tables are read at once, since old snapshots are removed after a while.
    before = read_tables(level(tmp_path, "store", SearchUpdater))
    rows = [row for item in FIRST for row in record_rows("demo", item)]
    more = sorted(set(rows) - set(record_rows("demo", plain(0))))
    journal.append(more, run="run-2", time=CHANGED)

    after = level(tmp_path, "store", SearchUpdater)

    assert len(before["things"]) < len(read_tables(after)["things"])
    assert read_tables(after) == read_tables(level(tmp_path, "anew"))
    searcher = Searcher(Path(after) / "text")
    (entry,) = searcher.entries([f"{IRIS.base}id/initiative/demo/turns"])
    assert entry is not None


def test_a_follower_that_was_stopped_at_any_step_goes_on_to_the_same_tables(
    data: Path, whole: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "READ_BATCH", 5)
    monkeypatch.setattr(database, "FLUSHED", 1)
    reader = JournalReader(Journal(data / "journal"), IRIS.base)
    entry = next(reader.journal.entries(0)).id
    for steps in range(1, 5):
        with closing(ColumnUpdater(data / "stopped" / "columns", reader)) as columns:
            # The updater is left before it commits.
            assert len(list(islice(columns.advance(1, entry), steps))) == steps

    assert read_tables(level(data, "stopped")) == whole


def test_a_file_that_is_spoilt_is_made_anew(data: Path, anew: Tables) -> None:
    (data / "store" / "columns" / "work.duckdb").write_bytes(b"spoilt")
    change(data)

    assert read_tables(level(data)) == anew


def test_a_snapshot_keeps_its_numbers_when_the_next_one_is_made(data: Path) -> None:
    before = opened_index(newest(data))
    counted = before.counts_once(Filter())
    change(data)

    after = opened_index(level(data))

    assert before.counts_once(make_filter(kind="initiative"))["goal"] == counted["goal"]
    assert after.counts_once(Filter())["goal"] != counted["goal"]
    assert (before.position, after.position) == (1, 2)


def tables_of(triples: str, folder: Path) -> Tables:
    """Return the rows of the tables of one record, whose statements are *triples* with short names;
    {r} is the record, {t} the initiative.
    """
    names = {
        "r": IRIS.record("s", "k"), "t": IRIS.thing("initiative", "s", "k"), "o": IRIS.thing("organization", "s", "o"),
        "dct": DCT, "schema": SCHEMA, "wsis": IRIS.ns, "vivo": VIVO, "line": f"{IRIS.scheme('action-line')}/", "sdg": SDG,
        "prize": f"{IRIS.scheme('prize-category')}/", "topic": f"{FOAF}primaryTopic",
    }  # fmt: skip
    graph = IRIS.record("s", "k")
    rows = [
        f"A {line.strip().format(**names)} <{graph}> .\n" for line in triples.strip().split("\n")
    ]
    return rows_of(write_columns(map(str.encode, rows), folder))


def test_of_several_values_the_least_counts_and_each_code_once(tmp_path: Path) -> None:
    tables = tables_of(
        """
        <{r}> <{topic}> <{t}>
        <{r}> <{dct}modified> "2026-02-01"
        <{t}> <{dct}title> "Zweiter"@de
        <{t}> <{dct}title> "The second"@en
        <{t}> <{dct}title> "A first"@en
        <{t}> <{dct}title> "None"
        <{t}> <{schema}startDate> "2021-05-01"
        <{t}> <{schema}startDate> "2020"
        <{t}> <{dct}spatial> "Atlantis"
        <{t}> <{wsis}actionLine> <{line}C1>
        <{t}> <{wsis}suggestedActionLine> <{line}C1>
        <{t}> <{wsis}goal> "a word"
        <{t}> <{dct}publisher> <{o}>
        <{t}> <{schema}funder> <{o}>
        <{t}> <{wsis}partner> "A name"
        <{t}> <{vivo}relatedBy> <{t}#prize>
        <{t}> <{vivo}relatedBy> <{t}#other>
        <{t}#prize> <{wsis}prizeCategory> <{prize}C1>
        <{t}#prize> <{wsis}prizeYear> "2019"
        <{t}#stray> <{wsis}prizeYear> "2001"
        """,
        tmp_path,
    )

    thing, organization = IRIS.thing("initiative", "s", "k"), IRIS.thing("organization", "s", "o")
    assert tables["things"] == [(thing, 1, "A first", "2020", "2026-02-01")]
    assert {row[1:] for row in tables["marks"]} == {
        ("kind", "initiative", 7), ("source", "s", 7), ("language", "de", 7), ("language", "en", 7), ("year", "2020", 7),
        ("line", "C1", 5), ("basis", "declared", 7), ("basis", "suggested", 7), ("prize", "C1", 7), ("prizeyear", "2019", 7),
    }  # fmt: skip
    assert tables["parties"] == [(thing, organization, 5)]
    assert tables["prizes"] == [(thing, "C1", None, "2019"), (thing, None, None, None)]


@pytest.mark.parametrize(
    ("date", "years"),
    [("2015-05-17", {"2015"}), ("0000-00-00", set()), ("soon", set()), ("٢٠١٥", set())],
)
def test_a_date_without_a_year_counts_in_no_year(
    tmp_path: Path, date: str, years: set[str]
) -> None:
    tables = tables_of(
        f'<{{r}}> <{{topic}}> <{{t}}>\n<{{t}}> <{{schema}}startDate> "{date}"', tmp_path
    )

    assert {code for _, facet, code, _ in tables["marks"] if facet == "year"} == years


@pytest.mark.parametrize(
    "topic",
    ["<{r}> <{topic}> <urn:elsewhere>", '<{r}> <{dct}title> "Without a topic"', "<{r}> <{topic}> <{o}>",
     "<{r}> <{topic}> <{t}>\n<{r}> <http://www.w3.org/ns/adms#status> <urn:states#gone>"],
)  # fmt: skip
def test_a_record_without_a_published_thing_has_no_rows(tmp_path: Path, topic: str) -> None:
    tables = tables_of(f'{topic}\n<{{t}}> <{{dct}}title> "A title"', tmp_path)

    assert tables == {"things": [], "marks": [], "parties": [], "prizes": []}
