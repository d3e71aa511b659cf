"""Define the ledger's tables for SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
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

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String, nullable=False),
    # a full harvest, after which unseen records have vanished
    Column("is_full", Boolean, nullable=False),
    # UTC, as all times here; an incremental run requests changes after it
    Column("since", DateTime),
    Column("started", DateTime, nullable=False),
    Column("planned", DateTime),
    Column("ended", DateTime),
    Column("cursor", Text),  # of the next page; None before the first and after the last
    Column("pages", Integer, nullable=False, default=0),
    Column("reported_total", Integer),
    # bytes of the archive file at the checkpoint
    Column("archived", BigInteger, nullable=False, default=0),
    Column("entry", Integer),  # number in the journal
    Column("rules", String, nullable=False),  # digest of mapping, shapes and crosswalks
    Column("reasons", Text),
    Column("counts", Text),  # JSON
    Column("network", Text),  # JSON: count of each request outcome
    Column("responses", Text),  # JSON: number, bytes and milliseconds of the responses
    Column("fetched", Integer, nullable=False, default=0),  # records received
    Column("incomplete_reason", Text),  # why this does not count as a full harvest
    Column("added", BigInteger),  # quads of the run's journal entry
    Column("removed", BigInteger),
    Column("after", BigInteger),  # quads of all entries up to the run's
    # of a run that maps archived responses: when the newest of them was requested
    Column("last_fetched", DateTime),
    Index("run_by_source", "source", "number", unique=True),
)

record = Table(
    "record",
    metadata,
    Column("source", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),  # of the raw record and the rules
    Column("content", String, nullable=False),  # of the description without its provenance
    Column("first_seen", DateTime, nullable=False),
    Column("run", String, nullable=False),  # with seq: the current description
    Column("seq", Integer, nullable=False),
    # consecutive full harvests that did not see it
    Column("misses", Integer, nullable=False, default=0),
    Column("vanished_since", DateTime),
    Column("fingerprint", BigInteger),  # hash of the description without its key
    Column("page", BigInteger),  # hash of its first web address
    Index("record_by_fingerprint", "fingerprint", "source"),
    Index("record_by_page", "page", "source"),
    sqlite_with_rowid=False,
)

# Written once, when a page is staged: a commit moves small rows only.
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
    # from 0 for seen records, below 0 for absent ones
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("key", String),
    Column("outcome", String, nullable=False),
    Column("digest", String),
    Column("content", String),
    Column("first_seen", DateTime),
    Column("reason", Text),  # in English, to be counted, searched and published
    # JSON: the codes and values of the reason; null where it is a text alone
    Column("reasons", Text),
    Column("file", String),
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("other", String),  # key of the same record before or after
    Column("fingerprint", BigInteger),
    Column("page", BigInteger),
    Index("staged_by_key", "run", "key"),
    sqlite_with_rowid=False,
)

# The unchanged records of one page, or part of one, in one row, to save rows; "page" is the number
# of the first staged record of that page.
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
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("key", String),
    Column("source", String),  # of the other record
    Column("other", String),  # its key
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
    Column("first_seen", DateTime),
    Column("fingerprint", BigInteger),
    Column("page", BigInteger),
    Column("statements", LargeBinary),  # sorted, zstd
)

run_log = Table(
    "run_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("source", String, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("level", String, nullable=False),
    Column("event", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON
)

hold = Table(
    "hold",
    metadata,
    Column("source", String, primary_key=True),
    Column("since", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("when", DateTime, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("source", String),
    Column("run", String),
    Column("note", Text),
)

# What operators planned to remove or retire; it holds from the commit of its run on.
removal = Table(
    "removal",
    metadata,
    Column("run", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key_digest", String),  # of a forgotten record: SHA-256 of its key, in hexadecimal
    Column("ended", DateTime),  # when a retired source was resumed
    Index("removal_by_source", "source"),
)

# What readers report about records.
problem = Table(
    "problem",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("key", String, nullable=False),
    Column("category", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("address", Text),  # of the reader; deleted when the problem is closed
    Column("language", String, nullable=False),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False),  # of the statements that it is about
    Column("created", DateTime, nullable=False),
    Column("changed", DateTime, nullable=False),
    Column("answer", Text),
    Column("run", String),  # that changed the statements
    Index("problem_by_state", "state", "source"),
)

subscription = Table(
    "subscription",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel", String, nullable=False),
    Column("address", Text, nullable=False),
    Column("search", Text, nullable=False),  # the parameters of its address
    Column("title", Text, nullable=False),
    Column("language", String, nullable=False),
    Column("frequency", String, nullable=False),
    Column("secret", String, nullable=False, unique=True),  # of the links that confirm and end it
    Column("created", DateTime, nullable=False),
    Column("confirmed", DateTime),
    Column("due", DateTime),  # the next comparison; NULL until it is confirmed
    Column("position", Integer),  # the journal entry of *results*
    Column("results", LargeBinary),  # what was found at the last comparison
    Index("subscription_by_due", "due"),
)

link = Table(
    "link",
    metadata,
    Column("source", String, primary_key=True),
    Column("digest", String, primary_key=True),  # of the address
    Column("url", Text, nullable=False),
    Column("state", String),  # NULL until a check succeeded or enough failed
    Column("since", DateTime),
    Column("answer", String),  # HTTP status or kind of error of the last check
    Column("location", Text),  # where a moved one answers
    Column("checked", DateTime),
    Column("failures", Integer, nullable=False),  # in a row
    Column("failing_since", DateTime),
    Column("due", DateTime, nullable=False),
    Index("link_by_due", "source", "due"),
)

link_state = Table(
    "link_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("state", String, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("answer", String, nullable=False),
    Column("location", Text),
    Index("link_state_by_link", "source", "digest"),
)

override = Table(
    "override",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("limit", String, nullable=False),
    Column("value", Float, nullable=False),
    Column("until", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("given", DateTime, nullable=False),
    Column("used", String),  # the run that needed it
    Index("override_by_source", "source"),
)

# The versions of source definitions that were saved on the admin pages.
definition = Table(
    "definition",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("when", DateTime, nullable=False),
    Column("who", String, nullable=False),
    Column("note", Text),
    Column("text", Text, nullable=False),
    Column("before", String),  # of a proposal: the digest of the text that it would replace
    Index("definition_by_source", "source"),
)

# Messages to send by mail or webhook, also those delivered lately.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("channel", String, nullable=False),
    Column("address", Text, nullable=False),
    Column("topic", String, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON
    Column("created", DateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", DateTime),  # of the next attempt; None after the last
    Column("sent", DateTime),
    Column("error", Text),  # of the last attempt
    Index("outbox_by_due", "due"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", String, nullable=False),
    Column("source", String, nullable=False),  # "" if it is about the installation
    Column("since", DateTime, nullable=False),
    Column("reason", Text, nullable=False),  # JSON
    Column("notified", Boolean, nullable=False),
    Column("ended", DateTime),
    Index("alert_by_end", "ended"),
)

silence = Table(
    "silence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", String, nullable=False),  # "" for all
    Column("source", String, nullable=False),  # "" for all
    Column("until", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
)

run_request = Table(
    "run_request",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("full", Boolean, nullable=False),
    Column("requested", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("claimed", DateTime),
    Column("run", String),  # its result
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
    Column("requested", DateTime(timezone=True), nullable=False),  # time of the newest request
    Column("pause", Float, nullable=False),  # seconds until the next request
    Column("blocked_until", DateTime(timezone=True), nullable=False),  # no request before
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

# The version of each record that was matched last; a record that differs from its row is compared
# again.
identity_record = Table(
    "identity_record",
    metadata,
    Column("source", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("run", String, nullable=False),  # with seq: the description
    Column("seq", Integer, nullable=False),
)

# What people decided about a pair; the newest row of a pair counts, and one without a judgement
# takes the decision back.
identity_decision = Table(
    "identity_decision",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("first", String, nullable=False),
    Column("second", String, nullable=False),
    Column("judgement", String, nullable=False),
    Column("who", String, nullable=False),
    Column("when", DateTime, nullable=False),
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
    Column("created", DateTime, nullable=False),
    Column("expires", DateTime),
    Column("revoked", DateTime),
    Column("last_used", DateTime),
)

# People and organizations that submit records: the only table with mail addresses of theirs,
# besides the outbox.
submitter = Table(
    "submitter",
    metadata,
    Column("id", String, primary_key=True),
    Column("mail", String, unique=True),  # confirmed; None for an organization
    Column("organization", String, unique=True),  # the name of its keys; None for a person
    Column("language", String, nullable=False),
    Column("created", DateTime, nullable=False),
)

submission = Table(
    "submission",
    metadata,
    Column("id", String, primary_key=True),  # the key of its record
    # None for a draft whose address is not confirmed, and after deletion
    Column("submitter", String),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False),  # the ETag
    Column("content", Text, nullable=False),  # JSON
    Column("published", Text),  # JSON: the accepted content
    Column("title", Text, nullable=False),
    Column("language", String, nullable=False),
    Column("created", DateTime, nullable=False),
    Column("updated", DateTime, nullable=False),
    Column("waiting_since", DateTime),  # None if no moderator has to act
    Column("first_accepted", DateTime),
    Column("withdrawn", DateTime),
    Column("assigned", String),  # the key of the moderator
    Column("endorsed_by", String),  # the key of the first of two moderators
    # when its submitter last sent what is published, or said that it is still true
    Column("confirmed", DateTime),
    Column("reminded", DateTime),  # when the submitter was last asked
    Column("picture", String),  # the name of that of the content
    Column("published_picture", String),
    Index("submission_by_submitter", "submitter"),
    Index("submission_by_picture", "picture"),
    Index("submission_by_published_picture", "published_picture"),
    Index("submission_by_state", "state", "waiting_since"),
)

picture = Table(
    "picture",
    metadata,
    Column("name", String, primary_key=True),  # SHA-256 of its content, with a suffix
    Column("content", LargeBinary, nullable=False),  # WebP
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("submitter", String),  # None for one that was sent by form
    Column("created", DateTime, nullable=False),
    Index("picture_by_submitter", "submitter"),
)

comment = Table(
    "comment",
    metadata,
    Column("id", String, primary_key=True),
    Column("post", Text, nullable=False),  # its path, post/{source}/{key}
    Column("title", Text, nullable=False),  # of the post
    Column("text", Text, nullable=False),
    Column("language", String, nullable=False),
    Column("state", String, nullable=False),
    Column("submitter", String),  # None until an address is confirmed
    Column("created", DateTime, nullable=False),
    Column("decided", DateTime),
    Column("decided_by", String),
    Column("reason", Text),
    Index("comment_by_post", "post"),
    Index("comment_by_state", "state"),
    Index("comment_by_submitter", "submitter"),
)

submission_event = Table(
    "submission_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("submission", String, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("who", String, nullable=False),  # a key's owner; "submitter" for a person
    Column("what", String, nullable=False),
    Column("note", Text),
    Column("internal", Boolean, nullable=False),  # not shown to the submitter
    Column("version", Integer, nullable=False),
    Column("content", Text),  # JSON: of that version, if it changed
    Index("submission_event_by_submission", "submission"),
)

# Links and sessions of submitters; only the hash of each secret is stored.
submission_link = Table(
    "submission_link",
    metadata,
    Column("hash", String, primary_key=True),  # SHA-256 of the secret, in hexadecimal
    Column("purpose", String, nullable=False),
    Column("mail", String),  # the address that it confirms
    Column("submitter", String),
    Column("submission", String),
    Column("created", DateTime, nullable=False),
    Column("expires", DateTime, nullable=False),
    Column("used", DateTime),
    Index("submission_link_by_mail", "mail"),
)

prize_edition = Table(
    "prize_edition",
    metadata,
    Column("id", String, primary_key=True),
    Column("content", Text, nullable=False),
)

prize_nomination = Table(
    "prize_nomination",
    metadata,
    Column("id", String, primary_key=True),
    Column("edition", String, nullable=False),
    Column("thing", String, nullable=False),  # IRI of the initiative
    Column("content", Text, nullable=False),  # its title and web page when it was nominated
    Column("category", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("special", String),
    Column("reason", Text, nullable=False),
    Column("submitter", String),
    Column("created", DateTime, nullable=False),
    UniqueConstraint("edition", "thing"),
)

prize_expert = Table(
    "prize_expert",
    metadata,
    Column("edition", String, primary_key=True),
    Column("mail", String, primary_key=True),
)

prize_review = Table(
    "prize_review",
    metadata,
    Column("nomination", String, primary_key=True),
    Column("expert", String, primary_key=True),  # mail address, or "deleted" and a random word
    Column("conflict", Boolean, nullable=False),
    Column("scores", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("time", DateTime, nullable=False),
)

prize_vote = Table(
    "prize_vote",
    metadata,
    Column("edition", String, primary_key=True),
    Column("category", String, primary_key=True),
    # SHA-256 of the address, or "deleted" and a random word
    Column("voter", String, primary_key=True),
    Column("nomination", String, nullable=False),
    Column("time", DateTime, nullable=False),
)

notification = Table(
    "notification",
    metadata,
    Column("id", String, primary_key=True),  # of the activity, an IRI
    Column("key", String, nullable=False, unique=True),  # the last part of its address here
    Column("sent", Boolean, nullable=False),  # by this installation, else received
    Column("inbox", String, nullable=False),  # of the other installation
    Column("kind", String, nullable=False),
    Column("object", String, nullable=False),
    Column("submission", String),
    Column("body", Text, nullable=False),
    Column("created", DateTime, nullable=False),
    Column("answer", String),  # the kind of the last answer
)
