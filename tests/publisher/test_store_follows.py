"""The store follows the journal: equal journals make equal stores, whatever happens on the way."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from followers import follower, follower_process, level
from live_server import ROOT
from pyoxigraph import DefaultGraph, Literal, NamedNode, Quad, RdfFormat, Store
from rows import each
from waiting import wait_until

from journal.files import FileLock
from journal.journal import Journal
from publisher.errors import DamagedFiles, StoreFailure
from publisher.store.changes import JournalReader, rows_of
from publisher.store.columns.database import ColumnDatabase, ColumnUpdater
from publisher.store.follow import (
    EmbeddedStore,
    Runner,
    SlicedProjection,
    Stated,
    apply,
    open_runner,
    replace_graph,
)
from publisher.store.process import NICE
from publisher.store.query_service import QueryService
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import (
    Snapshot,
    create_snapshot,
    newest_snapshot,
    state_after,
)
from vocab.iris import Iris

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
IRIS = Iris("https://example.org/")
Follow = Callable[[Path], Runner[EmbeddedStore]]


def quad(number: int, graph: int | None = None) -> str:
    return f'<https://x.org/s{number}> <https://x.org/p> "value {number}"@en <https://x.org/g{number if graph is None else graph}> .'


def commit(data: Path, rows: Iterable[str], run: str = "r1") -> None:
    Journal(data / "journal").append(rows, run=run, time=WHEN)


@pytest.fixture
def follow() -> Iterator[Follow]:
    """Open followers; they are closed when the test ends."""
    with ExitStack() as opened:
        yield lambda data: opened.enter_context(closing(follower(data, iris=IRIS)))


def dumped(store: Store) -> set[bytes]:
    return set((store.dump(format=RdfFormat.N_QUADS) or b"").splitlines())


def named(store: EmbeddedStore) -> set[str]:
    return {f"{quad} ." for quad in store.columns.statements.quads()}


def stated_after(rows: Iterable[bytes]) -> Stated:
    """Return a function that finds the rows whose triples some graph states after all *rows*."""
    quads = set[bytes]()
    for row in rows:
        (quads.add if row[:1] == b"A" else quads.discard)(row[2:])
    triples = {quad[: quad.rindex(b" <")] for quad in quads}
    return lambda some: {n for n, row in enumerate(some) if row[2 : row.rindex(b" <")] in triples}


def merged(store: Store) -> list[str]:
    return sorted(
        f"{quad.subject} {quad.object}"
        for quad in store.quads_for_pattern(None, None, None, DefaultGraph())
    )


def test_additions_and_deletions_end_in_the_state_that_the_journal_says(
    tmp_path: Path, follow: Follow
) -> None:
    commit(tmp_path, (f"A {quad(n)}" for n in range(10)))
    commit(tmp_path, [f"D {quad(3)}", f"A {quad(11)}", f"D {quad(11)}", f"A {quad(12)}"])

    following = follow(tmp_path)
    snapshot = following.step()

    assert snapshot is not None
    assert (snapshot.position, snapshot.quads) == (2, 10)
    assert named(following.store) == {quad(n) for n in (0, 1, 2, 4, 5, 6, 7, 8, 9, 12)}
    assert following.step() is None  # There is nothing new.


def test_an_empty_journal_is_shown_as_an_empty_snapshot(tmp_path: Path, follow: Follow) -> None:
    snapshot = follow(tmp_path).step()

    assert snapshot is not None
    assert (snapshot.position, snapshot.quads) == (0, 0)


def test_the_merge_holds_a_triple_of_two_graphs_once_and_until_the_last_graph_drops_it(
    tmp_path: Path, follow: Follow
) -> None:
    commit(tmp_path, [f"A {quad(1, 1)}", f"A {quad(1, 2)}"])
    following = follow(tmp_path)
    following.step()

    assert len(merged(following.store.merge)) == 1

    commit(tmp_path, [f"D {quad(1, 1)}"])
    following.step()
    with_one = merged(following.store.merge)
    commit(tmp_path, [f"D {quad(1, 2)}"])
    following.step()

    assert len(with_one) == 1
    assert merged(following.store.merge) == []


@pytest.fixture
def bulk(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a bulk load begin at 500 rows and take 800 at once; return the 500."""
    monkeypatch.setattr("publisher.store.follow.LARGE", 500)
    monkeypatch.setattr("publisher.store.follow.BULK", 800)
    return 500


def test_a_bulk_load_and_small_transactions_give_the_same_store(bulk: int) -> None:
    rows = [f"A {quad(n, n % 7)}\n".encode() for n in range(bulk + 10)]
    whole, small = Store(), Store()

    stated = stated_after(rows)

    apply(whole, rows, stated)
    for start in range(0, len(rows), 200):
        apply(small, rows[start : start + 200], stated)
    assert set(whole) == set(small)


def test_a_bulk_load_goes_over_several_batches(tmp_path: Path, follow: Follow, bulk: int) -> None:
    commit(tmp_path, (f"A {quad(n, 1)}" for n in range(2 * bulk)))
    following = follow(tmp_path)

    snapshot = following.step()

    assert snapshot is not None
    assert snapshot.quads == 2 * bulk


@pytest.mark.parametrize(("started", "then"), [(0, NICE), (10, 10)])
def test_the_nice_value_of_a_process_is_raised_and_never_lowered(started: int, then: int) -> None:
    ordinary = "os.getuid() or os.setuid(65534)"  # Only root may lower a nice value.
    imports = "import os; from publisher.store.process import raise_nice"
    begin = f"os.setpriority(os.PRIO_PROCESS, 0, {started})"
    code = f"{imports}; {begin}; {ordinary}; raise_nice(os.getpid(), {NICE}); print(os.nice(0))"

    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (completed.stderr, completed.stdout.strip()) == ("", str(then))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
def test_all_threads_of_the_follower_have_a_lower_priority(tmp_path: Path) -> None:
    commit(tmp_path, (f"A {quad(n, 1)}" for n in range(100)))
    with follower_process(tmp_path, IRIS.status) as (process, reports):
        while reports.recv().get("projections", {}).get("search") != {"position": 1}:
            pass
        threads = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
        values = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}

    assert len(threads) > 2
    assert values == {NICE}


@each("applied", [0, 1, 5, 10, 15])
def test_rows_applied_in_part_and_then_all_again_give_the_same_store(applied: int) -> None:
    written = [("A", 8), ("D", 4), ("A", 3)]
    rows = [f"{op} {quad(n, n % 2)}\n".encode() for op, until in written for n in range(until)]
    once, twice = Store(), Store()
    stated = stated_after(rows)
    apply(once, rows, stated)

    apply(twice, rows[:applied], stated)
    apply(twice, rows, stated)

    assert set(twice) == set(once)


def test_a_follower_killed_at_its_work_and_started_again_makes_the_same_store(
    tmp_path: Path, follow: Follow
) -> None:
    commit(tmp_path, (f"A {quad(n, n % 100)}" for n in range(60_000)))
    commit(
        tmp_path, (f"{op} {quad(n, n % 100)}" for n in range(0, 6_000, 3) for op in ("D", "A", "D"))
    )
    folder = tmp_path / "store"
    for reached in ("position.json", "store/CURRENT", "snapshots"):
        with follower_process(tmp_path, IRIS.status):
            wait_until((folder / reached).exists, f"the follower to write {reached}", pause=0.002)

    following = follow(tmp_path)
    following.step()

    rows = [row for entry in Journal(tmp_path / "journal").entries() for row in rows_of(entry)]
    undisturbed = Store()
    apply(undisturbed, rows, stated_after(rows))
    snapshot = newest_snapshot(folder / "snapshots")
    assert dumped(following.store.merge) == dumped(undisturbed)
    assert snapshot is not None
    assert snapshot.quads == 58_000


def test_another_journal_makes_the_store_anew(tmp_path: Path, follow: Follow) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    level(follower(tmp_path, iris=IRIS))
    for path in (tmp_path / "journal").iterdir():
        path.unlink()
    commit(tmp_path, [f"A {quad(2)}"], run="another")

    second = follow(tmp_path)
    second.step()

    assert named(second.store) == {quad(2)}


def test_the_status_file_is_shown_as_its_graph_and_is_not_counted(
    tmp_path: Path, follow: Follow
) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    line = f'<https://x.org/source> <https://x.org/outcome> "published" <{IRIS.status}> .'
    (tmp_path / "status.nq").write_text(line + "\n")
    following = follow(tmp_path)
    snapshot = following.step()
    graphs = named(following.store)

    (tmp_path / "status.nq").write_text(line.replace("published", "held, again") + "\n")
    following.step()

    assert snapshot is not None
    assert snapshot.quads == 1
    assert graphs == {quad(1), line}
    assert named(following.store) == {quad(1), line.replace("published", "held, again")}


def test_columns_are_not_opened_before_the_lock_of_the_store(tmp_path: Path) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    folder = tmp_path / "store"
    folder.mkdir()

    def stop(reason: str) -> None:
        raise InterruptedError(reason)

    reader = JournalReader(Journal(tmp_path / "journal"), IRIS.base)
    with FileLock(folder / "lock"), pytest.raises(InterruptedError):
        EmbeddedStore(reader, folder, tmp_path / "status.nq", IRIS.status, report=stop)

    assert not (folder / "columns").exists()


def test_a_status_that_the_columns_cannot_hold_is_not_shown_before_they_can(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    following = follow(tmp_path)
    following.step()
    line = f'<https://x.org/source> <https://x.org/outcome> "published" <{IRIS.status}> .'
    (tmp_path / "status.nq").write_text(line + "\n")

    def fail(*_: object) -> None:
        raise duckdb.IOException("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(ColumnDatabase, "replace_status", fail)
        while_failing = [following.step() for _ in range(3)]
        progress = following.progress()["columns"]
    wait_until(lambda: following.step() is not None, "the status to be shown")

    assert while_failing == [None] * 3
    assert "disk full" in str(progress["error"])
    assert line in named(following.store)


def test_old_snapshots_go_but_one_that_is_open_stays(tmp_path: Path, follow: Follow) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    following = follow(tmp_path)
    following.step()
    first = newest_snapshot(following.store.snapshots)
    assert first is not None
    handle = os.open(first.path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)

    for number in range(2, 6):
        commit(tmp_path, [f"A {quad(number)}"])
        following.step()
    with_reader = sorted(path.name for path in following.store.snapshots.iterdir())
    os.close(handle)
    commit(tmp_path, [f"A {quad(6)}"])
    following.step()

    assert with_reader == ["000000001", "000000004", "000000005"]
    left = sorted(path.name for path in following.store.snapshots.iterdir())
    assert left == ["000000005", "000000006"]


@pytest.mark.smoke  # it starts no program
async def test_a_snapshot_stays_while_workers_open_it(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(tmp_path, [f"A {quad(1)}"])
    following = follow(tmp_path)
    following.step()
    opened = list[bool]()
    service = QueryService(tmp_path, IRIS, readers=1, follow=False)

    async def open_late(snapshot: str) -> None:
        for number in (2, 3):
            commit(tmp_path, [f"A {quad(number)}"])
            following.step()
        opened.append(Path(snapshot).is_dir())

    monkeypatch.setattr(service.pool, "switch_snapshot", open_late)
    await service.refresh()

    assert opened == [True]


def test_description_of_a_snapshot_is_read_again_where_its_file_differs(tmp_path: Path) -> None:
    registered = create_snapshot(tmp_path, None, Snapshot(0, 5, "id", 10, ""))
    assert newest_snapshot(tmp_path) == registered
    about = Path(registered.path) / "about.json"
    written = about.read_text()

    about.write_text(written.replace('"position": 5', '"position": 6'))
    assert newest_snapshot(tmp_path) == replace(registered, position=6)
    about.write_text(written[:-1])
    with pytest.raises(DamagedFiles, match=r"about\.json cannot be read"):
        newest_snapshot(tmp_path)
    about.unlink()
    with pytest.raises(DamagedFiles, match=r"about\.json cannot be read"):
        newest_snapshot(tmp_path)
    assert newest_snapshot(tmp_path / "nothing") is None


GRAPH = NamedNode("https://x.example/status")
OLD, NEW, SHARED = (
    Quad(NamedNode("https://x.example/s"), NamedNode("https://x.example/p"), Literal(text), GRAPH)
    for text in ("old", "new", "shared")
)


class Killed(BaseException):
    """The end of the process, which no handler of errors may catch."""


class KilledStore:
    """A store whose process is killed before its removal number *at*."""

    def __init__(self, store: Store, at: int) -> None:
        self._store, self._left = store, at

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def __contains__(self, quad: Quad) -> bool:
        return quad in self._store

    def remove(self, quad: Quad) -> None:
        self._left -= 1
        if not self._left:
            raise Killed
        self._store.remove(quad)


def shared_is_stated(rows: Sequence[bytes]) -> set[int]:
    return {place for place, row in enumerate(rows) if str(SHARED.object).encode() in row}


def filled() -> Store:
    store = Store()
    replace_graph(store, GRAPH, [OLD, SHARED], shared_is_stated)
    return store


def cut_off(store: Store, at: int) -> bool:
    try:
        replace_graph(KilledStore(store, at), GRAPH, [NEW], shared_is_stated)  # type: ignore[arg-type]
    except Killed:
        return True
    return False


def test_a_graph_whose_replacement_was_cut_off_is_replaced_whole_and_so_is_the_merge() -> None:
    whole = filled()
    replace_graph(whole, GRAPH, [NEW], shared_is_stated)
    ends, at = [], 1

    while cut_off(store := filled(), at):
        replace_graph(store, GRAPH, [NEW], shared_is_stated)
        ends.append(set(store))
        at += 1

    assert len(ends) >= 3
    assert [end for end in ends if end != set(whole)] == []
    assert {Quad(*SHARED.triple), Quad(*NEW.triple), NEW} == set(whole)


def test_a_triple_stays_in_the_merge_while_another_graph_states_it() -> None:
    store = filled()

    apply(store, [f"D {SHARED} .\n".encode(), f"D {OLD} .\n".encode()], shared_is_stated)

    assert Quad(*SHARED.triple) in store
    assert Quad(*OLD.triple) not in store


BASE = "https://x.org/"
TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def append_rows(data: Path, *keys: str) -> None:
    rows = [
        f"A <{BASE}id/initiative/demo/{key}> <{TYPE}> <{BASE}ns#Initiative> <{BASE}record/demo/{key}> ."
        for key in keys
    ]
    Journal(data / "journal").append(rows, run="run-1", time=WHEN)


@pytest.fixture
def journal_reader(tmp_path: Path) -> JournalReader:
    return JournalReader(Journal(tmp_path / "journal"), BASE)


def test_large_entries_after_a_position_are_mostly_new(
    tmp_path: Path, journal_reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(tmp_path, "a")
    append_rows(tmp_path, *(f"b{number}" for number in range(500)))
    append_rows(tmp_path, "c")
    assert not journal_reader.is_mostly_new(1)  # The entries are small.

    monkeypatch.setattr("publisher.store.changes.SMALL", 0)

    assert [journal_reader.is_mostly_new(after) for after in (0, 1, 2, 3)] == [
        True,
        True,
        False,
        False,
    ]


class BrokenIndex:
    """An index whose files can never be written."""

    name, subfolder = "broken", "broken"
    errors: tuple[type[Exception], ...] = (OSError,)
    snapshot_wait = 0.5
    checkpoint = 0

    def is_at(self, position: int) -> bool:
        return position == self.checkpoint

    def __init__(self) -> None:
        self.resets = 0

    def advance(self, position: int, entry: str) -> Iterator[None]:
        yield
        raise OSError("disk full")

    def write(self, folder: Path) -> None: ...

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
    tmp_path: Path, journal_reader: JournalReader
) -> None:
    rows = [
        f"A <{BASE}id/event/demo/1> <{TYPE}> <{BASE}ns#Event> <{BASE}record/demo/1> .",
        f'D <{BASE}record/demo/1#part> <{TYPE}> "x" <{BASE}record/demo/1> .',
        f"A <{BASE}scheme/action-line/C1> <{TYPE}> <{BASE}ns#Concept> <{BASE}scheme/action-line> .",
        f"A <{BASE}source/demo> <{TYPE}> <{BASE}ns#Source> <{BASE}source/demo> .",
    ]
    Journal(tmp_path / "journal").append(rows, run="run-1", time=WHEN)
    (entry,) = Journal(tmp_path / "journal").entries()

    assert {*journal_reader.changed(entry)} == {
        f"{BASE}id/event/demo/1",
        f"{BASE}record/demo/1",
        f"{BASE}scheme/action-line",
    }


def test_the_head_is_the_newest_entry(tmp_path: Path, journal_reader: JournalReader) -> None:
    numbers = [journal_reader.head()]
    for number in "12":
        append_rows(tmp_path, number)
        numbers += [journal_reader.head(), journal_reader.head()]

    assert [entry and entry.number for entry in numbers] == [None, 1, 1, 2, 2]


def test_position_belongs_to_a_journal_by_the_id_of_its_entry(
    tmp_path: Path, journal_reader: JournalReader
) -> None:
    append_rows(tmp_path, "1")
    (entry,) = journal_reader.journal.entries()

    results = [
        journal_reader.contains(0, ""),
        journal_reader.contains(1, entry.id),
        journal_reader.contains(1, "other"),
        journal_reader.contains(2, entry.id),
    ]

    assert results == [True, True, False, False]


@pytest.mark.parametrize("kind", [BrokenIndex, SlowIndex])
def test_index_that_fails_or_never_ends_delays_no_other(
    tmp_path: Path, journal_reader: JournalReader, kind: type[BrokenIndex]
) -> None:
    append_rows(tmp_path, "1")
    store = EmbeddedStore(
        journal_reader, tmp_path / "store", tmp_path / "status.nq", f"{BASE}status"
    )
    faulty = kind()

    search = SearchUpdater(tmp_path / "store" / "text", journal_reader, store.columns.statements)

    with closing(Runner(store, store.sliced, faulty, search)) as runner:
        wait_until(
            lambda: (runner.step(), runner.progress()["search"] == {"position": 1})[1],
            "the search index to be level",
            pause=0.01,
        )
        append_rows(tmp_path, "2")
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


def test_a_build_ends_with_the_search_index_or_says_why_it_cannot(
    tmp_path: Path, journal_reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(tmp_path, *map(str, range(20)))
    monkeypatch.setattr("publisher.store.search.index.BATCH", 1)
    monkeypatch.setattr("publisher.store.follow.SLICE", 0.0)  # one thing in a step
    parts = (journal_reader, tmp_path / "store", tmp_path / "status.nq", f"{BASE}status")

    with closing(open_runner(*parts)) as runner:
        runner.finish()
        built = newest_snapshot(runner.store.snapshots)
    store = EmbeddedStore(*parts)
    with (
        closing(Runner(store, store.sliced, BrokenIndex())) as failing,
        pytest.raises(StoreFailure, match="disk full"),
    ):
        failing.finish()

    assert built is not None
    assert built.is_indexed


class StoreElsewhere:
    """A store of which snapshots have no files, as one reached over the network."""

    merge = None

    def __init__(self, reader: JournalReader, snapshots: Path) -> None:
        self._reader, self.snapshots = reader, snapshots
        snapshots.mkdir(parents=True)

    def update(self) -> Snapshot:
        return state_after(self._reader.head(), 0, "")

    def close(self) -> None:
        pass


def test_columns_beside_an_external_store_continue_in_the_next_slice(
    tmp_path: Path, journal_reader: JournalReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_rows(tmp_path, *map(str, range(20)))
    monkeypatch.setattr("publisher.store.follow.SLICE", 0.0)  # one batch in a step
    monkeypatch.setattr("publisher.store.columns.database.BATCH", 1)
    store = StoreElsewhere(journal_reader, tmp_path / "store" / "snapshots")
    columns = SlicedProjection(ColumnUpdater(tmp_path / "store" / "columns", journal_reader))

    with closing(Runner(store, columns)) as runner:
        runner.finish()  # raises if a slice lost what the one before had begun
        built = newest_snapshot(store.snapshots)

    assert built is not None
    assert built.columns == 1


class FlakyIndex(BrokenIndex):
    """An index whose files cannot be written, nor created anew, while *broken*."""

    name = "flaky"

    def __init__(self) -> None:
        super().__init__()
        self.broken, self.attempts, self.checkpoint = True, 0, 0

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
    failed = sliced.error
    index.broken, now = False, now + 60
    assert sliced.step(1, "x", 60.0)
    sliced.write(Path("snapshot"))

    # What is stored is deleted when the next attempt begins.
    assert attempts[:6] == [1, 3, 7, 15, 31, 63]
    assert {later - earlier for earlier, later in pairwise(attempts[6:])} == {60}
    assert (failed, sliced.error) == ("OSError: disk full", "")
