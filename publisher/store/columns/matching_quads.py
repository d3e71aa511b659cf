"""Evaluate what is not compiled over named graphs, which only the columns have: all quads that can
match a pattern of the query are read into a store in memory.

What is read may be more than the solutions need, never less: the quads of a pattern are those with
the values that its variables have in the patterns that must match with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import count, islice

from pyoxigraph import NamedNode, RdfFormat, Store, parse
from rdflib.paths import AlternativePath, MulPath, NegatedPath, Path
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import BNode, URIRef, Variable

from publisher.store.columns.engine import ColumnEngine
from publisher.store.columns.patterns import Triple, steps
from publisher.store.columns.query_parser import existences_of, parts_of, pattern_of
from publisher.store.columns.relations import NotCompiled, constant
from publisher.store.columns.terms import DEFAULT_GRAPH, TermKind, term_id

MAX_QUADS = 400_000  # that a query may read
_TRIPLES_OF_A_NODE = 20  # about
# terms that are looked for by following links, and links of a node that are followed in each direction
_MAX_NEAR = 500

Numbers = Collection[int] | None  # of terms; None where they are not known
# the numbers of all terms that a variable can have, by its name
Values = Mapping[str, Collection[int]]
Graph = int | str | None  # a number, the name of a variable, None for the default graph
# the numbers of the graphs whose merge is the default graph, and of the named graphs, of a query
# with FROM or FROM NAMED
QueryGraphs = tuple[Collection[int], Collection[int]]


class MatchingQuads:
    """The quads in *engine* that a query can match, in the dataset *graphs*, all if None. The texts
    of terms near a known graph are read from *merge*, which is faster.
    """

    def __init__(
        self, engine: ColumnEngine, graphs: QueryGraphs | None, merge: Store | None = None
    ) -> None:
        self._engine, self._merge = engine, merge
        self._graphs: tuple[Numbers, Numbers] = graphs or (None, None)
        self._texts: dict[int, str] = {DEFAULT_GRAPH: ""}  # of constants, and of what is near them
        self._quads: set[tuple[int, ...]] = set()
        self._names: set[int] = set()  # of graphs that match although none of their quads must
        self._fresh = count()

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
            # a description has that of the blank nodes in it too
            blank = [
                number
                for (number,) in self._engine.rows(
                    "SELECT id FROM terms", {"kind": [TermKind.BLANK]}, MAX_QUADS
                )
            ]
            for numbers in (blank, *(_numbers(term, values) for term in algebra.PV)):
                self._read(None, s=numbers)

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
            links = [*islice(self._merge.quads_for_pattern(node, None, None), _MAX_NEAR)]
            if distance < 2:
                links += islice(self._merge.quads_for_pattern(None, None, node), _MAX_NEAR)
            for term in (term for link in links for term in link.triple):
                number = term_id(text := str(term))
                if number in numbers and number not in self._texts:
                    self._texts[number] = text
                    if number in subjects and isinstance(term, NamedNode):
                        nodes.append((term, distance + 1))

    def _pattern(self, node: CompValue, graph: Graph, known: Values) -> Values:
        """Read what *node* can match in *graph*, where the variables of a solution that counts have
        *known* values; return the values of the variables that each solution binds.

        Values that OPTIONAL and EXISTS see are those of the solution that they follow, no others.
        """
        match node.name:
            case "BGP":
                return self._triples(node.triples, graph, known)
            case "Join" | "Minus":
                values = self._pattern(node.p1, graph, known)
                others = self._pattern(node.p2, graph, {**known, **values})
                return {**values, **others} if node.name == "Join" else values
            case "LeftJoin":
                values = self._pattern(node.p1, graph, known)
                others = {**self._pattern(node.p2, graph, values), **values}
            case "Union":
                one, two = (self._pattern(side, graph, known) for side in (node.p1, node.p2))
                return {name: {*one[name], *two[name]} for name in one.keys() & two.keys()}
            case "Graph":
                return self._graph(node, known)
            case "values":
                return _inline(node.res)
            case "ToMultiSet":
                return self._pattern(node.p, graph, {}) if node.p else {}
            case _:  # FILTER, BIND, an aggregate or a modifier of the solutions
                if node.name == "Filter":
                    known = {**known, **_equal(node.expr)}
                values = self._pattern(node.p, graph, known) if node.p else {}
                others = {} if node.name == "AggregateJoin" else values
        for part in existences_of([node.expr, node.A]):
            self._pattern(pattern_of(part), graph, others)
        if node.name != "Project":
            return values
        return {name: values[name] for name in map(str, node.PV) if name in values}

    def _graph(self, node: CompValue, known: Values) -> Values:
        name = str(node.term)
        if not isinstance(node.term, Variable):
            numbers = _numbers(node.term, {})
            self._texts.update((number, f"<{name}>") for number in numbers or ())
            self._names.update(self._graphs_among(numbers))
            return self._pattern(node.p, next(iter(numbers or ()), ""), known)
        values = self._pattern(node.p, name, known)
        if name in values:
            return values
        # a pattern that may match nothing is there in each graph
        self._names.update(names := self._graphs_among(known.get(name)))
        return {**values, name: names}

    def _graphs_among(self, numbers: Numbers) -> list[int]:
        """Return the numbers of the named graphs that are there, among *numbers*."""
        places = {"g": self._in_dataset(numbers)}
        rows = self._engine.rows("SELECT DISTINCT g FROM named_quads", places, 1 << 62)
        return [number for (number,) in rows]

    def _in_dataset(self, numbers: Numbers) -> Numbers:
        """Return those of *numbers* that are named graphs of the dataset."""
        if self._graphs[1] is None or numbers is None:
            return self._graphs[1] if numbers is None else numbers
        return [number for number in numbers if number in self._graphs[1]]

    def _triples(self, triples: Sequence[Triple], graph: Graph, known: Values) -> Values:
        """Read the quads of a basic graph pattern, about the fewest first."""
        bound: dict[str, Collection[int]] = {}
        patterns = [step for triple in triples for step in steps(triple, self._fresh)]
        while patterns:
            values = {**known, **bound}
            pattern = min(patterns, key=lambda item: self._size(item, values))
            patterns.remove(pattern)
            s, p, o = (_numbers(term, values) for term in pattern)
            if p is None and isinstance(pattern[1], Path):
                self._follow(pattern[1], graph, values, s, o)
                continue
            rows = self._read(graph, values, s, p, o)
            for place, term in enumerate(
                (Variable(graph) if isinstance(graph, str) else None, *pattern)
            ):
                if isinstance(term, Variable | BNode):
                    bound[str(term)] = {row[place] for row in rows}
        return bound

    def _follow(
        self, path: Path, graph: Graph, values: Values, start: Numbers, end: Numbers
    ) -> None:
        """Read what *path* can follow, and where it may have no step the nodes at which it can
        begin and end.
        """
        parts = list(parts_of(path))
        predicates = [part for part in parts if isinstance(part, URIRef)]
        is_any = any(isinstance(part, NegatedPath) for part in parts)
        self._read(graph, values, p=None if is_any else _numbers(predicates, {}))
        if not isinstance(path, MulPath) or path.zero:
            self._read(graph, values, s=start)
            self._read(graph, values, o=end)

    def _size(self, pattern: Triple, values: Values) -> float:
        """Return about how many triples match *pattern*; a path comes last."""
        s, p, o = (_numbers(term, values) for term in pattern)
        if p is None and isinstance(pattern[1], Path):
            return float("inf")
        counts = self._engine.predicates
        used = [counts[number] for number in counts if p is None or number in p]
        sizes: list[float] = [sum(count.triples for count in used)]
        if s is not None:
            sizes.append(len(s) * _TRIPLES_OF_A_NODE)
        if o is not None:
            fanout = [count.triples // max(1, count.objects) + 1 for count in used]
            sizes.append(len(o) * max(fanout, default=0))
        return min(sizes)

    def _read(
        self,
        graph: Graph,
        values: Values | None = None,
        s: Numbers = None,
        p: Numbers = None,
        o: Numbers = None,
    ) -> list[tuple[int, ...]]:
        """Read the quads of *graph* with the given terms, any where None. Raises MemoryError if they
        are more than a query may read.
        """
        if graph is None:
            table, g = ("triples" if self._graphs[0] is None else "quads"), self._graphs[0]
        else:
            numbers = (graph,) if isinstance(graph, int) else (values or {}).get(graph)
            table, g = "named_quads", self._in_dataset(numbers)
        columns = (
            "g, s, p, o" if graph is not None else f"{DEFAULT_GRAPH}::UBIGINT AS number, s, p, o"
        )
        query, places = f"SELECT {columns} FROM {table}", {"g": g, "s": s, "p": p, "o": o}
        rows = self._engine.rows(query, places, MAX_QUADS + 1)
        self._quads.update(rows)
        if len(self._quads) > MAX_QUADS:
            raise MemoryError
        return rows


def _numbers(term: object, values: Values) -> Numbers:
    """Return the numbers that *term* can have; None if they are not known."""
    if isinstance(term, Variable | BNode):
        return values.get(str(term))
    try:
        terms = term.args if isinstance(term, AlternativePath) else term
        return [constant(part).id for part in (terms if isinstance(terms, list) else [terms])]
    except NotCompiled:  # the store may read the term in another way
        return None


def _equal(expression: object) -> dict[str, Collection[int]]:
    """Return the values of the variables that a filter, or a part of its AND, says to be an IRI."""
    if not isinstance(expression, CompValue):
        return {}
    is_and = expression.name == "ConditionalAndExpression"
    return {
        str(part.expr): numbers
        for part in ([expression.expr, *expression.other] if is_and else [expression])
        if isinstance(part, CompValue) and part.name == "RelationalExpression" and part.op == "="
        if isinstance(part.expr, Variable) and isinstance(part.other, URIRef)
        if (numbers := _numbers(part.other, {})) is not None
    }


def _inline(rows: Sequence[Mapping[Variable, object]]) -> dict[str, Collection[int]]:
    """Return the values of the variables that each of the *rows* of VALUES binds."""
    names = set.intersection(*({*row} for row in rows)) if rows else set()
    values = {str(name): _numbers([row[name] for row in rows], {}) for name in names}
    return {name: numbers for name, numbers in values.items() if numbers is not None}
