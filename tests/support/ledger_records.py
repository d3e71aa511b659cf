"""Records in the ledger, as if a run had stored them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import compress
from vocab.describe import describe
from vocab.initiative import Resource
from vocab.iris import Iris

SEEN = datetime(2026, 1, 1, tzinfo=UTC)


def put_records(
    ledger: Ledger, first: int, records: Iterable[tuple[str, Resource]], state: str = "published", seen: datetime = SEEN
) -> None:  # fmt: skip
    """Replace the record of each source and key; the sequence numbers begin at *first*."""
    with ledger.transaction() as connection:
        for seq, (source, resource) in enumerate(records, first):
            same = sa.and_(t.record.c.source == source, t.record.c.key == resource.key)
            connection.execute(sa.delete(t.record).where(same))
            row = {"source": source, "key": resource.key, "state": state, "first_seen": seen, "run": "r", "seq": seq}  # fmt: skip
            connection.execute(sa.insert(t.record).values(**row, digest="", content="", misses=0))
            text = compress("\n".join(describe(resource, Iris(), source)))
            connection.execute(sa.insert(t.description).values(run="r", seq=seq, statements=text))
