"""The interface by which projections read a store, embedded or remote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, Triple


class QuadSource(Protocol):
    """A store, of our own or elsewhere."""

    def quads_for_pattern(
        self,
        subject: NamedNode | BlankNode | Triple | None,
        predicate: NamedNode | None,
        object: NamedNode | BlankNode | Literal | Triple | None,
        graph_name: NamedNode | BlankNode | DefaultGraph | None = None,
        /,
    ) -> Iterator[Quad]:
        """Yield the quads of a pattern."""

    def named_graphs(self) -> Iterator[NamedNode | BlankNode]:
        """Yield the named graphs."""
