"""Define what the ledger stores about runs, records and the work of operators.

The table of a class here is made of its fields (``tables``). No class needs a database: workers of a pool use them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from hashlib import sha256
from typing import Any

import zstandard

from harvesters.page_model import SourcePosition
from harvesters.reasons import Reason, join_reasons

# Names of our own runs in place of a source: reserved, or with a dot, which no source's name has.
VOCABULARY = "vocabulary"
CLUSTERS = "identity.clusters"
LINKS = "links.states"
INTERNAL = frozenset({VOCABULARY, CLUSTERS, LINKS})
MAX_NOTE_LENGTH = 2_000  # characters: a paragraph, not a file
# The API answers with objects of these classes as they are, and never omits a member.
ANSWERED = {"json_schema_serialization_defaults_required": True}


class State(Enum):
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


SUCCESSFUL = (State.COMMITTED, State.UNCHANGED)  # The run read all records that it should.
PUBLISHED_RUNS = (*SUCCESSFUL, State.INCOMPLETE)  # The records of the run are published.
OPEN_STATES = (State.RUNNING, State.HELD, State.COMMITTING)
ENDED_STATES = tuple(state for state in State if state not in (State.RUNNING, State.COMMITTING))


class Outcome(Enum):
    """The result of a run for one record. The last four are of records that a full harvest did not
    see.
    """

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RETURNED = "returned"  # unchanged, and not seen by the run before
    REIDENTIFIED = "reidentified"  # content of an unseen record under a new key
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
NOT_PUBLISHED = (Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE)


class RecordState(Enum):
    PUBLISHED = "published"
    VANISHED = "vanished"
    GONE = "gone"


# The tombstone of a deletion for this reason has neither title nor pages.
ERASED = (Reason("removed on request"),)
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


# A staged record whose stored state changes in a way that its description does not express: with the
# new state, and the description with the tombstone or the mark.
StateChange = tuple[StagedDiff, RecordState, str]


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice about a run that does not affect its result."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a run's log; *fields* are its other values, *number* orders the lines of all runs."""

    run: str
    source: str
    time: datetime
    level: str
    event: str
    fields: Mapping[str, Any]
    number: int = 0


class Scope(IntEnum):
    """The scope of a key; each includes those with a lower number. SUBMIT is for organizations, and
    opens no admin page.
    """

    SUBMIT = 0
    READ = 1
    OPERATE = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """Return the scope's name in lower case.

        >>> Scope.OPERATE.label
        'operate'
        """
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key; times are UTC. *expires* and *revoked* are None for a key that does not expire
    or is not revoked.
    """

    id: str
    name: str
    scope: Scope
    hash: str = field(repr=False)
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None

    @property
    def display_name(self) -> str:
        """Return the name for the audit log: names may occur twice, ids never."""
        return f"{self.name} ({self.id})"

    def is_valid(self, now: datetime) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action of a person or of a key's owner; *when* is UTC, *what* a text such as "approved",
    for which the admin pages have a sentence.
    """

    __pydantic_config__ = ANSWERED

    when: datetime
    who: str
    what: str
    source: str | None = None
    run: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class GrantedOverride:
    """A limit raised for one run: the next run that needs it consumes it, which is *used*. It expires at
    *until* (UTC).
    """

    id: int
    source: str
    limit: str
    value: float
    until: datetime
    by: str
    granted: datetime
    used: str | None


@dataclass(frozen=True, slots=True)
class SourceHold:
    """A source whose plans all await approval."""

    source: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A requested run; *claimed* is when the scheduler claimed it, *run* its result."""

    __pydantic_config__ = ANSWERED

    id: int
    source: str
    full: bool
    requested: datetime
    by: str
    claimed: datetime | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class DefinitionVersion:
    """A version of a source definition; *note* is why it was saved, *when* is UTC.

    A proposal has the digest of the text that it would replace (*before*).
    """

    id: int
    source: str
    when: datetime
    who: str
    note: str | None
    text: str
    before: str | None = None


class RemovalKind(Enum):
    """What an operator removes: all records of a source, one record for good, or the source from
    the schedule.
    """

    CLEAR = "clear"
    FORGET = "forget"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Removal:
    """A planned or committed removal; *run* is its plan, *key_digest* that of a forgotten record's
    key, else None.
    """

    run: str
    source: str
    kind: RemovalKind
    key_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: *channel* is mail or webhook, *address* its recipient.

    Mail has *subject* and *text*; a webhook gets *data* as JSON. *topic* says what it is about,
    such as the rule of an alert. In the *data* of mail, ``unsubscribe`` is the address that ends
    the messages.
    """

    channel: str
    address: str
    topic: str
    subject: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedMessage(Message):
    """A message in the queue; *due* is its next attempt, None after delivery or if it was given up."""

    id: int = 0
    created: datetime
    attempts: int = 0
    due: datetime | None
    sent: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition of *rule* that holds since *since* (UTC) for *source*, "" for the installation.

    *notified* is whether its messages were queued, which waits while the alert is silenced.
    """

    id: int
    rule: str
    source: str
    since: datetime
    reason: Reason
    notified: bool = False
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Until *until* (UTC), no message of *rule* about *source* is sent; "" stands for all."""

    id: int
    rule: str
    source: str
    until: datetime
    by: str
    reason: str

    def covers(self, rule: str, source: str) -> bool:
        """Return whether the silence is about this rule and source."""
        return self.rule in ("", rule) and self.source in ("", source)


# Failed checks in a row before a link is gone: a check that is wrong once in a hundred times would
# accuse registries every day.
MIN_FAILURES = 3
MIN_DURATION = timedelta(days=3)  # between the first and the last of them
_PAUSES = {
    "alive": timedelta(days=14),
    "moved": timedelta(days=14),
    "blocked": timedelta(days=14),
    "gone": timedelta(days=7),
}
_AFTER_FAILURE = timedelta(days=1)


class LinkState(Enum):
    """The state of a link: it answers, it answers at another address, it no longer answers, or it
    refuses our requests.
    """

    ALIVE = "alive"
    MOVED = "moved"
    GONE = "gone"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """The result of one check of a link: its state, None if the check failed. *answer* is the HTTP
    status or the kind of the error, *rest* how long the host wants no requests.
    """

    state: LinkState | None
    answer: str
    location: str = ""
    rest: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A link of a source's records: *state* and *since* are None before the first success or the
    end; times are UTC.

    *failures* counts the failed checks in a row, the first at *failing_since*. *location* is where
    a moved link answers.
    """

    source: str
    digest: str
    url: str
    state: LinkState | None
    since: datetime | None
    answer: str | None
    location: str | None
    checked: datetime | None
    failures: int
    failing_since: datetime | None
    due: datetime

    def after(self, check: LinkCheck, now: datetime) -> RecordLink:
        """Return the link after a check. It is gone only after MIN_FAILURES failures in a row over
        at least MIN_DURATION.
        """
        failures, failing_since = 0, None
        if check.state is None:
            failures, failing_since = self.failures + 1, self.failing_since or now
        is_gone = failing_since and failures >= MIN_FAILURES and now - failing_since >= MIN_DURATION
        state = check.state or (LinkState.GONE if is_gone else None)
        checked = replace(
            self,
            answer=check.answer,
            checked=now,
            failures=failures,
            failing_since=failing_since,
            due=now + (_PAUSES[state.value] if state else _AFTER_FAILURE),
        )
        if state is None:
            return checked
        since = self.since if state is self.state else now
        return replace(checked, state=state, since=since, location=check.location or None)


_LOCAL = threading.local()  # Threads must not share a compressor.


def compress(description: str) -> bytes:
    """Compress a description: a text, one statement a line, sorted.

    zstd at level 1 takes 14 µs and a sixth of the space for a record of 48 statements; zlib takes 74 µs for the same. Each has a
    checksum, so that a damaged one cannot be decompressed, and no commit publishes it.
    """
    if not hasattr(_LOCAL, "compressor"):
        _LOCAL.compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    return bytes(_LOCAL.compressor.compress(description.encode()))


def decompress(data: bytes | None) -> str:
    """Return the description, empty if *data* is."""
    if not data:
        return ""
    if not hasattr(_LOCAL, "decompressor"):
        _LOCAL.decompressor = zstandard.ZstdDecompressor()
    return str(_LOCAL.decompressor.decompress(data), "utf-8")
