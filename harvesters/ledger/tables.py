"""Define the ledger's tables for SQLAlchemy.

``_table`` makes the table of a class of ``models`` of its fields; a table without a class is read and written by SQL alone.
Values of columns are those of Python: times with their zone, members of enumerations, mappings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any, get_args, get_type_hints

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from harvesters.ledger import models as m
from harvesters.ledger import participation as p
from harvesters.ledger.models import compress, decompress
from harvesters.reasons import Reason

metadata = MetaData()
TABLES: dict[type, Table] = {}  # by the classes of models


class Time(sa.TypeDecorator[datetime]):
    """A time with its zone; stored as UTC without one, since not every database supports zones."""

    impl, cache_ok = sa.DateTime, True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class Choice(sa.TypeDecorator[Any]):
    """A member of an enumeration, stored as its value."""

    impl, cache_ok = String, True

    def __init__(self, members: type[Enum]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: Enum | str | None, dialect: object) -> str | None:
        return value.value if isinstance(value, Enum) else value

    def process_result_value(self, value: str | None, dialect: object) -> Enum | None:
        return self.members(value) if value is not None else None


class Json(sa.TypeDecorator[Any]):
    """A value as JSON; *load* converts the parsed JSON, *sort* sorts the names of members."""

    impl, cache_ok = Text, True

    def __init__(
        self, load: Callable[[Any], Any] = lambda value: value, *, sort: bool = False
    ) -> None:
        super().__init__()
        self.load, self.sort = load, sort

    def process_bind_param(self, value: object, dialect: object) -> str | None:
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, sort_keys=self.sort, default=_serializable)

    def coerce_compared_value(self, op: object, value: object) -> Any:
        """Return the type of a value that is searched in the JSON: a text."""
        return Text()

    def process_result_value(self, value: str | None, dialect: object) -> Any:
        return self.load(json.loads(value)) if value is not None else None


class PackedJson(Json):
    """A value as JSON, compressed."""

    impl, cache_ok = LargeBinary, True  # type: ignore[assignment]

    def process_bind_param(self, value: object, dialect: object) -> Any:
        text = super().process_bind_param(value, dialect)
        return compress(text) if text is not None else None

    def process_result_value(self, value: Any, dialect: object) -> Any:
        return super().process_result_value(decompress(value) or None, dialect)


def _serializable(value: Any) -> Any:
    if isinstance(value, Reason):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else str(value)


def load_reasons(rows: list[Mapping[str, Any]]) -> tuple[Reason, ...]:
    return tuple(map(Reason.from_json, rows))


_TYPES: dict[Any, Callable[[], Any]] = {
    str: String,
    int: BigInteger,  # counts and bytes
    float: Float,
    bool: Boolean,
    bytes: LargeBinary,
    datetime: Time,
    Reason: lambda: Json(Reason.from_json),
    tuple[Reason, ...]: lambda: Json(load_reasons),
}


def _table(
    kind: type,
    name: str,
    *more: Column[Any] | Index | UniqueConstraint,
    key: str = "id",
    **types: Any,
) -> Table:
    """Return the table *name* of the fields of *kind*, whose primary key is the fields in *key*.

    *more* are columns that no object has, and indexes; *types* are those of fields that need their own.
    """
    columns = []
    for field, hint in get_type_hints(kind).items():
        is_key, is_optional = field in key.split(), type(None) in get_args(hint)
        column_type = types.get(field) or _column_type(
            get_args(hint)[0] if is_optional else hint, is_key=is_key
        )
        columns.append(Column(field, column_type, primary_key=is_key, nullable=is_optional))
    TABLES[kind] = Table(name, metadata, *columns, *more)
    return TABLES[kind]


def _column_type(hint: Any, *, is_key: bool) -> Any:
    if hint is int and is_key:
        return Integer()  # SQLite assigns numbers to no other type.
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Choice(hint)
    return _TYPES.get(hint, Json)()


def insertable(item: object) -> dict[str, Any]:
    """Return the values of an object for its table, without a number that the database assigns."""
    table = TABLES[type(item)]
    counted = table.autoincrement_column
    names = [field.name for field in fields(item)]  # type: ignore[arg-type]  # each class of TABLES is a dataclass
    return {name: getattr(item, name) for name in names if counted is None or name != counted.key}


# After a full harvest (is_full) the unseen records are missing; an incremental one (since) requests changes.
run = _table(m.Run, "run", Index("run_by_source", "source", "number", unique=True))

record = Table(
    "record",
    metadata,
    Column("source", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("state", Choice(m.RecordState), nullable=False),
    Column("digest", String, nullable=False),  # of the raw record and the rules
    Column("content", String, nullable=False),  # of the description without its provenance
    Column("first_seen", Time, nullable=False),
    Column("run", String, nullable=False),  # with seq: the current description
    Column("seq", Integer, nullable=False),
    # Consecutive full harvests that did not see the record.
    Column("misses", Integer, nullable=False, default=0),
    Column("vanished_since", Time),
    Column("fingerprint", BigInteger),  # hash of the description without its key
    Column("page", BigInteger),  # hash of its first web address
    Index("record_by_fingerprint", "fingerprint", "source"),
    Index("record_by_page", "page", "source"),
    sqlite_with_rowid=False,
)

# A description is written once, when its page is staged, so that a commit moves small rows only.
description = Table(
    "description",
    metadata,
    Column("run", String, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("statements", LargeBinary, nullable=False),  # sorted, zstd
)

staged = Table(
    "staged",
    metadata,
    Column("run", String, primary_key=True),
    # From 0 up for seen records, below 0 for unseen ones.
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("key", String),
    Column("outcome", Choice(m.Outcome), nullable=False),
    Column("digest", String),
    Column("content", String),
    Column("first_seen", Time),
    Column("reason", Text),  # in English, to be counted, searched and published
    # The codes and values of the reasons; null if they are a text alone.
    Column("reasons", Json(load_reasons)),
    Column("file", String),
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("other", String),  # key of the same record before or after
    Column("fingerprint", BigInteger),
    Column("page", BigInteger),
    Index("staged_by_key", "run", "key"),
    sqlite_with_rowid=False,
)

# One row has all unchanged records of a page, or of a part of one; "page" is the number of the
# first staged record of that page.
unchanged = Table(
    "unchanged",
    metadata,
    Column("run", String, primary_key=True),
    Column("page", Integer, primary_key=True, autoincrement=False),
    Column("file", String),
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("count", Integer, nullable=False),
    Column("keys", LargeBinary, nullable=False),  # JSON, zstd
)

# Notices about a run that do not affect its result.
notice = _table(
    m.Notice,
    "notice",
    Column("id", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    key="",
)

# The records that an approved plan changed, as they were before; until the source's next run.
undo = Table(
    "undo",
    metadata,
    Column("run", String, primary_key=True),  # the approved one
    Column("key", String, primary_key=True),  # "" for the row that says that the rest is complete
    Column("outcome", String, nullable=False),  # in the approved run
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("content", String, nullable=False),
    Column("first_seen", Time),
    Column("fingerprint", BigInteger),
    Column("page", BigInteger),
    Column("statements", LargeBinary),  # sorted, zstd
)

run_log = _table(m.LogLine, "run_log", Index("ix_run_log_run", "run"), key="number")
hold = _table(m.SourceHold, "hold", key="source")
audit_log = _table(m.AuditEntry, "audit_log", Column("id", Integer, primary_key=True), key="")
override = _table(m.GrantedOverride, "override", Index("override_by_source", "source"))
run_request = _table(m.RunRequest, "run_request")

# Removals and retirements are effective from the commit of their run on. A retired source may be resumed ("ended").
removal = _table(
    m.Removal, "removal", Column("ended", Time), Index("removal_by_source", "source"), key="run"
)

# The versions of source definitions that were saved on the admin pages.
definition = _table(m.DefinitionVersion, "definition", Index("definition_by_source", "source"))

# Messages to send by mail or webhook, also those delivered lately.
outbox = _table(
    m.Message,
    "outbox",
    Column("id", Integer, primary_key=True),
    Column("created", Time, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Time),  # of the next attempt; None after the last
    Column("sent", Time),
    Column("error", Text),  # of the last attempt
    Index("outbox_by_due", "due"),
    key="",
)
alert = _table(m.Alert, "alert", Index("alert_by_end", "ended"))
silence = _table(m.Silence, "silence")

link = _table(m.RecordLink, "link", Index("link_by_due", "source", "due"), key="source digest")
link_state = _table(
    m.LinkEvent,
    "link_state",
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("digest", String, nullable=False),
    Index("link_state_by_link", "source", "digest"),
    key="",
)

# The number of quads after each journal entry.
balance = Table(
    "balance",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("added", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),
    Column("after", BigInteger, nullable=False),
)

graph = Table(
    "graph",
    metadata,
    Column("iri", String, primary_key=True),
    Column("description", LargeBinary, nullable=False),
)

validator = Table(
    "validator",
    metadata,
    Column("source", String, primary_key=True),
    Column("url", String, primary_key=True),
    Column("etag", Text),
    Column("modified", Text),
    Column("digest", String),  # of the body
)

# When each host may be requested again, over all workers; for a shared ledger.
rate_limit = Table(
    "rate_limit",
    metadata,
    Column("host", String, primary_key=True),
    Column("requested", sa.DateTime(timezone=True), nullable=False),  # time of the newest request
    Column("pause", Float, nullable=False),  # seconds until the next request
    Column("blocked_until", sa.DateTime(timezone=True), nullable=False),  # no request before
)

# Pairs of initiatives or organizations that may be one thing, as they were last matched.
identity_pair = Table(
    "identity_pair",
    metadata,
    Column("first", String, primary_key=True),  # IRIs, in the order of the alphabet
    Column("second", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("bits", Float, nullable=False),
    Column("data", Text, nullable=False),  # JSON: features, names and records
)

# The version of each record that was matched last. A record with another version is compared again.
identity_record = Table(
    "identity_record",
    metadata,
    Column("source", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("run", String, nullable=False),  # with seq: the description
    Column("seq", Integer, nullable=False),
)

# Decisions of people about pairs. The newest row of a pair counts; one without a judgement takes
# the decision back.
identity_decision = Table(
    "identity_decision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("first", String, nullable=False),
    Column("second", String, nullable=False),
    Column("judgement", String, nullable=False),
    Column("who", String, nullable=False),
    Column("when", Time, nullable=False),
    Column("reason", Text, nullable=False),
    Index("identity_decision_by_pair", "first", "second", "id"),
)

# Keys of the admin app; only the hash of the secret is stored.
key = Table(
    "key",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("hash", String, nullable=False),  # SHA-256 of the secret, in hexadecimal
    Column("created", Time, nullable=False),
    Column("expires", Time),
    Column("revoked", Time),
    Column("last_used", Time),
)

# Problems that readers report. The address is deleted when the problem is closed.
problem = _table(p.ReportedProblem, "problem", Index("problem_by_state", "state", "source"))

# The next comparison is due once the recipient has confirmed the subscription.
subscription = _table(
    p.Subscription,
    "subscription",
    Column("due", Time),
    UniqueConstraint("secret"),
    Index("subscription_by_due", "due"),
    results=PackedJson(),
)

# People and organizations that submit records. Only the outbox has their mail addresses as well.
submitter = _table(
    p.Submitter, "submitter", UniqueConstraint("mail"), UniqueConstraint("organization")
)

submission = _table(
    p.Submission,
    "submission",
    Column("picture", String),  # the name of the picture in the content
    Column("published_picture", String),
    Index("submission_by_submitter", "submitter"),
    Index("submission_by_picture", "picture"),
    Index("submission_by_published_picture", "published_picture"),
    Index("submission_by_state", "state", "waiting_since"),
    content=Json(sort=True),
    published=Json(sort=True),
)

submission_event = _table(
    p.SubmissionEvent,
    "submission_event",
    Column("id", Integer, primary_key=True),
    Column("submission", String, nullable=False),
    Index("submission_event_by_submission", "submission"),
    key="",
    content=Json(sort=True),
)

# Links and sessions of submitters; only the SHA-256 of each secret is stored, in hexadecimal.
submission_link = _table(
    p.Link,
    "submission_link",
    Column("hash", String, primary_key=True),
    Index("submission_link_by_mail", "mail"),
    key="",
)

# A picture without a submitter was sent by form.
picture = _table(
    p.Picture,
    "picture",
    Column("submitter", String),
    Column("created", Time, nullable=False),
    Index("picture_by_submitter", "submitter"),
    key="name",
)

comment = _table(
    p.Comment,
    "comment",
    Index("comment_by_post", "post"),
    Index("comment_by_state", "state"),
    Index("comment_by_submitter", "submitter"),
)

prize_edition = Table(
    "prize_edition",
    metadata,
    Column("id", String, primary_key=True),
    Column("content", Json, nullable=False),
)

prize_nomination = _table(p.Nomination, "prize_nomination", UniqueConstraint("edition", "thing"))
prize_review = _table(p.Review, "prize_review", key="nomination expert")

prize_expert = Table(
    "prize_expert",
    metadata,
    Column("edition", String, primary_key=True),
    Column("mail", String, primary_key=True),
)

prize_vote = Table(
    "prize_vote",
    metadata,
    Column("edition", String, primary_key=True),
    Column("category", String, primary_key=True),
    # The SHA-256 of the address, or "deleted" and a random word.
    Column("voter", String, primary_key=True),
    Column("nomination", String, nullable=False),
    Column("time", Time, nullable=False),
)

notification = _table(p.Notification, "notification", UniqueConstraint("key"))
