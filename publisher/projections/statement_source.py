"""The interface by which projections read the statements of many graphs or subjects at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from publisher.rdf.ntriples_terms import Value

# by predicate, in no order
Properties = dict[str, list[Value]]
Subjects = dict[str, Properties]


class StatementSource(Protocol):
    """All statements up to a journal entry: in named graphs, and in the default graph, which is the
    merge of these.
    """

    def graphs(self, names: Collection[str], predicates: Collection[str]) -> dict[str, Subjects]:
        """Return the statements of each of the graphs *names* with one of *predicates*; a graph
        without any is empty.
        """

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        """Return the statements of the default graph about each of *names* with one of
        *predicates*; a subject without any is empty.
        """

    def graph_names(self, prefix: str) -> Iterator[str]:
        """Yield the named graphs whose IRIs begin with *prefix*."""

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield each subject of the default graph with one of *predicates* once; with one of
        *objects* if there are any, which are IRIs.
        """
