"""Match all published records, or those that are new or changed since the last matching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from sqlite3 import Connection

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import RecordState
from harvesters.matching.blocking import SCHEMA, WordWeights, candidate_pairs
from harvesters.matching.entities import EntityReader
from harvesters.matching.entity_store import EntityStore, open_entities, open_scratch
from harvesters.matching.scoring import QUEUED, Score, score
from harvesters.matching.stored import (
    Pair,
    published_records,
    read_record,
    store_known_names,
    store_pairs,
    stored_pairs,
)
from vocab.iris import Iris

_STORED = 500  # rows at once
# The compared versions, and the records of which the version of the last matching is not published
# any more.
_SCHEMA = """
CREATE TABLE new (source TEXT, key TEXT, run TEXT, seq INTEGER);
CREATE TABLE outdated (source TEXT, key TEXT, record TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Matching:
    """The result of a matching: the published *entities*, and the numbers of *records* read and of
    entities *compared* with the others.
    """

    entities: EntityStore
    records: int
    compared: int


@contextmanager
def match_records(ledger: Ledger, iris: Iris, *, only_changed: bool = False) -> Iterator[Matching]:
    """Compare the published initiatives and organizations, and store the pairs that may be one
    thing.

    With *only_changed*, only entities are compared whose records are new, changed or gone since the
    last matching; other pairs keep their scores. Rare words are counted in all names, so scores may
    differ a little from those of a full matching. Entities are on disk until the context is left,
    so that any number of records needs the same memory.
    """
    with open_entities() as entities, open_scratch(_SCHEMA) as versions:
        _read(ledger, iris, entities, versions, only_changed=only_changed)
        store_pairs(
            ledger,
            score_pairs(entities, only_changed=only_changed),
            entities,
            only_changed=only_changed,
        )
        _set_matched(ledger, versions, only_changed=only_changed)
        records = versions.execute("SELECT count(*) FROM new").fetchone()[0]
        yield Matching(
            entities, records, entities.count_changed() if only_changed else len(entities)
        )


def _read(
    ledger: Ledger, iris: Iris, entities: EntityStore, versions: Connection, *, only_changed: bool
) -> None:
    """Read all published entities; mark those of records that are new, changed or gone."""
    reader = EntityReader(iris, entities)
    for record in published_records(ledger):
        mentioned = read_record(record, reader, iris)
        if only_changed and (record.matched_run, record.matched_seq) == (record.run, record.seq):
            continue
        versions.execute(
            "INSERT INTO new VALUES (?, ?, ?, ?)",
            (record.source, record.key, record.run, record.seq),
        )
        if only_changed:
            entities.mark_changed(mentioned)
            if record.matched_run is not None:
                versions.execute(
                    "INSERT OR IGNORE INTO outdated VALUES (?, ?, ?)",
                    (record.source, record.key, iris.record(record.source, record.key)),
                )
    store_known_names(entities)
    if only_changed:
        removed = (
            (source, key, iris.record(source, key))
            for source, key in ledger.rows(_removed_records())
        )
        versions.executemany("INSERT OR IGNORE INTO outdated VALUES (?, ?, ?)", removed)
        _mark_sides(ledger, entities, versions)


def score_pairs(
    entities: EntityStore, *, only_changed: bool = False
) -> Iterator[tuple[Pair, Score]]:
    """Yield the pairs of *entities* that score QUEUED bits or more; with *only_changed*, only those
    with one that is marked as changed.
    """
    for kind in entities.kinds():
        with open_scratch(SCHEMA) as database:
            weights = WordWeights.count_in(database, entities.of_kind(kind))
            for pair in candidate_pairs(
                database, entities, kind, weights, only_changed=only_changed
            ):
                scored = score(entities[pair[0]], entities[pair[1]], weights)
                if scored.bits >= QUEUED:
                    yield pair, scored


def has_changes(ledger: Ledger) -> bool:
    """Return whether a record is new, changed or gone since the last matching."""
    r, m = t.record.c, t.identity_record.c
    same = sa.and_(m.source == r.source, m.key == r.key, m.run == r.run, m.seq == r.seq)
    joined = t.record.outerjoin(t.identity_record, same)
    unmatched = sa.select(r.source, r.key).select_from(joined)
    unmatched = unmatched.where(r.state != RecordState.GONE, m.run.is_(None))
    return any(ledger.rows(query.limit(1)) for query in (unmatched, _removed_records()))


def _removed_records() -> sa.Select[tuple[str, str]]:
    """Return the query for the source and key of each record that was matched and is not published
    any more.
    """
    r, m = t.record.c, t.identity_record.c
    published = sa.and_(m.source == r.source, m.key == r.key, r.state != RecordState.GONE)
    joined = t.identity_record.outerjoin(t.record, published)
    return sa.select(m.source, m.key).select_from(joined).where(r.run.is_(None))


def _mark_sides(ledger: Ledger, entities: EntityStore, versions: Connection) -> None:
    """Mark the entities of stored pairs that were read from an outdated version, since the new one
    may not name them.
    """
    if versions.execute("SELECT 1 FROM outdated").fetchone() is None:
        return
    text = "SELECT 1 FROM outdated WHERE record = ?"
    for pair in stored_pairs(ledger):
        for iri, record in zip(pair.pair, pair.records, strict=True):
            if versions.execute(text, (record,)).fetchone():
                entities.mark_changed((iri,))


def _set_matched(ledger: Ledger, versions: Connection, *, only_changed: bool) -> None:
    """Store the compared versions, in place of those of outdated records, or of all."""
    m = t.identity_record.c
    old = sa.delete(t.identity_record).where(
        m.source == sa.bindparam("s"), m.key == sa.bindparam("k")
    )
    with ledger.transaction() as connection:
        if not only_changed:
            connection.execute(sa.delete(t.identity_record))
        outdated = versions.execute("SELECT source, key FROM outdated")
        while rows := outdated.fetchmany(_STORED):
            connection.execute(old, [{"s": source, "k": key} for source, key in rows])
        new = versions.execute("SELECT source, key, run, seq FROM new")
        while rows := new.fetchmany(_STORED):
            named = [
                {"source": source, "key": key, "run": run, "seq": seq}
                for source, key, run, seq in rows
            ]
            connection.execute(sa.insert(t.identity_record), named)
