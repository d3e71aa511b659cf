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

from harvesters.errors import IdentityError
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import RecordState, decompress
from harvesters.matching.entities import (
    Entity,
    EntityReader,
    EntityStore,
    add_known_names,
    open_entities,
    open_scratch,
)
from harvesters.matching.scoring import (
    QUEUED,
    SCHEMA,
    Feature,
    Score,
    WordWeights,
    candidate_pairs,
    score,
)
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


def read_record(row: Any, reader: EntityReader, iris: Iris) -> list[str]:
    """Read the entities of a row of ``published_records``; return their IRIs."""
    statements = decompress(row.statements).split("\n")
    return reader.read(iris.record(row.source, row.key), statements, row.first_seen)


@contextmanager
def read_entities(ledger: Ledger, iris: Iris) -> Iterator[EntityStore]:
    """Open a store of the initiatives and organizations of all published records."""
    with open_entities() as entities:
        reader = EntityReader(iris, entities)
        for record in published_records(ledger):
            read_record(record, reader, iris)
        store_known_names(entities)
        yield entities


def store_known_names(entities: EntityStore) -> None:
    """Add the names and the org-id of well-known organizations to those of *entities* that have a
    name of theirs.
    """
    for entity in entities.of_kind("organization"):
        if add_known_names(entity):
            entities[entity.iri] = entity


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
    entities: dict[str, Entity] = {}
    reader = EntityReader(iris, entities)
    for record in pair.records:
        source, _, key = record.removeprefix(f"{iris.base}record/").partition("/")
        is_record = (r.source == source, r.key == unquote(key))
        for statements in ledger.scalars(query.where(*is_record)):
            reader.read(record, decompress(statements).split("\n"))
    return [entities[iri] for iri in pair.pair if iri in entities]


def store_pairs(
    ledger: Ledger,
    pairs: Iterable[tuple[Pair, Score]],
    entities: EntityStore,
    *,
    only_changed: bool = False,
) -> None:
    """Replace the stored pairs; with *only_changed*, those with an entity that is marked as changed
    or not published.

    All *pairs* are computed before the ledger is locked.
    """
    with open_scratch("CREATE TABLE row (data BLOB NOT NULL)") as scratch:
        rows = (_pair_row(pair, score, entities) for pair, score in pairs)
        scratch.executemany("INSERT INTO row VALUES (?)", ((orjson.dumps(row),) for row in rows))
        new = scratch.execute("SELECT data FROM row ORDER BY rowid")
        with ledger.transaction() as connection:
            if only_changed:
                _delete_outdated(connection, entities)
            else:
                connection.execute(sa.delete(t.identity_pair))
            while fetched := new.fetchmany(_FETCHED):
                connection.execute(
                    sa.insert(t.identity_pair), [orjson.loads(data) for (data,) in fetched]
                )


def _delete_outdated(connection: sa.Connection, entities: EntityStore) -> None:
    p = t.identity_pair.c
    delete = sa.delete(t.identity_pair).where(
        p.first == sa.bindparam("a"), p.second == sa.bindparam("b")
    )
    for page in _pages(connection):
        if outdated := [
            {"a": a, "b": b}
            for a, b in page
            if any(entities.is_changed(iri) or iri not in entities for iri in (a, b))
        ]:
            connection.execute(delete, outdated)


def _pages(connection: sa.Connection) -> Iterator[list[Pair]]:
    """Yield the stored pairs in lists of at most _FETCHED, in their order; each may be deleted
    meanwhile.
    """
    p = t.identity_pair.c
    query = sa.select(p.first, p.second).order_by(p.first, p.second).limit(_FETCHED)
    last = ("", "")
    while page := [
        (a, b)
        for a, b in connection.execute(query.where(sa.tuple_(p.first, p.second) > sa.tuple_(*last)))
    ]:
        yield page
        last = page[-1]


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
    """Return the stored pair with an id. Raises IdentityError if there is none."""
    pair = next((pair for pair in stored_pairs(ledger) if pair.id == name), None)
    if pair is None:
        raise IdentityError(
            f"no pair has the id {name!r}; `stocktake identity queue` lists pairs with their ids"
        )
    return pair


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
