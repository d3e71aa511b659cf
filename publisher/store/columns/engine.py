"""Answer queries from a copy of the columns that is open for reading."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import duckdb
from cachetools import LRUCache
from pyoxigraph import (
    QueryResultsFormat,
    QuerySolutions,
    Store,
    parse_query_results,
)

from publisher.store.columns.compiler import CompiledQuery, compile_query
from publisher.store.columns.patterns import PredicateCount
from publisher.store.columns.query_parser import ParsedQuery, parse
from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.terms import TERM_TEXT, computed_text

MEMORY = 512 << 20  # bytes; the RDF store evaluates a query that needs more
FETCHED = 10_000  # rows per fetch
CACHED_TERMS = 10_000  # common terms whose texts are cached
CACHED = 500  # queries whose SQL is cached


class ColumnEngine:
    """The columns in the file *path*, which take at most *memory* bytes."""

    def __init__(self, path: Path, memory: int = MEMORY) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory >> 20}MiB",
            "threads": 1,
            "async_threads": 0,  # each thread would reserve address space, which is limited
            "temp_directory": "",
        }
        self.connection = duckdb.connect(config=config)
        self.connection.execute("ATTACH ? AS stored (READ_ONLY)", [str(path)])
        self.connection.execute("USE stored")
        self.connection.execute(
            "CREATE TEMP VIEW named_quads AS SELECT * FROM stored.quads WHERE g <> 0"
        )
        # The compiler orders the joins and chooses the hashed side: DuckDB overestimates groups and
        # would hash all terms. With the statistics, DuckDB 2.0 ignores a LIMIT or EXISTS over a
        # LEFT JOIN whose right side they know to be empty.
        self.connection.execute(
            "SET disabled_optimizers = 'join_order,build_side_probe_side,statistics_propagation'"
        )
        # SQL that a query was compiled to reads no other file, whatever fault the compiler has.
        self.connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        self._objects: dict[tuple[int, int], int] = {}
        self._texts: dict[int, str] = {}  # of common terms
        self._compiled: LRUCache[tuple[str, str | None], CompiledQuery | str] = LRUCache(CACHED)

    @property
    def version(self) -> str:
        """Return the version that wrote the columns, ``database.BUILD_VERSION``; "" if they cannot
        hold the data.
        """
        rows = self.connection.execute("SELECT version FROM checkpoint WHERE fault = ''").fetchall()
        return str(rows[0][0]) if rows else ""

    @cached_property
    def triples(self) -> int:
        """Return the number of triples in the default graph."""
        return sum(count.triples for count in self.predicates.values())

    @cached_property
    def predicates(self) -> Mapping[int, PredicateCount]:
        """Return the counts by predicate."""
        rows = self.connection.execute(
            "SELECT p, triples, subjects, objects FROM predicates"
        ).fetchall()
        return {p: PredicateCount(*counts) for p, *counts in rows}

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""
        key = (predicate, value)
        if key not in self._objects:
            query = "SELECT count(*) FROM triples WHERE p = ? AND o = ?"
            ((self._objects[key],),) = self.connection.execute(query, [predicate, value]).fetchall()
        return self._objects[key]

    def compile(self, text: str, base: str | None = None) -> CompiledQuery:
        """Compile a query. Raises NotCompiled, and SyntaxError if the RDF store rejects it."""
        compiled = self._compiled.get((text, base))
        if compiled is None:
            try:
                if "\\" in text:
                    raise NotCompiled("a backslash, which the two parsers may read differently")
                compiled = compile_query(_in_order_of_store(parse(text, base), text, base), self)
            except NotCompiled as error:
                compiled = str(error)
            self._compiled[text, base] = compiled
        if isinstance(compiled, str):
            raise NotCompiled(compiled)
        return compiled

    def answer(self, query: CompiledQuery, rows: int | None = None) -> QuerySolutions:
        """Run a compiled query; of unsorted solutions one more than *rows* is enough. Raises
        NotCompiled if it reads values that are not supported.
        """
        end = "" if rows is None or query.is_blocking else f" LIMIT {rows + 1}"
        try:
            run = self.connection.execute
            ((number,),) = run(
                f"CREATE OR REPLACE TEMP TABLE answers AS {query.sql}{end}"
            ).fetchall()
        except duckdb.Error as error:
            raise NotCompiled(str(error)) from error
        solutions = parse_query_results(_Lines(self, query, number), QueryResultsFormat.TSV)  # type: ignore[arg-type]  # it needs only read
        assert isinstance(solutions, QuerySolutions)
        return solutions

    def lines(self, query: CompiledQuery, start: int) -> str:
        """Return the lines of SPARQL's TSV of the last answer from *start* on, at most FETCHED."""
        rows = self.connection.execute(
            "SELECT * FROM answers WHERE rowid >= ? AND rowid < ? ORDER BY rowid",
            [start, start + FETCHED],
        ).fetchall()
        columns = list(zip(query.kinds, zip(*rows, strict=True), strict=False))
        terms = {cell for kind, cells in columns if kind is None for cell in cells}
        numbers = {cell for cell in terms if isinstance(cell, int)} - query.constants.keys()
        texts = {**query.constants, **self.texts_of(numbers)}
        written = [
            [
                ""
                if cell is None
                else texts.get(cell, cell)
                if kind is None
                else computed_text(kind, cell)
                for cell in cells
            ]
            for kind, cells in columns
        ]
        lines = map("\t".join, zip(*written, strict=True)) if written else [""] * len(rows)
        return "".join([f"{line}\n" for line in lines])

    def texts_of(self, numbers: Collection[int]) -> dict[int, str]:
        """Return the N-Triples forms of the terms with *numbers*; those of common terms are cached."""
        if len(self._texts) > CACHED_TERMS:
            self._texts.clear()
        if rest := [number for number in numbers if number not in self._texts]:
            self._texts.update(self._looked_up("common_terms", rest))
        texts = {number: self._texts[number] for number in numbers if number in self._texts}
        if rest := [number for number in rest if number not in texts]:
            texts.update(self._looked_up("terms", rest))
        return texts

    def rows(
        self, query: str, places: Mapping[str, Collection[int] | None], limit: int
    ) -> list[tuple[int, ...]]:
        """Run *query*, whose columns *places* have one of the given numbers, any where None; at most
        *limit* rows.
        """
        conditions = [
            f"{place} = {next(iter(numbers))}::UBIGINT"
            if len(numbers) == 1
            else f"{place} IN (SELECT unnest(${place}::UBIGINT[]))"
            for place, numbers in places.items()
            if numbers is not None
        ]
        values = {
            place: [*numbers]
            for place, numbers in places.items()
            if numbers is not None and len(numbers) != 1
        }
        where = " AND ".join(conditions) or "true"
        return self.connection.execute(f"{query} WHERE {where} LIMIT {limit}", values).fetchall()

    def _looked_up(self, table: str, numbers: Sequence[int]) -> list[tuple[int, str]]:
        wanted = "(SELECT unnest(?::UBIGINT[]) AS id)"
        query = f"SELECT t.id, {TERM_TEXT} FROM {table} t JOIN {wanted} n ON t.id = n.id"
        return self.connection.execute(query, [numbers]).fetchall()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class _Lines(io.RawIOBase):
    """The last answer of *engine* as a file of SPARQL's TSV, fetched in parts: an unfinished result
    would block the connection.
    """

    def __init__(self, engine: ColumnEngine, query: CompiledQuery, rows: int) -> None:
        self._engine, self._query, self._rows, self._place = engine, query, rows, 0
        self._part = io.BytesIO("\t".join(f"?{name}" for name in query.variables).encode() + b"\n")

    def readable(self) -> bool:
        """Return True, as files do."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, all if it is negative."""
        data = self._part.read(size)
        while self._place < self._rows and (size < 0 or len(data) < size):
            self._part = io.BytesIO(self._engine.lines(self._query, self._place).encode())
            self._place += FETCHED
            data += self._part.read(size if size < 0 else size - len(data))
        return data


def _in_order_of_store(query: ParsedQuery, text: str, base: str | None) -> ParsedQuery:
    """Return *query*, which rdflib has parsed, with the variables of a SELECT in the order of the
    RDF store: that of ``SELECT *`` is another at each start of rdflib.

    Raises NotCompiled unless the RDF store parses *text* to the same variables,
    SyntaxError if *text* is not a query.
    """
    result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
    if isinstance(result, QuerySolutions):
        variables = tuple(variable.value for variable in result.variables)
        if {*variables} == {*query.variables}:
            return query._replace(variables=variables)
    raise NotCompiled("another form than SELECT, or the parsers disagree")
