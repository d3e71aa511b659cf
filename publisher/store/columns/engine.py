"""Answer queries from a copy of the columns that is open for reading, and decide which queries they
answer.

A query over named graphs, which only the columns have, is compiled. If it cannot be, all quads with the
constants of one of its triple patterns are read into a store in memory.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import re
import resource
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyoxigraph
from numpy.typing import NDArray
from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    NamedNode,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Store,
    parse_query_results,
)
from pyparsing import ParserElement
from rdflib import XSD, paths
from rdflib.paths import NegatedPath
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal, URIRef, Variable

from publisher.data.tables import attach
from publisher.rdf import DEFAULT_GRAPH, TERM_TEXT, TermKind, computed_text, parse_node, term_id
from publisher.store.columns.algebra import NotCompiled, PredicateCount, Triple, constant
from publisher.store.columns.compiler import (
    EXISTS,
    CompiledQuery,
    children_of,
    compile_query,
    parts_of,
    pattern_of,
    variables_of,
)
from publisher.store.columns.database import FILE
from publisher.store.workers.query_request import (
    QueryDataset,
    QueryRequest,
    dataset_graphs,
    in_written_order,
    string_value,
    tokenize,
)

MEMORY = 512 << 20  # bytes; the RDF store evaluates a query that needs more
FETCHED = 10_000  # rows per fetch
CACHED_TERMS, CACHED_LENGTH = 10_000, 100  # terms whose texts are cached, and their characters
SMALL = 1_500  # triples and solutions to visit, up to which the RDF store is as fast
# One triple of the store in this number may be visited too, since the columns read all terms to
# look up one.
SHARE = 1_000

# After these errors the RDF store answers.
_FAILURES = (
    duckdb.Error,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)

log = logging.getLogger(__name__)

SHAPES = 500  # whose algebra is cached
_FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_ABSOLUTE = re.compile(r"<[A-Za-z][A-Za-z0-9+.-]*:[^<>]*>")
# An absolute IRI, a relative one that is appended to the folder of its base as it is, or a number that
# the parser does not rewrite.
_CONSTANT = re.compile(
    rf"{_ABSOLUTE.pattern}|<[A-Za-z0-9](?:[A-Za-z0-9_~%-]|[./](?![./]))*>|(?:0|[1-9][0-9]*)(?:[.][0-9]+)?"
)
# A character that is allowed in strings, IRIs and local names, but is in no query. With a number it
# stands for a constant; in an absolute IRI it follows a scheme. For a number, which has digits only,
# the digits of _NUMBER are in its place.
MARK = "\U000e0000"
_SCHEME = "urn:x-stocktake:"
_NUMBER = "7700770077"
_PLACEHOLDER = re.compile(rf"(?:{_SCHEME})?{MARK}([0-9]+)$")
_NUMBER_PLACEHOLDER = re.compile(rf"(?<![0-9]){_NUMBER}([0-9]+)(?:\.5)?$")


def _load_grammar() -> ParserElement:
    """Return rdflib's grammar of a query without comments; tabs in strings stay tabs. Looking for a
    comment before each token would take four tenths of the time of parsing.

    The module is loaded a second time, so that rdflib's own queries may have comments.
    """
    spec = importlib.util.find_spec("rdflib.plugins.sparql.parser")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    query: ParserElement = module.Query
    for element in query.visit_all():  # type: ignore[no-untyped-call]
        element.ignoreExprs.clear()
    return query.parse_with_tabs()


# It is loaded before query workers are forked, so that they share it.
_GRAMMAR = _load_grammar()


class Shape(NamedTuple):
    """The *text* of a query with placeholders for *constants*, its strings, numbers, IRIs and the
    local parts of its prefixed names, and without comments.
    """

    text: str
    constants: tuple[str, ...]


@lru_cache(SHAPES)
def shape_of(text: str) -> Shape:
    """Return the shape of a query.

    >>> shape_of('ASK { ?s x:y <urn:a> , "b", 1.5 # a comment\\n }').constants
    ('y', 'urn:a', 'b', '1.5')
    """
    parts: list[str] = []
    constants: dict[str, int] = {}  # numbers by their tokens: equal ones have one placeholder
    has_constants = False  # after the prologue
    for token in tokenize(text, with_gaps=True):
        has_constants = has_constants or token.word() in _FORMS
        is_absolute = _ABSOLUTE.fullmatch(token.text) is not None
        is_constant = (
            token.kind in ("string", "name") or _CONSTANT.fullmatch(token.text) is not None
        )
        if token.kind == "gap":
            parts.append(" ")
        elif has_constants and is_constant:
            number = constants.setdefault(token.text, len(constants))
            mark = f"{MARK}{number}"
            forms = {
                "string": f'"{mark}"',
                "name": f"{token.text.partition(':')[0]}:{mark}",
                "iri": f"<{_SCHEME * is_absolute}{mark}>",
                "number": f"{_NUMBER}{number}{'.5' * ('.' in token.text)}",
            }
            parts.append(forms[token.kind])
        else:
            parts.append(token.text)
    return Shape("".join(parts), tuple(map(_constant_value, constants)))


def _constant_value(token: str) -> str:
    if token[0] in "\"'":
        return string_value(token)
    if token[0].isdigit():
        return token
    return token[1:-1] if token[0] == "<" else token.partition(":")[2]


def parse(text: str, base: str | None = None) -> CompValue:
    """Parse *text*, whose relative IRIs are resolved by *base*. Raises NotCompiled."""
    if "\\" in text and any("\\" in item.text for item in tokenize(text) if item.kind != "string"):
        raise NotCompiled("an escape in a name, which the two parsers may read differently")
    if MARK in text or _NUMBER in text:
        raise NotCompiled("characters that stand for constants")
    shape = shape_of(text)
    parsed = _parsed(shape.text, base)
    if isinstance(parsed, str):
        raise NotCompiled(parsed)
    algebra: CompValue = _replaced(parsed, shape.constants)
    return algebra


@lru_cache(SHAPES)
def _parsed(shape: str, base: str | None) -> CompValue | str:
    """Return the algebra of a shape, which must not be changed, or why the parser rejects it."""
    try:
        algebra: CompValue = translateQuery(
            _GRAMMAR.parse_string(shape, parse_all=True), base=base
        ).algebra
    except Exception as error:  # the parser raises many kinds of exceptions, even Exception itself
        if isinstance(error, MemoryError):
            raise
        return f"not a query for the parser: {error}"
    return algebra


def _replaced(node: Any, constants: Sequence[str]) -> Any:
    """Return a copy of the algebra *node* with *constants* in place of their placeholders."""
    if isinstance(node, Literal):
        datatype = _replaced(node.datatype, constants)
        is_number = node.datatype in (XSD.integer, XSD.decimal)
        text = _filled(node, constants, _NUMBER_PLACEHOLDER if is_number else _PLACEHOLDER)
        return Literal(text, lang=node.language, datatype=datatype, normalize=False)
    if isinstance(node, URIRef):
        return URIRef(_filled(node, constants))
    if isinstance(node, CompValue | paths.Path):
        copied: Any = node.clone() if isinstance(node, CompValue) else copy(node)
        if isinstance(node, CompValue):
            copied.update(_replaced(dict(node), constants))
        # Paths have attributes only, and the translated pattern of EXISTS is an attribute.
        vars(copied).update(_replaced(vars(node), constants))
        return copied
    if isinstance(node, Mapping):
        return {name: _replaced(value, constants) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_replaced(part, constants) for part in node)
    # LIMIT and OFFSET are numbers of Python.
    return int(_filled(str(node), constants, _NUMBER_PLACEHOLDER)) if type(node) is int else node


def _filled(
    text: str, constants: Sequence[str], placeholder: re.Pattern[str] = _PLACEHOLDER
) -> str:
    match = placeholder.search(text)
    return text[: match.start()] + constants[int(match[1])] if match else text


class ColumnEngine:
    """The columns in the file *path*, which take at most *memory* bytes."""

    def __init__(self, path: Path, memory: int = MEMORY) -> None:
        self.connection = attach(
            path,
            memory_limit=f"{memory >> 20}MiB",
            threads=1,
            async_threads=0,  # each thread would reserve address space, which is limited
            temp_directory="",
        )
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
        self._texts: dict[int, str] = {}

    @cached_property
    def triples(self) -> int:
        """Return the number of triples in the default graph."""
        return sum(count.triples for count in self.predicates.values())

    @cached_property
    def predicates(self) -> Mapping[int, PredicateCount]:
        rows = self.connection.execute(
            "SELECT p, triples, subjects, objects FROM predicates"
        ).fetchall()
        return {p: PredicateCount(*counts) for p, *counts in rows}

    @cached_property
    def kinds(self) -> Mapping[int, frozenset[TermKind]]:
        kinds = {DEFAULT_GRAPH: {TermKind.IRI}}
        for p, kind in self.connection.execute("SELECT p, kind FROM object_kinds").fetchall():
            kinds.setdefault(p, set()).add(TermKind(kind))
        return {p: frozenset(of_objects) for p, of_objects in kinds.items()}

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""
        key = (predicate, value)
        if key not in self._objects:
            query = "SELECT count(*) FROM triples WHERE p = ? AND o = ?"
            ((self._objects[key],),) = self.connection.execute(query, [predicate, value]).fetchall()
        return self._objects[key]

    def compile(self, text: str, base: str | None = None) -> CompiledQuery:
        """Compile a query. Raises NotCompiled, and SyntaxError if the RDF store rejects it."""
        if re.search(r"\\[uU]", text):
            raise NotCompiled("an escaped character, which the two parsers may read differently")
        written = in_written_order(text, base)
        algebra = parse(written, base)
        return compile_query(algebra, _selected(algebra, written, base), self)

    def solutions(
        self, query: CompiledQuery, rows: int | None = None
    ) -> QuerySolutions | Iterator[pyoxigraph.Triple]:
        """Run a compiled query, and make the triples of a CONSTRUCT; of unsorted solutions one more
        than *rows* is enough. Raises NotCompiled if it reads values that are not supported.
        """
        end = f" LIMIT {rows + 1}" if rows is not None else ""
        if query.is_blocking or query.template:  # a solution may make no triple
            end = ""
        try:
            # An unfinished result would block the connection.
            arrays = self.connection.execute(f"{query.sql}{end}").fetchnumpy()
        except duckdb.Error as error:
            raise NotCompiled(str(error)) from error
        answer = [
            np.ma.asarray(arrays[f"c{number}"]) for number in range(max(1, len(query.variables)))
        ]
        file = _Lines(query.variables, len(answer[0]), partial(self._lines, query, answer))
        solutions = parse_query_results(file, QueryResultsFormat.TSV)  # type: ignore[arg-type]  # it needs only read
        assert isinstance(solutions, QuerySolutions)
        return _instances(query.template, solutions) if query.template else solutions

    def _lines(
        self, query: CompiledQuery, answer: Sequence[NDArray[np.generic]], start: int
    ) -> str:
        """Return the lines of SPARQL's TSV of *answer* from *start* on, at most FETCHED."""
        parts = [array[start : start + FETCHED].tolist() for array in answer]
        columns = list(zip(query.kinds, parts, strict=False))
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
        lines = map("\t".join, zip(*written, strict=True)) if written else [""] * len(parts[0])
        return "".join([f"{line}\n" for line in lines])

    def texts_of(self, numbers: Collection[int]) -> dict[int, str]:
        """Return the N-Triples forms of the terms with *numbers*; short ones are cached."""
        if len(self._texts) > CACHED_TERMS:
            self._texts.clear()
        texts = {number: self._texts[number] for number in numbers if number in self._texts}
        if rest := [number for number in numbers if number not in texts]:
            wanted = "(SELECT unnest(?::UBIGINT[]) AS id)"
            query = f"SELECT t.id, {TERM_TEXT} FROM terms t JOIN {wanted} n ON t.id = n.id"
            read = dict(self.connection.execute(query, [rest]).fetchall())
            texts |= read
            short = (item for item in read.items() if len(item[1]) <= CACHED_LENGTH)
            self._texts.update(short)
        return texts

    def rows(
        self, query: str, places: Mapping[str, Collection[int] | None], limit: int
    ) -> list[tuple[int, ...]]:
        """Run *query*, whose columns *places* have one of the given numbers, any where None; at most
        *limit* rows.
        """
        where = " AND ".join(
            f"{place} IN ({', '.join(map('{}::UBIGINT'.format, numbers)) or 'NULL'})"
            for place, numbers in places.items()
            if numbers is not None
        )
        query = f"{query} WHERE {where or 'true'} LIMIT {limit}"
        return self.connection.execute(query).fetchall()

    def answer(
        self,
        query_request: QueryRequest,
        small: float | None = None,
        notes: dict[str, object] | None = None,
    ) -> QuerySolutions | Iterator[pyoxigraph.Triple] | None:
        """Answer *query_request*; None if the RDF store should answer. An invalid query is left to
        it too, for its error message.

        A query that visits fewer than *small* triples and solutions is left to the RDF store. None
        is SMALL and one in SHARE of the triples, and the query must count, group or sort.

        *notes* receives the ``reason`` and, of a compiled query, the ``estimated`` number of triples
        and solutions to visit and the ``sql``.
        """
        notes = {} if notes is None else notes
        try:
            notes["reason"] = "the RDF store is as fast: few triples and solutions to visit"
            least = SMALL + self.triples // SHARE if small is None else small
            if query_request.bindings or self.triples < min(least, SMALL):
                return None  # one thing has few solutions
            query = self.compile(query_request.text, query_request.base)
            notes |= {"estimated": round(min(query.cost, 1e18)), "sql": query.sql}
            if query.cost >= least and (query.is_blocking or small is not None):
                solutions = self.solutions(query, query_request.rows)
                notes["reason"] = "compiled"
                return solutions
        except (NotCompiled, SyntaxError) as error:
            notes["reason"] = str(error)
        except _FAILURES:
            log.exception("columns failed; the RDF store answers")
        return None

    def steps(self, query: str) -> object:
        """Run the SQL *query*; return the steps of its evaluation."""
        ((_, plan),) = self.connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchall()
        return json.loads(plan)["operator"]

    def matching(self, query_request: QueryRequest) -> QueryDataset:
        """Return a dataset in memory with all quads that a triple pattern of *query_request*, a valid
        query over named graphs, can match. Raises MemoryError if the quads are too many.
        """
        default, named = dataset_graphs(query_request)
        is_chosen = default is not None or named is not None
        merged, others = (
            {term_id(str(graph)) for graph in part or ()} if is_chosen else None
            for part in (default, named)
        )
        known = {name: [term_id(text)] for name, text in query_request.bindings.items()}
        reads: list[tuple[object, Mapping[str, Numbers] | None]] = [(None, {}), (Variable("g"), {})]
        with suppress(NotCompiled):
            algebra = parse(query_request.text, query_request.base)
            if algebra.name != "DescribeQuery":  # whose triples are in no pattern
                patterns = _patterns(algebra)
                reads = [(graph, triple and _places(triple, known)) for graph, triple in patterns]
        quads, names = set[tuple[int, ...]](), set[int]()
        for graph, places in reads:
            graphs = merged if graph is None else _numbers(graph, known)
            if graph is not None and others is not None:
                graphs = others if graphs is None else others & {*graphs}
            if places is None:
                rows = self.rows("SELECT DISTINCT g FROM named_quads", {"g": graphs}, 1 << 62)
                names.update(number for (number,) in rows)
                continue
            columns, table = "g, s, p, o", "named_quads"
            if graph is None:
                columns = f"{DEFAULT_GRAPH}::UBIGINT AS number, s, p, o"
                table = "quads" if is_chosen else "triples"
            query = f"SELECT {columns} FROM {table}"
            quads.update(self.rows(query, {"g": graphs, **places}, MAX_QUADS + 1))
            if len(quads) > MAX_QUADS:
                raise MemoryError
        texts = {DEFAULT_GRAPH: "", **self.texts_of({*names, *chain.from_iterable(quads)})}
        lines = [f"{texts[s]} {texts[p]} {texts[o]} {texts[g]} .\n" for g, s, p, o in sorted(quads)]
        store = Store()
        store.extend(pyoxigraph.parse("".join(lines), RdfFormat.N_QUADS, lenient=True))
        for name in sorted(names):
            store.add_graph(NamedNode(texts[name][1:-1]))
        if not is_chosen:
            return QueryDataset(store, None, None)
        return QueryDataset(store, [DefaultGraph()], [*(named or ())])

    def close(self) -> None:
        self.connection.close()


class _Lines:
    """An answer of *rows* as a file of SPARQL's TSV, in parts of FETCHED rows that *lines* returns."""

    def __init__(self, variables: Sequence[str], rows: int, lines: Callable[[int], str]) -> None:
        self._rows, self._lines, self._place = rows, lines, 0
        self._part = io.BytesIO("\t".join(f"?{name}" for name in variables).encode() + b"\n")

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* bytes, all if it is negative."""
        data = self._part.read(size)
        while self._place < self._rows and (size < 0 or len(data) < size):
            self._part = io.BytesIO(self._lines(self._place).encode())
            self._place += FETCHED
            data += self._part.read(size if size < 0 else size - len(data))
        return data


def _selected(algebra: CompValue, text: str, base: str | None) -> tuple[str, ...]:
    """Return the variables of a CONSTRUCT's template, or of a SELECT in the order of the RDF store: that
    of ``SELECT *`` is another at each start of rdflib, which parsed *algebra*.

    Raises NotCompiled unless the RDF store parses a SELECT to the same variables,
    SyntaxError if it is not a query.
    """
    if algebra.template:
        return tuple(dict.fromkeys(variables_of(algebra.template)))
    if algebra.name == "SelectQuery":
        result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
        assert isinstance(result, QuerySolutions)
        variables = tuple(variable.value for variable in result.variables)
        if {*variables} == {*map(str, algebra.PV or ())}:
            return variables
    raise NotCompiled("another form than SELECT or CONSTRUCT, or the parsers disagree")


MAX_QUADS = 400_000  # that a query may read

Numbers = Collection[int] | None  # of terms; None where they are not known


def _patterns(node: object, graph: object = None) -> Iterator[tuple[object, Triple | None]]:
    """Yield the triple patterns in the algebra *node*, each with its graph, None for the default
    graph; None as a pattern where a graph may match without one of its triples.
    """
    if isinstance(node, CompValue):
        node = pattern_of(node) if node.name in EXISTS else node
        if node.name == "Graph":
            graph = node.term
            if node.p.name != "BGP" or not node.p.triples:
                yield graph, None
        yield from ((graph, triple) for triple in node.triples or ())
    for child in children_of(node):
        yield from _patterns(child, graph)


def _places(triple: Triple, known: Mapping[str, Collection[int]]) -> dict[str, Numbers]:
    """Return the terms that the quads of *triple* can have, where variables have *known* values."""
    parts = [*parts_of(triple[1])]
    if len(parts) == 1:
        return {place: _numbers(term, known) for place, term in zip("spo", triple, strict=True)}
    is_any = any(isinstance(part, NegatedPath) or getattr(part, "zero", False) for part in parts)
    return {
        "p": None if is_any else [constant(part).id for part in parts if isinstance(part, URIRef)]
    }


def _numbers(term: object, known: Mapping[str, Collection[int]]) -> Numbers:
    """Return the numbers that *term* can have; None if they are not known."""
    try:
        return known.get(str(term)) if isinstance(term, Variable) else [constant(term).id]
    except NotCompiled:  # a blank node, or the store may read the term in another way
        return None


def _instances(
    template: Sequence[Triple], solutions: QuerySolutions
) -> Iterator[pyoxigraph.Triple]:
    """Yield the triples of CONSTRUCT; none with an unbound term, or one that cannot be there."""
    nodes: dict[object, Any] = {
        term: parse_node(constant(term).text)
        for term in chain.from_iterable(template)
        if isinstance(term, URIRef | Literal)
    }
    for number, solution in enumerate(solutions):
        for triple in template:
            terms: list[Any] = [
                solution[str(term)]
                if isinstance(term, Variable)
                else nodes.get(term) or BlankNode(f"{term}.{number}")
                for term in triple
            ]
            with suppress(TypeError):
                yield pyoxigraph.Triple(*terms)


def open_columns(folder: Path) -> ColumnEngine | None:
    """Open the columns of the snapshot in *folder*; None if it has none that are at its position,
    or they cannot hold the data.
    """
    try:
        about = json.loads((folder / "about.json").read_text())
        columns = folder / "columns"
        if about["columns"] != about["position"]:
            return None
        memory, _ = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY if memory == resource.RLIM_INFINITY else min(MEMORY, memory // 4)
        engine = ColumnEngine(columns / FILE, limit)
        if engine.connection.execute("SELECT fault FROM checkpoint").fetchall() == [("",)]:
            return engine
        engine.close()
    # The file is damaged, or the folder was removed meanwhile.
    except (duckdb.Error, OSError, ValueError, KeyError, MemoryError):
        pass
    return None
