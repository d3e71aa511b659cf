"""The file of the columns: terms by their numbers, and quads of numbers, sorted by predicate.

One process writes it; copies are opened read-only (https://duckdb.org/docs/stable/connect/concurrency).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from publisher.store.columns.terms import DEFAULT_GRAPH, TermRow, stored_terms

FORMAT = 1  # increase it with every change of what is written, so that the columns are rebuilt
BUILD_VERSION = f"{FORMAT} duckdb-{version('duckdb').partition('.')[0]}"
MEMORY = "512MiB"  # the rest is spilled to a folder beside the file
BATCH = 100_000  # rows that are encoded together: about 100 MB
UNSORTED = 0.2  # share of the quads added since the last sort from which they are sorted again

TABLES = """
CREATE TABLE terms (
    id UBIGINT, kind UTINYINT, text VARCHAR, lexical VARCHAR, datatype VARCHAR, language VARCHAR,
    whole BIGINT
);
CREATE TABLE quads (g UBIGINT, s UBIGINT, p UBIGINT, o UBIGINT);
CREATE TABLE triples (s UBIGINT, p UBIGINT, o UBIGINT);
CREATE TABLE predicates (p UBIGINT, triples BIGINT, subjects BIGINT, objects BIGINT);
CREATE TABLE checkpoint (position BIGINT, entry VARCHAR, version VARCHAR);
CREATE TABLE beside (graph VARCHAR);  -- the graph that the store has and the journal has not
CREATE TABLE layout (sorted BIGINT);  -- how many quads there were when they were sorted last
"""
_APPLY = """
CREATE OR REPLACE TEMP TABLE change AS
    SELECT arg_max(added, n) AS added, g, s, p, o FROM encoded GROUP BY g, s, p, o;
DELETE FROM quads USING change
    WHERE NOT added AND quads.g = change.g AND quads.s = change.s
    AND quads.p = change.p AND quads.o = change.o;
DELETE FROM triples USING (
        SELECT s, p, o FROM (SELECT DISTINCT s, p, o FROM change WHERE NOT added)
        ANTI JOIN quads USING (s, p, o)
    ) AS gone
    WHERE triples.s = gone.s AND triples.p = gone.p AND triples.o = gone.o;
INSERT INTO quads
    SELECT g, s, p, o FROM change ANTI JOIN quads USING (g, s, p, o) WHERE added ORDER BY p, s, o;
INSERT INTO triples
    SELECT DISTINCT s, p, o FROM change ANTI JOIN triples USING (s, p, o) WHERE added ORDER BY p, s, o;
"""
_SORT = """
CREATE OR REPLACE TABLE quads AS SELECT * FROM quads ORDER BY p, s, o, g;
CREATE OR REPLACE TABLE triples AS SELECT * FROM triples ORDER BY p, s, o;
DELETE FROM layout;
INSERT INTO layout SELECT count(*) FROM quads;
"""
_COUNT = """
CREATE OR REPLACE TABLE predicates AS
    SELECT p, count(*) AS triples, approx_count_distinct(s) AS subjects,
        approx_count_distinct(o) AS objects
    FROM triples GROUP BY p;
"""


class TermCollision(ValueError):
    """Two terms have one number: the columns cannot hold both."""


class ColumnDatabase:
    """The columns in the file *path*, open for writing."""

    def __init__(self, path: Path, memory: str = MEMORY) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._memory = path, memory
        self._connection = self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        spilled = str(self._path.with_name("spilled"))
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._memory,
            "threads": 2,
            "temp_directory": spilled,
        }
        connection = duckdb.connect(str(self._path), config=config)
        try:
            found = "SELECT 1 FROM duckdb_tables() WHERE table_name = 'checkpoint'"
            if not connection.execute(found).fetchall():
                connection.execute(f"BEGIN; {TABLES} COMMIT")
        except duckdb.Error:
            connection.close()  # or a new file in its place would be opened as this one
            raise
        return connection

    def checkpoint(self) -> tuple[int, str, str]:
        """Return the number and id of the last journal entry, and the version that wrote it."""
        query = "SELECT position, entry, version FROM checkpoint"
        found = self._connection.execute(query).fetchall()
        return (found[0][0], found[0][1], found[0][2]) if found else (0, "", "")

    def begin(self) -> None:
        """Begin a transaction, which ``commit`` ends."""
        self._connection.execute("BEGIN")

    def apply(self, rows: Iterable[bytes]) -> Iterator[None]:
        """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...`` in their order; yield between batches.

        Applying rows again changes nothing.
        """
        rest = iter(rows)
        while batch := list(islice(rest, BATCH)):
            encode(self._connection, batch)
            self._connection.execute(_APPLY)
            yield

    def set_graph_beside(self, graph: str) -> None:
        """Record the IRI of the graph that the RDF store holds although the journal does not."""
        self._connection.execute("DELETE FROM beside")
        self._connection.execute("INSERT INTO beside VALUES (?)", [graph])

    def commit(self, position: int, entry: str) -> None:
        """Commit the changes together with the journal entry that they lead up to."""
        self._connection.execute("DELETE FROM checkpoint")
        row = [position, entry, BUILD_VERSION]
        self._connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", row)
        self._connection.execute("COMMIT")

    def _sort_if_needed(self) -> None:
        query = "SELECT (SELECT max(sorted) FROM layout), (SELECT count(*) FROM quads)"
        ((before, now),) = self._connection.execute(query).fetchall()
        if before is None or now > before * (1 + UNSORTED):
            self._connection.execute(f"BEGIN; {_SORT} COMMIT")

    def copy(self, path: Path) -> None:
        """Copy the committed columns to the file *path*, sorted and counted; free the memory that they took."""
        self._sort_if_needed()
        self._connection.execute(_COUNT)
        self._connection.execute("CHECKPOINT")
        self.close()
        shutil.copyfile(self._path, path)
        self._connection = self._connect()

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._connection.close()


def encode(connection: duckdb.DuckDBPyConnection, rows: Iterable[bytes]) -> None:
    """Put *rows* into the temporary table ``encoded (n, added, g, s, p, o)``, and new terms into ``terms``.

    *rows* are as in ``ColumnDatabase.apply``. Raises ValueError if one is no such row, TermCollision if two terms have
    one number.
    """
    split = [_split(row) for row in rows]
    texts = {text for _, *terms in split for text in terms}
    known = dict(stored_terms(texts - {b""}))
    numbers = {text: row.id for text, row in known.items()} | {b"": DEFAULT_GRAPH}
    flat = np.fromiter(
        (numbers[text] for _, *terms in split for text in terms), np.uint64, 4 * len(split)
    )
    columns: dict[str, NDArray[np.generic]] = {
        "n": np.arange(len(split), dtype=np.int64),
        "added": np.fromiter((added for added, *_ in split), np.bool_, len(split)),
    }
    columns |= {name: flat[start::4].copy() for start, name in enumerate("spog")}
    insert_terms(connection, {row.id: row for row in known.values()}, len(set(known.values())))
    connection.register("encoded_rows", columns)
    connection.execute("CREATE OR REPLACE TEMP TABLE encoded AS SELECT * FROM encoded_rows")
    connection.unregister("encoded_rows")


def insert_terms(
    connection: duckdb.DuckDBPyConnection, rows: dict[int, TermRow], distinct: int
) -> None:
    """Insert the terms that ``terms`` lacks. Raises TermCollision if two terms have one number."""
    terms = list(rows.values())
    columns: dict[str, NDArray[np.generic]] = {
        "id": np.fromiter(rows, np.uint64, len(terms)),
        "kind": np.fromiter((term.kind for term in terms), np.uint8, len(terms)),
        "whole": np.fromiter((term.whole or 0 for term in terms), np.int64, len(terms)),
    }
    for name in ("text", "lexical", "datatype", "language"):
        values: NDArray[np.object_] = np.empty(len(terms), dtype=object)
        values[:] = [getattr(term, name) for term in terms]
        columns[name] = values
    connection.register("new_terms", columns)
    try:
        collision = "SELECT 1 FROM new_terms n JOIN terms t USING (id) WHERE n.text <> t.text"
        if distinct != len(rows) or connection.execute(collision).fetchall():
            raise TermCollision("two terms have the same 64-bit hash")
        connection.execute(
            "INSERT INTO terms SELECT id, kind, text, lexical, datatype, language, whole"
            " FROM new_terms ANTI JOIN terms USING (id)"
        )
    finally:
        connection.unregister("new_terms")


def _split(row: bytes) -> tuple[bool, bytes, bytes, bytes, bytes]:
    """Return whether a row adds, and its subject, predicate, object and graph.

    >>> _split(b'A <s:s> <p:p> "a b" <g:g> .')
    (True, b'<s:s>', b'<p:p>', b'"a b"', b'<g:g>')
    """
    operation, subject, predicate, rest = row.split(b" ", 3)
    value, graph, _ = rest.rsplit(b" ", 2)
    return operation == b"A", subject, predicate, value, graph
