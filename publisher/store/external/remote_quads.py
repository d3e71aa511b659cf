"""Read quads from an external store with the interface of the embedded one, many subjects a query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, cast

from cachetools import LRUCache
from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, QueryResultsFormat, QuerySolutions, Triple, parse_query_results

from publisher.store.external.client import TABLE, Client, EndpointError, require_complete
from publisher.store.external.engine_quirks import Dialect
from publisher.store.external.virtuoso_literals import RepairedLines

KEPT = 20_000  # subjects that are remembered
PAGE = 500  # subjects a question
GRAPHS = 100  # graphs a question: of records some 5,000 rows, half of what an engine may end an answer at
_DEFAULT = DefaultGraph()
_GRAPHS = """SELECT DISTINCT ?graph {{ GRAPH ?graph {{ ?s ?p ?o }}
  FILTER(STR(?graph) > "{last}" && ?graph NOT IN ({hidden})) }} ORDER BY STR(?graph) LIMIT {page}"""

Term = NamedNode | BlankNode | Literal | Triple


class RemoteQuads:
    """Read the store that *client* asks, an engine of *dialect*; forget what is known when it changes."""

    def __init__(self, client: Client, dialect: Dialect) -> None:
        self._client, self._dialect = client, dialect
        self._where = ("GRAPH <" + dialect.merged + "> {", "}") if dialect.merged else ("", "")
        self._known: LRUCache[str, list[Quad]] = LRUCache(KEPT)
        self._coming: dict[str, None] = {}  # graphs that will be asked for, in their order
        self._brought: dict[str, list[Quad]] = {}  # what some of them hold
        self._at_once = GRAPHS

    def forget(self) -> None:
        """Clear all that was read."""
        self._known.clear()
        self._coming.clear()
        self._brought.clear()

    def expect(self, graphs: Iterable[str], subjects: Iterable[str]) -> None:
        """Announce *graphs* that will be read once each, and *subjects*, so that one query fetches many."""
        self._brought.clear()
        self._coming = dict.fromkeys(graphs)
        self.look_up(subjects)

    def quads_for_pattern(
        self,
        subject: NamedNode | BlankNode | Triple | None,
        predicate: NamedNode | None,
        object: Term | None,
        graph: NamedNode | BlankNode | DefaultGraph | None = None,
        /,
    ) -> Iterator[Quad]:
        """Return what a store of our own would; of the merge of all graphs by subject or by predicate, and all that a named graph holds."""
        if isinstance(graph, NamedNode):
            yield from self.graph(graph)
        elif subject is None:
            assert predicate is not None
            yield from self._with(predicate, object)
        elif isinstance(subject, NamedNode):
            self.look_up([subject.value])
            quads = self._known.get(subject.value, ())
            yield from (quad for quad in quads if predicate in (None, quad.predicate) and object in (None, quad.object))

    def look_up(self, subjects: Iterable[str]) -> None:
        """Remember what is said of *subjects*."""
        new = [iri for iri in dict.fromkeys(subjects) if iri not in self._known]
        for start in range(0, len(new), PAGE):
            page = new[start : start + PAGE]
            self._known.update((iri, []) for iri in page)
            before, after = self._where
            asked = f"SELECT ?s ?p ?o {{ VALUES ?s {{ {' '.join(f'<{iri}>' for iri in page)} }} {before} ?s ?p ?o {after} }}"
            for quad in self._asked(asked):
                if isinstance(quad.subject, NamedNode):
                    self._known[quad.subject.value].append(quad)

    def graph(self, graph: NamedNode) -> Iterator[Quad]:
        """Return all that a named graph holds."""
        if graph.value in self._coming:
            self._bring()
        if graph.value in self._brought:
            return iter(self._brought.pop(graph.value))
        quads = self._asked(f"SELECT ?s ?p ?o {{ GRAPH {graph} {{ ?s ?p ?o }} }}")
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in quads)

    def _bring(self) -> None:
        """Ask for the next graphs that are expected, fewer at once where the store ends its answer early."""
        names = list(self._coming)
        while True:
            page = {name: list[Quad]() for name in names[: self._at_once]}
            try:
                rows = self._rows(
                    f"SELECT ?g ?s ?p ?o {{ VALUES ?g {{ {' '.join(f'<{name}>' for name in page)} }} GRAPH ?g {{ ?s ?p ?o }} }}"
                )
                for row in rows:
                    page[row["g"].value].append(Quad(row["s"], row["p"], row["o"], row["g"]))
                break
            except EndpointError:
                if self._at_once == 1:
                    raise
                self._at_once = max(1, self._at_once // 4)
        self._brought |= page
        for name in page:
            del self._coming[name]

    def _with(self, predicate: NamedNode, object: Term | None) -> Iterator[Quad]:
        """Return all with one predicate, a page of subjects at a time, which are looked up whole: they are what is asked for next."""
        before, after = self._where
        last, value = "", str(object or "?o")
        while True:
            rest = f'FILTER(isIRI(?s) && STR(?s) > "{last}")'
            asked = f"SELECT DISTINCT ?s {{ {before} ?s {predicate} {value} {after} {rest} }} ORDER BY STR(?s) LIMIT {PAGE * 10}"
            page = [row["s"] for row in self._client.rows(asked)]
            self.look_up(page)
            for iri in page:
                yield from (quad for quad in self._known.get(iri, ()) if quad.predicate == predicate and object in (None, quad.object))
            if not page:
                return
            last = page[-1]

    def named_graphs(self) -> Iterator[NamedNode]:
        """Return the graphs that are ours, a page of them at a time."""
        last, hidden = "", ", ".join(f"<{graph}>" for graph in self._dialect.hidden)
        while page := self._client.rows(_GRAPHS.format(last=last, hidden=hidden, page=PAGE * 2)):
            yield from (NamedNode(row["graph"]) for row in page)
            last = page[-1]["graph"]

    def _asked(self, query: str) -> list[Quad]:
        return [Quad(row["s"], row["p"], row["o"], _DEFAULT) for row in self._rows(query)]

    def _rows(self, query: str) -> QuerySolutions:
        body = require_complete(self._client.ask(query, TABLE), self._dialect)
        lines = cast(IO[bytes], RepairedLines(body) if self._dialect.merged else body)  # only ``read`` is asked of it
        solutions = parse_query_results(lines, QueryResultsFormat.JSON)
        assert isinstance(solutions, QuerySolutions)
        return solutions
