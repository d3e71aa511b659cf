"""Choose the pairs that are compared: entities that share an identifier, a page, a name, rare words
or an acronym.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations, groupby
from math import log2
from operator import itemgetter
from sqlite3 import Connection

from harvesters.matching.entities import Entity
from harvesters.matching.entity_store import EntityStore

MAX_BLOCK = 40  # All entities of a block of this size are compared.
# In a larger block, each is compared with so many neighbours: a thousand namesakes make 5,000 pairs.
WINDOW = 5
_RARE = 3  # rarest words of a name whose pairs are keys
_REMEMBERED = 1 << 14  # words whose count is cached
# Blocks of entities by the digest of a key, and the pairs to compare, both by the numbers of the
# entities.
SCHEMA = """
CREATE TABLE name (words TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE word (word TEXT PRIMARY KEY, names INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE number (number INTEGER PRIMARY KEY, iri TEXT NOT NULL);
CREATE TABLE block (key INTEGER NOT NULL, number INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE TABLE pair (first INTEGER NOT NULL, second INTEGER NOT NULL);
"""


class WordWeights:
    """How rare each word is among different names: the bits that a name's agreement is worth.

    A name that several registries have counts once, so that the words of an often named
    organization do not count as common. *count* returns in how many of *total* names a word is.
    """

    def __init__(self, count: Callable[[str], int], total: int) -> None:
        self._count, self._total = count, max(total, 2)

    @classmethod
    def from_entities(cls, entities: Iterable[Entity]) -> WordWeights:
        """Return the weights of the words in the names of a few entities."""
        names = {words for entity in entities for words in entity.words}
        counts = Counter(word for words in names for word in set(words))
        return cls(lambda word: counts[word], len(names))

    @classmethod
    def count_in(cls, database: Connection, entities: Iterable[Entity]) -> WordWeights:
        """Return the weights of the words in the names of all *entities*; *database* counts them."""
        names = ((" ".join(words),) for entity in entities for words in entity.words)
        database.executemany("INSERT OR IGNORE INTO name VALUES (?)", names)
        words = (
            (word,)
            for (name,) in database.execute("SELECT words FROM name")
            for word in set(name.split())
        )
        database.executemany(
            "INSERT INTO word VALUES (?, 1) ON CONFLICT (word) DO UPDATE SET names = names + 1",
            words,
        )

        @lru_cache(_REMEMBERED)
        def count(word: str) -> int:
            row = database.execute("SELECT names FROM word WHERE word = ?", (word,)).fetchone()
            return row[0] if row else 0

        return cls(count, database.execute("SELECT count(*) FROM name").fetchone()[0])

    def bits(self, word: str) -> float:
        """Return the bits of information of a word: 0 for one that all names have."""
        return max(0.0, log2(self._total / max(1, self._count(word))))

    def rarest(self, words: Collection[str]) -> list[str]:
        """Return the rarest different words, in the order of the alphabet."""
        return sorted(sorted(set(words), key=lambda word: (self._count(word), word))[:_RARE])


def keys(entity: Entity, weights: WordWeights) -> Iterator[str]:
    """Yield the blocking keys of an entity."""
    for scheme, value in entity.identifiers:
        yield f"identifier {scheme} {value}"
    if entity.kind == "document":
        return
    for page in entity.pages:
        yield f"page {page}"
    for origin in entity.origins:
        yield f"origin {origin}"
    if entity.origins and ":" in entity.key:  # A key such as 17 does not identify an origin.
        yield f"origin {entity.key}"
    for words in entity.words:
        yield f"name {' '.join(sorted(words))}"
        for pair in combinations(weights.rarest(words), 2):
            yield f"words {' '.join(pair)}"
    if entity.kind == "organization":
        for acronym in entity.acronyms:
            yield f"acronym {acronym}"
        for host in entity.hosts:
            yield f"host {host}"


def candidate_pairs(
    database: Connection,
    entities: EntityStore,
    kind: str,
    weights: WordWeights,
    *,
    only_changed: bool = False,
) -> Iterator[tuple[str, str]]:
    """Yield each pair of entities of a kind that share a key once, the IRIs in the order of the
    alphabet.

    With *only_changed*, only pairs with one that is marked as changed. In a block of more than
    MAX_BLOCK, neighbours are compared in the order of their countries and registries. *database*
    has the empty tables of SCHEMA.
    """
    _write_blocks(database, entities, kind, weights, only_changed=only_changed)
    blocks = database.execute("SELECT key, number, changed FROM block ORDER BY key, number")
    pairs = (
        pair
        for _, rows in groupby(blocks, itemgetter(0))
        for pair in _pairs(list(rows), entities, database)
    )
    database.executemany("INSERT INTO pair VALUES (?, ?)", pairs)
    iris = "SELECT a.iri, b.iri FROM (SELECT DISTINCT first, second FROM pair ORDER BY first, second) AS pair"
    yield from database.execute(
        f"{iris} CROSS JOIN number AS a ON a.number = first CROSS JOIN number AS b ON b.number = second"
    )


def _write_blocks(
    database: Connection,
    entities: EntityStore,
    kind: str,
    weights: WordWeights,
    *,
    only_changed: bool,
) -> None:
    """Write the numbers of entities, in the order of their IRIs, and the digests of their keys."""
    for number, entity in enumerate(entities.of_kind(kind)):
        database.execute("INSERT INTO number VALUES (?, ?)", (number, entity.iri))
        changed = not only_changed or entities.is_changed(entity.iri)
        rows = ((_digest(key), number, changed) for key in set(keys(entity, weights)))
        database.executemany("INSERT INTO block VALUES (?, ?, ?)", rows)


def _digest(key: str) -> int:
    """Return a key as a number of 64 bits: two keys of one number would only lead to one more
    comparison.
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)


def _pairs(
    block: list[tuple[int, int, int]], entities: EntityStore, database: Connection
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of the numbers of a block with at least one that is changed. Its rows are in
    the order of the numbers.
    """
    changed = {number for _, number, is_changed in block if is_changed}
    if not changed:
        return
    numbers = [number for _, number, _ in block]
    if len(numbers) <= MAX_BLOCK:
        yield from (pair for pair in combinations(numbers, 2) if not changed.isdisjoint(pair))
        return
    numbers.sort(key=lambda number: (_countries(database, number, entities), number))
    for index, first in enumerate(numbers):
        for second in numbers[index + 1 : index + 1 + WINDOW]:
            if first in changed or second in changed:
                yield (first, second) if first < second else (second, first)


def _countries(database: Connection, number: int, entities: EntityStore) -> list[str]:
    [iri] = database.execute("SELECT iri FROM number WHERE number = ?", (number,)).fetchone()
    return sorted(entities[iri].countries)
