"""Served: a client of the app over a data folder, for modules whose tests only read, so that one
store does for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from lxml import html
from starlette.types import ASGIApp

from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import Iris


def asking(app: ASGIApp, *, raises: bool = True, **more: Any) -> httpx.AsyncClient:
    """Return a client of *app*, which follows no redirect."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=raises)
    return httpx.AsyncClient(transport=transport, base_url="http://stocktake.test", **more)


async def read_page(client: httpx.AsyncClient, path: str, language: str = "en") -> Any:
    """Return a page in a language as lxml reads it."""
    answer = await client.get(path, params={"lang": language}, headers={"Accept": "text/html"})
    return html.fromstring(answer.text)


@asynccontextmanager
async def served(
    data: Path, contact: str = "", *, follow: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """Open the store of *data* and return a client that follows no redirect."""
    limits = Limits(seconds=240, wait=240)
    async with QueryService(data, Iris(), limits, readers=1, follow=follow) as service:
        await service.wait_until_current()
        app = create_app(service)
        app.state.contact = contact
        async with asking(app) as client:
            yield client
