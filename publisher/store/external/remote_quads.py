"""Read quads from an external store with the interface of the embedded one, many subjects a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, cast

from cachetools import LRUCache
from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryResultsFormat,
    QuerySolutions,
    Triple,
    parse_query_results,
)

from publisher.store.external.client import TABLE, Client, EndpointError, require_complete
from publisher.store.external.engine_quirks import Dialect
from publisher.store.external.virtuoso_literals import RepairedLines

CACHED = 20_000  # subjects
PAGE = 500  # subjects per query
GRAPHS = 100  # graphs per query: some 5,000 rows for records, half of the row limit of some engines
_DEFAULT = DefaultGraph()
_GRAPHS = """SELECT DISTINCT ?graph {{ GRAPH ?graph {{ ?s ?p ?o }}
  FILTER(STR(?graph) > "{last}" && ?graph NOT IN ({hidden})) }} ORDER BY STR(?graph) LIMIT {page}"""

Term = NamedNode | BlankNode | Literal | Triple


class RemoteQuads:
    """Reads quads from the store of *client*, an engine of *dialect*. Call ``forget`` when the
    store changes.
    """

    def __init__(self, client: Client, dialect: Dialect) -> None:
        self._client, self._dialect = client, dialect
        self._where = ("GRAPH <" + dialect.merged + "> {", "}") if dialect.merged else ("", "")
        self._cache: LRUCache[str, list[Quad]] = LRUCache(CACHED)
        self._expected: dict[str, None] = {}  # graphs that will be read, in order
        self._prefetched: dict[str, list[Quad]] = {}  # the quads of prefetched graphs
        self._graphs_per_query = GRAPHS

    def forget(self) -> None:
        """Clear the caches."""
        self._cache.clear()
        self._expected.clear()
        self._prefetched.clear()

    def expect(self, graphs: Iterable[str], subjects: Iterable[str]) -> None:
        """Announce *graphs* that will be read once each, and *subjects*, so that one query can
        fetch many.
        """
        self._prefetched.clear()
        self._expected = dict.fromkeys(graphs)
        self.look_up(subjects)

    def quads_for_pattern(
        self,
        subject: NamedNode | BlankNode | Triple | None,
        predicate: NamedNode | None,
        object: Term | None,
        graph: NamedNode | BlankNode | DefaultGraph | None = None,
        /,
    ) -> Iterator[Quad]:
        """Yield quads as ``pyoxigraph.Store`` does: all of a named graph, or those of the default
        graph by subject or by predicate.
        """
        if isinstance(graph, NamedNode):
            yield from self.graph(graph)
        elif subject is None:
            assert predicate is not None
            yield from self._quads_of_predicate(predicate, object)
        elif isinstance(subject, NamedNode):
            self.look_up([subject.value])
            quads = self._cache.get(subject.value, ())
            yield from (
                quad
                for quad in quads
                if predicate in (None, quad.predicate) and object in (None, quad.object)
            )

    def look_up(self, subjects: Iterable[str]) -> None:
        """Fetch the quads of *subjects* into the cache."""
        new = [iri for iri in dict.fromkeys(subjects) if iri not in self._cache]
        for start in range(0, len(new), PAGE):
            page = new[start : start + PAGE]
            self._cache.update((iri, []) for iri in page)
            before, after = self._where
            query = f"SELECT ?s ?p ?o {{ VALUES ?s {{ {' '.join(f'<{iri}>' for iri in page)} }} {before} ?s ?p ?o {after} }}"
            for quad in self._query_quads(query):
                if isinstance(quad.subject, NamedNode):
                    self._cache[quad.subject.value].append(quad)

    def graph(self, graph: NamedNode) -> Iterator[Quad]:
        """Return all quads of a named graph."""
        if graph.value in self._expected:
            self._prefetch()
        if graph.value in self._prefetched:
            return iter(self._prefetched.pop(graph.value))
        quads = self._query_quads(f"SELECT ?s ?p ?o {{ GRAPH {graph} {{ ?s ?p ?o }} }}")
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in quads)

    def _prefetch(self) -> None:
        """Fetch the next expected graphs, fewer per query if the store truncates its result."""
        names = list(self._expected)
        while True:
            page = {name: list[Quad]() for name in names[: self._graphs_per_query]}
            try:
                rows = self._rows(
                    f"SELECT ?g ?s ?p ?o {{ VALUES ?g {{ {' '.join(f'<{name}>' for name in page)} }} GRAPH ?g {{ ?s ?p ?o }} }}"
                )
                for row in rows:
                    page[row["g"].value].append(Quad(row["s"], row["p"], row["o"], row["g"]))
                break
            except EndpointError:
                if self._graphs_per_query == 1:
                    raise
                self._graphs_per_query = max(1, self._graphs_per_query // 4)
        self._prefetched |= page
        for name in page:
            del self._expected[name]

    def _quads_of_predicate(self, predicate: NamedNode, object: Term | None) -> Iterator[Quad]:
        """Yield the quads of one predicate, a page of subjects at a time. All quads of these are
        cached, since they are read next.
        """
        before, after = self._where
        last, value = "", str(object or "?o")
        while True:
            rest = f'FILTER(isIRI(?s) && STR(?s) > "{last}")'
            query = f"SELECT DISTINCT ?s {{ {before} ?s {predicate} {value} {after} {rest} }} ORDER BY STR(?s) LIMIT {PAGE * 10}"
            page = [row["s"] for row in self._client.rows(query)]
            self.look_up(page)
            for iri in page:
                yield from (
                    quad
                    for quad in self._cache.get(iri, ())
                    if quad.predicate == predicate and object in (None, quad.object)
                )
            if not page:
                return
            last = page[-1]

    def named_graphs(self) -> Iterator[NamedNode]:
        """Yield the graphs except hidden ones, a page at a time."""
        last, hidden = "", ", ".join(f"<{graph}>" for graph in self._dialect.hidden)
        while page := self._client.rows(_GRAPHS.format(last=last, hidden=hidden, page=PAGE * 2)):
            yield from (NamedNode(row["graph"]) for row in page)
            last = page[-1]["graph"]

    def _query_quads(self, query: str) -> list[Quad]:
        return [Quad(row["s"], row["p"], row["o"], _DEFAULT) for row in self._rows(query)]

    def _rows(self, query: str) -> QuerySolutions:
        body = require_complete(self._client.ask(query, TABLE), self._dialect)
        # only ``read`` is called
        lines = cast(IO[bytes], RepairedLines(body) if self._dialect.merged else body)
        solutions = parse_query_results(lines, QueryResultsFormat.JSON)
        assert isinstance(solutions, QuerySolutions)
        return solutions
