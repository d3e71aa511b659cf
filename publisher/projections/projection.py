"""Read the journal for projections, and update these in slices of time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog
from pydantic import ConfigDict, TypeAdapter, with_config

from journal.atomic_file import replace_file
from journal.entry import Entry
from journal.journal import Journal
from publisher.rdf.results import Term


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last journal entry that is stored, and the *version* of format and libraries that stored it."""

    position: int
    entry: str
    version: str = ""

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read the file *path*; raises OSError, or ValueError if it is damaged."""
        return _CHECKPOINT.validate_json(path.read_bytes(), strict=True)

    def write(self, path: Path) -> None:
        """Write the file *path*, replacing an older one atomically."""
        replace_file(path, json.dumps(asdict(self)))


_CHECKPOINT = TypeAdapter(Checkpoint)

MAX_RETRY_DELAY = 60.0  # seconds

log = structlog.get_logger(component="projections")


class Projection(Protocol):
    """An index that is built from the journal and updated by its new entries.

    Applying an entry again changes nothing, so that after a crash it continues from its checkpoint.
    Readers see only what is in a snapshot: the whole state at one entry.
    """

    name: str
    subfolder: str  # of a snapshot
    errors: tuple[type[Exception], ...]  # raised if its files cannot be written; it is then rebuilt
    snapshot_wait: float  # seconds that a snapshot of new data waits for it

    def is_at(self, position: int) -> bool:
        """Return whether it has stored all up to the entry *position*, and nothing later."""

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches.

        What a projection reads from another one is at *position* meanwhile.
        """

    def write(self, folder: Path) -> None:
        """Write what is stored into *folder*, which does not exist yet."""

    def reset(self) -> None:
        """Delete the stored projection, so that it is rebuilt."""

    def close(self) -> None:
        """Close the files; what was not stored is lost."""


class ProjectionFailure(Exception):
    """A projection could not be written into a snapshot, and is rebuilt."""


ProjectionT = TypeVar("ProjectionT", bound=Projection, covariant=True)


class SlicedProjection(Generic[ProjectionT]):
    """Updates *projection* in slices of time, so that a failure does not affect others.

    A failure deletes what is stored, so that it is rebuilt: at once after the first failure in a
    row, then after a pause that doubles to MAX_RETRY_DELAY seconds of *clock*. Failures are
    forgotten once it is in a snapshot.
    """

    def __init__(
        self, projection: ProjectionT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.projection, self._clock = projection, clock
        self.error = ""  # why it could not be written last, "" once it is in a snapshot
        self._failures, self._retry_at, self._must_reset = 0, 0.0, False
        self._work: Iterator[None] | None = None

    def step(self, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*; return whether that is stored."""
        if self._failures and self._clock() < self._retry_at:
            return False
        until = time.monotonic() + seconds
        try:
            if self._must_reset:
                self._reset()
            while not self.projection.is_at(position):
                self._work = self._work or self.projection.advance(position, entry)
                if next(self._work, self) is self:
                    self._work = None
                elif time.monotonic() > until:
                    return False
        except self.projection.errors as error:
            self._fail(error)
            return False
        return True

    def write(self, folder: Path) -> None:
        """Write what is stored into the new *folder* of a snapshot. Raises ProjectionFailure."""
        try:
            self.projection.write(folder)
        except self.projection.errors as error:
            self._fail(error)
            raise ProjectionFailure(self.error) from error
        self.error, self._failures = "", 0

    def _fail(self, error: Exception) -> None:
        delay = min(MAX_RETRY_DELAY, 2.0**self._failures) if self._failures else 0.0
        self._work, self._failures, self._retry_at, self._must_reset = (
            None,
            self._failures + 1,
            self._clock() + delay,
            True,
        )
        self.error = f"{type(error).__name__}: {error}"
        log.error(
            "projection cannot be written; rebuilding",
            projection=self.projection.name,
            error=self.error,
            seconds=delay,
        )
        with suppress(*self.projection.errors):  # the next attempt begins with a reset
            self._reset()

    def _reset(self) -> None:
        self.projection.reset()
        self._must_reset = False

    def close(self) -> None:
        self._work = None
        self.projection.close()


# The values of a subject by predicate, in no order.
Properties = dict[str, list[Term]]
Subjects = dict[str, Properties]


class StatementSource(Protocol):
    """All statements up to a journal entry: in named graphs, and in the default graph, which is the
    merge of these.
    """

    def graphs(self, names: Collection[str], predicates: Collection[str]) -> dict[str, Subjects]:
        """Return the statements of each of the graphs *names* with one of *predicates*; a graph
        without any is empty.
        """

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        """Return the statements of the default graph about each of *names* with one of
        *predicates*; a subject without any is empty.
        """

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield each subject of the default graph with one of *predicates* once; with one of
        *objects* if there are any, which are IRIs.
        """


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
