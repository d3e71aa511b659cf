"""Basic graph patterns as joins, ordered by the numbers of triples that their predicates have."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rdflib.paths import AlternativePath, InvPath, MulPath, SequencePath
from rdflib.term import BNode, URIRef, Variable

from publisher.store.columns.relations import (
    EMPTY_SOLUTION,
    Names,
    NotCompiled,
    SolutionTable,
    VariableColumn,
    constant,
)

Triple = tuple[object, object, object]
_TRIPLES_OF_A_SUBJECT = 20
_VISITS_OF_A_PATH = 5  # triples that the RDF store visits to follow a recursive path from one node
_MAX_STEPS = 50_000  # triples of a predicate up to which all pairs that they connect are listed


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

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A triple pattern on the table *source*.

    *terms* are its constants' numbers and its variables' names by column. *rows* is about how many
    triples match it, of those that *count* is of.
    """

    source: str
    terms: Mapping[str, int | str]
    count: PredicateCount
    rows: float

    def variables(self) -> set[str]:
        return {term for term in self.terms.values() if isinstance(term, str)}

    def matches(self, bound: set[str]) -> float:
        """Return about how many triples match for one solution that binds *bound*."""
        ends = (("s", self.count.subjects), ("o", self.count.objects))
        fanouts = [
            self.count.triples / max(1, number)
            for column, number in ends
            if self.terms.get(column) in bound
        ]
        return min([self.rows, *fanouts])


def steps(triple: Triple, fresh: Iterator[int], *, is_joined: bool = False) -> Iterator[Triple]:
    """Yield a triple pattern; of a path the steps that have to be taken, between new variables with
    the numbers *fresh*. With *is_joined* a step and any number of steps after it are one, a tuple.
    """
    subject, predicate, value = triple
    if isinstance(predicate, SequencePath):
        parts: list[object] = list(predicate.args)
        if is_joined and isinstance(parts[-1], MulPath) and parts[-1].mod == "*":
            parts[-2:] = [tuple(parts[-2:])]
        for number, part in enumerate(parts, 1):
            end = value if number == len(parts) else Variable(f" step{next(fresh)}")
            yield from steps((subject, part, end), fresh, is_joined=is_joined)
            subject = end
    elif isinstance(predicate, InvPath):
        yield from steps((value, predicate.arg, subject), fresh, is_joined=is_joined)
    else:
        yield triple


class Patterns:
    """Compiles basic graph patterns by *statistics*."""

    def __init__(self, names: Names, statistics: Statistics) -> None:
        self._names, self._statistics = names, statistics
        self._fresh = itertools.count()
        self.has_named = False  # whether only the columns have what is asked for
        self.cost = 0.0  # about how many triples and solutions the RDF store visits
        self._solutions = 1.0  # about how many solutions the last pattern has
        self._before: tuple[frozenset[str], float] = (frozenset(), 1.0)

    def compile(self, triples: Sequence[Triple], graph: int | str | None) -> SolutionTable:
        """Return the solutions of *triples* in the graph with a number or a variable's name, None
        for the default graph.
        """
        if not triples:
            if graph is not None:
                raise NotCompiled("an empty GRAPH")
            self._solutions = self._before[1]
            return EMPTY_SOLUTION
        patterns = [
            self._pattern(step, graph)
            for triple in triples
            for step in steps(triple, self._fresh, is_joined=True)
        ]
        outer, solutions = self._before
        seen = set(outer)
        for pattern in _in_order(patterns, outer):
            solutions *= pattern.matches(seen)
            self.cost += solutions
            seen |= pattern.variables()
        self._solutions = solutions
        return self._joined(list(_in_order(patterns)))

    @contextmanager
    def after(self, bound: Collection[str]) -> Iterator[None]:
        """Let the RDF store visit what follows once for each solution of the last pattern, which
        binds *bound*.

        So it evaluates OPTIONAL and EXISTS. Afterwards as many solutions are assumed as before.
        """
        before, self._before = self._before, (self._before[0] | frozenset(bound), self._solutions)
        yield
        self._solutions, self._before = self._before[1], before

    def _path(
        self,
        subject: object,
        path: AlternativePath | MulPath | tuple[object, MulPath],
        value: object,
        graph: int | str | None,
    ) -> _Pattern:
        """Return what a path connects as a table: one of several predicates, one or more steps of one
        predicate, or a step of a predicate and then any number of steps of another one. The RDF
        store yields each pair of such alternatives or steps once.
        """
        terms, source = self._ends({"s": _term(subject), "o": _term(value)}, graph)
        if isinstance(path, AlternativePath):
            condition, total = self._one_of(path.args)
            pairs = f"SELECT DISTINCT {', '.join(terms)} FROM {source} WHERE {condition}"
            return _Pattern(f"({pairs})", terms, total, self._matching(terms, total))
        first, repeated = path if isinstance(path, tuple) else (None, path)
        condition, total = self._one_of([repeated.path])
        is_listed = repeated.mod == ("*" if first else "+") and total.triples <= _MAX_STEPS
        if graph is not None or not is_listed:
            raise NotCompiled(f"the path {path}")
        pairs = (
            f"WITH RECURSIVE step AS MATERIALIZED (SELECT s, o FROM triples WHERE {condition}), "
            "reached(s, o) AS (FROM step UNION SELECT r.s, t.o FROM reached r JOIN step t ON r.o = t.s) "
        )
        if first:
            condition, total = self._one_of([first])
            more = "SELECT t.s, r.o FROM reached r JOIN begun t ON t.o = r.s WHERE r.s <> r.o"
            begun = f"begun AS MATERIALIZED (SELECT s, o FROM triples WHERE {condition})"
            pairs += f", {begun} FROM begun UNION ALL {more}"
        else:
            pairs += "FROM reached"
        total = total._replace(triples=_VISITS_OF_A_PATH * total.triples)
        return _Pattern(f"({pairs})", terms, total, self._matching(terms, total))

    def _one_of(self, predicates: Sequence[object]) -> tuple[str, PredicateCount]:
        """Return the condition that a triple has one of *predicates*, and how many have."""
        if not all(isinstance(predicate, URIRef) for predicate in predicates):
            raise NotCompiled(f"the path {predicates}")
        numbers = [constant(predicate).id for predicate in predicates]
        total = PredicateCount(*map(sum, zip(*map(self._count, numbers), strict=True)))
        return f"p IN ({', '.join(f'{number}::UBIGINT' for number in numbers)})", total

    def _ends(
        self, terms: Mapping[str, int | str], graph: int | str | None
    ) -> tuple[dict[str, int | str], str]:
        """Return *terms* with the graph, and the table to read."""
        if graph is None:
            return dict(terms), "triples"
        self.has_named = True
        return {**terms, "g": graph}, "quads" if isinstance(graph, int) else "named_quads"

    def _pattern(self, triple: Triple, graph: int | str | None) -> _Pattern:
        subject, predicate, value = triple
        if isinstance(predicate, AlternativePath | MulPath | tuple):
            return self._path(subject, predicate, value, graph)
        terms, source = self._ends(dict(zip("spo", map(_term, triple), strict=True)), graph)
        number, end = terms["p"], terms["o"]
        count = self._count(number)
        rows = self._matching(terms, count)
        if isinstance(end, int) and isinstance(number, int):
            rows = min(rows, self._statistics.with_object(number, end))
        return _Pattern(source, terms, count, rows)

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
            return self._statistics.predicates.get(predicate, PredicateCount(0, 1, 1))
        triples = self._statistics.triples
        return PredicateCount(triples, 1 + triples // _TRIPLES_OF_A_SUBJECT, 1 + triples // 3)

    def _joined(self, patterns: Sequence[_Pattern]) -> SolutionTable:
        """Return the join of *patterns* in their order. Its columns are the variables."""
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
        visible = {term: place for term, place in places.items() if not term.startswith(" ")}
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


def _term(term: object) -> int | str:
    """Return the number of a constant, or the name of a variable; that of a blank node begins with
    a space.
    """
    if isinstance(term, Variable):
        return str(term)
    return f" {term}" if isinstance(term, BNode) else constant(term).id
