"""Facts: what a store elsewhere holds, for those who read our own quad by quad; looked up a subject or a page of them at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, QueryResultsFormat, QuerySolutions, Triple, parse_query_results

from publisher.remote.client import TABLE, Client
from publisher.remote.dialect import Dialect

KEPT = 20_000  # subjects that are remembered
PAGE = 500  # subjects a question
_DEFAULT = DefaultGraph()

Term = NamedNode | BlankNode | Literal | Triple


class Facts:
    """Read the store that *client* asks, an engine of *dialect*; forget what is known when it changes."""

    def __init__(self, client: Client, dialect: Dialect) -> None:
        self._client = client
        self._where = ("GRAPH <" + dialect.merged + "> {", "}") if dialect.merged else ("", "")
        self._known: OrderedDict[str, list[Quad]] = OrderedDict()

    def forget(self) -> None:
        """Take nothing for known any more."""
        self._known.clear()

    def quads_for_pattern(
        self, subject: NamedNode | None, predicate: NamedNode | None, object: Term | None, graph: NamedNode | DefaultGraph | None = None
    ) -> Iterator[Quad]:
        """Give what a store of our own would; of the merge of all graphs by subject or by predicate, and all that a named graph holds."""
        if isinstance(graph, NamedNode):
            yield from self._graph(graph)
        elif subject is None:
            assert predicate is not None
            yield from self._with(predicate)
        else:
            self.look_up([subject.value])
            found = self._known.get(subject.value, ())
            yield from (quad for quad in found if predicate in (None, quad.predicate) and object in (None, quad.object))

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
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def _graph(self, graph: NamedNode) -> Iterator[Quad]:
        found = self._asked(f"SELECT ?s ?p ?o {{ GRAPH {graph} {{ ?s ?p ?o }} }}")
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in found)

    def _with(self, predicate: NamedNode) -> Iterator[Quad]:
        """Give all with one predicate, a page of subjects at a time, which are looked up whole: they are what is asked for next."""
        before, after = self._where
        last = ""
        while True:
            rest = f'FILTER(isIRI(?s) && STR(?s) > "{last}")'
            asked = f"SELECT DISTINCT ?s {{ {before} ?s {predicate} ?o {after} {rest} }} ORDER BY STR(?s) LIMIT {PAGE * 10}"
            page = [row["s"] for row in self._client.rows(asked)]
            self.look_up(page)
            for iri in page:
                yield from (quad for quad in self._known.get(iri, ()) if quad.predicate == predicate)
            if not page:
                return
            last = page[-1]

    def _asked(self, query: str) -> list[Quad]:
        found = parse_query_results(self._client.ask(query, TABLE), QueryResultsFormat.JSON)
        assert isinstance(found, QuerySolutions)
        return [Quad(row["s"], row["p"], row["o"], _DEFAULT) for row in found]
