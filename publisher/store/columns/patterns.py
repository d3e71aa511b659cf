"""Basic graph patterns as joins, ordered by the numbers of triples that their predicates have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rdflib.paths import AlternativePath, InvPath, SequencePath
from rdflib.term import BNode, URIRef, Variable

from publisher.store.columns.expressions import constant
from publisher.store.columns.relations import EMPTY_SOLUTION, Names, NotCompiled, SolutionTable, VariableColumn

Triple = tuple[object, object, object]


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

    *terms* are its constants' numbers and its variables' names by column. *rows* is about how many triples match it;
    *fanout* how many of them have one subject, or one object.
    """

    source: str
    terms: Mapping[str, int | str]
    rows: float
    fanout: Mapping[str, float]

    def variables(self) -> set[str]:
        return {term for term in self.terms.values() if isinstance(term, str)}

    def matches(self, bound: set[str]) -> float:
        """Return about how many triples match for one solution that binds *bound*."""
        counts = [self.fanout[column] for column, term in self.terms.items() if term in bound and column in self.fanout]
        return min([self.rows, *counts])


class Patterns:
    """Compiles basic graph patterns by *statistics*."""

    def __init__(self, names: Names, statistics: Statistics) -> None:
        self._names, self._statistics = names, statistics
        self._fresh = 0
        self.cost = 0.0  # about how many triples and solutions are visited

    def compile(self, triples: Sequence[Triple], graph: int | str | None) -> SolutionTable:
        """Return the solutions of *triples* in the graph with a number or a variable's name, None for the default graph."""
        if not triples:
            if graph is None:
                return EMPTY_SOLUTION
            raise NotCompiled("an empty GRAPH")
        patterns = [pattern for triple in triples for pattern in self._patterns(triple, graph)]
        return self._joined(list(self._in_order(patterns)))

    def _patterns(self, triple: Triple, graph: int | str | None) -> Iterator[_Pattern]:
        subject, predicate, value = triple
        if isinstance(predicate, SequencePath):
            steps = list(predicate.args)
            between: list[object] = [Variable(f" step{self._next()}") for _ in steps[1:]]
            ends = [subject, *between, value]
            for number, step in enumerate(steps):
                yield from self._patterns((ends[number], step, ends[number + 1]), graph)
        elif isinstance(predicate, InvPath):
            yield from self._patterns((value, predicate.arg, subject), graph)
        elif isinstance(predicate, AlternativePath):  # the store gives a pair once that two alternatives lead to
            raise NotCompiled("an alternative path")
        else:
            yield self._simple(triple, graph)

    def _next(self) -> int:
        self._fresh += 1
        return self._fresh

    def _simple(self, triple: Triple, graph: int | str | None) -> _Pattern:
        terms = dict(zip("spo", map(_term, triple), strict=True))
        source = "triples"
        if graph is not None:
            source, terms["g"] = ("quads" if isinstance(graph, int) else "named_quads"), graph
        predicate = terms["p"]
        count = self._count(predicate)
        rows = float(count.triples)
        if isinstance(terms["s"], int):
            rows /= max(1, count.subjects)
        if isinstance(terms["o"], int):
            known = self._statistics.with_object(predicate, terms["o"]) if isinstance(predicate, int) else None
            rows = min(rows, count.triples / max(1, count.objects) if known is None else known)
        fanout = {"s": count.triples / max(1, count.subjects), "o": count.triples / max(1, count.objects)}
        return _Pattern(source, terms, rows, {} if isinstance(predicate, str) else fanout)

    def _count(self, predicate: int | str) -> PredicateCount:
        if isinstance(predicate, int):
            return self._statistics.predicates.get(predicate, PredicateCount(0, 1, 1))
        return PredicateCount(self._statistics.triples, 1 + self._statistics.triples // 20, 1 + self._statistics.triples // 3)

    def _in_order(self, patterns: list[_Pattern]) -> Iterator[_Pattern]:
        """Yield first the pattern with the fewest triples, then always the one that multiplies solutions the least."""
        rest, bound, solutions = list(patterns), set[str](), 1.0
        while rest:
            connected = [pattern for pattern in rest if pattern.variables() & bound] or rest
            best = min(connected, key=lambda pattern: (pattern.matches(bound), pattern.rows))
            solutions *= best.matches(bound)
            self.cost += solutions
            rest.remove(best)
            bound |= best.variables()
            yield best

    def _joined(self, patterns: Sequence[_Pattern]) -> SolutionTable:
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
        # DuckDB hashes the right side of a join, so earlier results are on that side: p2 JOIN p1 JOIN p0 ON ... ON ...
        source = " ".join([" JOIN ".join(reversed(tables)), *joins])
        sql = f"SELECT {columns or '1 AS unit'} FROM {source} WHERE {first}"
        return SolutionTable(sql, {term: VariableColumn() for term in visible})


def _term(term: object) -> int | str:
    """Return the number of a constant, or the name of a variable; that of a blank node begins with a space."""
    if isinstance(term, Variable):
        return str(term)
    if isinstance(term, BNode):
        return f" {term}"
    if isinstance(term, URIRef) or not hasattr(term, "eval"):
        return constant(term).id
    raise NotCompiled(f"the path {term}")
