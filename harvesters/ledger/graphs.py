"""Store graphs that belong to no record, and the HTTP validators of sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import compress, decompress
from harvesters.ledger.database import LedgerPart
from harvesters.stored_response import Validator


class Graphs(LedgerPart):
    """The part of the ledger for graphs and validators."""

    def graph(self, iri: str) -> str:
        """Return the last description of a graph, empty if there is none."""
        with self._begin() as connection:
            return decompress(
                connection.scalar(sa.select(t.graph.c.description).where(t.graph.c.iri == iri))
            )

    def iris(self) -> list[str]:
        """Return the IRIs of the graphs that belong to no record."""
        with self._begin() as connection:
            return list(connection.scalars(sa.select(t.graph.c.iri).order_by(t.graph.c.iri)))

    def below(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the IRI and the last description of each graph whose IRI begins with *prefix*."""
        query = sa.select(t.graph.c.iri, t.graph.c.description).where(
            t.graph.c.iri.startswith(prefix, autoescape=True)
        )
        return ((row.iri, decompress(row.description)) for row in self._stream(query))

    def set_graph(self, iri: str, description: str) -> None:
        """Store the description of a graph that belongs to no record."""
        self.set_graphs([(iri, description)])

    def set_graphs(self, graphs: Iterable[tuple[str, str]]) -> None:
        """Store the descriptions of graphs that belong to no record, by IRI, in one transaction."""
        insert = self._insert(t.graph)
        insert = insert.on_conflict_do_update(
            index_elements=["iri"], set_={"description": insert.excluded.description}
        )
        if rows := [
            {"iri": iri, "description": compress(description)} for iri, description in graphs
        ]:
            with self._begin() as connection:
                connection.execute(insert, rows)

    def validators(self, source: str) -> dict[str, Validator]:
        """Return the validators of the source's last complete run, by address."""
        c = t.validator.c
        with self._begin() as connection:
            rows = connection.execute(
                sa.select(c.url, c.etag, c.modified, c.digest).where(c.source == source)
            ).all()
        return {url: Validator(*values) for url, *values in rows}

    def set_validators(self, source: str, seen: Mapping[str, Validator]) -> None:
        """Replace the source's validators."""
        rows = [
            {"source": source, "url": url, **asdict(item)}
            for url, item in seen.items()
            if any(asdict(item).values())
        ]
        with self._begin() as connection:
            connection.execute(sa.delete(t.validator).where(t.validator.c.source == source))
            if rows:
                connection.execute(sa.insert(t.validator), rows)
