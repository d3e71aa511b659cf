"""Answer queries from a copy of the columns that is open for reading."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import duckdb
from cachetools import LRUCache
from pyoxigraph import (
    BlankNode,
    Literal,
    NamedNode,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    QueryTriples,
    Store,
    Triple,
    parse_query_results,
)

from publisher.store.columns.compiler import CompiledQuery, compile_query
from publisher.store.columns.patterns import PredicateCount
from publisher.store.columns.query_parser import Form, ParsedQuery, parse
from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.result_lines import Template
from publisher.store.columns.terms import TERM_TEXT, TermKind, TermRow, term_row
from publisher.store.workers.reader import parse_term

MEMORY = 512 << 20  # bytes; the RDF store evaluates a query that needs more
_TERMS = (NamedNode, BlankNode, Literal)
_GRAPHS = (Form.CONSTRUCT, Form.DESCRIBE)  # the forms whose result is triples
FETCHED = 10_000  # rows per fetch
MAX_WRITTEN = 1_000  # solutions up to which an answer is written without another query of lines
CACHED_TERMS = 10_000  # common terms whose texts are cached
CACHED = 500  # queries whose SQL is cached

Answer = QuerySolutions | QueryBoolean | Iterator[Triple]
_Query = tuple[str, str | None, tuple[tuple[str, str], ...]]  # text, base and bindings


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
        self._graphs: dict[int, int] = {}
        self._texts: dict[int, str] = {}  # of common terms
        self._compiled: LRUCache[_Query, CompiledQuery | str] = LRUCache(CACHED)

    @property
    def version(self) -> str:
        """Return the version that wrote the columns, ``database.BUILD_VERSION``."""
        ((version,),) = self.connection.execute("SELECT version FROM checkpoint").fetchall()
        return str(version)

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

    @cached_property
    def has_decimals(self) -> bool:
        """Return whether there is an xsd:decimal."""
        query = f"SELECT 1 FROM terms WHERE kind = {TermKind.DECIMAL:d} LIMIT 1"
        return bool(self.connection.execute(query).fetchall())

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""
        key = (predicate, value)
        if key not in self._objects:
            query = "SELECT count(*) FROM triples WHERE p = ? AND o = ?"
            ((self._objects[key],),) = self.connection.execute(query, [predicate, value]).fetchall()
        return self._objects[key]

    def in_graphs(self, graphs: Collection[int]) -> int:
        """Count the quads in *graphs*."""
        missing = [graph for graph in graphs if graph not in self._graphs]
        if missing:
            query = (
                "SELECT g, count(*) FROM quads WHERE g IN (SELECT unnest(?::UBIGINT[])) GROUP BY g"
            )
            self._graphs.update(
                {
                    **dict.fromkeys(missing, 0),
                    **dict(self.connection.execute(query, [missing]).fetchall()),
                }
            )
        return sum(self._graphs[graph] for graph in graphs)

    def compile(
        self, text: str, base: str | None = None, bindings: Mapping[str, str] | None = None
    ) -> CompiledQuery:
        """Compile a query; *bindings* are N-Triples terms by variable. Raises NotCompiled, and
        SyntaxError if the RDF store rejects it.
        """
        key = (text, base, tuple(sorted((bindings or {}).items())))
        compiled = self._compiled.get(key)
        if compiled is None:
            try:
                compiled = compile_query(
                    _in_order_of_store(parse(text, base), text, base),
                    self,
                    {name: _bound(term) for name, term in key[2]},
                )
            except NotCompiled as error:
                compiled = str(error)
            self._compiled[key] = compiled
        if isinstance(compiled, str):
            raise NotCompiled(compiled)
        return compiled

    def answer(self, query: CompiledQuery, rows: int | None = None) -> Answer:
        """Run a compiled query; the result of CONSTRUCT and DESCRIBE is triples, each once. Of
        unsorted solutions one more than *rows* is enough.

        Raises NotCompiled if it reads values that are not supported.
        """
        if query.form is Form.ASK:
            return _boolean(self._run(query.sql))
        most = None if rows is None or query.is_blocking or query.form in _GRAPHS else rows + 1
        solutions = self._solutions(query, most)
        return _constructed(solutions, query.template) if query.form in _GRAPHS else solutions

    def _run(self, sql: str) -> bool:
        try:
            ((result,),) = self.connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise NotCompiled(str(error)) from error
        return bool(result)

    def _solutions(self, query: CompiledQuery, most: int | None) -> QuerySolutions:
        sql = query.sql if most is None else f"SELECT * FROM ({query.sql}) LIMIT {most}"
        run = self.connection.execute
        try:
            ((number,),) = run(f"CREATE OR REPLACE TEMP TABLE answers AS {sql}").fetchall()
            if number <= MAX_WRITTEN:
                lines: io.IOBase = io.BytesIO(self._written(query))
            else:
                run(f"CREATE OR REPLACE TEMP TABLE answer AS {query.result.lines}")
                lines = _Lines(self.connection, query.variables)
            run("DROP TABLE answers")
        except duckdb.Error as error:
            raise NotCompiled(str(error)) from error
        solutions = parse_query_results(lines, QueryResultsFormat.TSV)  # type: ignore[arg-type]  # it needs only read
        assert isinstance(solutions, QuerySolutions)
        return solutions

    def _written(self, query: CompiledQuery) -> bytes:
        """Return the few rows of the table ``answers`` as SPARQL's TSV: to plan one more query takes
        longer than to write them here.
        """
        rows = self.connection.execute(query.result.cells).fetchall()
        numbers = {cell for row in rows for cell in row if isinstance(cell, int)}
        texts = {**query.result.constants, **self.texts_of(numbers)}
        if missing := numbers - texts.keys():
            raise NotCompiled(f"the terms {missing}")
        lines = [
            "\t".join(texts[cell] if isinstance(cell, int) else cell or "" for cell in row)
            for row in rows
        ]
        return "".join(f"{line}\n" for line in (_head(query.variables), *lines)).encode()

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

    def graph_numbers(
        self, named: Collection[int] | None, among: Collection[int] | None
    ) -> list[int]:
        """Return the numbers of the named graphs that are there: of *named* and *among* where these
        are not None.
        """
        query = "SELECT DISTINCT g FROM (SELECT g, g AS named FROM named_quads)"
        rows = self.rows(query, {"named": named, "g": among}, 1 << 62)
        return [number for (number,) in rows]

    def _looked_up(self, table: str, numbers: Sequence[int]) -> list[tuple[int, str]]:
        wanted = "(SELECT unnest(?::UBIGINT[]) AS id)"
        query = f"SELECT t.id, {TERM_TEXT} FROM {table} t JOIN {wanted} n ON t.id = n.id"
        return self.connection.execute(query, [numbers]).fetchall()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class _Lines(io.RawIOBase):
    """The table ``answer`` as a file of SPARQL's TSV, fetched in parts: an unfinished result would
    block the connection.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, variables: Iterable[str]) -> None:
        self._connection, self._place = connection, 0
        self._data = f"{_head(variables)}\n".encode()

    def _fetch(self) -> bool:
        query = "SELECT line FROM answer WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
        lines = self._connection.execute(query, [self._place, self._place + FETCHED]).fetchall()
        self._place += FETCHED
        self._data += "".join(f"{line}\n" for (line,) in lines).encode()
        return bool(lines)

    def readable(self) -> bool:
        """Return True, as files do."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, all if it is negative."""
        while (size < 0 or len(self._data) < size) and self._fetch():
            pass
        end = len(self._data) if size < 0 else size
        data, self._data = self._data[:end], self._data[end:]
        return data


def _head(variables: Iterable[str]) -> str:
    return "\t".join(f"?{variable}" for variable in variables)


def _boolean(value: bool) -> QueryBoolean:
    result = parse_query_results(
        b'{"head":{},"boolean":%s}' % str(value).lower().encode(), QueryResultsFormat.JSON
    )
    assert isinstance(result, QueryBoolean)
    return result


def _constructed(solutions: QuerySolutions, template: Template) -> Iterator[Triple]:
    """Yield the triples of *template* for each of *solutions*, those once that were not yielded
    before.

    Source: https://www.w3.org/TR/sparql11-query/#construct
    """
    names = [variable.value for variable in solutions.variables]
    seen: set[Triple] = set()
    for solution in solutions:
        terms: dict[str, object] = {f"?{name}": solution[name] for name in names}
        for parts in template:
            subject, predicate, value = (_value(part, terms) for part in parts)
            if (
                isinstance(subject, NamedNode | BlankNode)
                and isinstance(predicate, NamedNode)
                and isinstance(value, _TERMS)
            ):
                triple = Triple(subject, predicate, value)
                if triple not in seen:
                    seen.add(triple)
                    yield triple


def _value(part: str | NamedNode | Literal, terms: dict[str, object]) -> object:
    """Return the term of *part*; a blank node of the template is a new one in each solution."""
    if not isinstance(part, str):
        return part
    return terms.get(part) if part.startswith("?") else terms.setdefault(part, BlankNode())


def _in_order_of_store(query: ParsedQuery, text: str, base: str | None) -> ParsedQuery:
    """Return *query*, which rdflib has parsed, with the variables of a SELECT in the order of the
    RDF store: that of ``SELECT *`` is another at each start of rdflib.

    Raises NotCompiled unless the RDF store parses *text* to the same form and variables,
    SyntaxError if *text* is not a query.
    """
    result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
    if isinstance(result, QueryBoolean | QueryTriples):
        forms = (Form.ASK,) if isinstance(result, QueryBoolean) else _GRAPHS
        if query.form in forms:
            return query
    elif query.form is Form.SELECT:
        variables = tuple(variable.value for variable in result.variables)
        if {*variables} == {*query.variables}:
            return query._replace(variables=variables)
    raise NotCompiled("the parsers disagree")


def _bound(text: str) -> TermRow:
    row = term_row(parse_term(text))
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {text}")
    return row
