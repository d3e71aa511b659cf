"""The external RDF store as a projection of the journal, and as what ``stocktake store verify``
compares with it.

An entry that fits into one update appears at once. Queries may see a part of a larger entry, so a
snapshot that says so is published first. Several publishers may use one store; the one that holds
the lease writes.
"""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from http.client import HTTPException
from pathlib import Path
from threading import Event
from typing import NoReturn

import httpx
import structlog
from pyoxigraph import NamedNode, Quad
from SPARQLWrapper import BASIC, DIGEST, POST, SPARQLWrapper
from SPARQLWrapper.SPARQLExceptions import (
    EndPointInternalError,
    QueryBadFormed,
    SPARQLWrapperException,
)

from journal.entry import Entry
from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.errors import NotReady, PublisherError, StoreFailure
from publisher.store.changes import JournalReader, StatusFile, in_batches, rows_of
from publisher.store.columns.database import ColumnUpdater, StatusGraph
from publisher.store.external.client import (
    FOREIGN,
    MERGE,
    STATE,
    Client,
    State,
    StoreURLs,
    from_environment,
    missing_data,
    without_password,
)
from publisher.store.follow import (
    RETRY,
    Runner,
    SlicedProjection,
    digest_of,
    discard_other_format,
    writer_lock,
)
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import Snapshot, create_snapshot, newest_snapshot, state_after
from vocab.iris import Iris

PAUSE = 0.5  # seconds between two checks of the journal, which ask the store for its position
# Seconds until every publisher reports that an entry is being applied: they check every 0.2 s.
GRACE = 0.6
BULK, BULK_BYTES = 50_000, 16 << 20  # rows of an entry that are loaded at once, and their bytes


class RemoteStore:
    """The store at *urls*. It follows the journal of *reader*, and stores the file *status* in the
    graph *status_graph*.

    *folder* holds its lock, snapshots and indexes. Raises NotReady if the store does not answer,
    StoreFailure if it contains other data.
    """

    def __init__(
        self,
        urls: StoreURLs,
        reader: JournalReader,
        folder: Path,
        status: Path,
        status_graph: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
        report: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._reader, self._now, self._wait = reader, now, wait
        self._graph = NamedNode(status_graph)
        operations = Iris(status_graph.removesuffix("status")).operations
        self._status_file = StatusFile(status, operations, reader.journal.store)
        self.snapshots = folder / "snapshots"
        self.snapshots.mkdir(parents=True, exist_ok=True)
        self.merge, self._last = None, State()
        # They are closed if a step fails, so that a new process can lock the folder.
        with ExitStack() as opened:
            opened.enter_context(writer_lock(folder / "lock", report))
            discard_other_format(folder)
            self.leased = opened.enter_context(closing(LeasedStore(urls, reader.journal, folder)))
            self._status = set(self.leased.client.quads(self._graph))
            self.close = opened.pop_all().close

    def update(self) -> Snapshot:
        """Load new journal entries and a new status file."""
        before, published = self.leased.read(), self._published()
        if before.position < self._last.position:  # it is opened again, and reads the state anew
            raise NotReady(missing_data(before, self._last.position, ""))
        # A store that lost its data answers as soon as it is at its last entry, so the status must
        # be loaded before.
        if before.position < published:
            self._load_status()
        self._last = self._load_entries(before, published)
        if self._last.position < published:  # another publisher loads it
            raise NotReady(missing_data(self._last, published, ""))
        self._load_status()
        return self._state(self._last)

    def _published(self) -> int:
        """Return the newest published entry that the journal has, 0 if there is none."""
        newest, head = newest_snapshot(self.snapshots), self._reader.journal.head
        return min(newest.position, head.number) if newest and head else 0

    def _load_entries(self, state: State, published: int) -> State:
        head = self._reader.journal.head
        if head is None or head.number <= state.position or not self.leased.claim(self._now()):
            return state
        # A store that is loaded again answers nothing before it has what was published.
        if newest_snapshot(self.snapshots) and state.position >= published:
            applying = replace(self._state(state), applying=head.number)
            create_snapshot(self.snapshots, None, applying)
            self._wait(GRACE)
        for entry in self._reader.journal.entries(state.position):
            state = self._load(entry, state)
        return state

    def _load(self, entry: Entry, state: State) -> State:
        self.leased.write_state(replace(state, applying=entry.number), self._now())
        writer, quads = self.leased.writer, state.quads
        skipped = writer.skipped
        for rows in in_batches(rows_of(entry), BULK, BULK_BYTES):
            self.leased.renew(self._now())
            removed, added = net_changes(rows)
            writer.remove(removed)
            writer.add(added)
            quads += len(added) - len(removed)
        state = State(entry.number, entry.id, quads - (writer.skipped - skipped))
        self.leased.write_state(state, self._now())
        return state

    def _load_status(self) -> None:
        """Load the status file, or read what another publisher has loaded."""
        now = self._now()
        if not self._status_file.is_due(now):
            return
        if not self.leased.claim(now):
            self._status = set(self.leased.client.quads(self._graph))
        elif (new := self._status_file.read(now)) is not None:
            self.leased.writer.replace(self._status, new)
            self._status = new

    def status(self) -> StatusGraph:
        """Return the status graph that the store has."""
        return StatusGraph(digest_of(self._status), self._status)

    def _state(self, state: State) -> Snapshot:
        entry = self._reader.journal.entry(state.position)
        return state_after(entry, state.quads, digest_of(self._status))


def net_changes(rows: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the quads that *rows* of a journal entry remove and those that they add, as lines of
    N-Quads.

    The journal removes only existing quads and adds only missing ones, so a quad that is both
    removed and added is unchanged.

    >>> net_changes([b"D old .", b"A new .", b"A both .", b"D both ."])
    ([b'old .'], [b'new .'])
    """
    changes: dict[bytes, bytes] = {}
    for row in rows:
        if changes.setdefault(row[2:], row[:1]) != row[:1]:
            del changes[row[2:]]
    removed = [line for line, kind in changes.items() if kind == b"D"]
    return removed, [line for line, kind in changes.items() if kind == b"A"]


def open_external_runner(
    urls: StoreURLs,
    reader: JournalReader,
    folder: Path,
    status: Path,
    status_graph: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[float], None] = time.sleep,
    report: Callable[[str], None] = lambda _reason: None,
) -> Runner[RemoteStore]:
    """Open the store at *urls* (as ``RemoteStore``), which answers queries, with the columns in
    *folder*, whose tables pages count by, and the search index.
    """
    store = RemoteStore(urls, reader, folder, status, status_graph, now, wait, report)
    columns = ColumnUpdater(folder / "columns", reader, store.status)
    return Runner(
        store, SlicedProjection(columns), SearchUpdater(folder / "text", reader, columns.statements)
    )


def follow_journal(
    reader: JournalReader,
    folder: Path,
    status: Path,
    status_graph: str,
    report: Callable[[str], None],
    report_progress: Callable[[Mapping[str, Mapping[str, object]]], None],
    discard_damaged: Callable[[], object],
    check: Event,
) -> NoReturn:
    """Keep the store that the environment names up to date with the journal; after any failure, and
    when *check* is set, it is opened again.

    Damaged files of the indexes beside it are deleted then, and rebuilt. *report* receives why the
    store does not follow the journal, "" if it does.
    """
    outage = Outage("SPARQL store cannot be updated; retrying", "SPARQL store is updated again")
    parts = from_environment(), reader, folder, status, status_graph
    while True:
        check.clear()
        try:
            discard_damaged()
            with closing(open_external_runner(*parts, report=report)) as runner:
                if outage.failures:
                    runner.store.leased.read()  # raises if the store still fails
                    report("the store answers again; the journal is being loaded into it")
                while not check.wait(PAUSE):
                    runner.step()
                    outage.over()
                    report("")
                    report_progress(runner.progress())
        # A response that breaks off raises SyntaxError or ValueError.
        except (JournalError, PublisherError, OSError, SyntaxError, ValueError) as error:
            outage.failed(str(error))
            report(f"the store cannot follow the journal: {error}")
            time.sleep(RETRY)


class ExternalStore:
    """The store at *urls*, which follows *journal*, as an audit target, read graph by graph. Raises
    NotReady, and StoreFailure if it contains other data.
    """

    def __init__(self, urls: StoreURLs, journal: Journal, iris: Iris) -> None:
        self._leased = LeasedStore(urls, journal, journal.folder)
        self._client, self._status = self._leased.client, iris.status

    def close(self) -> None:
        self._leased.close()

    @property
    def position(self) -> int:
        """Return the number of the last completely loaded entry."""
        return self._leased.read().position

    def graphs(self) -> Iterator[str]:
        """Return all graphs except those of the engine, the merge, the status graph and the state
        graph.
        """
        return (graph.value for graph in self._client.graphs() if graph.value != self._status)

    def quads(self) -> Iterator[Quad]:
        for graph in self.graphs():
            yield from self._client.quads(NamedNode(graph))

    def is_merged(self) -> bool:
        dialect, triple = self._client.dialect, "?s ?p ?o"
        merge = f"GRAPH <{dialect.merged}> {{ {triple} }}" if dialect.merged else triple
        named = f"GRAPH ?graph {{ {triple} }} FILTER(?graph NOT IN ({dialect.hidden}))"
        missing = f"{{ SELECT DISTINCT {triple} {{ {named} }} }} FILTER NOT EXISTS {{ {merge} }}"
        added = f"{merge} FILTER NOT EXISTS {{ {named} }}"
        return not any(
            self._client.rows(f"SELECT {triple} {{ {wrong} }} LIMIT 1")
            for wrong in (missing, added)
        )

    def empty(self) -> None:
        writer, merged = self._leased.writer, self._client.dialect.merged
        for graph in [*self.graphs(), self._status, STATE]:
            writer.update(f"DROP SILENT GRAPH <{graph}>")
        writer.update(f"DROP SILENT {f'GRAPH <{merged}>' if merged else 'DEFAULT'}")
        writer.update(State().update())


TIMEOUT = 600  # seconds for one update
BATCH = 1_000  # quads per update; Virtuoso's compiler fails at 5,000
MAX_BYTES = 500_000  # per update
LARGE = 3_000  # consecutive additions from which the Graph Store Protocol is faster
LEASE = 30  # seconds; another publisher may write this long after the last one died
_CLAIM = """DELETE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }} }}
INSERT {{ GRAPH <{state}> {{ <{state}> <{state}#writer> "{name}" ; <{state}#until> "{until}" }} }}
WHERE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }}
  FILTER(STR(?writer) = "{name}" || STR(?until) < "{now}") }}"""

log = structlog.get_logger(component="store")


class StoreWriter:
    """Writes to the store at *urls*; *merged* is the graph with the merge of all graphs, "" if that
    is the default graph.

    *skipped* is the number of quads that the store rejected.
    """

    def __init__(self, urls: StoreURLs, merged: str) -> None:
        self._merged, self.skipped = merged, 0
        self._url, update, self._graphs = (
            without_password(urls.update),
            httpx.URL(urls.update),
            httpx.URL(urls.graphs),
        )
        self._wrapper = SPARQLWrapper(self._url, updateEndpoint=self._url)
        self._wrapper.setMethod(POST)
        self._wrapper.setTimeout(TIMEOUT)
        # Virtuoso's endpoints with authentication require Digest; others accept Basic.
        self._wrapper.setHTTPAuth(DIGEST if merged else BASIC)
        self._wrapper.setCredentials(update.username, update.password)
        digest = httpx.DigestAuth(self._graphs.username, self._graphs.password)
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False, auth=digest if merged else None)

    def close(self) -> None:
        self._http.close()

    def update(self, text: str) -> None:
        """Send an update; raise StoreFailure if the store rejects it, NotReady if it does not
        answer.
        """
        self._wrapper.setQuery(text)
        try:
            self._wrapper.query().response.read()
        except (QueryBadFormed, EndPointInternalError) as error:
            raise StoreFailure(f"the store rejected an update: {str(error)[:500]}") from error
        except (SPARQLWrapperException, OSError, HTTPException) as error:
            raise NotReady(
                f"the store at {self._url} does not answer an update: {str(error)[:300]}"
            ) from error

    def add(self, lines: list[bytes]) -> None:
        """Add quads, lines of N-Quads; adding them again changes nothing."""
        if len(lines) < LARGE or not self._graphs.host or not self._load(lines):
            self._send(lines, insert_update)

    def remove(self, lines: list[bytes]) -> None:
        """Remove quads, lines of N-Quads."""
        self._send(lines, delete_update)

    def replace(self, old: set[Quad], new: set[Quad]) -> None:
        """Replace the quads *old*, which are in the store, by *new*."""
        self.remove(_lines(old - new))
        self.add(_lines(new - old))

    def _send(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        """Send quads in batches. A batch that is rejected is sent again in halves, down to the rejected
        quad, which is skipped.
        """
        for batch in in_batches(lines, BATCH, MAX_BYTES):
            try:
                self.update(write(batch, self._merged))
            except StoreFailure as error:
                if len(batch) == 1:
                    self.skipped += 1
                    line = batch[0].decode(errors="replace")[:500]
                    log.warning("store rejected a quad; skipping it", quad=line, error=str(error))
                else:
                    self._send(batch[: len(batch) // 2], write)
                    self._send(batch[len(batch) // 2 :], write)

    def _load(self, lines: list[bytes]) -> bool:
        """Bulk-load quads; return False if the store does not support that."""
        triples = b"".join(sorted({line[: line.rindex(b" <")] + b" .\n" for line in lines}))
        # Virtuoso stores each quad in its own graph although this names one.
        merge = {"graph-uri": self._merged} if self._merged else {}
        return self._post(b"".join(lines), "application/n-quads", merge) and self._post(
            triples, "application/n-triples", merge or {"default": ""}
        )

    def _post(self, body: bytes, media: str, where: Mapping[str, str]) -> bool:
        headers = {"Content-Type": media}
        try:
            response = self._http.post(self._graphs, params=where, content=body, headers=headers)
        except httpx.TransportError as error:
            raise NotReady(
                f"the store at {self._graphs.host} does not answer a load: {error}"
            ) from error
        if not response.is_success:
            log.warning(
                "store rejected a bulk load; using updates",
                status=response.status_code,
                response=response.text[:300],
            )
        return response.is_success


def _lines(quads: set[Quad]) -> list[bytes]:
    return sorted(f"{quad} .\n".encode() for quad in quads)


def insert_update(lines: Iterable[bytes], merged: str) -> str:
    """Return the update that adds quads, each to its graph and to the merge."""
    return f"INSERT DATA {{\n{_graphs(lines, merged)}}}"


def delete_update(lines: list[bytes], merged: str) -> str:
    """Return the update that removes quads. Triples that another graph still contains are added to
    the merge again, in the same update.
    """
    pairs = {b" ".join(line.split(b" ", 2)[:2]).decode() for line in lines}
    values = f"VALUES (?s ?p) {{ {' '.join(f'({pair})' for pair in sorted(pairs))} }}"
    others = f"GRAPH ?g {{ ?s ?p ?o }} FILTER(?g NOT IN (<{MERGE}>, <{STATE}>))"
    return f"DELETE DATA {{\n{_graphs(lines, merged)}}} ;\nINSERT {{ {_into(merged, '?s ?p ?o .')} }} WHERE {{ {values} {others} }}"


def _graphs(lines: Iterable[bytes], merged: str) -> str:
    """Return quads as the data of an update, each in its graph and in the merge."""
    triples = defaultdict[str, list[str]](list)
    for line in lines:
        triple, _, graph = line.decode().rstrip(" .\n").rpartition(" ")
        triples[f"GRAPH {graph}"].append(f"{triple} .")
    groups = [f"{graph} {{ {' '.join(among)} }}\n" for graph, among in triples.items()]
    merge = dict.fromkeys(triple for among in triples.values() for triple in among)
    return "".join([*groups, _into(merged, " ".join(merge)), "\n"])


def _into(merged: str, triples: str) -> str:
    return f"GRAPH <{merged}> {{ {triples} }}" if merged else triples


class LeasedStore:
    """The store at *urls*, which follows *journal*; this process may write while it holds the lease.

    It holds the lease by a name that is the same after a restart with the same *folder*.
    """

    def __init__(self, urls: StoreURLs, journal: Journal, folder: Path) -> None:
        place = blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()
        self._journal, self._name = journal, f"{socket.gethostname()}-{place}"
        self._until = 0
        self.client = Client(urls.query)
        self.writer = StoreWriter(urls, self.client.dialect.merged)

    def close(self) -> None:
        self.writer.close()
        self.client.close()

    def read(self) -> State:
        """Return the state of the store; initialize an empty store. Raises StoreFailure if it
        contains other data.
        """
        state = self.client.state()
        if state is None:
            if next(self.client.graphs(), None):
                raise StoreFailure(
                    "the store contains other data; use an empty one, or replace its content: stocktake store rebuild"
                )
            state = State()
            self.writer.update(state.update())
        entry = self._journal.entry(state.position)
        if state.position and (entry is None or entry.id != state.entry):
            raise StoreFailure(FOREIGN)
        return state

    def claim(self, now: datetime) -> bool:
        """Return whether we may write now, and for LEASE seconds from now on; the store compares
        and sets the lease in one update.
        """
        seconds = int(now.timestamp())
        if seconds >= self._until - LEASE / 2:
            until = seconds + LEASE
            self.writer.update(
                _CLAIM.format(state=STATE, name=self._name, until=until, now=seconds)
            )
            state = self.client.state()
            self._until = until if state and state.writer == self._name else 0
        return bool(self._until)

    def renew(self, now: datetime) -> None:
        """Renew the lease; raises StoreFailure if another process holds it."""
        if not self.claim(now):
            raise StoreFailure(
                f"another publisher holds the lease of the store; stop it, and try again {LEASE} seconds later"
            )

    def write_state(self, state: State, now: datetime) -> None:
        """Write *state* to the store. Raises StoreFailure as ``renew`` does."""
        self.renew(now)
        self.writer.update(replace(state, writer=self._name, until=self._until).update())
