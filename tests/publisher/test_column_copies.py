"""A published copy of the columns shares its base file with the copies before it, and has a log of
what has changed since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

import duckdb
import pytest
from followers import follower
from pyoxigraph import Quad, RdfFormat, parse
from structlog.testing import capture_logs

from journal.journal import Journal
from publisher.store.changes import JournalReader
from publisher.store.columns import database, engine
from publisher.store.columns.database import (
    FILE,
    ColumnDatabase,
    ColumnUpdater,
    StatusGraph,
    log_file,
)
from publisher.store.columns.engine import ColumnEngine
from publisher.store.follow import EmbeddedStore, Runner
from publisher.store.snapshots import Snapshot, newest_snapshot
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import OpenSnapshot
from vocab.iris import Iris
from vocab.terms import FOAF, ORG, RDF, SCHEMA

BASE = "https://x.org/"
STATUS = f"{BASE}status"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
ALL = "SELECT ?s ?o (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } } GROUP BY ?s ?o"


def row(number: int, value: str = "", sign: str = "A") -> str:
    value = value or f"value {number}"
    return f'{sign} <{BASE}s{number}> <{BASE}p{number % 7}> "{value}" <{BASE}g{number}> .'


def commit(data: Path, rows: Iterable[str]) -> None:
    Journal(data / "journal").append(rows, run="r1", time=WHEN)


def values(columns: ColumnEngine) -> set[tuple[str, str]]:
    """Return the pairs of subject and value that the columns answer."""
    solutions = columns.answer(QueryRequest(ALL), 0)
    assert solutions is not None
    return {(str(solution[0]), str(solution[1])) for solution in solutions}


@pytest.fixture
def reader(tmp_path: Path) -> JournalReader:
    commit(tmp_path, (row(number) for number in range(100)))
    return JournalReader(Journal(tmp_path / "journal"), BASE)


def level(updater: ColumnUpdater, reader: JournalReader) -> Path:
    """Apply all entries and write a copy; return its file."""
    *_, last = reader.journal.entries(0)
    list(updater.advance(last.number, last.id))
    assert updater.is_at(last.number)
    return copied(updater, reader)


def copied(updater: ColumnUpdater, reader: JournalReader) -> Path:
    """Write a copy, as into a snapshot; return its file."""
    folder = Path(mkdtemp(dir=reader.journal.folder.parent)) / "columns"
    updater.write(folder)
    return folder / FILE


def test_the_columns_of_another_journal_are_built_again_without_a_warning(
    tmp_path: Path, reader: JournalReader
) -> None:
    path = tmp_path / "columns" / "work.duckdb"
    path.parent.mkdir()
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(
            "CREATE TABLE checkpoint AS SELECT 1 AS position, 'x' AS entry, '' AS fault"
        )

    with capture_logs() as lines, closing(ColumnUpdater(path.parent, reader)) as updater:
        level(updater, reader)

    reason = "they are of another journal, or have a part of an entry"
    assert [(line["log_level"], line["reason"]) for line in lines] == [("info", reason)]


def test_columns_that_have_a_part_of_a_large_entry_are_built_again(
    tmp_path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BATCH", 10)
    monkeypatch.setattr(database, "MIN_APPLIED", 10)
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        level(updater, reader)
        commit(tmp_path, (row(number) for number in range(200, 300)))
        *_, last = reader.journal.entries(0)
        for _ in islice(updater.advance(last.number, last.id), 7):
            pass  # The process is killed here, before it commits.

    with closing(ColumnDatabase(tmp_path / "columns" / "work.duckdb", Iris())) as left:
        ((quads,),) = left.read("SELECT count(*) FROM quads", {}).fetchall()
        assert 100 < quads < 200
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        assert updater.checkpoint == 0
        with closing(ColumnEngine(level(updater, reader))) as columns:
            assert len(values(columns)) == 200


@pytest.mark.nightly
def test_texts_larger_than_the_memory_are_stored_and_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SORTED_TEXT", 24 << 20)
    rows = (
        row(number, f"{number} {'long text ' * 400}").encode() + b"\n" for number in range(50_000)
    )
    with closing(ColumnDatabase(tmp_path / "work.duckdb", Iris(), memory="100MiB")) as columns:
        columns.begin()
        list(columns.apply(rows))
        columns.commit(1, "entry")
        columns.copy(tmp_path / "copy.duckdb")

    with closing(duckdb.connect(str(tmp_path / "copy.duckdb"))) as copy:
        ((count, size, is_sorted),) = copy.execute(
            """SELECT count(*), sum(strlen(lexical)), bool_and(id > before)
            FROM (SELECT id, lexical, lag(id) OVER (ORDER BY rowid) AS before FROM terms)"""
        ).fetchall()
    assert (count, is_sorted) == (50_000 * 3 + 7, True)
    assert size > 200_000_000


def test_long_terms_that_are_repeated_are_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CACHED_LENGTH", 10)
    monkeypatch.setattr(database, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(database, "MAX_STAGED_TEXT", 1_000)
    texts = ["a long text", "a\\nlong text", "01", 'a "long" text']
    rows = [row(number, value.replace('"', '\\"')) for number in range(50) for value in texts]
    with closing(ColumnDatabase(tmp_path / "work.duckdb", Iris())) as columns:
        columns.begin()
        list(columns.apply(f"{text}\n".encode() for text in rows))
        columns.commit(1, "entry")
        columns.copy(tmp_path / "copy.duckdb")

    with closing(ColumnEngine(tmp_path / "copy.duckdb")) as engine:
        answered = values(engine)
    assert len(answered) == 50 * len(texts)


def test_an_entry_is_published_as_a_log_on_the_same_base(
    tmp_path: Path, reader: JournalReader
) -> None:
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        base = level(updater, reader).stat().st_ino
        commit(tmp_path, [row(3, sign="D"), row(3, "another"), row(200)])
        published = level(updater, reader)

        assert (published.stat().st_ino, log_file(published).exists()) == (base, True)
        with closing(ColumnEngine(published)) as columns:
            assert values(columns) == {
                (f"<{BASE}s{number}>", f'"{"another" if number == 3 else f"value {number}"}"')
                for number in (*range(100), 200)
            }


def test_a_copy_keeps_its_state_when_others_follow(tmp_path: Path, reader: JournalReader) -> None:
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        level(updater, reader)
        states = []
        for number in (300, 301, 302):
            commit(tmp_path, [row(number)])
            states.append((number, level(updater, reader)))

        for number, copy in states:
            with closing(ColumnEngine(copy)) as columns:
                assert {iri for iri, _ in values(columns)} == {
                    f"<{BASE}s{item}>" for item in (*range(100), *range(300, number + 1))
                }


@pytest.mark.parametrize(("name", "limit"), [("MAX_LOGGED", 1), ("MAX_LOG", 100)])
def test_a_long_entry_or_a_long_log_makes_a_new_base(
    tmp_path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        base = level(updater, reader).stat().st_ino
        monkeypatch.setattr(database, name, limit)
        commit(tmp_path, [row(300), row(301)])
        published = level(updater, reader)

        assert published.stat().st_ino != base
        assert not log_file(published).exists()
        with closing(ColumnEngine(published)) as columns:
            assert len(values(columns)) == 102


def test_an_entry_that_changes_many_marks_makes_a_new_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    funder = "id/organization/x/o"

    def typed(kind: str, sign: str = "A") -> str:
        return f"{sign} <{BASE}{funder}> <{ORG}classification> <{BASE}scheme/stakeholder-type/{kind}> <{BASE}record/x/0> ."

    records = [
        f"A <{BASE}{subject}> <{name}> <{BASE}{value}> <{BASE}record/x/{number}> ."
        for number in range(40)
        for subject, name, value in (
            (f"record/x/{number}", f"{FOAF}primaryTopic", f"id/initiative/x/{number}"),
            (f"id/initiative/x/{number}", f"{SCHEMA}funder", funder),
        )
    ]
    commit(
        tmp_path,
        [
            *records,
            f"A <{BASE}{funder}> <{RDF}type> <{ORG}Organization> <{BASE}record/x/0> .",
            typed("academia"),
        ],
    )
    opened = JournalReader(Journal(tmp_path / "journal"), BASE)
    monkeypatch.setattr(database, "MAX_LOGGED", 2)
    with closing(ColumnUpdater(tmp_path / "columns", opened)) as updater:
        base = level(updater, opened).stat().st_ino
        commit(tmp_path, [typed("academia", "D"), typed("civil-society")])
        published = level(updater, opened)

        assert published.stat().st_ino != base
        assert not log_file(published).exists()


def test_the_rows_of_a_log_are_not_in_the_file(tmp_path: Path) -> None:
    """DuckDB must not write even the longest log into the file that the copies share.

    Each of its rows adds four terms, the most that a row of the journal can add.
    """
    path, base = tmp_path / "work.duckdb", tmp_path / FILE
    with closing(ColumnDatabase(path, Iris())) as written:
        written.begin()
        list(written.apply([row(1).encode()]))
        written.commit(1, "first")
        written.link_copy(base)
        before = path.read_bytes()
        written.begin()
        list(
            written.apply(
                f"A <x:s{n}> <x:p{n}> <x:o{n}> <x:g{n}> .".encode()
                for n in range(database.MAX_LOGGED)
            )
        )
        written.commit(2, "second")

        assert path.read_bytes() == before == base.read_bytes()


@pytest.mark.parametrize("step", [(ColumnDatabase, "copy"), (Path, "replace"), (os, "link")])
def test_columns_that_were_stopped_while_they_were_published_are_published_again(
    tmp_path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch, step: tuple[object, str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "columns"
    with closing(ColumnUpdater(folder, reader)) as updater:
        level(updater, reader)
    commit(tmp_path, [row(number) for number in range(300, 400)])  # So many rows need a new base.
    with monkeypatch.context() as patched:
        patched.setattr(*step, stop)
        stopped = ColumnUpdater(folder, reader)
        with pytest.raises(KeyboardInterrupt):
            level(stopped, reader)
    stopped.close()
    commit(tmp_path, [row(500)])

    with closing(ColumnUpdater(folder, reader)) as updater:
        published = level(updater, reader)
        with closing(ColumnEngine(published)) as columns:
            assert {iri for iri, _ in values(columns)} == {
                f"<{BASE}s{number}>" for number in (*range(100), *range(300, 400), 500)
            }


def test_a_log_of_another_base_is_refused(tmp_path: Path, reader: JournalReader) -> None:
    with closing(ColumnUpdater(tmp_path / "columns", reader)) as updater:
        first = level(updater, reader).read_bytes()
        commit(tmp_path, [row(number) for number in range(300, 400)])
        level(updater, reader)
        commit(tmp_path, [row(500)])
        published = level(updater, reader)
    other = tmp_path / FILE
    other.write_bytes(first)
    log_file(other).write_bytes(log_file(published).read_bytes())

    with pytest.raises(duckdb.Error, match="WAL"):
        ColumnEngine(other)


def status_of(number: int) -> list[Quad]:
    text = f'<{BASE}source/a> <{BASE}failures> "{number}" <{STATUS}> .'
    return list(parse(text, RdfFormat.N_QUADS))


def test_a_new_status_graph_is_published_at_the_same_entry(
    tmp_path: Path, reader: JournalReader
) -> None:
    number = 1

    def status() -> StatusGraph:
        return StatusGraph(str(number), status_of(number))

    with closing(ColumnUpdater(tmp_path / "columns", reader, status)) as updater:
        level(updater, reader)
        number = 2
        assert not updater.is_at(1)

        with closing(ColumnEngine(level(updater, reader))) as columns:
            assert {item for item in values(columns) if "source" in item[0]} == {
                (f"<{BASE}source/a>", '"2"')
            }


@pytest.fixture
def runner(tmp_path: Path, reader: JournalReader) -> Iterator[Runner[EmbeddedStore]]:
    with closing(follower(tmp_path, iris=Iris(BASE))) as opened:
        yield opened


def step_to_the_end(runner: Runner[EmbeddedStore]) -> Snapshot:
    while runner.step():
        pass
    newest = newest_snapshot(runner.store.snapshots)
    assert newest is not None
    return newest


def test_the_columns_of_a_snapshot_have_its_status_graph(
    tmp_path: Path, runner: Runner[EmbeddedStore]
) -> None:
    for number in (1, 2, 3):
        text = f'<{BASE}source/a> <{BASE}operations#consecutiveFailures> "{number}" <{STATUS}> .\n'
        (tmp_path / "status.nq").write_text(text)
        newest = step_to_the_end(runner)

        with closing(OpenSnapshot(newest.path)) as opened:
            assert opened.columns is not None
            assert (f"<{BASE}source/a>", f'"{number}"') in values(opened.columns)


class Discarded:
    """A connection that discards the answers that are sent to it."""

    def send(self, part: object) -> None:
        """Discard *part*."""


def test_a_closed_snapshot_has_no_open_files(
    tmp_path: Path,
    runner: Runner[EmbeddedStore],
    monkeypatch: pytest.MonkeyPatch,
    open_files: Callable[[Path], list[str]],
) -> None:
    newest = step_to_the_end(runner)
    # With these limits the columns parse the query, and then leave it to the RDF store.
    monkeypatch.setattr(engine, "SMALL", 1)
    monkeypatch.setattr(engine, "SHARE", 1e-9)
    opened = OpenSnapshot(newest.path)
    request = QueryRequest(f"SELECT (COUNT(*) AS ?n) {{ ?s <{BASE}p1> ?o }}", table="csv")

    opened.answer(request, Discarded())  # type: ignore[arg-type]
    assert open_files(Path(newest.path))
    opened.close()

    assert open_files(Path(newest.path)) == []


@pytest.fixture
def open_files() -> Callable[[Path], list[str]]:
    """Return a function that lists the files of a folder that this process has open."""

    def listed(folder: Path) -> list[str]:
        links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sorted(str(link) for link in links if folder in link.parents)

    return listed
