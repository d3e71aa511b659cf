"""Store graphs that belong to no record, and the HTTP validators of sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.compression import compress, decompress
from harvesters.ledger.database import Database, insert_all
from harvesters.stored_response import Validator


def graph(ledger: Database, iri: str) -> str:
    """Return the last description of a graph, empty if there is none."""
    descriptions = ledger.scalars(sa.select(t.graph.c.description).where(t.graph.c.iri == iri))
    return decompress(next(iter(descriptions), None))


def iris(ledger: Database) -> list[str]:
    """Return the IRIs of the graphs that belong to no record."""
    return ledger.scalars(sa.select(t.graph.c.iri).order_by(t.graph.c.iri))


def below(ledger: Database, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the IRI and the last description of each graph whose IRI begins with *prefix*."""
    c = t.graph.c
    query = sa.select(c.iri, c.description).where(c.iri.startswith(prefix, autoescape=True))
    return ((iri, decompress(description)) for iri, description in ledger.stream(query))


def set_graphs(ledger: Database, graphs: Iterable[tuple[str, str]]) -> None:
    """Store the descriptions of graphs that belong to no record, by IRI, in one transaction."""
    insert = ledger.insert(t.graph)
    insert = insert.on_conflict_do_update(
        index_elements=["iri"], set_={"description": insert.excluded.description}
    )
    if rows := [{"iri": iri, "description": compress(text)} for iri, text in graphs]:
        ledger.execute(insert, rows)


def validators(ledger: Database, source: str) -> dict[str, Validator]:
    """Return the validators of the source's last complete run, by address."""
    c = t.validator.c
    query = sa.select(c.url, c.etag, c.modified, c.digest).where(c.source == source)
    return {url: Validator(*values) for url, *values in ledger.rows(query)}


def set_validators(ledger: Database, source: str, seen: Mapping[str, Validator]) -> None:
    rows = [
        {"source": source, "url": url, **values}
        for url, item in seen.items()
        if any((values := asdict(item)).values())
    ]
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.validator).where(t.validator.c.source == source))
        insert_all(connection, t.validator, rows)
