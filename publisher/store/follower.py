"""The one process that writes the store: it applies journal entries and publishes snapshots.

Kill it at any point: what it had not finished it does again, and doing it again changes nothing. It ends when its
standard input is closed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TextIO

import structlog
from pyoxigraph import NamedNode, Quad, Store

from journal.entry import Entry
from journal.errors import JournalError
from journal.journal import Journal
from publisher.errors import StoreBusy
from publisher.facets.updater import FacetUpdater as Tables
from publisher.logs import configure_logging
from publisher.search.updater import SearchUpdater
from publisher.store.apply import apply, count, digest, rebuild_default_graph, replace_graph, rows_of
from publisher.store.snapshots import ProjectionPaths, Snapshot, create_snapshot, newest_snapshot, prune
from publisher.store.status_watcher import StatusFile
from publisher.store.thread_priority import lower_thread_priority
from vocab.iris import Iris

PAUSE = 0.25  # seconds between looks at the journal
SETTLED = 2_000_000_000  # nanoseconds after which a folder's time of change tells two changes apart on any file system
CHECKPOINT = 5.0  # seconds of catching up after which the position is kept, so that a crash does not throw all away
ATTENTION = 2.0  # seconds that the tables and the text index get before the journal is looked at again
AGAIN = 5.0  # seconds before a follower that cannot write ends, to be started again
GLANCE = 0.5  # seconds that it gets before what the journal brought is shown without it

log = structlog.get_logger(room="follower")


def silent(_reason: str) -> None:
    """Ignore the report."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the store is: *quads* None while an entry is being applied, when the number is not known.

    *rough*: something was loaded in bulk since the store was last optimized.
    """

    position: int = 0
    entry: str = ""
    quads: int | None = 0
    rough: bool = False


class Follower:
    """Keep the store in *folder* level with *journal* and the *status* file, whose graph is *status_graph*.

    How fresh the sources are is told anew when time alone changes it, by the clock *now*. *report* is given the reason while another
    process keeps it waiting, and "" once it goes on.
    """

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        status: Path,
        status_graph: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        report: Callable[[str], None] = silent,
    ) -> None:
        self._journal, self._folder, self._graph, self._now = journal, folder, NamedNode(status_graph), now
        self._status_file = StatusFile(status, Iris(status_graph.removesuffix("status")).ns, journal.store)
        self._listed: int | None = None  # when the journal's folder was last changed, if that was long enough ago
        self.snapshots = folder / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self._lock = writer_lock(folder / "lock", report)
        self._mark_file = folder / "position.json"
        self.mark = self._read_mark()
        if not self._continues():
            log.warning("journal was replaced; rebuilding the store", position=self.mark.position)
            self._forget()
        self.store = self._open()
        self._aside = ThreadPoolExecutor(1, "aside", lower_thread_priority)
        self._texts = SearchUpdater(folder / "text", journal, status_graph.removesuffix("status"))
        self._tables = Tables(folder / "tables", journal, status_graph.removesuffix("status"))

    def step(self) -> Snapshot | None:
        """Apply what is new; return the new snapshot, None where nothing was new."""
        changed = self._catch_up()
        changed = self._show_status() or changed
        # Tables and texts wait until what was loaded in bulk is shown and smooth: they take about as long as the load.
        if not self.mark.rough:
            self._aside.submit(self._look_beside, GLANCE if changed else ATTENTION).result()
        current = newest_snapshot(self.snapshots)
        if not changed and current and (current.position, current.entry) == (self.mark.position, self.mark.entry):
            if not self.mark.rough and self._texts.is_shown_in(current.path) and current.tables == self._tables.position:
                return None
            if self.mark.rough:
                self._smooth()
        at, status = self.mark, digest(self.store, self._graph)
        snapshot = create_snapshot(
            self.snapshots, self.store, at.position, at.entry, self._count(), status, ProjectionPaths(self._texts.shown, self._tables.shown)
        )
        prune(self.snapshots)
        return snapshot

    def _look_beside(self, seconds: float) -> None:
        """Update facets and search index in a separate thread, so that readers do not wait."""
        self._tables.step(self.store, self.mark.position, self.mark.entry, ATTENTION)
        self._texts.step(self.store, self.mark.position, self.mark.entry, seconds)

    def repair(self, wanted: Mapping[NamedNode, set[Quad]]) -> Snapshot:
        """Replace graphs, rebuild the default graph, and publish a snapshot."""
        self._write_mark(replace(self.mark, quads=None))
        for graph, quads in wanted.items():
            replace_graph(self.store, graph, quads)
        rebuild_default_graph(self.store)
        self._keep(replace(self.mark, quads=self._measure()))
        at, status = self.mark, digest(self.store, self._graph)
        beside = ProjectionPaths(self._texts.shown, self._tables.shown)
        return create_snapshot(self.snapshots, self.store, at.position, at.entry, self._count(), status, beside)

    def close(self) -> None:
        """Close the store and release the lock."""
        self._aside.shutdown()
        self._texts.close()
        self._tables.close()
        del self.store
        self._lock.close()

    def _catch_up(self) -> bool:
        changed = self._journal.change_token
        if changed == self._listed:
            return False
        before, quads, since = self.mark.position, self.mark.quads, time.monotonic()
        for entry in self._journal.entries(after=before):
            if self.mark.quads is not None:
                self._write_mark(replace(self.mark, quads=None))
            grown = apply(self.store, rows_of(entry.lines()))
            quads = quads + grown.quads if quads is not None else None
            self.mark = Checkpoint(entry.number, entry.id, None, self.mark.rough or grown.bulk)
            if time.monotonic() - since > CHECKPOINT:
                self._keep(self.mark)
                since = time.monotonic()
        self._listed = changed if time.time_ns() - changed > SETTLED else None
        if self.mark.position == before:
            return False
        self._keep(replace(self.mark, quads=self._measure() if quads is None else quads))
        return True

    def _smooth(self) -> None:
        """Merge the files that bulk loads left: queries are then five to twenty times faster.

        That waits until what was loaded is shown, since it takes some minutes for tens of millions of quads.
        """
        self.store.optimize()
        self._keep(replace(self.mark, rough=False))

    def _keep(self, mark: Checkpoint) -> None:
        self.store.flush()
        self._write_mark(mark)

    def _show_status(self) -> bool:
        at = self._now()
        told = self._status_file.read(at) if self._status_file.due(at) else None
        return told is not None and replace_graph(self.store, self._graph, told)

    def _count(self) -> int:
        if self.mark.quads is None:
            self._write_mark(replace(self.mark, quads=self._measure()))
        return self.mark.quads or 0

    def _measure(self) -> int:
        return count(self.store, self._graph)

    def _continues(self) -> bool:
        if not self.mark.position:
            return True
        entry: Entry | None = next(iter(self._journal.entries(after=self.mark.position - 1)), None)
        return entry is not None and entry.id == self.mark.entry

    def _open(self) -> Store:
        path = self._folder / "store"
        try:
            return Store(path)
        except OSError as error:
            log.warning("store cannot be opened; rebuilding", error=str(error))
            self._forget()
            return Store(path)

    def _forget(self) -> None:
        self._mark_file.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "store", ignore_errors=True)
        self.mark = Checkpoint()

    def _read_mark(self) -> Checkpoint:
        try:
            return Checkpoint(**json.loads(self._mark_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            shutil.rmtree(self._folder / "store", ignore_errors=True)
            return Checkpoint()

    def _write_mark(self, mark: Checkpoint) -> None:
        part = self._mark_file.with_suffix(".part")
        with part.open("w") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._mark_file)
        self.mark = mark


def writer_lock(path: Path, report: Callable[[str], None] = silent) -> TextIO:
    """Wait until no other process writes this store; the returned file holds the lock until it is closed.

    While it waits, *report* is given the reason, with the process that is at work.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Without its command, which names folders: this reason is public, in /health.
        other = path.read_text().strip() or "unknown"
        report(f"process {other} writes this store ({path.parent.name}/): another server uses the same data folder")
        fcntl.flock(file, fcntl.LOCK_EX)
        report("")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def require_unlocked(path: Path) -> None:
    """Raise StoreBusy, which names the process that holds it, where the lock at *path* is taken; a missing file is no lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError as error:
        raise StoreBusy(f"a server follows the journal here ({_holder(path)}); end it, then run this again") from error


def _holder(path: Path) -> str:
    """Return the process that wrote its number into the lock at *path*, with its command."""
    number = path.read_text().strip()
    if not number.isdecimal():
        return "process unknown"
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return f"process {number}"
    return f"process {number}: {command[:200]}"


def report(reason: str) -> None:
    """Report to the server, on standard output, why the store does not follow the journal; "" where it does."""
    print(json.dumps({"reason": reason}), flush=True)


def exit_at_end_of_input() -> None:
    """End this process when its standard input is closed, as it is when its parent ends."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def main() -> None:
    """Run a follower: arguments are the journal's folder, the store's, the status file and the status graph's IRI."""
    journal, folder, status, graph = sys.argv[1:5]
    configure_logging()
    threading.Thread(target=exit_at_end_of_input, daemon=True).start()
    try:
        _follow(Follower(Journal(Path(journal)), Path(folder), Path(status), graph, report=report))
    except OSError as error:  # a full disk, a folder of another user: nothing to mend here, and started again it goes on
        log.error("store cannot be written", error=str(error), cure="free disk space or fix the directory; updates then resume")
        report(f"the store cannot be written: {error}")
        time.sleep(AGAIN)
        os._exit(1)  # threads of its own may hang on the same fault
    except Exception as error:
        report(f"the follower ended: {type(error).__name__}: {error}; the log says more")
        raise


def _follow(follower: Follower) -> NoReturn:
    reported: str | None = None  # a follower before this one may have reported a reason, which holds until a step succeeds
    while True:
        reason = ""
        try:
            follower.step()
        except JournalError as error:
            log.error("cannot read new journal entries", error=str(error))
            reason = f"cannot read new journal entries: {error}"
        if reason != reported:
            report(reason)
            reported = reason
        time.sleep(10 if reason else PAUSE)


if __name__ == "__main__":
    main()
