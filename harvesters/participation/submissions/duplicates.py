"""Find records that a submission may repeat: those with the same text, page or title, or that the
matcher scores as the same initiative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

import sqlalchemy as sa
from cachetools import TTLCache, cachedmethod
from pyoxigraph import RdfFormat, parse
from rapidfuzz import fuzz

from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.database import Database
from harvesters.ledger.models import RecordState
from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.prizes import published_statements
from harvesters.matching.blocking import WordWeights
from harvesters.matching.entities import Entity, EntityReader, name_words
from harvesters.matching.scoring import QUEUED, Score, score
from harvesters.pipeline.fingerprint import content_fingerprint, page_fingerprint
from vocab.iris import Iris
from vocab.terms import DCT

_SHOWN = 5  # likely duplicates
_SAMPLE = 2_000  # published records whose titles show how rare a word is
_WEIGHTS_AGE = 600  # seconds
# The similarity of two titles, of 100, from which events, documents and posts may be the same.
_SAME_TITLE = 90.0
# The features that the matcher compares, in words for readers: texts of the catalogues.
REASONS = {
    "content": "the same text", "page": "the same web page", "title": "a similar title", "name": "a similar title",
    "identifier": "the same identifier", "country": "the same country", "start": "the same start", "parties": "the same organizations",
    "origin": "the same origin",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that may be the same: its *address*, its *title*, and why: the same ``page``,
    ``content`` or ``title``.

    *features* names the evidence, in the terms of the matcher, and *bits* is the matcher's score; 0
    where it has none.
    """

    address: str
    title: str
    why: str
    features: tuple[str, ...] = ()
    bits: float = 0.0

    @property
    def reasons(self) -> list[str]:
        """Return the evidence as English texts of the catalogues."""
        return list(
            dict.fromkeys(REASONS[name] for name in (self.why, *self.features) if name in REASONS)
        )


Similar = Callable[[str], Sequence[Duplicate]]  # finds published records by a title


@dataclass(frozen=True, slots=True)
class SubmissionDescription:
    """A submission as it would be published: its *statements*, the IRI of what it describes, its
    *source*, its *key* and its *title*.
    """

    statements: Sequence[str]
    thing: str
    source: str
    key: str
    title: str


class DuplicateFinder:
    """Find records that a submission may repeat; *similar* finds published records by a title.

    How rare words are is cached for ten minutes.
    """

    def __init__(self, similar: Similar = lambda title: ()) -> None:
        self._similar = similar
        self._weights: TTLCache[str, WordWeights] = TTLCache(1, _WEIGHTS_AGE)

    def find(
        self, ledger: Database, own: SubmissionDescription, base: str, *, unpublished: bool = False
    ) -> tuple[Duplicate, ...]:
        """Return at most five records that a submission may repeat, the likeliest first.

        With *unpublished*, waiting submissions are among these, which only moderators may see.
        """
        record = Iris(base).record(own.source, own.key)
        titled = _same_titles(ledger, own, base, unpublished=unpublished)
        candidates = _unique(
            [*_same_records(ledger, own, record, base), *titled, *self._similar(own.title)], record
        )
        if not candidates:
            return ()
        entity = _entities(record, own.statements, base).get(own.thing)
        weights = self._word_weights(ledger)
        likely = [
            compared
            for candidate in candidates
            if (compared := _compare(ledger, own, entity, candidate, base, weights))
        ]
        likely.sort(key=lambda item: (item.why == "title", -item.bits, item.address))
        return tuple(likely[:_SHOWN])

    @cachedmethod(lambda self: self._weights, key=lambda *_: "")
    def _word_weights(self, ledger: Database) -> WordWeights:
        """Return how rare words are in the titles of published records, by a sample of them."""
        r, d = t.record.c, t.description.c
        # A fingerprint is a hash, so the first ones are a sample of all registries.
        query = (
            sa.select(d.statements)
            .join(t.record, sa.and_(d.run == r.run, d.seq == r.seq))
            .where(r.state == RecordState.PUBLISHED.value)
            .order_by(r.fingerprint)
            .limit(_SAMPLE)
        )
        with ledger.transaction() as connection:
            texts = connection.execute(query).scalars().all()
        return WordWeights.from_entities(
            Entity("", "initiative", "", names={record_title(decompress(text).split("\n")): None})
            for text in texts
        )


def _compare(
    ledger: Database,
    own: SubmissionDescription,
    entity: Entity | None,
    candidate: Duplicate,
    base: str,
    weights: WordWeights,
) -> Duplicate | None:
    """Return a candidate with its score; None if only its title is similar and its score is low."""
    certain = candidate.why != "title" or candidate.title.casefold() == own.title.casefold()
    other = _published(ledger, candidate.address, base) if entity else None
    if entity is None or other is None:
        return (
            candidate if certain or _likeness(own.title, candidate.title) >= _SAME_TITLE else None
        )
    entity.source = ""  # a registry keeps its entities apart, but submissions may repeat each other
    scored: Score = score(entity, other, weights)
    if scored.bits < QUEUED and not certain:
        return None
    return replace(
        candidate,
        features=tuple(item.name for item in scored.features if item.bits > 0),
        bits=scored.bits,
    )


def _likeness(one: str, other: str) -> float:
    """Return the similarity of two titles, of 100, whatever the order of their words."""
    return fuzz.token_sort_ratio(" ".join(name_words(one)), " ".join(name_words(other)))


def _published(ledger: Database, address: str, base: str) -> Entity | None:
    """Return the initiative of a published record, by the record's IRI or the initiative's; None if
    the ledger has none.
    """
    source, key = (unquote(part) for part in _key(address).split("/"))
    statements = published_statements(ledger, source, key)
    if statements is None:
        return None
    iris = Iris(base)
    return _entities(iris.record(source, key), statements, base).get(
        iris.thing("initiative", source, key)
    )


def _entities(record: str, statements: Iterable[str], base: str) -> Mapping[str, Entity]:
    entities: dict[str, Entity] = {}
    EntityReader(Iris(base), entities).read(record, statements)
    return entities


def _same_records(
    ledger: Database, own: SubmissionDescription, record: str, base: str
) -> Iterator[Duplicate]:
    """Yield the records of the ledger with the same description or the same first web page."""
    r, d = t.record, t.description
    fingerprint = content_fingerprint(
        sorted(own.statements), own.thing, record, own.source, own.key
    )
    page = page_fingerprint("\n".join(own.statements))
    same = (
        sa.or_(r.c.fingerprint == fingerprint, r.c.page == page)
        if page is not None
        else r.c.fingerprint == fingerprint
    )
    join = r.join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
    query = (
        sa.select(r.c.source, r.c.key, r.c.fingerprint, d.c.statements)
        .select_from(join)
        .where(
            same,
            r.c.state == RecordState.PUBLISHED.value,
            sa.or_(r.c.source != own.source, r.c.key != own.key),
        )
        .order_by(r.c.source, r.c.key)
        .limit(_SHOWN)
    )
    with ledger.transaction() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        address = Iris(base).record(row.source, row.key)
        yield Duplicate(
            address,
            record_title(decompress(row.statements).split("\n")),
            "content" if row.fingerprint == fingerprint else "page",
        )


def record_title(statements: Iterable[str]) -> str:
    """Return the first title in the statements of a record, "" without one."""
    lines = "".join(f"{line} .\n" for line in statements if f"> <{DCT}title> " in line)
    return next((quad.object.value for quad in parse(lines.encode(), RdfFormat.N_TRIPLES)), "")


def _same_titles(
    ledger: Database, own: SubmissionDescription, base: str, *, unpublished: bool
) -> Iterator[Duplicate]:
    for other in (
        submissions.with_title(ledger, own.title, _SHOWN, unpublished=unpublished)
        if own.title
        else ()
    ):
        if other.id != own.key:
            yield Duplicate(Iris(base).record(own.source, other.id), other.title, "title")


def _unique(duplicates: Sequence[Duplicate], own: str) -> list[Duplicate]:
    """Return each record once, even if it is named by two IRIs, its own and its initiative's; leave
    out the submission *own*.
    """
    by_key: dict[str, Duplicate] = {}
    for duplicate in duplicates:
        by_key.setdefault(_key(duplicate.address), duplicate)
    by_key.pop(_key(own), None)
    return list(by_key.values())


def _key(address: str) -> str:
    """Return the source and key at the end of an IRI."""
    return "/".join(address.rsplit("/", 2)[-2:])
