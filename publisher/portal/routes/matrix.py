"""Matrix: the counts of the heat map as data and as a drawing; the page itself stands with the matrix that it is held against."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.pages.dataset_response import counting, tell_sheets
from publisher.pages.templating import Pages
from publisher.portal.facet_filters import asked
from publisher.portal.facet_labels import Names
from publisher.portal.matrix import links, matrix
from publisher.store.query_service import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the counts."""
    routes = APIRouter()

    async def counts(request: Request) -> Response:
        wish = asked(request.query_params).having("kind", "initiative")
        it = await asyncio.to_thread(matrix, counting(shelf), wish, Names(shelf.iris), await links(shelf))
        return await tell_sheets(request, shelf, [it.sheet()], lambda: RedirectResponse("/matrix", 303), it.drawing())

    for path in ("/matrix/counts", "/matrix/counts.{suffix}"):
        routes.add_route(path, counts, methods=["GET", "HEAD"])
    return routes
