"""Basic graph patterns as joins, ordered by the numbers of triples that their predicates have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rdflib.paths import AlternativePath, InvPath, MulPath, NegatedPath, SequencePath
from rdflib.term import BNode, URIRef, Variable

from publisher.store.columns.operands import constant
from publisher.store.columns.paths import (
    RecursivePath,
    join_path,
    path_step,
    predicate_condition,
    predicates,
    recursive_path,
)
from publisher.store.columns.relations import (
    EMPTY_SOLUTION,
    Names,
    NotCompiled,
    SolutionTable,
    VariableColumn,
    fallback,
)
from publisher.store.columns.terms import TermRow

Triple = tuple[object, object, object]
_TRIPLES_OF_A_SUBJECT = 20
_FEW = 200  # one solution for so many triples is few
_VISITS_OF_A_PATH = 5  # triples that the RDF store visits to follow a recursive path from one node


class PredicateCount(NamedTuple):
    """How many triples, subjects and objects a predicate has."""

    triples: int
    subjects: int
    objects: int


class Statistics(Protocol):
    """Counts of the triples in the default graph."""

    @property
    def triples(self) -> int:
        """Return the number of triples."""

    @property
    def predicates(self) -> Mapping[int, PredicateCount]:
        """Return the counts by predicate."""

    @property
    def has_decimals(self) -> bool:
        """Return whether there is an xsd:decimal."""

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""

    def in_graphs(self, graphs: Collection[int]) -> int:
        """Count the quads in *graphs*."""


class QueryGraphs(NamedTuple):
    """The numbers of the graphs whose merge is the default graph, and of the named graphs, of a
    query with FROM or FROM NAMED.
    """

    default: tuple[int, ...]
    named: tuple[int, ...]

    def default_source(self) -> str:
        """Return the triples of the default graph as an SQL table."""
        columns = "DISTINCT s, p, o" if len(self.default) > 1 else "s, p, o"
        return f"(SELECT {columns} FROM quads WHERE {_is_one_of(self.default)})"

    def named_source(self) -> str:
        """Return the quads of the named graphs as an SQL table."""
        return f"(SELECT * FROM quads WHERE {_is_one_of(self.named)})"


def _is_one_of(graphs: Collection[int]) -> str:
    return f"g IN ({', '.join(f'{graph}::UBIGINT' for graph in graphs)})" if graphs else "false"


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A triple pattern on the table *source*.

    *terms* are its constants' numbers and its variables' names by column. *rows* is about how many
    triples match it; *fanout* how many of them have one subject, or one object.
    """

    source: str
    terms: Mapping[str, int | str]
    rows: float
    fanout: Mapping[str, float]

    def variables(self) -> set[str]:
        return {term for term in self.terms.values() if isinstance(term, str)}

    def matches(self, bound: set[str]) -> float:
        """Return about how many triples match for one solution that binds *bound*."""
        counts = [
            self.fanout[column]
            for column, term in self.terms.items()
            if term in bound and column in self.fanout
        ]
        return min([self.rows, *counts])

    def visits(self, bound: set[str]) -> float:
        """Return about how many triples the RDF store visits for one solution that binds *bound*:
        it looks up any subject.
        """
        matches = self.matches(bound)
        return (
            min(matches, _TRIPLES_OF_A_SUBJECT)
            if self.terms["s"] in bound or isinstance(self.terms["s"], int)
            else matches
        )


class Patterns:
    """Compiles basic graph patterns by *statistics*; *graphs* None means all."""

    def __init__(
        self,
        names: Names,
        statistics: Statistics,
        bindings: Mapping[str, int] | None = None,
        graphs: QueryGraphs | None = None,
    ) -> None:
        self._names, self._statistics, self._graphs = names, statistics, graphs
        self._share = (
            min(
                1.0,
                statistics.in_graphs({*graphs.default, *graphs.named}) / max(1, statistics.triples),
            )
            if graphs
            else 1.0
        )
        self.default_source = graphs.default_source() if graphs else "triples"
        self._bindings = bindings or {}  # the number of the term that replaces a variable
        self._fresh = 0
        # terms that a solution may have although they are not in the data
        self.constants: dict[int, TermRow] = {}
        self.counts_doubles = True  # whether it matters how often a solution is there
        self.has_named = graphs is not None  # whether only the columns have what is asked for
        self.cost = 0.0  # about how many triples and solutions the RDF store visits
        self.solutions = 1.0  # about how many solutions the last pattern has
        self._before: tuple[frozenset[str], float] = (frozenset(), 1.0)

    def compile(self, triples: Sequence[Triple], graph: int | str | None) -> SolutionTable:
        """Return the solutions of *triples* in the graph with a number or a variable's name, None
        for the default graph.
        """
        if not triples:
            if graph is None:
                self.solutions = self._before[1]
                return EMPTY_SOLUTION
            raise NotCompiled("an empty GRAPH")
        results = [pattern for triple in triples for pattern in self._patterns(triple, graph)]
        patterns = [item for item in results if isinstance(item, _Pattern)]
        paths = [item for item in results if isinstance(item, RecursivePath)]
        bound = [
            name
            for name in self._bindings
            if any(Variable(name) in _terms(triple) for triple in triples)
        ]
        self._add_cost(patterns)
        if paths:
            return self._with_paths(patterns, paths, bound)
        return self._joined(list(_in_order(patterns)), bound)

    def _with_paths(
        self, patterns: list[_Pattern], paths: list[RecursivePath], bound: Collection[str]
    ) -> SolutionTable:
        """Return the solutions of *patterns* and *paths*: paths that begin at a known node come
        first.
        """
        self.cost += self.solutions * _VISITS_OF_A_PATH * len(paths)
        ordered = list(_in_order(patterns))
        terms = [item.variables() for item in patterns] + [item.variables() for item in paths]
        between = {term for term in set[str]().union(*terms) if term.startswith(" ")}
        table = self._joined(ordered, bound, between) if patterns else None
        nodes = {
            term
            for item in patterns
            for term in (item.terms["s"], item.terms["o"])
            if isinstance(term, str)
        }
        rest = list(paths)
        while rest:
            known = set(table.columns) if table else set()
            path = min(
                rest, key=lambda item: (not _begins_at(item, nodes), not item.variables() & known)
            )
            rest.remove(path)
            table = join_path(self._names, table, path, nodes)
            if not path.is_zero or path.variables() & nodes:
                nodes |= path.variables()
        assert table
        visible = {term: column for term, column in table.columns.items() if term not in between}
        missing = [term for term in bound if term not in visible]
        columns = [self._names[term] for term in visible] + [
            f"{self._bindings[term]}::UBIGINT AS {self._names[term]}" for term in missing
        ]
        sql = f"SELECT {', '.join(columns) or '1 AS unit'} FROM ({table.sql})"
        return SolutionTable(sql, visible | {term: VariableColumn() for term in missing})

    @property
    def are_few(self) -> bool:
        """Return whether the last pattern has few solutions, compared with all triples."""
        return self.solutions < self._statistics.triples / _FEW

    @contextmanager
    def after(self, bound: Collection[str]) -> Iterator[None]:
        """Let the RDF store visit what follows once for each solution of the last pattern, which
        binds *bound*.

        So it evaluates OPTIONAL and EXISTS. Afterwards as many solutions are assumed as before.
        """
        before, self._before = self._before, (self._before[0] | frozenset(bound), self.solutions)
        try:
            yield
        finally:
            self.solutions, self._before = self._before[1], before

    def _add_cost(self, patterns: list[_Pattern]) -> None:
        outer, solutions = self._before
        bound = set(outer)
        for pattern in _in_order(patterns, outer):
            solutions *= pattern.visits(bound)
            self.cost += solutions
            bound |= pattern.variables()
        self.solutions = solutions

    def _patterns(
        self, triple: Triple, graph: int | str | None
    ) -> Iterator[_Pattern | RecursivePath]:
        subject, predicate, value = triple
        if isinstance(predicate, SequencePath):
            steps = list(predicate.args)
            between: list[object] = [Variable(f" step{self._next()}") for _ in steps[1:]]
            ends = [subject, *between, value]
            for number, step in enumerate(steps):
                yield from self._patterns((ends[number], step, ends[number + 1]), graph)
        elif isinstance(predicate, InvPath):
            yield from self._patterns((value, predicate.arg, subject), graph)
        elif isinstance(predicate, AlternativePath | NegatedPath):
            yield self._alternatives(subject, predicate, value, graph)
        elif isinstance(predicate, MulPath):
            yield self._recursive(subject, predicate, value, graph)
        else:
            yield self._simple(triple, graph)

    def _recursive(
        self, subject: object, path: MulPath, value: object, graph: int | str | None
    ) -> RecursivePath:
        if isinstance(graph, str):
            raise NotCompiled("a recursive path in a graph that is a variable")
        ends, source = self._path_ends(subject, value, graph)
        if not any(isinstance(end, int) for end in ends.values()):
            self.cost += min(self._count_path(predicate).triples for predicate in predicates(path))
        self._keep_constants(subject, value)
        return recursive_path(ends["s"], path, ends["o"], source, _predicate)

    def _keep_constants(self, *ends: object) -> None:
        """Keep the constants of *ends*: a path of no length connects them with themselves."""
        constants = [constant(end) for end in ends if not isinstance(end, Variable | BNode)]
        self.constants.update((row.id, row) for row in constants)

    def _path_ends(
        self, subject: object, value: object, graph: int | str | None
    ) -> tuple[dict[str, int | str], str]:
        """Return both ends of a path, and the triples of its graph."""
        ends, source = self._ends({"s": _term(subject), "o": _term(value)}, graph)
        if graph is not None:
            source = f"(SELECT s, p, o FROM {source} WHERE g = {graph}::UBIGINT)"
        return ends, source

    def _count_path(self, predicate: object) -> PredicateCount:
        """Count the triples of a predicate in a path, None for all."""
        if predicate is None:
            return self._count("")
        part = predicate.arg if isinstance(predicate, InvPath) else predicate
        count = self._count(_term(part))
        if isinstance(predicate, InvPath):
            return PredicateCount(count.triples, count.objects, count.subjects)
        return count

    def _next(self) -> int:
        self._fresh += 1
        return self._fresh

    def _alternatives(
        self,
        subject: object,
        path: AlternativePath | NegatedPath,
        value: object,
        graph: int | str | None,
    ) -> _Pattern | RecursivePath:
        """Return alternatives, or a step of other predicates, as a table of pairs.

        SPARQL yields a pair for each alternative that leads to it, the RDF store once: where that
        matters, such a pair ends the query. Source:
        https://www.w3.org/TR/sparql11-query/#defn_evalPP_alternative
        """
        parts = path.args if isinstance(path, AlternativePath) else [path]
        if isinstance(path, AlternativePath) and not all(_is_step(part) for part in parts):
            return self._nested(subject, path, value, graph)
        terms, source = self._ends({"s": _term(subject), "o": _term(value)}, graph)
        selects, counts = [], []
        for part in parts:
            step = part.arg if isinstance(part, InvPath) else part
            ends = {"s": "o AS s", "o": "s AS o"} if isinstance(part, InvPath) else {}
            read = ", ".join(ends.get(column, column) for column in terms)
            condition = predicate_condition(step, _predicate)
            selects.append(f"SELECT {read} FROM {source} WHERE {condition}")
            counts.append(self._count_path(None if isinstance(step, NegatedPath) else part))
        return self._pairs(terms, " UNION ALL ".join(selects), counts)

    def _nested(
        self, subject: object, path: AlternativePath, value: object, graph: int | str | None
    ) -> _Pattern | RecursivePath:
        """Return alternatives that are paths of several steps."""
        if isinstance(graph, str):
            raise NotCompiled("alternatives of paths in a graph that is a variable")
        terms, source = self._path_ends(subject, value, graph)
        step = path_step(path, source, _predicate)
        counts = [self._count_path(predicate) for predicate in predicates(path)]
        if step.is_zero:
            if self.counts_doubles:
                raise NotCompiled("alternatives with a path of no length, where doubles count")
            self.cost += sum(count.triples for count in counts)
            self._keep_constants(subject, value)
            return RecursivePath(terms["s"], terms["o"], step.pairs, source, True, False)
        terms.pop("g", None)
        return self._pairs(terms, f"SELECT a AS s, b AS o FROM ({step.pairs})", counts)

    def _pairs(
        self, terms: Mapping[str, int | str], union: str, counts: Sequence[PredicateCount]
    ) -> _Pattern:
        """Return the rows of *union* as a pattern; one that is there twice ends a query in which
        that matters.
        """
        columns = ", ".join(terms)
        if self.counts_doubles:
            once = fallback("count(*) > 1", "true")
            union = f"SELECT {columns} FROM ({union}) GROUP BY {columns} HAVING {once}"
        total = PredicateCount(*(sum(column) for column in zip(*counts, strict=True)))
        return _pattern(f"({union})", terms, total, self._matching(terms, total))

    def _ends(
        self, terms: Mapping[str, int | str], graph: int | str | None
    ) -> tuple[dict[str, int | str], str]:
        """Return *terms*, with the graph and bound variables, and the table to read."""
        source, results = "triples", dict(terms)
        if self._graphs and graph is None:
            source = self.default_source
        if graph is not None:
            results["g"] = graph
            self.has_named = True
            source = (
                self._graphs.named_source()
                if self._graphs
                else "quads"
                if isinstance(graph, int)
                else "named_quads"
            )
        if results.get("g") in self._bindings:
            raise NotCompiled("a bound variable that is a graph")
        return {
            column: self._bindings.get(term, term) if isinstance(term, str) else term
            for column, term in results.items()
        }, source

    def _simple(self, triple: Triple, graph: int | str | None) -> _Pattern:
        terms, source = self._ends(dict(zip("spo", map(_term, triple), strict=True)), graph)
        predicate = terms["p"]
        count = self._count(predicate)
        rows = self._matching(terms, count)
        if isinstance(terms["o"], int) and isinstance(predicate, int):
            rows = min(rows, self._statistics.with_object(predicate, terms["o"]))
        return _pattern(source, terms, count, rows)

    def _matching(self, terms: Mapping[str, int | str], count: PredicateCount) -> float:
        """Return about how many of the triples that *count* is of match *terms*."""
        rows = float(count.triples)
        if isinstance(terms["s"], int):
            rows /= max(1, count.subjects)
        if isinstance(terms["o"], int) and not isinstance(terms.get("p"), int):
            rows = min(rows, count.triples / max(1, count.objects))
        return rows

    def _count(self, predicate: int | str) -> PredicateCount:
        if isinstance(predicate, int):
            count = self._statistics.predicates.get(predicate, PredicateCount(0, 1, 1))
            return (
                PredicateCount(*(int(number * self._share) for number in count))
                if self._graphs
                else count
            )
        triples = int(self._statistics.triples * self._share)
        return PredicateCount(triples, 1 + triples // _TRIPLES_OF_A_SUBJECT, 1 + triples // 3)

    def _joined(
        self, patterns: Sequence[_Pattern], bound: Collection[str], between: Collection[str] = ()
    ) -> SolutionTable:
        """Return the join of *patterns* in their order. Its columns are the variables, and the
        nodes in *bound* and *between*.
        """
        places: dict[str, str] = {}
        tables, joins, first = [], [], "true"
        for number, pattern in enumerate(patterns):
            conditions = []
            for column, term in pattern.terms.items():
                place = f"p{number}.{column}"
                if isinstance(term, int):
                    conditions.append(f"{place} = {term}::UBIGINT")
                elif term in places:
                    conditions.append(f"{place} = {places[term]}")
                else:
                    places[term] = place
            condition = " AND ".join(conditions) or "true"
            tables.append(f"{pattern.source} p{number}")
            if number:
                joins.append(f"ON {condition}")
            else:
                first = condition
        visible = {
            term: place
            for term, place in places.items()
            if term in between or not term.startswith(" ")
        }
        visible |= {term: f"{self._bindings[term]}::UBIGINT" for term in bound}
        columns = ", ".join(f"{place} AS {self._names[term]}" for term, place in visible.items())
        # DuckDB hashes the right side of a join, so earlier results are on that side: p2 JOIN p1
        # JOIN p0 ON ... ON ...
        source = " ".join([" JOIN ".join(reversed(tables)), *joins])
        sql = f"SELECT {columns or '1 AS unit'} FROM {source} WHERE {first}"
        return SolutionTable(sql, {term: VariableColumn() for term in visible})


def _in_order(patterns: list[_Pattern], before: Collection[str] = ()) -> Iterator[_Pattern]:
    """Yield first the pattern with the fewest triples, then always the one that multiplies
    solutions the least.

    The variables *before* are bound already.
    """
    rest, bound = list(patterns), set(before)
    while rest:
        connected = [pattern for pattern in rest if pattern.variables() & bound] or rest
        best = min(connected, key=lambda pattern: (pattern.matches(bound), pattern.rows))
        rest.remove(best)
        bound |= best.variables()
        yield best


def _pattern(
    source: str, terms: Mapping[str, int | str], count: PredicateCount, rows: float
) -> _Pattern:
    fanout = {
        "s": count.triples / max(1, count.subjects),
        "o": count.triples / max(1, count.objects),
    }
    return _Pattern(source, terms, rows, {} if isinstance(terms.get("p"), str) else fanout)


def _terms(triple: Triple) -> list[object]:
    return [item for item in triple if isinstance(item, Variable)]


def _begins_at(path: RecursivePath, nodes: Collection[str]) -> bool:
    """Return whether one end of *path* is a constant or one of *nodes*."""
    return any(isinstance(end, int) or end in nodes for end in (path.start, path.end))


def _is_step(path: object) -> bool:
    """Return whether *path* is one step from a node: a predicate, forward or back, or any other."""
    return isinstance(path.arg if isinstance(path, InvPath) else path, URIRef | NegatedPath)


def _predicate(term: object) -> int:
    if isinstance(term, URIRef):
        return constant(term).id
    raise NotCompiled(f"the path {term}")


def _term(term: object) -> int | str:
    """Return the number of a constant, or the name of a variable; that of a blank node begins with
    a space.
    """
    if isinstance(term, Variable):
        return str(term)
    if isinstance(term, BNode):
        return f" {term}"
    if isinstance(term, URIRef) or not hasattr(term, "eval"):
        return constant(term).id
    raise NotCompiled(f"the path {term}")
