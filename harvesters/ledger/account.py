"""Account: the words in which a run's numbers are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from harvesters.record import Position


class State(Enum):
    """Where a run stands."""

    RUNNING = "running"
    HELD = "held"
    COMMITTING = "committing"
    COMMITTED = "committed"
    UNCHANGED = "unchanged"
    INCOMPLETE = "incomplete"  # what came is published, but less came than the source claims
    FAILED = "failed"
    REJECTED = "rejected"  # a person would not have what it brought
    SUPERSEDED = "superseded"  # held, and a newer run of the source came to its plan


class Outcome(Enum):
    """What a run found of one record: first of those that came, then of those that a complete sweep did not meet."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"  # unchanged, and no longer vanished
    REIDENTIFIED = "reidentified"  # another record's content under a new key
    WITHHELD = "withheld"
    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    DELETED = "deleted"  # its source says so: a tombstone
    ABSENT = "absent"  # deleted at its source, and never here
    VANISHED = "vanished"  # missed for the first time: still served, and marked
    MISSING = "missing"  # missed again, within its time of grace
    LOST = "lost"  # missed for its whole time of grace: a tombstone
    REPLACED = "replaced"  # its content came under a new key: a tombstone that names the new one


CAME = tuple(Outcome)[: tuple(Outcome).index(Outcome.VANISHED)]
MISSED = tuple(Outcome)[len(CAME) :]
FRESH = (Outcome.NEW, Outcome.CHANGED, Outcome.REIDENTIFIED)  # with a description of their own
BURIED = (Outcome.DELETED, Outcome.LOST, Outcome.REPLACED)


class Presence(Enum):
    """Where a record stands."""

    PUBLISHED = "published"
    VANISHED = "vanished"
    GONE = "gone"


SERVED = (Presence.PUBLISHED, Presence.VANISHED)


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are UTC, *cursor* is None before the first page and after the last, *claimed* when not told.

    *network* counts the outcomes of requests, *fetched* the records that came, *doubt* is why it cannot be a complete sweep.
    *added* and *removed* count the quads of its journal entry, *after* those of all entries up to it; None while there is none.
    *heard* is when the source was last asked, of a run that maps archived replies again and asks nobody, None of any other.
    """

    id: str
    source: str
    number: int
    state: State
    sweep: bool
    since: datetime | None
    started: datetime
    rules: str
    planned: datetime | None = None
    ended: datetime | None = None
    cursor: str | None = None
    pages: int = 0
    claimed: int | None = None
    archived: int = 0
    entry: int | None = None
    reason: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    network: dict[str, int] = field(default_factory=dict)
    fetched: int = 0
    doubt: str | None = None
    added: int | None = None
    removed: int | None = None
    after: int | None = None
    heard: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a record before a run meets it."""

    digest: str
    content: str
    first_seen: datetime
    state: Presence

    @property
    def gone(self) -> bool:
        """Tell whether only its tombstone is there."""
        return self.state is Presence.GONE


@dataclass(frozen=True, slots=True)
class Draft:
    """What a run makes of one record.

    *description* (sorted statements, one a line) is there only where it is new or changed, *reason* where it is not published
    or was not met, *other* is the key of the same thing before or after. *likeness* and *page* are numbers of what the
    description says whatever its key, and of its first web address.
    """

    key: str | None
    outcome: Outcome
    digest: str | None = None
    content: str | None = None
    first_seen: datetime | None = None
    description: str = ""
    reason: str | None = None
    at: Position | None = None
    other: str | None = None
    likeness: int | None = None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A draft, numbered *seq* in its run, beside what stands before it: the description and the record's presence."""

    seq: int
    draft: Draft
    before: str
    presence: Presence | None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What the record of draft *seq* becomes where the draft does not say it: a tombstone, or a mark set or taken away."""

    seq: int
    key: str
    presence: Presence
    description: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person should know of a run that changes nothing of it; *other* is the key at *source* that is meant beside *key*."""

    kind: str
    text: str
    key: str | None = None
    source: str | None = None
    other: str | None = None
