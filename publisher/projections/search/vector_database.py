"""The vectors of things in a DuckDB file, and the files that searches read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from languages.embedding import WIDTH, Vectors

BUILD_VERSION = "1"
THINGS = "things"
OFFSETS = "offsets.npy"
VECTORS = "vectors.npy"
MEANS = "means.npy"
CODES = "codes.npy"
_CHUNK = 8_192  # rows in memory at a time
_FEW = 20  # texts of a language whose mean counts as much as that of all texts
_SCALE = 127  # the largest number of a stored vector: one byte a number is enough to order things
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (thing VARCHAR PRIMARY KEY, digest BLOB, language VARCHAR, vector BLOB, entry INTEGER);
CREATE TABLE IF NOT EXISTS checkpoint (position INTEGER, entry VARCHAR, version VARCHAR);
"""

Bytes = NDArray[np.int8]


class VectorDatabase:
    """A row for each thing: its IRI, the digest of the text that was embedded, its vector, and the
    last *entry* that needed it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = duckdb.connect(str(path), config={"memory_limit": "256MB", "threads": 1})
        self._connection.execute(_SCHEMA)

    def checkpoint(self) -> tuple[int, str, str]:
        """Return the number and id of the last journal entry, and the version that wrote the file."""
        row = self._connection.execute("SELECT position, entry, version FROM checkpoint").fetchone()
        return (row[0], row[1], row[2]) if row else (0, "", "")

    def mark_needed(self, digests: Sequence[tuple[str, bytes]], entry: int) -> set[str]:
        """Mark the things whose text has the same digest as before as needed by *entry*, and return
        them.
        """
        query = (
            "UPDATE vectors SET entry = $entry FROM (SELECT unnest($things) AS thing, unnest($digests) AS digest) AS wanted "
            "WHERE vectors.thing = wanted.thing AND vectors.digest = wanted.digest RETURNING vectors.thing"
        )
        values = {
            "entry": entry,
            "things": [thing for thing, _ in digests],
            "digests": [digest for _, digest in digests],
        }
        return {thing for (thing,) in self._connection.execute(query, values).fetchall()}

    def put(self, rows: Sequence[tuple[str, bytes, str]], vectors: Vectors, entry: int) -> None:
        """Store the vectors of things with the digests and the languages of their texts; a row of
        *vectors* each.
        """
        things, digests, languages = ([row[column] for row in rows] for column in range(3))
        stored = [vector.tobytes() for vector in _quantized(vectors)]
        self._connection.execute(
            "INSERT OR REPLACE INTO vectors SELECT unnest($things), unnest($digests), unnest($languages), unnest($vectors), $entry",
            {
                "things": things,
                "digests": digests,
                "languages": languages,
                "vectors": stored,
                "entry": entry,
            },
        )

    def drop(self, things: Collection[str]) -> None:
        """Delete the vectors of *things*."""
        self._connection.execute(
            "DELETE FROM vectors WHERE thing IN (SELECT unnest($things))", {"things": list(things)}
        )

    def drop_unneeded(self, entry: int) -> None:
        """Delete the vectors that no build since *entry* needed."""
        self._connection.execute("DELETE FROM vectors WHERE entry < $entry", {"entry": entry})

    def commit(self, position: int, entry: str) -> None:
        """Record that the vectors are those of a journal entry."""
        values = {"position": position, "entry": entry, "version": BUILD_VERSION}
        self._connection.execute("BEGIN; DELETE FROM checkpoint")
        self._connection.execute(
            "INSERT INTO checkpoint VALUES ($position, $entry, $version)", values
        )
        self._connection.execute("COMMIT; CHECKPOINT")

    def write_files(self, folder: Path) -> None:
        """Write the files that ``vector_index`` reads into *folder*; at most ``_CHUNK`` rows are in
        memory.
        """
        row = self._connection.execute("SELECT count(*) FROM vectors").fetchone()
        count = row[0] if row else 0
        offsets, numbers = np.zeros(count + 1, dtype=np.int64), np.zeros(count, dtype=np.int16)
        vectors = open_memmap(folder / VECTORS, mode="w+", dtype=np.int8, shape=(count, WIDTH))
        languages: dict[str, int] = {}
        first = 0
        with (folder / THINGS).open("wb") as names:
            for rows in self._chunks():
                things, last = [thing.encode() for thing, _, _ in rows], first + len(rows)
                names.write(b"".join(things))
                offsets[first + 1 : last + 1] = offsets[first] + np.cumsum(
                    [len(thing) for thing in things]
                )
                numbers[first:last] = [
                    languages.setdefault(language, len(languages)) for _, language, _ in rows
                ]
                vectors[first:last] = np.frombuffer(
                    b"".join(vector for _, _, vector in rows), dtype=np.int8
                ).reshape(-1, WIDTH)
                first = last
        means = _means(vectors, numbers, len(languages))
        codes = open_memmap(folder / CODES, mode="w+", dtype=np.uint64, shape=(count, WIDTH // 64))
        for first in range(0, count, _CHUNK):
            chunk = slice(first, first + _CHUNK)
            centered = np.asarray(
                normalized(vectors[chunk]) - means[numbers[chunk]], dtype=np.float32
            )
            vectors[chunk], codes[chunk] = _quantized(centered), signs(centered)
        vectors.flush()
        codes.flush()
        np.save(folder / MEANS, means)
        np.save(folder / OFFSETS, offsets)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _chunks(self) -> Iterator[list[tuple[str, str, bytes]]]:
        result = self._connection.execute(
            "SELECT thing, language, vector FROM vectors ORDER BY thing"
        )
        while rows := result.fetchmany(_CHUNK):
            yield rows


def _means(vectors: Bytes, numbers: NDArray[np.int16], languages: int) -> Vectors:
    """Return the mean vector of each language: what its texts have in common, whatever they mean.

    The mean of a language with few texts is moved toward that of all texts.
    """
    sums, counts = np.zeros((languages, WIDTH)), np.bincount(numbers, minlength=languages)[:, None]
    for first in range(0, len(vectors), _CHUNK):
        np.add.at(
            sums, numbers[first : first + _CHUNK], normalized(vectors[first : first + _CHUNK])
        )
    whole = sums.sum(axis=0) / max(1, len(vectors))
    return np.asarray((sums + _FEW * whole) / (counts + _FEW), dtype=np.float32)


def _quantized(vectors: Vectors) -> Bytes:
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    return np.asarray(np.rint(vectors / np.maximum(largest, 1e-9) * _SCALE), dtype=np.int8)


def normalized(vectors: Bytes) -> Vectors:
    """Return stored vectors as numbers, each of the length 1."""
    numbers = vectors.astype(np.float32)
    return np.asarray(
        numbers / np.maximum(np.linalg.norm(numbers, axis=1, keepdims=True), 1e-9), dtype=np.float32
    )


def signs(vectors: Vectors) -> NDArray[np.uint64]:
    """Return the signs of the numbers of each vector as bits: near vectors differ in few of them."""
    return np.packbits(vectors > 0, axis=1).view(np.uint64)
