"""Follow the journal and the status file: read entries, remember the last one that is stored, and write what each
changed into tables beside the quads: of every graph the rows that were added and removed, and of
records also their kind and sets, in an order that never changes.

The rows that created a graph are not stored: its first state is its current state with all later
changes undone. The sets of a record are its registry, its kind, and its action lines, goals and
countries, declared or crosswalked. A deleted record stays in its sets, so that harvesters of a set
learn of the deletion. Vanished records are a set too, which only comparisons read.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import structlog
import zstandard
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, with_config
from pyoxigraph import NamedNode, Quad, RdfFormat, parse

from journal.entry import Entry
from journal.errors import JournalWriteError
from journal.files import replace_file
from journal.journal import Journal
from journal.store import Store
from publisher.data.tables import sql
from publisher.rdf import term_id
from vocab.iris import KINDS
from vocab.provenance import (
    check_source_status,
    freshness,
    freshness_inputs,
    next_change,
    terms_by_subject,
)
from vocab.terms import ADMS, DCT, FOAF

log = structlog.get_logger(component="follower")


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last journal entry that is stored."""

    position: int
    entry: str

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read the file *path*; raises OSError, or ValueError if it is damaged."""
        return _CHECKPOINT.validate_json(path.read_bytes(), strict=True)

    def write(self, path: Path) -> None:
        """Write the file *path*, replacing an older one atomically."""
        replace_file(path, json.dumps(asdict(self)))


_CHECKPOINT = TypeAdapter(Checkpoint)


# Compressed bytes up to which new entries are never most of the journal.
SMALL = 2 << 20
# Nanoseconds after which a folder's modification time distinguishes two changes on any file system.
SETTLED = 2_000_000_000


class JournalReader:
    """The *journal*, whose IRIs begin with *base*, as several projections follow it."""

    def __init__(self, journal: Journal, base: str) -> None:
        self.journal, self.base = journal, base
        self._subjects = tuple(
            f"{sign} <{base}{path}/".encode() for sign in "AD" for path in ("id", "record")
        )
        self._seen: int | None = None  # the token of the folder when its head was read
        self._head: Entry | None = None

    def head(self) -> Entry | None:
        """Return the newest entry, None if there is none; a folder that has not changed is not
        listed again.
        """
        token = self.journal.change_token
        if token != self._seen:
            self._head = self.journal.head
            self._seen = token if time.time_ns() - token > SETTLED else None
        return self._head

    def contains(self, position: int, entry: str) -> bool:
        """Return whether entry number *position* has the id *entry*; True at position 0, before the
        first entry.
        """
        stored = self.journal.entry(position)
        return position == 0 or (stored is not None and stored.id == entry)

    def is_mostly_new(self, after: int) -> bool:
        """Return whether the entries above *after* are large, and larger than all others together.

        An index is then built anew in a fraction of the time that it takes to change it.
        """
        sizes = [path.stat().st_size for path in self.journal.paths()]
        new = sum(sizes[after:])
        return new > SMALL and new > sum(sizes[:after])

    def changed(self, entry: Entry) -> Iterator[str]:
        """Yield the IRIs of the things, records and vocabulary graphs that *entry* changes, without
        fragments; an IRI may be repeated.
        """
        begun = ended = b"\0"  # the begin or end of the last row that counted; no row has this one
        vocabulary = f" <{self.base}scheme/".encode()
        for row in rows_of(entry):
            if row.startswith(begun):
                continue
            if row.startswith(self._subjects):
                begun = row[: row.index(b">") + 1]
                yield begun[3:-1].partition(b"#")[0].decode()
            elif not row.endswith(ended) and row.startswith(vocabulary, row.rindex(b" <")):
                ended = row[row.rindex(b" <") :]
                yield ended[2:-4].decode()


def in_batches(rows: Iterable[bytes], count: int, size: int) -> Iterator[list[bytes]]:
    """Yield *rows* in batches, each of which ends with *count* rows or *size* bytes.

    >>> list(in_batches([b"one", b"two", b"three", b"four"], 2, 5))
    [[b'one', b'two'], [b'three'], [b'four']]
    """
    batch, length = list[bytes](), 0
    for row in rows:
        batch.append(row)
        length += len(row)
        if len(batch) == count or length >= size:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch


def rows_of(entry: Entry) -> Iterator[bytes]:
    """Yield the rows ``A <s> <p> <o> <g> .`` and ``D ...`` of *entry* in order, with line ends. Raises
    ChainError if the file is incomplete.
    """
    return (line for line in entry.lines() if line[:2] in (b"A ", b"D "))


def recompute(quads: Iterable[Quad], ns: str, at: datetime) -> tuple[set[Quad], datetime | None]:
    """Return the status quads with the freshness of every source at *at*, and the time of the next
    change.

    Raises ValueError if a timestamp or a number cannot be parsed.
    """
    stored = list(quads)
    terms = terms_by_subject(
        ((_text(quad.subject), quad.predicate.value, _text(quad.object)) for quad in stored), ns
    )
    term = NamedNode(f"{ns}freshness")
    for values in terms.values():
        check_source_status(values)
    now = {
        source: freshness_inputs(values)
        for source, values in terms.items()
        if "freshness" in values
    }
    out = {
        Quad(
            quad.subject,
            term,
            NamedNode(ns + freshness(now[_text(quad.subject)], at).value),
            quad.graph_name,
        )
        if quad.predicate == term
        else quad
        for quad in stored
    }
    return out, min(
        (change for item in now.values() if (change := next_change(item, at))), default=None
    )


def _text(term: object) -> str:
    return str(getattr(term, "value", term))


FETCH_INTERVAL = 2.0  # seconds between two fetches from a shared store

# The modification time, size and inode of a file, which differ after a replacement.
_FileIdentity = tuple[int, int, int]


class StatusFile:
    """The status file *path*, whose terms are in the namespace *ns*; *store* is the shared store it
    is fetched from, if any.
    """

    def __init__(self, path: Path, ns: str, store: Store | None = None) -> None:
        self._path, self._ns, self._store = path, ns, store
        self._fetched = -inf  # when it was last fetched from the shared store
        self._next_change: datetime | None = None  # when the freshness of some source changes next
        self._seen: _FileIdentity | None = None  # the identity of the file when it was last read

    def is_due(self, at: datetime) -> bool:
        """Return whether the status at *at* may differ from the one last read."""
        self._fetch()
        seen = self._identity()
        return seen is not None and (
            seen != self._seen or (self._next_change is not None and at >= self._next_change)
        )

    def read(self, at: datetime) -> set[Quad] | None:
        """Return the status quads at *at*; None if the file cannot be read, so that the previous
        ones stay.
        """
        self._seen = self._identity()
        try:
            quads, self._next_change = recompute(
                parse(self._path.read_bytes(), RdfFormat.N_QUADS), self._ns, at
            )
        except (SyntaxError, ValueError, FileNotFoundError) as error:
            log.warning("status file cannot be read; keeping the previous status", error=str(error))
            return None
        return quads

    def _fetch(self) -> None:
        """Fetch the status file from the shared store; keep the last one if that fails."""
        if self._store is None or time.monotonic() - self._fetched < FETCH_INTERVAL:
            return
        self._fetched, part = time.monotonic(), self._path.with_suffix(".part")
        with suppress(JournalWriteError):
            if self._store.get(self._path.name, part):
                if self._path.exists() and self._path.read_bytes() == part.read_bytes():
                    part.unlink()
                else:
                    part.replace(self._path)

    def _identity(self) -> _FileIdentity | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


VANISHED = "vanished"  # the set of the published records that have vanished at their source
RECORD = "record/"  # prefix of the names of record graphs
BATCH_BYTES = 8 << 20  # bytes of the rows whose changes are written at once

LEAD = 2  # seconds between a snapshot and its announcement, so that every server has switched to it

_COLUMNS: dict[str, dict[str, type]] = {
    "entries": {
        "number": np.int32, "run": np.object_, "time": np.int64, "stamp": np.int64, "sequence": np.int32,
        "announced": np.object_,
    },
    "graph_changes": {
        "graph": np.uint64, "entry": np.int32, "added": np.int32, "removed": np.int32, "rows": np.object_,
        "sequence": np.int32, "previous": np.int32, "record": np.int32, "name": np.object_, "kind": np.object_,
        "sets": np.object_, "type": np.uint8, "size": np.int32,
    },
}  # fmt: skip
_STATUS, _TOPIC = "status", "topic"
# The characters of a set's name (OAI-PMH 2.0, section 2.6).
_CODE = re.compile(rb"[A-Za-z0-9_.!~*'()-]+\Z")


class ChangeType(IntEnum):
    """How an entry changed a record."""

    NEW = 1
    CHANGED = 2
    DELETED = 3


class _GraphState(NamedTuple):
    """The state of a graph after its last change; *sequence* and *record* are 0 if it is no record."""

    sequence: int = 0
    record: int = 0
    kind: str = ""
    sets: str = ""
    type: int = ChangeType.DELETED
    size: int = 0


class ChangeWriter:
    """Writes through *connection*, in the transaction that its caller has begun; the IRIs of
    records begin with *base*.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, base: str) -> None:
        self._connection, self._base = connection, base.encode()
        self._pending: dict[tuple[int, bytes], list[bytes]] = {}
        self._entries: list[Entry] = []
        self._bytes = 0
        ((self._sequence, self._records, stamp),) = connection.execute(
            sql("last-numbers")
        ).fetchall()
        # Entries older than the file count as announced when they were written.
        self._stamp, self._announced = stamp or 0, 0 if stamp is None else None
        self._kinds, operations = f"<{base}id/".encode(), f"<{base}operations#".encode()
        self._gone, self._vanished = operations + b"gone", operations + b"vanished"
        line, goal = f"<{base}scheme/action-line/".encode(), b"<http://metadata.un.org/sdg/"
        self._area = b"<http://metadata.un.org/sdg/codes/geoArea/"
        # The properties that make sets: how the IRI of a value begins, and the set with its code.
        facets = {
            f"{base}ns#actionLine": (line, "line:{}:declared:"),
            f"{base}ns#crosswalkedActionLine": (line, "line:{}:crosswalked:"),
            f"{base}ns#goal": (goal, "goal:{}:declared:"),
            f"{base}ns#crosswalkedGoal": (goal, "goal:{}:crosswalked:"),
            f"{DCT}spatial": (self._area, "country:{}:"),
            f"{ADMS}status": (b"", _STATUS),
            f"{FOAF}primaryTopic": (b"", _TOPIC),
        }
        self._facets = {f"<{iri}>".encode(): facet for iri, facet in facets.items()}

    def read(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Yield the rows of *entries*, and write what they change.

        Rows of a graph that are not adjacent in an entry are one change, at the place of the first,
        unless BATCH_BYTES of rows or more are between them.
        """
        for entry in entries:
            for end, rows in rows_by_graph(rows_of(entry)):
                self._pending.setdefault((entry.number, end), []).extend(rows)
                self._bytes += sum(map(len, rows))
                if self._bytes >= BATCH_BYTES:
                    self._write()
                yield from rows
            self._entries.append(entry)
        self._write()

    def _write(self) -> None:
        numbers = {end: term_id(end[1:-3].decode()) for _, end in self._pending}
        states, changes = self._read_states(numbers.values()), []
        last, lasts = self._sequence, dict[int, int]()
        for (entry, end), rows in self._pending.items():
            graph, name = numbers[end], end[2:-4].removeprefix(self._base).decode()
            known = states.get(graph)
            added = sum(row.startswith(b"A") for row in rows)
            text = None if known is None else b"\n".join(row[: -len(end)] for row in rows)
            known = known or _GraphState()
            record = name.removeprefix(RECORD) if name.startswith(RECORD) else ""
            state = self._next_state(record, rows, added, known) if record else known
            states[graph], lasts[entry] = state, self._sequence
            changes.append(
                (
                    *(graph, entry, added, len(rows) - added),
                    text if text is None else zstandard.compress(text, 3),
                    *(state.sequence, known.sequence, state.record),
                    record,
                    *state[2:],
                )
            )
        self._insert("graph_changes", changes)
        described = []
        for item in self._entries:
            seconds, last = int(item.time.timestamp()), lasts.get(item.number, last)
            self._stamp = max(self._stamp, seconds)
            if self._announced is not None:
                self._announced = max(self._announced, int(item.path.stat().st_mtime))
            described.append((item.number, item.run, seconds, self._stamp, last, self._announced))
        self._insert("entries", described)
        self._pending, self._entries, self._bytes = {}, [], 0

    def _read_states(self, graphs: Iterable[int]) -> dict[int, _GraphState]:
        rows = read_arrived(
            self._connection, sql("last-states"), {"graph": np.array([*graphs], np.uint64)}
        )
        return {graph: _GraphState(*state) for graph, *state in rows}

    def _insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        if not rows:
            return
        types = _COLUMNS[table].items()
        values = zip(*rows, strict=True)
        columns: dict[str, NDArray[Any]] = {
            name: np.array(column, kind) for (name, kind), column in zip(types, values, strict=True)
        }
        read_arrived(self._connection, f"INSERT INTO {table} BY NAME FROM arrived", columns)

    def _next_state(
        self, name: str, rows: Sequence[bytes], added: int, known: _GraphState
    ) -> _GraphState:
        """Return the state of the record *name* after *rows*, of which *added* are additions."""
        was_deleted = known.type == ChangeType.DELETED
        kind, is_deleted = known.kind, was_deleted and known.size > 0
        entered, left = set[str](), set[str]()
        for row in rows:
            sign, subject, predicate, value = row.split(b" ", 3)
            space, facet = self._facets.get(predicate, (b"", ""))
            if not facet or not value.startswith(b"<"):
                continue
            value, is_addition = value[: value.index(b">")], sign == b"A"
            sets = entered if is_addition else left
            if facet == _TOPIC:
                kind = self._kind(value) if is_addition else kind
            elif facet == _STATUS:
                is_deleted = is_addition if value == self._gone else is_deleted
                if value == self._vanished:
                    sets.add(f"{VANISHED}:")
            elif self._kind(subject) and value.startswith(space):
                code = value[len(space) :]
                if code.isdigit() if space == self._area else _CODE.match(code):
                    sets.add(facet.format(code.decode()))
        before = {item for item in known.sets.split() if not item.startswith(("kind:", "source:"))}
        if was_deleted and not is_deleted:
            before = set()
        # A deleted record stays in its sets.
        sets = before | left if is_deleted else before - (left - entered) | entered
        sets |= {f"source:{name.partition('/')[0]}:", *([f"kind:{kind}:"] if kind else ())}
        size = known.size + 2 * added - len(rows)
        change = ChangeType.NEW if was_deleted else ChangeType.CHANGED
        self._sequence += 1
        self._records += not known.record
        return _GraphState(
            self._sequence,
            known.record or self._records,
            kind,
            "".join(f" {item}" for item in sorted(sets)),
            ChangeType.DELETED if is_deleted or size <= 0 else change,
            size,
        )

    def _kind(self, thing: bytes) -> str:
        """Return the kind of a thing, "" if it has no record."""
        kind = thing.removeprefix(self._kinds).partition(b"/")[0].decode()
        return kind if kind in KINDS[:-1] else ""


def read_arrived(
    connection: duckdb.DuckDBPyConnection, query: str, columns: Mapping[str, NDArray[Any]]
) -> list[tuple[Any, ...]]:
    """Run *query* with *columns* as the table ``arrived``; return its rows."""
    connection.register("arrived", columns)
    rows = connection.execute(query).fetchall()
    connection.unregister("arrived")
    return rows


def rows_by_graph(lines: Iterable[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield the common end `` <g> .`` of the rows of each graph, with the line end, and the rows. A
    graph is repeated if its rows are not adjacent.
    """
    end, rows = b"\0", list[bytes]()  # no line ends with it
    for line in lines:
        if not line.endswith(end):
            if rows:
                yield end, rows
            end, rows = line[line.rindex(b" <") :], []
        rows.append(line)
    if rows:
        yield end, rows
