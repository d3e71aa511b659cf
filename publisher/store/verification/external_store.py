"""An external store as an audit target: read page by page, repaired by updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from pyoxigraph import NamedNode, Quad

from journal.journal import Journal
from publisher.errors import StoreFailure
from publisher.store.external.client import Client
from publisher.store.external.endpoint import StoreURLs
from publisher.store.external.engine_quirks import STATE
from publisher.store.external.remote_quads import RemoteQuads
from publisher.store.external.remote_store import writer_name
from publisher.store.external.state import ASK, State, parse_state, state_update
from publisher.store.external.writer import StoreWriter
from publisher.store.external.writer_lease import WriterLease
from publisher.store.verification.expected_counts import Difference, Tallies, Tally
from vocab.iris import Iris

_COUNT = "SELECT (COUNT(*) AS ?quads) {{ {pattern} }}"


class ExternalStore:
    """The store at *urls*, which follows *journal*; raises NotReady, EndpointError, and
    StoreFailure if it contains other data.
    """

    def __init__(
        self,
        urls: StoreURLs,
        journal: Journal,
        iris: Iris,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = Client(urls.query)
        self._dialect = self._client.dialect()
        self._quads = RemoteQuads(self._client, self._dialect)
        self._writer = StoreWriter(urls, self._dialect)
        self._status, self._now = iris.status, now
        self._lease = WriterLease(self._client, self._writer, journal, writer_name(journal.folder))

    @property
    def position(self) -> int:
        """Return the number of the last completely loaded entry."""
        return self._lease.read(self._now()).position

    def graphs(self) -> Iterator[str]:
        """Return all graphs except those of the engine, the merge, the status graph and the state
        graph.
        """
        return (graph.value for graph in self._quads.named_graphs() if graph.value != self._status)

    def counts(self) -> Tallies:
        """Return the tally of each graph."""
        tallies: Tallies = {}
        for graph in self.graphs():
            tally = Tally()
            for quad in self.graph(graph):
                tally = tally.changed(quad, 1)
            tallies[graph] = tally
        return tallies

    def graph(self, graph: str) -> set[Quad]:
        """Return the quads of one graph."""
        return set(self._quads.graph(NamedNode(graph)))

    def unmerged(self) -> Difference | None:
        """Compare the merge with the graphs."""
        merged, named = self._patterns()
        hidden = ", ".join(f"<{graph}>" for graph in self._dialect.hidden)
        distinct = f"{{ SELECT DISTINCT ?s ?p ?o {{ {named} FILTER(?graph NOT IN ({hidden})) }} }}"
        missing = self._count(f"{distinct} FILTER NOT EXISTS {{ {merged} }}")
        inner = named.replace("?graph", "?other")
        added = self._count(
            f"{merged} FILTER NOT EXISTS {{ {inner} FILTER(?other NOT IN ({hidden})) }}"
        )
        return Difference("", missing, added) if missing or added else None

    def repair(self, graphs: dict[str, set[Quad]]) -> None:
        """Replace the content of *graphs*, and rebuild the merge. Raises StoreFailure if another
        publisher writes.
        """
        if not self._lease.claim(self._now()):
            raise StoreFailure(
                "another publisher writes to the store; stop it, then repair the store"
            )
        for graph, quads in graphs.items():
            stored = self.graph(graph)
            self._writer.remove(_lines(stored - quads))
            self._writer.add(_lines(quads - stored))
        merge = self.unmerged()
        if merge and merge.added:
            self._writer.update(self._without_orphans())
        if merge and merge.missing:
            for graph in self.graphs():
                self._writer.add(_lines(self.graph(graph)))

    def empty(self) -> None:
        """Delete all data, and initialize the store."""
        for graph in [*self.graphs(), self._status, STATE]:
            self._writer.update(f"DROP SILENT GRAPH <{graph}>")
        merge = f"GRAPH <{self._dialect.merged}>" if self._dialect.merged else "DEFAULT"
        self._writer.update(f"DROP SILENT {merge}")
        self._writer.update(state_update(State()))
        assert parse_state([(row["name"], row["value"]) for row in self._client.rows(ASK)])

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._client.close()

    def _patterns(self) -> tuple[str, str]:
        triple = "?s ?p ?o"
        merged = (
            f"GRAPH <{self._dialect.merged}> {{ {triple} }}" if self._dialect.merged else triple
        )
        return merged, f"GRAPH ?graph {{ {triple} }}"

    def _count(self, pattern: str) -> int:
        return int(self._client.rows(_COUNT.format(pattern=pattern))[0]["quads"])

    def _without_orphans(self) -> str:
        merged, named = self._patterns()
        hidden = ", ".join(f"<{graph}>" for graph in self._dialect.hidden)
        return f"DELETE {{ {merged} }} WHERE {{ {merged} FILTER NOT EXISTS {{ {named} FILTER(?graph NOT IN ({hidden})) }} }}"


def _lines(quads: set[Quad]) -> list[bytes]:
    return sorted(f"{quad} .\n".encode() for quad in quads)
