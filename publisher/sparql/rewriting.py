"""Rewrite full-text search properties before a query runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from publisher.errors import NotReady
from publisher.projections.search import rewriting as texts
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import POLL_INTERVAL, QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.query_request import QueryRequest

TEXT_HEADER = "Stocktake-Text"


async def rewrite(
    service: QueryService, query_request: QueryRequest, current: Snapshot | None = None
) -> QueryRequest:
    """Return the rewritten query for the snapshot *current* or the newest; *query_request* itself
    if nothing needs rewriting.

    The result is the cache key, so it holds everything that the response depends on besides the
    snapshot. Raises QuerySyntaxError if a search is malformed, NotReady while there is no text
    index.
    """
    if not texts.has_search(query_request.text):
        return query_request
    current = current or service.current
    rewritten = await asyncio.to_thread(_rewrite_text, query_request.text, current)
    if not rewritten.inserted:
        return query_request
    return replace(
        query_request,
        text=rewritten.text,
        inserted=rewritten.inserted,
        note=_note(rewritten, current),
        snapshot=current.path,
    )


async def await_indexes(service: QueryService, query_request: QueryRequest) -> None:
    """Wait until the store, and for full-text queries the text index too, has applied the whole
    journal.
    """
    await service.wait_until_current()
    while texts.has_search(query_request.text) and service.current.text != service.current.position:
        await asyncio.sleep(POLL_INTERVAL)


def _rewrite_text(text: str, current: Snapshot) -> texts.Rewritten:
    search = open_searcher(current.path)
    if search is None:
        raise NotReady("the text index is being built; try again in a moment")
    return texts.rewrite(text, search)


def _note(rewritten: texts.Rewritten, current: Snapshot) -> str:
    """Return the header field that reports limits of a search, a dictionary by
    https://www.rfc-editor.org/rfc/rfc9651.
    """
    parts = [f"cut={texts.MAX_RESULTS}"] if rewritten.truncated else []
    parts += ["similar"] if rewritten.fuzzy else []
    parts += [f"position={current.text}"] if current.text != current.position else []
    return ", ".join(parts)
