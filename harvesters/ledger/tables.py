"""Tables: the ledger's layout, as SQLAlchemy knows it; Alembic's migrations make it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, LargeBinary, MetaData, String, Table, Text

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
    Column("seq", Integer, primary_key=True, autoincrement=False),
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
    Index("staged_by_key", "run", "key"),
    sqlite_with_rowid=False,
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
