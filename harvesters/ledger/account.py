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
    """What a run found of one record."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    WITHHELD = "withheld"
    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    GONE = "gone"
    ABSENT = "absent"  # deleted at its source, and never here


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are UTC, *cursor* is None before the first page and after the last, *claimed* when not told.

    *network* counts the outcomes of requests, *fetched* the records that came, *doubt* is why it cannot be a complete sweep.
    *added* and *removed* count the quads of its journal entry, *after* those of all entries up to it; None while there is none.
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


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of a record before a run meets it."""

    digest: str
    content: str
    first_seen: datetime
    gone: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What a run makes of one record.

    *description* (sorted statements, one a line) is there only where it is new or changed, *reason* where it is not published.
    """

    key: str | None
    outcome: Outcome
    digest: str | None = None
    content: str | None = None
    first_seen: datetime | None = None
    description: str = ""
    reason: str | None = None
    at: Position | None = None
