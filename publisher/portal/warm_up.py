"""Load what the first search and the first list after a start would wait for: the topics that words
are compared with, which take more than a second of processor time, and the facet tables.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import structlog
from starlette.datastructures import State

from publisher.background import in_background
from publisher.projections.facets.queries import open_facet_index
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import QueryService

_POLL_SECONDS = 0.2  # between looks for the first snapshot with indexes

log = structlog.get_logger(component="warm-up")


def warming_up(service: QueryService, state: State) -> AbstractAsyncContextManager[None]:
    """Load it in the background within the context, once it exists; ``is_warm`` of *state* is False
    until then.
    """
    state.is_warm = False
    return in_background(_warm_up(service, state))


async def _warm_up(service: QueryService, state: State) -> None:
    while (snapshot := service.snapshot) is None or min(snapshot.text, snapshot.columns) < 0:
        await asyncio.sleep(_POLL_SECONDS)
    (error,) = await asyncio.gather(asyncio.to_thread(_load, snapshot.path), return_exceptions=True)
    if isinstance(error, Exception):  # the requests that need the indexes report what is wrong
        log.warning("indexes not loaded", reason=f"{type(error).__name__}: {error}")
    state.is_warm = True


def _load(path: str) -> None:
    open_facet_index(path)
    if searcher := open_searcher(path):
        _ = searcher.languages, searcher.topics
