"""Write what each journal entry changed into tables beside the quads: of every graph the rows that
were added and removed, and of records also their kind and sets, in an order that never changes.

The rows that created a graph are not stored: its first state is its current state with all later
changes undone. The sets of a record are its registry, its kind, and its action lines, goals and
countries, declared or crosswalked. A deleted record stays in its sets, so that harvesters of a set
learn of the deletion. Vanished records are a set too, which only comparisons read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import duckdb
import numpy as np
import zstandard
from numpy.typing import NDArray

from journal.entry import Entry
from publisher.database import sql
from publisher.projections.projection import rows_of
from publisher.store.columns.terms import term_id
from vocab.iris import KINDS
from vocab.terms import ADMS, DCT, FOAF

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
