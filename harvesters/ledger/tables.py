"""Tables: the ledger's layout, as SQLAlchemy knows it; Alembic's migrations make it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

run = Table(
    "run",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("sweep", Boolean, nullable=False),  # a full run, after which what did not come has vanished
    Column("since", DateTime),  # UTC, as all times here; an incremental run asks for what changed after it
    Column("started", DateTime, nullable=False),
    Column("planned", DateTime),
    Column("ended", DateTime),
    Column("cursor", Text),  # where the next page begins; None before the first and after the last
    Column("pages", Integer, nullable=False, default=0),
    Column("claimed", Integer),
    Column("archived", BigInteger, nullable=False, default=0),  # bytes of the archive's file at the checkpoint
    Column("entry", Integer),  # the journal's number
    Column("rules", String, nullable=False),  # digest of mapping, shapes and words
    Column("reason", Text),
    Column("counts", Text),  # JSON
    Column("network", Text),  # JSON: how often each outcome of a request was met
    Column("fetched", Integer, nullable=False, default=0),  # records that came, counted as pages were taken in
    Column("doubt", Text),  # why this cannot be a complete sweep
    Column("added", BigInteger),  # quads of the run's journal entry
    Column("removed", BigInteger),
    Column("after", BigInteger),  # quads that a store holds of all entries up to the run's
    Column("heard", DateTime),  # of a run that maps archived replies again: when the newest of them was asked for
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
    Column("run", String, nullable=False),  # with seq: which description stands
    Column("seq", Integer, nullable=False),
    Column("misses", Integer, nullable=False, default=0),  # complete sweeps in a row in which it did not come
    Column("vanished_since", DateTime),
    Column("likeness", BigInteger),  # what the description says, whatever its key: the same in two records tells the same thing
    Column("page", BigInteger),  # of its first web address
    Index("record_by_likeness", "likeness", "source"),
    Index("record_by_page", "page", "source"),
    sqlite_with_rowid=False,
)

# Written once, when a page is staged: a commit moves small rows and leaves these where they lie.
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
    Column("seq", Integer, primary_key=True, autoincrement=False),  # from 0 what came, below 0 what did not
    Column("source", String, nullable=False),
    Column("key", String),
    Column("outcome", String, nullable=False),
    Column("digest", String),
    Column("content", String),
    Column("first_seen", DateTime),
    Column("reason", Text),
    Column("file", String),
    Column("offset", BigInteger),
    Column("length", BigInteger),
    Column("other", String),  # the key of the same thing before or after
    Column("likeness", BigInteger),
    Column("page", BigInteger),
    Index("staged_by_key", "run", "key"),
    sqlite_with_rowid=False,
)

# What was unchanged on one page: a hundred thousand rows a run would say no more.
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

# What a person should know of a run that changes nothing of it.
notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("key", String),
    Column("source", String),  # of the record that is meant beside *key*
    Column("other", String),  # its key
)

hold = Table(
    "hold",
    metadata,
    Column("source", String, primary_key=True),
    Column("since", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
)

act = Table(
    "act",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("when", DateTime, nullable=False),
    Column("who", String, nullable=False),
    Column("what", String, nullable=False),
    Column("source", String),
    Column("run", String),
    Column("note", Text),
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

errand = Table(
    "errand",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False),
    Column("full", Boolean, nullable=False),
    Column("asked", DateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("taken", DateTime),
    Column("run", String),  # the run that came of it
)

# How many quads stand after each journal entry, counted once.
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
)

# When each host may be asked again, over all workers; used where the ledger is shared.
turn = Table(
    "turn",
    metadata,
    Column("host", String, primary_key=True),
    Column("due", DateTime(timezone=True), nullable=False),  # the newest request's time
    Column("pause", Float, nullable=False),  # seconds that it asked for
    Column("held", DateTime(timezone=True), nullable=False),  # nobody asks before
)

# Who may ask the operators' desk for what; of a key itself only the hash is kept.
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
