"""Read the statements of many graphs or subjects at once from the columns.

A query reads the numbers of all statements with the predicates, and of all terms, however few are
wanted; so callers ask for thousands of names at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
from numpy.typing import NDArray
from pyoxigraph import Quad, RdfFormat, parse

from publisher.projections.statement_source import Subjects
from publisher.rdf.ntriples_terms import Value
from publisher.store.columns.database import MEMORY
from publisher.store.columns.terms import TermKind, term_id, text_sql
from vocab.terms import RDF, XSD

_PAGE = 20_000  # numbers whose names are looked up at once: 2 MB

# The terms of the table ``selected (place, s, p, o)``. They are not sorted, since texts may be long;
# a new table is read in the order of its rows: https://duckdb.org/docs/stable/sql/dialect/order_preservation
_TEXTS = """
CREATE OR REPLACE TEMP TABLE texts AS
SELECT id, kind, lexical, language, datatype
FROM terms SEMI JOIN (SELECT s AS id FROM selected UNION SELECT o FROM selected) USING (id)
"""
_VALUES = f"""
SELECT lexical, kind = {TermKind.IRI:d}, nullif(language, ''),
    CASE WHEN datatype NOT IN ('', '{XSD}string', '{RDF}langString') THEN datatype END
FROM texts
"""
_ROWS = """
SELECT place, s.rowid AS s, p, o.rowid AS o
FROM selected JOIN texts s ON s.id = selected.s JOIN texts o ON o.id = selected.o
"""


class ColumnStatements:
    """The statements in the columns over which *read* runs a query with parameters."""

    def __init__(
        self, read: Callable[[str, Mapping[str, object]], duckdb.DuckDBPyConnection]
    ) -> None:
        self._run = read

    def graphs(self, names: Collection[str], predicates: Collection[str]) -> dict[str, Subjects]:
        """Return the statements of each of the graphs *names* with one of *predicates*; a graph
        without any is empty.
        """
        return self._read("quads", "g", names, predicates)

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        """Return the statements of the default graph about each of *names* with one of
        *predicates*; a subject without any is empty.
        """
        read = self._read("triples", "s", names, predicates)
        return {name: subjects.get(name, {}) for name, subjects in read.items()}

    def quads(self, graph: str | None = None) -> Iterator[Quad]:
        """Yield all quads of the named graphs, or those of *graph*."""
        texts = ", ".join(f"{text_sql(f'{place}.')}" for place in "spog")
        terms = " ".join(f"JOIN terms {place} ON {place}.id = q.{place}" for place in "spog")
        where = "q.g <> 0" if graph is None else f"q.g = {_number(graph)}::UBIGINT"
        rows = self._run(f"SELECT {texts} FROM quads q {terms} WHERE {where}", {})
        while page := rows.fetchmany(_PAGE):
            lines = "".join(" ".join(row) + " .\n" for row in page)
            yield from parse(lines, RdfFormat.N_QUADS, lenient=True)

    def graph_names(self, prefix: str) -> Iterator[str]:
        """Yield the named graphs whose IRIs begin with *prefix*."""
        return self._names(
            """SELECT id FROM terms SEMI JOIN (SELECT DISTINCT g AS id FROM quads) USING (id)
            WHERE starts_with(lexical, $prefix)""",
            {"prefix": prefix},
        )

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield each subject of the default graph with one of *predicates* once; with one of
        *objects* if there are any, which are IRIs.
        """
        query = f"SELECT DISTINCT s AS id FROM triples WHERE p IN ({_numbers_sql(predicates)})"
        if objects:
            query += " AND o IN (SELECT unnest($objects::UBIGINT[]))"
        return self._names(query, {"objects": list(map(_number, objects))} if objects else {})

    def _read(
        self, table: str, place: str, names: Collection[str], predicates: Collection[str]
    ) -> dict[str, Subjects]:
        """Return the statements by the graph or subject, as the column *place* says."""
        results: dict[str, Subjects] = {name: {} for name in names}
        if not results:
            return results
        places, properties = (
            {_number(name): name for name in iris} for iris in (results, predicates)
        )
        self._select(table, place, places, predicates)
        self._run(_TEXTS, {})
        # each term once, since most are repeated
        values = [Value(*row) for row in self._run(_VALUES, {}).fetchall()]
        columns = self._run(_ROWS, {}).fetchnumpy()
        self._run("DROP TABLE selected; DROP TABLE texts", {})
        rows = zip(*(columns[name].tolist() for name in ("place", "s", "p", "o")), strict=True)
        for number, subject, predicate, value in rows:
            statements = results[places[number]].setdefault(values[subject].text, {})
            statements.setdefault(properties[predicate], []).append(values[value])
        return results

    def _select(
        self, table: str, place: str, places: Iterable[int], predicates: Collection[str]
    ) -> None:
        """Create the table ``selected`` of statements by the graph or subject, as the column *place*
        says.
        """
        self._run(
            f"""CREATE OR REPLACE TEMP TABLE selected AS SELECT {place} AS place, s, p, o FROM {table}
            WHERE p IN ({_numbers_sql(predicates)}) AND {place} IN (SELECT unnest($places::UBIGINT[]))""",
            {"places": list(places)},
        )

    def _names(self, query: str, parameters: dict[str, object]) -> Iterator[str]:
        """Yield the IRIs of the numbers that *query* selects, in their order; only the numbers are
        held.
        """
        read = self._run(f"{query} ORDER BY id", parameters).fetchnumpy()
        ids = cast("NDArray[np.uint64]", read["id"])
        for start in range(0, len(ids), _PAGE):
            rows = self._run(
                f"""SELECT lexical FROM terms
                WHERE kind = {TermKind.IRI:d} AND id IN (SELECT unnest($page::UBIGINT[])) ORDER BY id""",
                {"page": ids[start : start + _PAGE].tolist()},
            ).fetchall()
            yield from (name for (name,) in rows)


@contextmanager
def open_statements(path: Path) -> Iterator[ColumnStatements]:
    """Open the file *path* of columns, which no process writes."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": 2,
    }
    # Attached, since this process may have opened the file already, with other settings.
    with duckdb.connect(config=config) as connection:
        connection.execute("ATTACH ? AS file (READ_ONLY)", [str(path)])
        connection.execute("USE file")
        yield ColumnStatements(lambda query, values: connection.execute(query, dict(values)))


def _number(iri: str) -> int:
    return term_id(f"<{iri}>")


def _numbers_sql(iris: Collection[str]) -> str:
    return ", ".join(str(_number(iri)) for iri in iris)
