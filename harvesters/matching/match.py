"""Match all published records, or those that are new or changed since the last matching. Entities
are read from the ledger's published descriptions; scored pairs and decisions are stored there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from sqlite3 import Connection
from typing import Any
from urllib.parse import unquote

import orjson
import sqlalchemy as sa

from harvesters.errors import UnknownError, require
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger, batches
from harvesters.ledger.models import RecordState, decompress
from harvesters.matching.entities import (
    Entity,
    EntityStore,
    merge,
    open_entities,
    parse_entities,
)
from harvesters.matching.scoring import Feature, Score, score_pairs
from harvesters.reasons import Reason
from vocab.iris import Iris

_FETCHED = 500  # descriptions at once


Pair = tuple[str, str]


class Judgement(StrEnum):
    """The judgement of a person about a pair, in the terms of nomenklatura
    (https://github.com/opensanctions/nomenklatura).
    """

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNSURE = "unsure"


def ordered(first: str, second: str) -> Pair:
    return (first, second) if first < second else (second, first)


@dataclass(frozen=True, slots=True)
class StoredPair:
    """A scored pair with a name of each side, and the record that has it."""

    pair: Pair
    kind: str
    score: Score
    names: tuple[str, str]
    records: tuple[str, str]

    @property
    def id(self) -> str:
        """Return a short name for the pair, which does not change."""
        return pair_id(self.pair)


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a person about a pair; *when* is UTC. *judgement* is None if the decision was
    withdrawn.
    """

    pair: Pair
    judgement: Judgement | None
    who: str
    when: datetime
    reason: str


def pair_id(pair: Pair) -> str:
    """Return a short name for a pair: ten hexadecimal digits of its digest."""
    return blake2b("\n".join(pair).encode(), digest_size=5).hexdigest()


def published_records(ledger: Ledger) -> Iterator[Any]:
    """Return a row for each published record: *source*, *key* and *first_seen*, the *run* and *seq*
    of its compressed *statements*, and those that were matched last, None if none were.
    """
    r, d, m = t.record.c, t.description.c, t.identity_record.c
    matched = (m.run.label("matched_run"), m.seq.label("matched_seq"))
    joined = t.record.join(t.description, sa.and_(d.run == r.run, d.seq == r.seq))
    joined = joined.outerjoin(t.identity_record, sa.and_(m.source == r.source, m.key == r.key))
    query = sa.select(r.source, r.key, r.run, r.seq, r.first_seen, d.statements, *matched)
    return ledger.stream(query.select_from(joined).where(r.state != RecordState.GONE))


@contextmanager
def read_entities(ledger: Ledger, iris: Iris) -> Iterator[EntityStore]:
    """Open a store of the entities of all published records, which are marked as changed."""
    with open_entities() as entities:
        _read(ledger, iris, entities, only_changed=False)
        yield entities


def read_sides(ledger: Ledger, pair: StoredPair, iris: Iris) -> list[Entity]:
    """Return the entities of a pair, each from its one record; fewer than two if a record is not
    published any more.
    """
    r, d = t.record.c, t.description.c
    query = (
        sa.select(d.statements)
        .join(t.record, sa.and_(d.run == r.run, d.seq == r.seq))
        .where(r.state != RecordState.GONE)
    )
    entities: list[Entity] = []
    for record in pair.records:
        source, _, key = record.removeprefix(f"{iris.base}record/").partition("/")
        is_record = (r.source == source, r.key == unquote(key))
        for statements in ledger.scalars(query.where(*is_record)):
            entities += parse_entities(record, decompress(statements).split("\n"), iris)
    sides = ([item for item in entities if item.iri == iri] for iri in pair.pair)
    return [merge(side) for side in sides if side]


# The sides of stored pairs that were read from an outdated version: the new one may not name them.
_MARK_SIDES = """
INSERT OR IGNORE INTO changed
SELECT first FROM known JOIN outdated ON record = first_record UNION SELECT second FROM known JOIN outdated ON record = second_record
"""
_OUTDATED = """
SELECT first, second FROM known WHERE first IN changed OR second IN changed
OR first NOT IN (SELECT iri FROM entity) OR second NOT IN (SELECT iri FROM entity)
"""


def store_pairs(ledger: Ledger, pairs: Iterable[tuple[Pair, Score]], entities: EntityStore) -> None:
    """Store *pairs* in place of those with an entity that is marked as changed or not published any
    more.

    They are computed before the ledger is locked, and after the last entities were marked.
    """
    scratch, p = entities.database, t.identity_pair.c
    known = ((*pair.pair, *pair.records) for pair in stored_pairs(ledger))
    scratch.executemany("INSERT INTO known VALUES (?, ?, ?, ?)", known)
    scratch.execute(_MARK_SIDES)
    rows = (_pair_row(pair, score, entities) for pair, score in pairs)
    scratch.executemany("INSERT INTO scored VALUES (?)", ((orjson.dumps(row),) for row in rows))
    delete = sa.delete(t.identity_pair).where(
        p.first == sa.bindparam("a"), p.second == sa.bindparam("b")
    )
    with ledger.transaction() as connection:
        for old in batches(scratch.execute(_OUTDATED), _FETCHED):
            connection.execute(delete, [{"a": first, "b": second} for first, second in old])
        for new in batches(scratch.execute("SELECT data FROM scored ORDER BY rowid"), _FETCHED):
            connection.execute(sa.insert(t.identity_pair), [orjson.loads(data) for (data,) in new])


def _pair_row(pair: Pair, score: Score, entities: EntityStore) -> dict[str, object]:
    sides = [entities[iri] for iri in pair]
    data = {
        "features": [asdict(feature) for feature in score.features],
        "names": [next(iter(side.names), "") for side in sides],
        "records": [side.record for side in sides],
    }
    return {
        "first": pair[0],
        "second": pair[1],
        "kind": sides[0].kind,
        "bits": score.bits,
        "data": orjson.dumps(data).decode(),
    }


def stored_pairs(ledger: Ledger) -> Iterator[StoredPair]:
    """Return the stored pairs, the highest score first."""
    p = t.identity_pair.c
    query = sa.select(t.identity_pair).order_by(p.bits.desc(), p.first, p.second)
    return map(_stored_pair, ledger.stream(query))


def _stored_pair(row: Any) -> StoredPair:
    data = orjson.loads(row.data)
    features = tuple(Feature(**feature) for feature in data["features"])
    first, second = data["names"]
    return StoredPair(
        (row.first, row.second), row.kind, Score(features), (first, second), tuple(data["records"])
    )


def find_pair(ledger: Ledger, name: str) -> StoredPair:
    """Return the stored pair with an id. Raises UnknownError if there is none."""
    return require(
        next((pair for pair in stored_pairs(ledger) if pair.id == name), None),
        UnknownError(
            Reason("There is no such pair; the records may have changed since the last matching.")
        ),
    )


def add_decisions(ledger: Ledger, decisions: Iterable[Decision]) -> None:
    """Store decisions, all or none."""
    rows = [
        {
            "first": decision.pair[0],
            "second": decision.pair[1],
            "judgement": decision.judgement.value if decision.judgement else "",
            "who": decision.who,
            "when": decision.when,
            "reason": decision.reason,
        }
        for decision in decisions
    ]
    if rows:
        ledger.execute(sa.insert(t.identity_decision), rows)


def decision_history(ledger: Ledger) -> Iterator[Decision]:
    """Yield all decisions, the oldest first, those that were withdrawn among them."""
    for row in ledger.rows(sa.select(t.identity_decision).order_by(t.identity_decision.c.id)):
        judgement = Judgement(row.judgement) if row.judgement else None
        yield Decision(ordered(row.first, row.second), judgement, row.who, row.when, row.reason)


def current_decisions(ledger: Ledger) -> dict[Pair, Decision]:
    """Return the decision that counts for each pair; none for a pair whose decision was withdrawn."""
    newest = {decision.pair: decision for decision in decision_history(ledger)}
    return {pair: decision for pair, decision in newest.items() if decision.judgement}


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
    with open_entities() as entities:
        _read(ledger, iris, entities, only_changed=only_changed)
        store_pairs(ledger, score_pairs(entities), entities)
        _set_matched(ledger, entities.database)
        counts = "SELECT (SELECT count(*) FROM new), (SELECT count(*) FROM changed JOIN entity USING (iri))"
        yield Matching(entities, *entities.database.execute(counts).fetchone())


def _read(ledger: Ledger, iris: Iris, entities: EntityStore, *, only_changed: bool) -> None:
    """Read all published entities; mark those of records that are new, changed or gone since the last
    matching, or of all.
    """
    scratch = entities.database
    outdate = "INSERT OR IGNORE INTO outdated VALUES (?, ?, ?)"
    for row in published_records(ledger):
        record = iris.record(row.source, row.key)
        statements = decompress(row.statements).split("\n")
        mentioned = parse_entities(record, statements, iris, row.first_seen)
        entities.add(mentioned)
        if only_changed and (row.matched_run, row.matched_seq) == (row.run, row.seq):
            continue
        entities.mark_changed(entity.iri for entity in mentioned)
        version = (row.source, row.key, row.run, row.seq)
        scratch.execute("INSERT INTO new VALUES (?, ?, ?, ?)", version)
        if row.matched_run is not None:
            scratch.execute(outdate, (row.source, row.key, record))
    removed = ledger.rows(_removed_records())
    scratch.executemany(outdate, ((*names, iris.record(*names)) for names in removed))
    entities.merge()


def has_changes(ledger: Ledger) -> bool:
    """Return whether a record is new, changed or gone since the last matching."""
    r, m = t.record.c, t.identity_record.c
    same = sa.and_(m.source == r.source, m.key == r.key, m.run == r.run, m.seq == r.seq)
    unmatched = sa.select(r.source, r.key).select_from(t.record.outerjoin(t.identity_record, same))
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


def _set_matched(ledger: Ledger, scratch: Connection) -> None:
    """Store the compared versions in place of those of outdated records."""
    m = t.identity_record.c
    old = sa.delete(t.identity_record).where(
        m.source == sa.bindparam("s"), m.key == sa.bindparam("k")
    )
    with ledger.transaction() as connection:
        for rows in batches(scratch.execute("SELECT source, key FROM outdated"), _FETCHED):
            connection.execute(old, [{"s": source, "k": key} for source, key in rows])
        for rows in batches(scratch.execute("SELECT source, key, run, seq FROM new"), _FETCHED):
            named = [dict(zip(("source", "key", "run", "seq"), row, strict=True)) for row in rows]
            connection.execute(sa.insert(t.identity_record), named)
