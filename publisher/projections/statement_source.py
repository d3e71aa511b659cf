"""The interface by which projections read the statements of many graphs or subjects at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from publisher.rdf.ntriples_terms import Value

# by predicate, in no order
Properties = dict[str, list[Value]]
Subjects = dict[str, Properties]
# names of Parquet files: statements with the columns owner (the graph or subject that was asked for), subject, property
# (its name) and object; texts with the columns id (of an owner, subject or object), text, is_iri, and language, NULL if none
STATEMENTS, TEXTS = "statements.parquet", "texts.parquet"


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

    def write_graphs(
        self,
        names: Collection[str],
        properties: Mapping[str, str],
        folder: Path,
        without_texts: Collection[str] = (),
    ) -> None:
        """Write the statements of each of the graphs *names* with one of *properties*, which are
        IRIs by name, as the files STATEMENTS and TEXTS of *folder*.

        Values of the properties *without_texts* are written without their texts, which may be long.
        """

    def write_subjects(
        self,
        names: Collection[str],
        properties: Mapping[str, str],
        folder: Path,
        without_texts: Collection[str] = (),
    ) -> None:
        """Write the statements of the default graph about each of *names*, as ``write_graphs``
        does.
        """

    def graph_names(self, prefix: str) -> Iterator[str]:
        """Yield the named graphs whose IRIs begin with *prefix*."""

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield each subject of the default graph with one of *predicates* once; with one of
        *objects* if there are any, which are IRIs.
        """
