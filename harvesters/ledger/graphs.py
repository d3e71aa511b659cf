"""Store graphs that belong to no record, the HTTP validators of sources, and the links of records with the history of their states."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insert, insert_all, insertable
from harvesters.ledger.ledger import batches
from harvesters.ledger.models import LinkEvent, LinkState, RecordLink, compress, decompress
from harvesters.page_model import Validator


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


_BATCH = 500  # links of one statement


def set_links(ledger: Database, source: str, urls: Collection[str], now: datetime) -> None:
    """Store the links of a source's records: new ones are due, those that no record has any more
    are deleted with their history.
    """
    link, event = t.link.c, t.link_state.c
    wanted = {_digest(url): url for url in urls}
    with ledger.transaction() as connection:
        known = set(connection.scalars(sa.select(link.digest).where(link.source == source)))
        for part in batches(sorted(known - wanted.keys()), _BATCH):
            for table, c in ((t.link, link), (t.link_state, event)):
                old = sa.delete(table).where(c.source == source, c.digest.in_(part))
                connection.execute(old)
        rows = [
            {"source": source, "digest": digest, "url": wanted[digest], "failures": 0, "due": now}
            for digest in sorted(wanted.keys() - known)
        ]
        insert_all(connection, t.link, rows)


def due_links(ledger: Database, source: str, now: datetime, limit: int) -> list[RecordLink]:
    """Return the links of a source to check, the longest due first."""
    c = t.link.c
    is_due = (c.source == source, c.due <= now)
    return ledger.select(RecordLink, *is_due, order=[c.due, c.digest], limit=limit)


def links(ledger: Database, source: str, state: LinkState | None = None) -> Iterator[RecordLink]:
    """Yield the links of a source by digest, only those in *state* unless it is None."""
    c = t.link.c
    where = [c.source == source, *([c.state == state] if state else [])]
    last = ""
    while batch := ledger.select(
        RecordLink, *where, c.digest > last, order=[c.digest], limit=_BATCH
    ):
        yield from batch
        last = batch[-1].digest


def save_link(ledger: Database, before: RecordLink, link: RecordLink) -> None:
    """Store a link after a check, and the change of its state if there is one, in one transaction."""
    c = t.link.c
    this_link = sa.and_(c.source == link.source, c.digest == link.digest)
    with ledger.transaction() as connection:
        connection.execute(sa.update(t.link).where(this_link).values(insertable(link)))
        if (
            link.state
            and link.checked
            and (link.state, link.location) != (before.state, before.location)
        ):
            event = LinkEvent(link.state, link.checked, link.answer or "", link.location)
            insert(connection, event, source=link.source, digest=link.digest)


def link_history(ledger: Database, source: str, url: str) -> list[LinkEvent]:
    """Return the states that a link had, the oldest first."""
    c = t.link_state.c
    return ledger.select(LinkEvent, c.source == source, c.digest == _digest(url), order=[c.id])


def _digest(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:32]
