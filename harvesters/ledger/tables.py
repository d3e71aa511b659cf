"""Define the ledger's tables for SQLAlchemy.

``table_of`` makes the table of a class of ``models`` of its fields; a table without a class is read and written by SQL alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from harvesters.ledger import models as m
from harvesters.ledger import participation as p
from harvesters.ledger.database import (
    Json,
    PackedJson,
    Time,
    choice,
    load_reasons,
    metadata,
    table_of,
)

# After a full harvest (is_full) the unseen records are missing; an incremental one (since) requests changes.
run = table_of(m.Run, "run", Index("run_by_source", "source", "number", unique=True))

record = Table(
    "record",
    metadata,
    Column("source", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("state", choice(m.RecordState), nullable=False),
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
    Column("outcome", choice(m.Outcome), nullable=False),
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
notice = table_of(
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

run_log = table_of(m.LogLine, "run_log", Index("ix_run_log_run", "run"), key="number")
hold = table_of(m.SourceHold, "hold", key="source")
audit_log = table_of(m.AuditEntry, "audit_log", Column("id", Integer, primary_key=True), key="")
override = table_of(m.GrantedOverride, "override", Index("override_by_source", "source"))
run_request = table_of(m.RunRequest, "run_request")

# Removals and retirements are effective from the commit of their run on. A retired source may be resumed ("ended").
removal = table_of(
    m.Removal, "removal", Column("ended", Time), Index("removal_by_source", "source"), key="run"
)

# The versions of source definitions that were saved on the admin pages.
definition = table_of(m.DefinitionVersion, "definition", Index("definition_by_source", "source"))

# Messages to send by mail or webhook, also those delivered lately.
outbox = table_of(m.QueuedMessage, "outbox", Index("outbox_by_due", "due"), error=Text())
alert = table_of(m.Alert, "alert", Index("alert_by_end", "ended"))
silence = table_of(m.Silence, "silence")

link = table_of(m.RecordLink, "link", Index("link_by_due", "source", "due"), key="source digest")

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

# Keys of the admin app; only the SHA-256 of the secret is stored, in hexadecimal.
key = table_of(m.Key, "key")

# Problems that readers report. The address is deleted when the problem is closed.
problem = table_of(p.ReportedProblem, "problem", Index("problem_by_state", "state", "source"))

# The next comparison is due once the recipient has confirmed the subscription.
subscription = table_of(
    p.Subscription,
    "subscription",
    Column("due", Time),
    UniqueConstraint("secret"),
    Index("subscription_by_due", "due"),
    results=PackedJson(),
)

# People and organizations that submit records. Only the outbox has their mail addresses as well.
submitter = table_of(
    p.Submitter, "submitter", UniqueConstraint("mail"), UniqueConstraint("organization")
)

submission = table_of(
    p.Submission,
    "submission",
    Column("picture", String),  # the name of the picture in the content
    Column("published_picture", String),
    Index("submission_by_submitter", "submitter"),
    Index("submission_by_picture", "picture"),
    Index("submission_by_published_picture", "published_picture"),
    Index("submission_by_state", "state", "waiting_since"),
    Index("submission_by_post", "post"),
    content=Json(sort=True),
    published=Json(sort=True),
)

submission_event = table_of(
    p.SubmissionEvent,
    "submission_event",
    Column("id", Integer, primary_key=True),
    Column("submission", String, nullable=False),
    Index("submission_event_by_submission", "submission"),
    key="",
    content=Json(sort=True),
)

# Links and sessions of submitters; only the SHA-256 of each secret is stored, in hexadecimal.
submission_link = table_of(
    p.Link,
    "submission_link",
    Column("hash", String, primary_key=True),
    Index("submission_link_by_mail", "mail"),
    key="",
)

# A picture without a submitter was sent by form.
picture = table_of(
    p.Picture,
    "picture",
    Column("submitter", String),
    Column("created", Time, nullable=False),
    Index("picture_by_submitter", "submitter"),
    key="name",
)

prize_edition = Table(
    "prize_edition",
    metadata,
    Column("id", String, primary_key=True),
    Column("content", Json, nullable=False),
)

prize_nomination = table_of(p.Nomination, "prize_nomination", UniqueConstraint("edition", "thing"))
prize_review = table_of(p.Review, "prize_review", key="nomination expert")

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

notification = table_of(p.Notification, "notification", UniqueConstraint("key"))
