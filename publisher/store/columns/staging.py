"""Encode rows of the journal in bulk as quads of numbers and their terms.

Python splits the rows and hashes each new term once; DuckDB derives the parts of terms from their
texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from publisher.store.columns.terms import DEFAULT_GRAPH, TermKind, digest, is_unchanged, stored_rows
from vocab.terms import RDF, XSD

# remembered numbers of terms that are no longer than CACHED_LENGTH bytes: about 100 MB
CACHED_TERMS, CACHED_LENGTH = 500_000, 400
_HASHES = np.dtype([("id", "<u8"), ("check", "<u4")])

_TABLES = """
CREATE OR REPLACE TEMP TABLE staged (n BIGINT, added BOOLEAN, g UBIGINT, s UBIGINT, p UBIGINT, o UBIGINT);
CREATE OR REPLACE TEMP TABLE staged_terms (
    id UBIGINT, "check" UINTEGER, kind UTINYINT, lexical VARCHAR, datatype VARCHAR, language VARCHAR,
    whole BIGINT, written VARCHAR
);
"""
_STAGE_UNCHANGED = f"""
INSERT INTO staged_terms
    SELECT id, "check",
        CASE WHEN tail IS NULL THEN {TermKind.IRI:d} WHEN tail = '' THEN {TermKind.STRING:d}
            WHEN tail[1] = '@' THEN {TermKind.LANGUAGE_STRING:d}
            WHEN tail = '^^<{XSD}dateTime>' THEN {TermKind.INSTANT:d}
            WHEN tail = '^^<{XSD}date>' THEN {TermKind.DATE:d}
            WHEN tail = '^^<{XSD}decimal>' THEN {TermKind.DECIMAL:d} ELSE {TermKind.OTHER:d} END,
        CASE WHEN tail IS NULL THEN text[2:-2] ELSE split_part(text, '"', 2) END,
        CASE WHEN tail IS NULL THEN '' WHEN tail = '' THEN '{XSD}string'
            WHEN tail[1] = '@' THEN '{RDF}langString' ELSE tail[4:-2] END,
        CASE WHEN tail[1] = '@' THEN tail[2:] ELSE '' END, NULL, NULL
    FROM (SELECT *, CASE WHEN text[1] <> '<' THEN split_part(text, '"', 3) END AS tail FROM arrived_terms)
"""
_COLLISIONS = """
SELECT 1 FROM staged_terms GROUP BY id HAVING min("check") <> max("check")
UNION ALL SELECT 1 FROM staged_terms JOIN terms USING (id) WHERE staged_terms."check" <> terms."check" LIMIT 1
"""
_INSERT_TERMS = """
INSERT INTO terms SELECT DISTINCT ON (id) * FROM staged_terms ANTI JOIN terms USING (id);
DELETE FROM staged_terms;
"""


class _Numbers(dict[bytes, int]):
    """The numbers of terms by their N-Triples forms; those of long terms are not kept. New terms are
    added to *arrived*, with their *hashes*.
    """

    def __init__(self) -> None:
        super().__init__({b"": DEFAULT_GRAPH})
        self.arrived: list[bytes] = []
        self.hashes: list[bytes] = []

    def __missing__(self, text: bytes) -> int:
        value = digest(text)
        self.arrived.append(text)
        self.hashes.append(value)
        number = int.from_bytes(value[:8], "little")
        if len(text) <= CACHED_LENGTH:
            self[text] = number
        return number


class Stage:
    """Encoded rows in the temporary tables ``staged (n, added, g, s, p, o)`` and ``staged_terms``
    of *connection*.

    *fault* says why the columns lack something, "" if they do not: a quoted triple has no column,
    and of two terms with the same number the first is kept.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, fault: str = "") -> None:
        self._connection, self.fault = connection, fault
        self._numbers = _Numbers()
        self.rows = 0  # number of rows in ``staged``
        self.text_bytes = 0  # of the N-Triples forms of ``staged_terms``
        connection.execute(_TABLES)

    def add(self, rows: Sequence[bytes]) -> None:
        """Encode the rows ``A <s> <p> <o> <g> .`` and ``D ...``, but those with a quoted triple.
        Raises ValueError if one is not a row.
        """
        without = [row for row in rows if b"<<" not in row or not _has_quoted_triple(row)]
        if len(without) < len(rows):
            self.fault = self.fault or "quoted triples have no columns"
            rows = without
        operations, *terms = _split(rows)
        number = self._numbers.__getitem__
        encoded = {
            name: np.fromiter(map(number, column), np.uint64, len(rows))
            for name, column in zip("spog", terms, strict=True)
        }
        self._stage_terms(encoded)
        columns: dict[str, NDArray[np.generic]] = {
            "n": np.arange(self.rows, self.rows + len(rows), dtype=np.int64),
            "added": np.fromiter(
                (operation == b"A" for operation in operations), np.bool_, len(rows)
            ),
            **encoded,
        }
        self._insert("staged", "n, added, g, s, p, o", columns)
        self.rows += len(rows)
        if len(self._numbers) > CACHED_TERMS:
            self._numbers = _Numbers()

    def insert_terms(self) -> None:
        """Move new staged terms to ``terms``."""
        if self._connection.execute(_COLLISIONS).fetchall():
            self.fault = self.fault or "two terms have the same 64-bit hash"
        self._connection.execute(_INSERT_TERMS)
        self.text_bytes = 0

    def clear(self) -> None:
        """Remove the staged rows."""
        self._connection.execute("DELETE FROM staged")
        self.rows = 0

    def _stage_terms(self, encoded: Mapping[str, NDArray[np.uint64]]) -> None:
        """Stage the new terms of *encoded*. Terms that the RDF store normalizes get the numbers of
        their normalized forms.
        """
        texts = self._numbers.arrived
        hashes = np.frombuffer(b"".join(self._numbers.hashes), _HASHES)
        self._numbers.arrived, self._numbers.hashes = [], []
        self.text_bytes += sum(map(len, texts))
        special = [index for index, text in enumerate(texts) if not is_unchanged(text)]
        if special:
            self._stage_special([texts[index] for index in special], hashes["id"][special], encoded)
            hashes = np.delete(hashes, special)
            texts = [text for text in texts if is_unchanged(text)]
        columns: dict[str, NDArray[np.generic]] = {
            name: hashes[name].copy() for name in ("id", "check")
        }
        columns["text"] = _objects([text.decode() for text in texts])
        self._connection.register("arrived_terms", columns)
        self._connection.execute(_STAGE_UNCHANGED)
        self._connection.unregister("arrived_terms")

    def _stage_special(
        self,
        texts: list[bytes],
        numbers: NDArray[np.uint64],
        encoded: Mapping[str, NDArray[np.uint64]],
    ) -> None:
        rows = stored_rows(texts)
        stored = np.fromiter((row.id for row in rows), np.uint64, len(rows))
        self._numbers.update(
            (text, number)
            for text, number in zip(texts, stored.tolist(), strict=True)
            if len(text) <= CACHED_LENGTH
        )
        for column in encoded.values():
            _replace(column, numbers, stored)
        hashes = np.frombuffer(b"".join(digest(row.text.encode()) for row in rows), _HASHES)
        columns: dict[str, NDArray[np.generic]] = {
            name: hashes[name].copy() for name in ("id", "check")
        }
        columns["kind"] = np.fromiter((row.kind for row in rows), np.uint8, len(rows))
        columns |= {
            name: _objects([getattr(row, name) for row in rows])
            for name in ("whole", "lexical", "datatype", "language")
        }
        columns["written"] = _objects([row.text for row in rows])
        self._insert(
            "staged_terms",
            'id, "check", kind, lexical, datatype, language, whole, written',
            columns,
        )

    def _insert(self, table: str, names: str, columns: dict[str, NDArray[np.generic]]) -> None:
        self._connection.register("arrived", columns)
        self._connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM arrived")
        self._connection.unregister("arrived")


def _has_quoted_triple(row: bytes) -> bool:
    """Return whether the subject or the object of a row is a quoted triple.

    >>> _has_quoted_triple(b'A <s:s> <p:p> "<<" <g:g> .')
    False
    """
    _, subject, _, rest = row.split(b" ", 3)
    return subject.startswith(b"<<") or rest.startswith(b"<<")


def _split(
    rows: Sequence[bytes],
) -> tuple[list[bytes], list[bytes], list[bytes], list[bytes], list[bytes]]:
    """Return the operations, subjects, predicates, objects and graphs of rows. Raises ValueError if
    one is not a row.

    >>> _split([b'A <s:s> <p:p> "a b" <g:g> .'])
    ([b'A'], [b'<s:s>'], [b'<p:p>'], [b'"a b"'], [b'<g:g>'])
    """
    operations: list[bytes] = []
    subjects: list[bytes] = []
    predicates: list[bytes] = []
    values: list[bytes] = []
    graphs: list[bytes] = []
    # often the same as in the row before: reusing the object reuses its hash
    last_subject = last_graph = b""
    for row in rows:  # a list for each row would slow down the garbage collector
        operation, subject, predicate, rest = row.split(b" ", 3)
        value, graph, _ = rest.rsplit(b" ", 2)
        last_subject = subject = last_subject if subject == last_subject else subject
        last_graph = graph = last_graph if graph == last_graph else graph
        operations.append(operation)
        subjects.append(subject)
        predicates.append(predicate)
        values.append(value)
        graphs.append(graph)
    return operations, subjects, predicates, values, graphs


def _replace(
    column: NDArray[np.uint64], numbers: NDArray[np.uint64], others: NDArray[np.uint64]
) -> None:
    """Replace each of *numbers* in *column* by the number at the same index of *others*."""
    order = np.argsort(numbers)
    indexes = order[np.searchsorted(numbers, column, sorter=order).clip(max=len(numbers) - 1)]
    matches = numbers[indexes] == column
    column[matches] = others[indexes[matches]]


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return an array in which None is SQL's NULL."""
    array: NDArray[np.object_] = np.empty(len(values), dtype=object)
    array[:] = values
    return array
