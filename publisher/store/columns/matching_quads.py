"""Evaluate what is not compiled over named graphs, which only the columns have: all quads that can
match a pattern of the query are read into a store in memory.

What is read may be more than the solutions need, never less: the quads of a pattern are those with
the values that its variables have in the patterns that must match with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from pyoxigraph import NamedNode, RdfFormat, Store, parse
from rdflib.paths import AlternativePath, InvPath, MulPath, NegatedPath, SequencePath
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import BNode, URIRef, Variable

from publisher.store.columns.algebra import conjunction, existences_of, pattern_of
from publisher.store.columns.engine import ColumnEngine
from publisher.store.columns.operands import constant
from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.terms import DEFAULT_GRAPH, TermKind, term_id

MAX_QUADS = 400_000  # that a query may read
_TRIPLES_OF_A_NODE = 20  # about
# terms that are looked for by following links, and links of a node that are followed in each direction
_MAX_NEAR = 500

# the numbers of all terms that a variable can have, by its name
Values = Mapping[str, Collection[int]]
Graph = int | str | None  # a number, the name of a variable, None for the default graph


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


class _Step(NamedTuple):
    """A triple pattern as the parser has it; the predicate may be a tuple of alternatives, or a path
    that is followed.
    """

    subject: object
    predicate: object
    value: object


class MatchingQuads:
    """The quads in *engine* that a query can match, in the dataset *graphs*, all if None. The texts
    of terms near a known graph are read from *merge*, which is faster.
    """

    def __init__(
        self, engine: ColumnEngine, graphs: QueryGraphs | None, merge: Store | None = None
    ) -> None:
        self._engine, self._graphs, self._merge = engine, graphs, merge
        self._texts: dict[int, str] = {DEFAULT_GRAPH: ""}  # of constants, and of what is near them
        self._quads: set[tuple[int, ...]] = set()
        self._names: set[int] = set()  # of graphs that match although none of their quads must
        self._fresh = 0

    def read_all(self) -> None:
        """Read the whole dataset, for a query of which nothing is known."""
        self._read(None)
        self._read("")

    def read_query(self, algebra: CompValue, bindings: Mapping[str, str]) -> None:
        """Read what the query *algebra* can match if its variables have *bindings*, terms in
        N-Triples.
        """
        self._texts.update((term_id(text), text) for text in bindings.values())
        known = {name: [term_id(text)] for name, text in bindings.items()}
        values = {**known, **(self._pattern(algebra.p, None, known) if algebra.p else {})}
        if algebra.name == "DescribeQuery":
            for term in algebra.PV:
                self._describe(_numbers(term, values))

    def _describe(self, numbers: Collection[int] | None) -> None:
        """Read the triples of the terms with *numbers*, and those of the blank nodes in them."""
        query, seen = f"SELECT id FROM terms WHERE kind = {TermKind.BLANK:d}", set[int]()
        while rows := self._read(None, s=numbers):
            seen.update(numbers or ())
            objects = {value for _, _, _, value in rows} - seen
            blank = self._engine.rows(f"SELECT id FROM ({query})", {"id": objects}, MAX_QUADS)
            numbers = [number for (number,) in blank]
            if not numbers:
                break

    def store(self) -> Store:
        """Return the quads in a store in memory, always in the same order."""
        numbers = {number for quad in self._quads for number in quad} | self._names
        self._read_near_texts(numbers)
        texts = {**self._engine.texts_of(numbers - self._texts.keys()), **self._texts}
        lines = [
            f"{texts[s]} {texts[p]} {texts[o]} {texts[g]} .\n" for g, s, p, o in sorted(self._quads)
        ]
        store = Store()
        store.extend(parse("".join(lines), RdfFormat.N_QUADS, lenient=True))
        for name in sorted(self._names):
            store.add_graph(NamedNode(texts[name][1:-1]))
        return store

    def _read_near_texts(self, numbers: set[int]) -> None:
        """Read the texts of *numbers* that links in the merge lead to, from the constants on: a record
        leads to its thing, this to its parts, and what classifies the thing leads to it.
        """
        if self._merge is None or len(numbers) > _MAX_NEAR:
            return
        subjects = {s for _, s, _, _ in self._quads}
        constants = [text for text in self._texts.values() if text[:1] == "<"]
        nodes = deque((NamedNode(text[1:-1]), 0) for text in constants)
        while nodes and not numbers <= self._texts.keys():
            node, distance = nodes.popleft()
            patterns = [(node, None, None), (None, None, node)][: 2 if distance < 2 else 1]
            for pattern in patterns:
                for quad in islice(self._merge.quads_for_pattern(*pattern), _MAX_NEAR):
                    near = quad.object if pattern[0] else quad.subject
                    is_new = self._add_text(near, numbers)
                    self._add_text(quad.predicate, numbers)
                    # what leads to a constant, such as its source, may lead to thousands more
                    is_near = is_new and (pattern[0] is not None or distance > 0)
                    if is_near and isinstance(near, NamedNode) and term_id(str(near)) in subjects:
                        nodes.append((near, distance + 1))

    def _add_text(self, term: object, numbers: set[int]) -> bool:
        """Add the text of *term* if it has one of *numbers*; return whether it was not there."""
        number = term_id(text := str(term))
        is_new = number in numbers and number not in self._texts
        if is_new:
            self._texts[number] = text
        return is_new

    def _pattern(self, node: CompValue, graph: Graph, known: Values) -> Values:
        """Read what *node* can match in *graph*, where the variables of a solution that counts have
        *known* values; return the values of the variables that each solution binds.

        Values that OPTIONAL and EXISTS see are those of the solution that they follow, no others.
        """
        match node.name:
            case "BGP":
                return self._triples(node.triples, graph, known)
            case "Join":
                values = self._pattern(node.p1, graph, known)
                return {**values, **self._pattern(node.p2, graph, {**known, **values})}
            case "LeftJoin":
                values = self._pattern(node.p1, graph, known)
                inner = self._pattern(node.p2, graph, values)
                self._existences(node.expr, graph, {**inner, **values})
                return values
            case "Union":
                one, two = (self._pattern(side, graph, known) for side in (node.p1, node.p2))
                return {name: {*one[name], *two[name]} for name in one.keys() & two.keys()}
            case "Minus":
                self._pattern(node.p2, graph, {})
                return self._pattern(node.p1, graph, known)
            case "Filter":
                values = self._pattern(node.p, graph, {**known, **_equal(node.expr)})
                self._existences(node.expr, graph, values)
                return values
            case "Graph":
                return self._graph(node, known)
            case "values":
                return _inline(node.res)
            case "ToMultiSet":
                return self._pattern(node.p, graph, {}) if node.p else {}
        # BIND, an aggregate or a modifier of the solutions
        values = self._pattern(node.p, graph, known) if node.p else {}
        self._existences([node.expr, node.A], graph, values if node.name == "Extend" else {})
        if node.name != "Project":
            return values
        return {name: values[name] for name in map(str, node.PV) if name in values}

    def _graph(self, node: CompValue, known: Values) -> Values:
        named = None if self._graphs is None else self._graphs.named
        if not isinstance(node.term, Variable):
            numbers = _numbers(node.term, {})
            self._texts.update((number, f"<{node.term}>") for number in numbers or ())
            self._names.update(self._engine.graph_numbers(named, numbers))
            return self._pattern(node.p, next(iter(numbers or ()), ""), known)
        name = str(node.term)
        values = self._pattern(node.p, name, known)
        if name in values:
            return values
        # a pattern that may match nothing is there in each graph
        self._names.update(names := self._engine.graph_numbers(named, known.get(name)))
        return {**values, name: names}

    def _existences(self, expression: object, graph: Graph, known: Values) -> None:
        for part in existences_of(expression):
            self._pattern(pattern_of(part), graph, known)

    def _triples(self, triples: Sequence[Sequence[object]], graph: Graph, known: Values) -> Values:
        """Read the quads of a basic graph pattern, about the fewest first."""
        bound: dict[str, Collection[int]] = {}
        steps = [step for s, p, o in triples for step in self._steps(s, p, o)]
        while steps:
            values = {**known, **bound}
            sizes = [self._size(step, values) for step in steps]
            step = steps.pop(sizes.index(min(sizes)))
            s, p, o = (_numbers(term, values) for term in step)
            if isinstance(step.predicate, MulPath | NegatedPath | AlternativePath | InvPath):
                self._follow(step.predicate, graph, values, s, o)
                continue
            rows = self._read(graph, values, s, p, o)
            names = (graph if isinstance(graph, str) else None, *map(_name, step))
            for place, name in enumerate(names):
                if name is not None:
                    bound[name] = {row[place] for row in rows}
        return bound

    def _steps(self, subject: object, predicate: object, value: object) -> Iterator[_Step]:
        """Yield a triple pattern; of a path the steps that have to be taken."""
        if isinstance(predicate, SequencePath):
            *firsts, last = predicate.args
            for part in firsts:
                self._fresh += 1
                following = Variable(f" step{self._fresh}")
                yield from self._steps(subject, part, following)
                subject = following
            yield from self._steps(subject, last, value)
        elif isinstance(predicate, InvPath):
            yield from self._steps(value, predicate.arg, subject)
        elif isinstance(predicate, AlternativePath) and all(
            isinstance(part, URIRef) for part in predicate.args
        ):
            yield _Step(subject, tuple(predicate.args), value)
        else:
            yield _Step(subject, predicate, value)

    def _follow(
        self,
        path: object,
        graph: Graph,
        values: Values,
        start: Collection[int] | None,
        end: Collection[int] | None,
    ) -> None:
        """Read what *path* can follow, and where it may have no step the nodes at which it can
        begin and end.
        """
        if isinstance(path, NegatedPath):
            self._read(graph, values, start, None, end)
            return
        predicates = _predicates(path)
        self._read(graph, values, p=None if None in predicates else _numbers(predicates, {}))
        if isinstance(path, MulPath) and not path.zero:
            return
        if start is None and end is None:
            self._read(graph, values)
        else:
            self._read(graph, values, s=start)
            self._read(graph, values, o=end)

    def _size(self, step: _Step, values: Values) -> float:
        """Return about how many triples match *step*; a path comes last."""
        s, p, o = (_numbers(term, values) for term in step)
        if p is None and not isinstance(step.predicate, Variable):
            return float("inf")
        counts = self._engine.predicates
        used = [count for number in p or counts if (count := counts.get(number))]
        triples = sum(count.triples for count in used)
        if s is not None:
            triples = min(triples, len(s) * _TRIPLES_OF_A_NODE)
        if o is not None:
            triples = min(
                triples,
                len(o)
                * max([count.triples // max(1, count.objects) + 1 for count in used], default=0),
            )
        return triples

    def _read(
        self,
        graph: Graph,
        values: Values | None = None,
        s: Collection[int] | None = None,
        p: Collection[int] | None = None,
        o: Collection[int] | None = None,
    ) -> list[tuple[int, ...]]:
        """Read the quads of *graph* with the given terms, any where None. Raises MemoryError if they
        are more than a query may read.
        """
        if graph is None:
            source = self._graphs.default_source() if self._graphs else "triples"
            places = {"s": s, "p": p, "o": o}
        else:
            source = self._graphs.named_source() if self._graphs else "named_quads"
            g = (graph,) if isinstance(graph, int) else (values or {}).get(graph)
            places = {"g": g, "s": s, "p": p, "o": o}
        columns = f"{DEFAULT_GRAPH}::UBIGINT AS g, s, p, o" if graph is None else "g, s, p, o"
        rows = self._engine.rows(f"SELECT {columns} FROM {source}", places, MAX_QUADS + 1)
        self._quads.update(rows)
        if len(self._quads) > MAX_QUADS:
            raise MemoryError
        return rows


def _name(term: object) -> str | None:
    """Return the name of a variable, or of a blank node that stands for one."""
    return str(term) if isinstance(term, Variable | BNode) else None


def _numbers(term: object, values: Values) -> Collection[int] | None:
    """Return the numbers that *term* can have; None if they are not known."""
    if isinstance(term, Variable | BNode):
        return values.get(str(term))
    try:
        parts = term if isinstance(term, tuple | list) else (term,)
        return [constant(part).id for part in parts]
    except NotCompiled:  # the store may read the term in another way
        return None


def _predicates(path: object) -> list[object]:
    """Return the predicates in the steps of a path; None stands for all."""
    if isinstance(path, NegatedPath):
        return [None]
    if isinstance(path, MulPath):
        return _predicates(path.path)
    if isinstance(path, InvPath):
        return _predicates(path.arg)
    if isinstance(path, AlternativePath | SequencePath):
        return [predicate for part in path.args for predicate in _predicates(part)]
    return [path]


def _equal(expression: object) -> dict[str, Collection[int]]:
    """Return the values of the variables that a filter compares with IRIs."""
    values: dict[str, Collection[int]] = {}
    for part in conjunction(expression):
        if (
            isinstance(part, CompValue)
            and part.name == "RelationalExpression"
            and part.op in ("=", "IN")
        ):
            others = part.other if isinstance(part.other, list) else [part.other]
            numbers = (
                _numbers(others, {}) if all(isinstance(item, URIRef) for item in others) else None
            )
            if isinstance(part.expr, Variable) and numbers is not None:
                values[str(part.expr)] = numbers
    return values


def _inline(rows: Sequence[Mapping[Variable, object]]) -> dict[str, Collection[int]]:
    """Return the values of the variables that each of the *rows* of VALUES binds."""
    names = set.intersection(*({*row} for row in rows)) if rows else set()
    values = {str(name): _numbers([row[name] for row in rows], {}) for name in names}
    return {name: numbers for name, numbers in values.items() if numbers is not None}
