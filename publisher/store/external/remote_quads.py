"""Read whole graphs of an external store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, cast

from pyoxigraph import NamedNode, Quad, QueryResultsFormat, QuerySolutions, parse_query_results

from publisher.store.external.client import TABLE, Client, require_complete
from publisher.store.external.engine_quirks import Dialect
from publisher.store.external.virtuoso_literals import RepairedLines

PAGE = 1_000  # names of graphs per query
_GRAPHS = """SELECT DISTINCT ?graph {{ GRAPH ?graph {{ ?s ?p ?o }}
  FILTER(STR(?graph) > "{last}" && ?graph NOT IN ({hidden})) }} ORDER BY STR(?graph) LIMIT {page}"""


class RemoteQuads:
    """Reads quads from the store of *client*, an engine of *dialect*."""

    def __init__(self, client: Client, dialect: Dialect) -> None:
        self._client, self._dialect = client, dialect

    def graph(self, graph: NamedNode) -> Iterator[Quad]:
        """Return all quads of a named graph."""
        rows = self._rows(f"SELECT ?s ?p ?o {{ GRAPH {graph} {{ ?s ?p ?o }} }}")
        return iter([Quad(row["s"], row["p"], row["o"], graph) for row in rows])

    def named_graphs(self) -> Iterator[NamedNode]:
        """Yield the graphs except hidden ones, a page at a time."""
        last, hidden = "", ", ".join(f"<{graph}>" for graph in self._dialect.hidden)
        while page := self._client.rows(_GRAPHS.format(last=last, hidden=hidden, page=PAGE)):
            yield from (NamedNode(row["graph"]) for row in page)
            last = page[-1]["graph"]

    def _rows(self, query: str) -> QuerySolutions:
        body = require_complete(self._client.ask(query, TABLE), self._dialect)
        # only ``read`` is called
        lines = cast(IO[bytes], RepairedLines(body) if self._dialect.merged else body)
        solutions = parse_query_results(lines, QueryResultsFormat.JSON)
        assert isinstance(solutions, QuerySolutions)
        return solutions
