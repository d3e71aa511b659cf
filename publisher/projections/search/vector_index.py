"""Find the things whose texts are nearest in meaning to the words of a search, and fuse them with
those that have the words.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from languages.embedding import ModelError, Vectors, embed_query
from publisher.projections.search.query_parser import parse_clauses
from publisher.projections.search.searcher import Matches, Searcher
from publisher.projections.search.vector_database import (
    CODES,
    MEANS,
    OFFSETS,
    THINGS,
    VECTORS,
    normalized,
    signs,
)

FOLDER = "vectors"
NEAREST = 50  # things that a search adds at most
# cosine from which a thing is added: at the rated queries nine of ten such things are relevant
LOWEST = 0.2
# things with the nearest signs; the nearest of these are chosen by their vectors
_CANDIDATES = 2_000
_RANK = 60  # of reciprocal rank fusion: https://doi.org/10.1145/1571941.1572114
_CACHED = 1_000  # searches whose vectors are cached

log = structlog.get_logger(component="vectors")


class VectorIndex:
    """The vectors in *folder*, which do not change while it is open. Only the signs are in memory,
    48 bytes a thing.
    """

    def __init__(self, folder: Path) -> None:
        # a row for each 64 signs: sums over short rows are slow
        self._codes = np.ascontiguousarray(np.load(folder / CODES).T)
        self._means = np.load(folder / MEANS)
        self._offsets = np.load(folder / OFFSETS, mmap_mode="r")
        self._vectors = np.load(folder / VECTORS, mmap_mode="r")
        with (folder / THINGS).open("rb") as file:
            self._things = (
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if len(self._vectors) else b""
            )

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(
        self, vector: Vectors, limit: int = NEAREST, lowest: float = LOWEST
    ) -> list[tuple[str, float]]:
        """Return at most *limit* things with their cosines, at least *lowest*, the nearest first.

        Texts of one language are nearer to each other than to those of others, so the mean of its
        language is subtracted from each text, and from *vector* the one that is nearest.
        """
        if not len(self):
            return []
        wanted = (
            vector
            - self._means[np.argmax(self._means @ vector / np.linalg.norm(self._means, axis=1))]
        )
        wanted /= max(float(np.linalg.norm(wanted)), 1e-9)
        distances = np.zeros(len(self), dtype=np.uint16)
        for codes, code in zip(self._codes, signs(wanted[None])[0], strict=True):
            distances += np.bitwise_count(codes ^ code)
        candidates = _smallest(distances, _CANDIDATES)
        cosines = normalized(self._vectors[candidates]) @ wanted
        # equal ones by their IRIs, in whose order the rows are
        order = np.argsort(-cosines, kind="stable")[:limit]
        return [
            (self._thing(int(candidates[row])), float(cosines[row]))
            for row in order
            if cosines[row] >= lowest
        ]

    def _thing(self, row: int) -> str:
        return bytes(self._things[int(self._offsets[row]) : int(self._offsets[row + 1])]).decode()


def _smallest(distances: NDArray[np.uint16], count: int) -> NDArray[np.intp]:
    """Return the rows of the *count* smallest distances in the order of the rows; of equal ones the
    first.

    >>> _smallest(np.array([3, 1, 2, 2, 2], dtype=np.uint16), 3)
    array([1, 2, 3])
    """
    if count >= len(distances):
        return np.arange(len(distances))
    largest = np.searchsorted(np.bincount(distances).cumsum(), count)
    below, equal = np.flatnonzero(distances < largest), np.flatnonzero(distances == largest)
    return np.sort(np.concatenate([below, equal[: count - len(below)]]))


def open_vectors(snapshot: str) -> VectorIndex | None:
    """Open the vectors of the snapshot in the folder *snapshot*; None if it has none yet."""
    folder = Path(snapshot) / FOLDER
    try:
        return _open_cached(folder, (folder / CODES).stat().st_ino)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2)  # the current snapshot, and the previous one during a switch
def _open_cached(folder: Path, _inode: int) -> VectorIndex:
    return VectorIndex(folder)


def near_things(snapshot: str, words: str) -> list[tuple[str, float]]:
    """Return the things whose texts are nearest in meaning to *words*, the nearest first.

    Nothing for a search with operators, which says exactly what is wanted, where there are no
    vectors, and without the model.
    """
    clauses = parse_clauses(words)
    if not clauses or any(
        len(group) > 1 or group[0].is_phrase or group[0].is_prefix or group[0].is_negated
        for group in clauses
    ):
        return []
    index = open_vectors(snapshot)
    if index is None:
        return []
    try:
        return index.nearest(_vector(words))
    except ModelError as error:
        log.error("search by meaning is not possible", reason=str(error))
        return []


@lru_cache(maxsize=_CACHED)
def _vector(words: str) -> Vectors:
    return embed_query(words)


def fuse(matches: Matches, near: Sequence[tuple[str, float]]) -> Matches:
    """Return the things that have the words and those that are *near*, by the sum of the
    reciprocals of their ranks.

    >>> fuse(Matches(2, {"a": 9.0, "b": 8.0}, False), [("b", 0.9), ("c", 0.8)]).scores.keys()
    dict_keys(['b', 'a', 'c'])
    """
    if not near:
        return matches
    scores = {thing: 1 / (_RANK + rank) for rank, (thing, _) in enumerate(near, 1)}
    both = {
        thing: 1 / (_RANK + rank) for rank, thing in enumerate(matches.scores, 1) if thing in scores
    }
    added = sorted(
        ((scores[thing] + both.get(thing, 0.0), thing) for thing in scores),
        key=lambda pair: (-pair[0], pair[1]),
    )
    ranked: dict[str, float] = {}
    # merged, since a sort of 10,000 takes some milliseconds
    for rank, thing in enumerate(matches.scores, 1):
        score = 1 / (_RANK + rank)
        while added and (added[0][0] > score or (added[0][0] == score and added[0][1] < thing)):
            first, other = added.pop(0)
            ranked[other] = first
        if thing not in scores:
            ranked[thing] = score
    ranked.update((thing, score) for score, thing in added)
    # else the things that are added may be among those that were not listed
    is_whole = matches.total == len(matches.scores)
    total = len(ranked) if is_whole else matches.total
    return Matches(total, ranked, matches.is_fuzzy or not matches.scores)


def add_near(matches: Matches, searcher: Searcher, snapshot: str, words: str) -> Matches:
    """Return *matches* of *words* in the index of *snapshot*, fused with the things that are near
    in meaning.

    The vectors may be behind the index, so things that it does not have are left out.
    """
    near = near_things(snapshot, words)
    entries = searcher.entries(thing for thing, _ in near)
    return fuse(
        matches, [pair for pair, entry in zip(near, entries, strict=True) if entry is not None]
    )
