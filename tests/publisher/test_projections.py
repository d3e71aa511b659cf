"""Projections of the journal: each entry is decoded once, and one that fails delays no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from waiting import wait_until

from journal.journal import Journal
from publisher.projections.projection import JournalReader, SlicedProjection
from publisher.projections.search.updater import SearchUpdater
from publisher.store.follow import EmbeddedStore, Runner

BASE = "https://x.org/"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def commit(data: Path, *keys: str) -> None:
    rows = [
        f"A <{BASE}id/initiative/demo/{key}> <{TYPE}> <{BASE}ns#Initiative> <{BASE}record/demo/{key}> ."
        for key in keys
    ]
    Journal(data / "journal").append(rows, run="run-1", time=WHEN)


@pytest.fixture
def reader(tmp_path: Path) -> JournalReader:
    return JournalReader(Journal(tmp_path / "journal"), BASE)


def test_large_entries_after_a_position_are_mostly_new(
    tmp_path: Path, reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path, "a")
    commit(tmp_path, *(f"b{number}" for number in range(500)))
    commit(tmp_path, "c")
    assert not reader.is_mostly_new(1)  # they are small

    monkeypatch.setattr("publisher.projections.projection.SMALL", 0)

    assert [reader.is_mostly_new(after) for after in (0, 1, 2, 3)] == [True, True, False, False]


class BrokenIndex:
    """An index whose files can never be written."""

    name = "broken"
    errors: tuple[type[Exception], ...] = (OSError,)
    snapshot_wait = 0.5
    checkpoint = 0

    @property
    def position(self) -> int:
        return -1

    @property
    def is_current(self) -> bool:
        return self.position == self.checkpoint

    def __init__(self) -> None:
        self.resets = 0

    def advance(self, position: int, entry: str) -> Iterator[None]:
        yield
        raise OSError("disk full")

    def show(self, seconds: float) -> None: ...

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None: ...


class SlowIndex(BrokenIndex):
    """An index that is never done."""

    name = "slow"

    def advance(self, position: int, entry: str) -> Iterator[None]:
        while True:
            yield


def test_changed_iris_are_those_of_things_records_and_vocabulary_graphs(
    tmp_path: Path, reader: JournalReader
) -> None:
    rows = [
        f"A <{BASE}id/event/demo/1> <{TYPE}> <{BASE}ns#Event> <{BASE}record/demo/1> .",
        f'D <{BASE}record/demo/1#part> <{TYPE}> "x" <{BASE}record/demo/1> .',
        f"A <{BASE}scheme/action-line/C1> <{TYPE}> <{BASE}ns#Concept> <{BASE}scheme/action-line> .",
        f"A <{BASE}source/demo> <{TYPE}> <{BASE}ns#Source> <{BASE}source/demo> .",
    ]
    Journal(tmp_path / "journal").append(rows, run="run-1", time=WHEN)
    (entry,) = Journal(tmp_path / "journal").entries()

    changed = list(reader.changed(entry, 2))

    assert set().union(*changed) == {
        f"{BASE}id/event/demo/1",
        f"{BASE}record/demo/1",
        f"{BASE}scheme/action-line",
    }
    assert max(map(len, changed)) == 2


def test_the_head_is_the_newest_entry(tmp_path: Path, reader: JournalReader) -> None:
    numbers = [reader.head()]
    for number in "12":
        commit(tmp_path, number)
        numbers += [reader.head(), reader.head()]

    assert [entry and entry.number for entry in numbers] == [None, 1, 1, 2, 2]


def test_position_belongs_to_a_journal_by_the_id_of_its_entry(
    tmp_path: Path, reader: JournalReader
) -> None:
    commit(tmp_path, "1")
    (entry,) = reader.journal.entries()

    results = [
        reader.contains(0, ""),
        reader.contains(1, entry.id),
        reader.contains(1, "other"),
        reader.contains(2, entry.id),
    ]

    assert results == [True, True, False, False]


@pytest.mark.parametrize("kind", [BrokenIndex, SlowIndex])
def test_index_that_fails_or_never_ends_delays_no_other(
    tmp_path: Path, reader: JournalReader, kind: type[BrokenIndex]
) -> None:
    commit(tmp_path, "1")
    store = EmbeddedStore(reader, tmp_path / "store", tmp_path / "status.nq", f"{BASE}status")
    faulty = kind()

    search = SearchUpdater(tmp_path / "store" / "text", reader, store.columns.statements)

    with closing(Runner(store, store.sliced, faulty, search)) as runner:
        wait_until(
            lambda: (runner.step(), runner.progress()["search"] == {"position": 1})[1],
            "the search index to be level",
            pause=0.01,
        )
        commit(tmp_path, "2")
        wait_until(
            lambda: (runner.step(), runner.progress()["search"] == {"position": 2})[1],
            "the search index to follow",
            pause=0.01,
        )
        progress = runner.progress()

    assert progress["store"] == {"position": 2}
    assert progress[faulty.name] == {
        "position": -1,
        **({"error": "OSError: disk full"} if kind is BrokenIndex else {}),
    }
    assert (faulty.resets > 0) == (kind is BrokenIndex)


class FlakyIndex(BrokenIndex):
    """An index whose files cannot be written, nor created anew, while *broken*."""

    name = "flaky"

    def __init__(self) -> None:
        super().__init__()
        self.broken, self.attempts, self.checkpoint = True, 0, 0

    @property
    def position(self) -> int:
        return self.checkpoint or -1

    def advance(self, position: int, entry: str) -> Iterator[None]:
        self.attempts += 1
        yield
        if self.broken:
            raise OSError("disk full")
        self.checkpoint = position

    def reset(self) -> None:
        super().reset()
        if self.broken:
            raise OSError("disk full")


def test_failing_index_is_rebuilt_at_once_and_then_at_growing_intervals() -> None:
    now, index = 0.0, FlakyIndex()
    sliced = SlicedProjection(index, lambda: now)
    attempts = []
    for second in range(400):
        now = float(second)
        before = index.resets
        assert not sliced.step(1, "x", 60.0)
        attempts += [second] if index.resets > before else []
    failed = sliced.progress()
    index.broken, now = False, now + 60
    assert sliced.step(1, "x", 60.0)

    assert attempts[:7] == [0, 1, 3, 7, 15, 31, 63]
    assert {later - earlier for earlier, later in pairwise(attempts[7:])} == {60}
    assert failed == {"position": -1, "error": "OSError: disk full"}
    assert sliced.progress() == {"position": 1}
