"""Served: a client of the app over a data folder, for modules whose tests only read, so that one
store does for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from waiting import wait_until_async

from publisher.app import create_app
from publisher.store.query_service import QueryService
from publisher.store.workers.pool import Limits
from vocab.iris import Iris


@asynccontextmanager
async def served(data: Path, contact: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Open the store of *data* and return a client that follows no redirect."""
    async with QueryService(data, Iris(), Limits(seconds=240, wait=240), readers=2) as service:
        await service.wait_until_current()
        app = create_app(service)
        app.state.contact = contact
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://stocktake.test"
        ) as client:

            async def has_history() -> bool:  # it is read beside
                return (await client.get("/timemap/scheme/sdg")).status_code != 503

            await wait_until_async(has_history, "the history to be read")
            yield client
