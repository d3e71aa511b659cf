"""Queries on the job queue and the journal for the tests of workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import State
from harvesters.runs.workers import create_app, create_tables, enqueue_due
from journal.journal import Journal

BEAT = "0.5"  # seconds


def put(ledger: str, *sources: str, at: int = 1) -> list[bool]:
    async def all_of_them() -> list[bool]:
        app = create_app(ledger)
        async with app.open_async():
            return [await enqueue_due(app, source, at) for source in sources]

    opened = Ledger(ledger)
    create_tables(create_app(ledger), opened)
    opened.close()
    return asyncio.run(all_of_them())


def settled(house: Any, names: list[str]) -> bool:
    rows = house.rows("SELECT source, state FROM run")
    return {
        source for source, state in rows if state in (State.COMMITTED.value, State.UNCHANGED.value)
    } >= set(names) and not house.rows("SELECT id FROM procrastinate_jobs")


def committed(house: Any) -> Counter[str]:
    return Counter(
        entry.run.rpartition(".")[0] for entry in Journal(house.data / "journal").entries()
    )
