"""Match all published records, or those that are new or changed since the last matching."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import RecordState
from harvesters.matching.entities import Entity, EntityReader, add_known_names
from harvesters.matching.pairs import score_pairs
from harvesters.matching.stored import published_records, store_pairs, stored_pairs
from vocab.iris import Iris

Versions = dict[tuple[str, str], tuple[str, int]]  # by source and key: the run and the number of the description


@dataclass(frozen=True, slots=True)
class Matching:
    """What was matched: the published *entities*, and how many of them and of the records were *compared* with the others."""

    entities: dict[str, Entity]
    records: int
    compared: int


def match_records(ledger: Ledger, iris: Iris, *, only_changed: bool = False) -> Matching:
    """Compare the published initiatives and organizations, and store the pairs that may be one thing.

    With *only_changed*, entities are compared whose records are new, changed or gone since the last matching; the pairs of others keep
    their scores. Rare words are counted over all, so a score may differ a little from that of a full matching.
    """
    before = {} if not only_changed else _matched(ledger)
    reader, versions, changed = EntityReader(iris), Versions(), set[str]()
    for record in published_records(ledger):
        versions[record.source, record.key] = version = record.run, record.seq
        mentioned = reader.read(iris.record(record.source, record.key), record.statements, record.first_seen)
        if before.get((record.source, record.key)) != version:
            changed.update(mentioned)
    add_known_names(reader.entities.values())
    entities = reader.entities
    outdated = {iris.record(*key) for key, version in before.items() if versions.get(key) != version}
    changed |= _sides_of(ledger, outdated) & entities.keys()
    compared = changed if only_changed else None
    store_pairs(ledger, score_pairs(entities, compared), entities, compared)
    new = {key: version for key, version in versions.items() if before.get(key) != version}
    _set_matched(ledger, new, None if not only_changed else {key for key in before if versions.get(key) != before[key]})
    return Matching(entities, len(new), len(changed))


def has_changes(ledger: Ledger) -> bool:
    """Return whether a record is new, changed or gone since the last matching."""
    r, m = t.record.c, t.identity_record.c
    same = sa.and_(m.source == r.source, m.key == r.key, m.run == r.run, m.seq == r.seq)
    published = r.state != RecordState.GONE.value
    unmatched = sa.select(sa.literal(1)).select_from(t.record.outerjoin(t.identity_record, same)).where(published, m.run.is_(None))
    current = sa.and_(same, published)
    outdated = sa.select(sa.literal(1)).select_from(t.identity_record.outerjoin(t.record, current)).where(r.run.is_(None))
    with ledger.transaction() as connection:
        return any(connection.execute(query.limit(1)).first() for query in (unmatched, outdated))


def _matched(ledger: Ledger) -> Versions:
    with ledger.transaction() as connection:
        rows = connection.execute(sa.select(t.identity_record)).all()
    return {(row.source, row.key): (row.run, row.seq) for row in rows}


def _sides_of(ledger: Ledger, records: Collection[str]) -> set[str]:
    """Return the entities of stored pairs that were read from one of *records*."""
    pairs = stored_pairs(ledger) if records else []
    return {iri for pair in pairs for iri, record in zip(pair.pair, pair.records, strict=True) if record in records}


def _set_matched(ledger: Ledger, new: Mapping[tuple[str, str], tuple[str, int]], old: Collection[tuple[str, str]] | None) -> None:
    """Store the versions of *new* records in place of those of the *old* keys, of all where None."""
    m = t.identity_record.c
    with ledger.transaction() as connection:
        if old is None:
            connection.execute(sa.delete(t.identity_record))
        elif old:
            rows = [{"s": source, "k": key} for source, key in old]
            connection.execute(sa.delete(t.identity_record).where(m.source == sa.bindparam("s"), m.key == sa.bindparam("k")), rows)
        if new:
            rows_ = [{"source": source, "key": key, "run": run, "seq": seq} for (source, key), (run, seq) in new.items()]
            connection.execute(sa.insert(t.identity_record), rows_)
