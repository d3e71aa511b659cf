"""Define runs, records and their states."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import sha256

from harvesters.reasons import Reason, join_reasons
from harvesters.stored_response import SourcePosition

# The source names of our own runs in the ledger: reserved, or with a dot, which no name of a source
# has.
VOCABULARY = "vocabulary"
CLUSTERS = "identity.clusters"
LINKS = "links.states"  # and of the states of links
INTERNAL = frozenset({VOCABULARY, CLUSTERS, LINKS})


class State(Enum):
    """The state of a run."""

    RUNNING = "running"
    HELD = "held"
    COMMITTING = "committing"
    COMMITTED = "committed"
    UNCHANGED = "unchanged"
    INCOMPLETE = "incomplete"  # published, but fewer records than the source reported
    FAILED = "failed"
    REJECTED = "rejected"  # by an operator
    SUPERSEDED = "superseded"  # a newer run of the source reached its plan first
    UNDONE = "undone"  # published, then restored to what was published before


class Outcome(Enum):
    """The result of a run for one record: first those of records seen, then those of records that a
    full harvest did not see.
    """

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"  # unchanged, was vanished
    REIDENTIFIED = "reidentified"  # content of an absent record under a new key
    WITHHELD = "withheld"
    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    DELETED = "deleted"  # by its source: a tombstone
    ABSENT = "absent"  # deleted by its source, and never stored here
    VANISHED = "vanished"  # not seen for the first time: still published, and marked
    MISSING = "missing"  # not seen again, within the grace period
    LOST = "lost"  # not seen for the whole grace period: a tombstone
    REPLACED = "replaced"  # content seen under a new key: a tombstone that names it


SEEN = tuple(Outcome)[: tuple(Outcome).index(Outcome.VANISHED)]
UNSEEN = tuple(Outcome)[len(SEEN) :]
UPSERTED = (Outcome.NEW, Outcome.CHANGED, Outcome.REIDENTIFIED)  # with a new description
TOMBSTONED = (Outcome.DELETED, Outcome.LOST, Outcome.REPLACED)


class RecordState(Enum):
    """The state of a record."""

    PUBLISHED = "published"
    VANISHED = "vanished"
    GONE = "gone"


_SMALLEST_CAP = 100  # records: limits of lists are its multiples
ERASED = (Reason("erased"),)  # reasons of a deletion whose tombstone has neither title nor pages
SERVED = (RecordState.PUBLISHED, RecordState.VANISHED)


def key_digest(key: str) -> str:
    """Return the SHA-256 of a record's key in hexadecimal, which is kept when the key is not."""
    return sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are UTC.

    *cursor* is None before the first page and after the last, *reported_total* is the total that
    the source reported, if any. *network* counts the outcomes of requests, *responses* the
    responses with a body (``count``), their ``bytes`` and ``milliseconds`` and those of the
    ``slowest``, *fetched* the records received, *incomplete_reason* is why the run does not count
    as a full harvest. *added* and *removed* count the quads of its journal entry, *after* those of
    all entries up to it; None while there is no entry. *last_fetched* is when the source was last
    fetched, for a run that maps archived responses again without fetching; None for any other run.
    """

    id: str
    source: str
    number: int
    state: State
    is_full: bool
    since: datetime | None
    started: datetime
    rules: str
    planned: datetime | None = None
    ended: datetime | None = None
    cursor: str | None = None
    pages: int = 0
    reported_total: int | None = None
    archived: int = 0
    entry: int | None = None
    reasons: tuple[Reason, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    network: dict[str, int] = field(default_factory=dict)
    responses: dict[str, int] = field(default_factory=dict)
    fetched: int = 0
    incomplete_reason: Reason | None = None
    added: int | None = None
    removed: int | None = None
    after: int | None = None
    last_fetched: datetime | None = None

    @property
    def is_deferred(self) -> bool:
        """Return whether the commit failed and waits. A commit in progress, or interrupted by a
        crash, has no end time.
        """
        return self.state is State.COMMITTING and self.ended is not None

    @property
    def reason(self) -> str | None:
        """Return the reasons as one English text, None without any."""
        return join_reasons(self.reasons) or None

    @property
    def round_number(self) -> Reason | None:
        """Return a remark on a list that ends at a round number of records without a total: that
        may be a limit of the source.
        """
        is_round = self.fetched >= _SMALLEST_CAP and self.fetched % _SMALLEST_CAP == 0
        is_known = self.reported_total is not None or not self.is_full or self.incomplete_reason
        return (
            Reason("round_number", {"count": self.fetched}) if is_round and not is_known else None
        )


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """The stored state of a record, before a run processes it."""

    digest: str
    content: str
    first_seen: datetime
    state: RecordState

    @property
    def is_deleted(self) -> bool:
        """Return whether only its tombstone is left."""
        return self.state is RecordState.GONE


@dataclass(frozen=True, slots=True)
class StagedRecord:
    """The result of a run for one record.

    *description* (sorted statements, one a line) is set only if new or changed, *reasons* if the
    record is not published or was not seen, *other* is the key of the same record before or after.
    *fingerprint* and *page* are hashes of the description without its key, and of its first web
    address.
    """

    key: str | None
    outcome: Outcome
    digest: str | None = None
    content: str | None = None
    first_seen: datetime | None = None
    description: str = ""
    reasons: tuple[Reason, ...] = ()
    position: SourcePosition | None = None
    other: str | None = None
    fingerprint: int | None = None
    page: int | None = None

    @property
    def reason(self) -> str | None:
        """Return the reasons as one English text, None without any."""
        return join_reasons(self.reasons) or None


@dataclass(frozen=True, slots=True)
class StagedDiff:
    """A staged record, numbered *seq* in its run, with the *previous* description and state of the
    stored record.
    """

    seq: int
    staged: StagedRecord
    previous: str
    state: RecordState | None


@dataclass(frozen=True, slots=True)
class StateChange:
    """The new state of the record staged as *seq* if staging does not contain it: a tombstone, or a
    mark set or removed.
    """

    seq: int
    key: str
    state: RecordState
    description: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice about a run that does not affect its result; *other* is the key at *source* that
    *key* is compared with.
    """

    kind: str
    text: str
    key: str | None = None
    source: str | None = None
    other: str | None = None
