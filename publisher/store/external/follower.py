"""The process that loads the journal into an external store and records its position in snapshots.

Kill it at any point: what it had not finished it does again, and doing it again changes nothing. An entry that one update can hold is seen
wholly or not at all; of a larger one readers may see a part, so a snapshot that says so is shown before it begins. Several may
follow one store: who holds its lease writes, the others watch.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from http.client import HTTPException
from pathlib import Path

import structlog
from pyoxigraph import NamedNode, Quad

from journal.entry import Entry
from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.errors import PublisherError, StoreFailure
from publisher.facets.updater import FacetUpdater as Tables
from publisher.logs import configure_logging
from publisher.search.updater import SearchUpdater
from publisher.store.apply import digest_of, rows_of
from publisher.store.external import update_batches
from publisher.store.external.client import Client, EndpointError
from publisher.store.external.endpoint import StoreURLs, from_environment
from publisher.store.external.remote_quads import RemoteQuads
from publisher.store.external.state import State
from publisher.store.external.writer import Writer
from publisher.store.external.writer_lease import SILENCE, WriterLease
from publisher.store.follower import ATTENTION, GLANCE, exit_at_end_of_input, report, silent, writer_lock
from publisher.store.snapshots import ProjectionPaths, Snapshot, newest_snapshot, prune, register_external
from publisher.store.status_watcher import StatusFile
from publisher.store.thread_priority import lower_thread_priority
from vocab.iris import Iris

PAUSE = 0.5  # seconds between looks at the journal
GRACE = 0.6  # seconds until every publisher shows that an entry is being taken in: they look each 0.2 s
_AGAIN = 5.0  # seconds before a store that did not answer is asked again

log = structlog.get_logger(room="follower")


class Follower:
    """Keep the store at *address* level with *journal* and the *status* file, whose graph is *status_graph*.

    Raises NotReady where the store does not answer, StoreFailure where it holds something else.
    """

    def __init__(
        self,
        address: StoreURLs,
        journal: Journal,
        folder: Path,
        status: Path,
        status_graph: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = silent,
    ) -> None:
        self._journal, self._graph, self._now, self._wait = journal, NamedNode(status_graph), now, wait
        self._status_file = StatusFile(status, Iris(status_graph.removesuffix("status")).ns, journal.store)
        self.snapshots = folder / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self._last = State()
        with ExitStack() as opened:  # what was opened is closed where the next step fails, so that a new follower can lock the folder
            opened.enter_context(writer_lock(folder / "lock", report))
            self._client = opened.enter_context(closing(Client(address.query)))
            dialect = self._client.dialect(SILENCE)
            self.writer = opened.enter_context(closing(Writer(address, dialect)))
            self.lease = WriterLease(self._client, self.writer, journal, writer_name(folder))
            self._facts = RemoteQuads(self._client, dialect)
            self._status = set(self._facts.graph(self._graph))
            self._tables = opened.enter_context(
                closing(Tables(folder / "tables", journal, status_graph.removesuffix("status"), self._facts.expect))
            )
            self._texts = opened.enter_context(
                closing(SearchUpdater(folder / "text", journal, status_graph.removesuffix("status"), self._facts.look_up))
            )
            self._aside = opened.enter_context(ThreadPoolExecutor(1, "aside", lower_thread_priority))
            self._opened = opened.pop_all()

    def step(self) -> Snapshot | None:
        """Load what is new; return the new snapshot, None where nothing was new."""
        before = self.lease.read(self._now())
        if before.position < self._last.position:
            raise StoreFailure(f"the store went back from entry {self._last.position} to {before.position}; it is loaded again from there")
        state = self._last = self._catch_up(before)
        changed = self._show_status() or state.position != before.position
        self._aside.submit(self._look_beside, state, GLANCE if changed else ATTENTION).result()
        return self._show(state)

    def _look_beside(self, state: State, seconds: float) -> None:
        """Let tables and texts follow, in a thread of its own: who reads does not wait for them."""
        self._tables.step(self._facts, state.position, state.entry, ATTENTION)
        self._texts.step(self._facts, state.position, state.entry, seconds)

    def close(self) -> None:
        """Close the store and the indexes, and release the lock."""
        self._opened.close()

    def _catch_up(self, state: State) -> State:
        head = self._journal.head
        if head is None or head.number <= state.position or not self.lease.claim(self._now()):
            return state
        if newest_snapshot(self.snapshots):
            self._show(replace(state, taking=head.number))
            self._wait(GRACE)
        for entry in self._journal.entries(after=state.position):
            state = self._take(entry, state)
        self._facts.forget()
        return state

    def _take(self, entry: Entry, state: State) -> State:
        self.lease.tell(replace(state, taking=entry.number), self._now())
        quads, left_out = state.quads, self.writer.left_out
        for run in update_batches.quad_runs(rows_of(entry.lines()), update_batches.BULK):
            self.lease.renew(self._now())
            (self.writer.add if run.added else self.writer.remove)(run.quads)
            quads += len(run.quads) if run.added else -len(run.quads)
        state = State(entry.number, entry.id, quads - (self.writer.left_out - left_out))
        self.lease.tell(state, self._now())
        return state

    def _show_status(self) -> bool:
        at = self._now()
        if not self._status_file.due(at):
            return False
        if not self.lease.claim(at):
            held = set(self._facts.graph(self._graph))
            changed, self._status = held != self._status, held
            return changed
        new = self._status_file.read(at)
        if new is None:
            return False
        changed = new != self._status
        self.writer.remove(_lines(self._status - new))
        self.writer.add(_lines(new - self._status))
        self._status = new
        return changed

    def _show(self, state: State) -> Snapshot | None:
        status = digest_of(self._status)
        told = Snapshot(0, state.position, state.entry, state.quads, "", status, taking=state.taking)
        current = newest_snapshot(self.snapshots)
        if (
            current
            and not state.taking
            and replace(told, text=self._texts.position, tables=self._tables.position).version == current.version
            and self._texts.is_shown_in(current.path)
        ):
            return None
        shown = register_external(self.snapshots, told, ProjectionPaths(self._texts.shown, self._tables.shown))
        prune(self.snapshots)
        return shown


def writer_name(folder: Path) -> str:
    """Name who writes: a follower that is started again in the same folder, which its lock keeps for one, goes on at once."""
    return f"{socket.gethostname()}-{blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()}"


def _lines(quads: set[Quad]) -> list[bytes]:
    return sorted(f"{quad} .\n".encode() for quad in quads)


def main() -> None:
    """Run a follower: arguments are the journal's folder, the store's, the status file and the status graph's IRI."""
    journal, folder, status, graph = sys.argv[1:5]
    configure_logging()
    threading.Thread(target=exit_at_end_of_input, daemon=True).start()
    outage = Outage("SPARQL store cannot be updated; retrying", "SPARQL store is updated again")
    while True:
        try:
            with closing(
                Follower(from_environment(), Journal(Path(journal)), Path(folder), Path(status), graph, report=report)
            ) as follower:
                if outage.failures:
                    follower.lease.read(datetime.now(UTC))  # raises where the store still fails
                    report("the store answers again; the journal is being loaded into it")
                while True:
                    follower.step()
                    if outage.failures:
                        outage.over()
                        report("")
                    time.sleep(PAUSE)
        except (
            JournalError,
            PublisherError,
            EndpointError,
            OSError,
            HTTPException,
            SyntaxError,
            ValueError,
        ) as error:  # an answer broke off
            outage.failed(str(error))
            report(f"the store cannot follow the journal: {error}")
            time.sleep(_AGAIN)


if __name__ == "__main__":
    main()
