"""Decode each journal entry once for all projections of a process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice

from journal.entry import Entry
from journal.journal import Journal

# compressed bytes of an entry up to which its rows stay in memory: about 40 MB of rows
SMALL = 2 << 20
# nanoseconds after which a folder's modification time distinguishes two changes on any file system
SETTLED = 2_000_000_000


class DecodedEntry:
    """One journal entry with its rows.

    A small entry is decompressed once. A larger one is decompressed for each reader, since its rows
    do not fit in memory.
    """

    def __init__(self, entry: Entry, base: str, small: int = SMALL) -> None:
        self.entry, self.number, self.id = entry, entry.number, entry.id
        self.size = entry.path.stat().st_size
        self.is_small = self.size <= small
        self._subjects = tuple(
            f"{sign} <{base}{path}/".encode() for sign in "AD" for path in ("id", "record")
        )
        self._vocabulary = f"{base}scheme/".encode()
        self._rows: tuple[bytes, ...] | None = None
        self._changed: frozenset[str] | None = None

    def rows(self) -> Iterator[bytes]:
        """Yield the rows ``A <s> <p> <o> <g> .`` and ``D ...`` in order, with line ends.

        Raises ChainError if the file is incomplete.
        """
        if not self.is_small:
            return rows_of(self.entry.lines())
        if self._rows is None:
            self._rows = tuple(rows_of(self.entry.lines()))
        return iter(self._rows)

    def changed(self, size: int) -> Iterator[set[str]]:
        """Yield the IRIs of the things, records and vocabulary graphs that the rows change, without
        fragments, in sets of at most *size*.

        Of a large entry, sets may repeat an IRI.
        """
        if not self.is_small:
            yield from self._scan(size)
            return
        if self._changed is None:
            self._changed = frozenset(iri for iris in self._scan(SMALL) for iri in iris)
        rest = iter(sorted(self._changed))
        while batch := set(islice(rest, size)):
            yield batch

    def _scan(self, size: int) -> Iterator[set[str]]:
        changed: set[bytes] = set()
        counted = b"\0"  # how rows of the last counted subject begin; no row begins so
        for row in self.rows():
            if row.startswith(counted):
                continue
            if row.startswith(self._subjects):
                end = row.index(b">")
                counted = row[: end + 1]
                changed.add(row[3:end].partition(b"#")[0])
            elif (graph := row[row.rindex(b" <") + 2 : -4]).startswith(self._vocabulary):
                changed.add(graph)
            if len(changed) >= size:
                yield {iri.decode() for iri in changed}
                changed.clear()
                counted = b"\0"
        if changed:
            yield {iri.decode() for iri in changed}


class JournalReader:
    """Read *journal*, whose IRIs begin with *base*, for several projections; the newest small
    entries stay decoded.
    """

    def __init__(self, journal: Journal, base: str) -> None:
        self.journal, self.base = journal, base
        # in the order of their numbers, without gaps
        self._decoded: OrderedDict[int, DecodedEntry] = OrderedDict()
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

    def entries(self, after: int = 0) -> Iterator[DecodedEntry]:
        """Yield the entries with numbers above *after*, in order; raises ChainError at a gap."""
        while known := self._decoded.get(after + 1):
            yield known
            after += 1
        for entry in self.journal.entries(after):
            yield self._put(entry)

    def contains(self, position: int, entry: str) -> bool:
        """Return whether entry number *position* has the id *entry*; True at position 0, before the
        first entry.
        """
        previous = next(self.entries(position - 1), None) if position else None
        return position == 0 or (previous is not None and previous.id == entry)

    def is_mostly_new(self, after: int) -> bool:
        """Return whether the entries above *after* are large, and larger than all others together.

        An index is then built anew in a fraction of the time that it takes to change it.
        """
        new = sum(entry.size for entry in self.entries(after))
        if new <= SMALL:
            return False
        total = sum(path.stat().st_size for path in self.journal.paths())
        return new > total - new

    def _put(self, entry: Entry) -> DecodedEntry:
        if known := self._decoded.get(entry.number):
            return known
        decoded = DecodedEntry(entry, self.base)
        if self._decoded and next(reversed(self._decoded)) != entry.number - 1:
            self._decoded.clear()
        if decoded.is_small:
            self._decoded[entry.number] = decoded
        while sum(item.size for item in self._decoded.values()) > SMALL:
            self._decoded.popitem(last=False)
        return decoded


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


def rows_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a patch that are additions or deletions."""
    return (line for line in lines if line[:2] in (b"A ", b"D "))
