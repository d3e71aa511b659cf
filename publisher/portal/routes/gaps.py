"""Gaps: where nothing is reported."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.charts.data_table import Column, Sheet
from publisher.pages.dataset_response import counting, forms, tell_sheets
from publisher.pages.templating import Pages
from publisher.portal.facet_filters import asked
from publisher.portal.facet_labels import Names
from publisher.portal.facet_panels import query_address
from publisher.portal.gaps import gaps, unborne
from publisher.portal.matrix import links, matrix
from publisher.store.query_service import Shelf

_LINKS = (Column("line", "line"), Column("goal", "goal"), Column("official"), Column("things"))


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the gaps."""
    routes = APIRouter()

    async def missing(request: Request) -> Response:
        tables, names, it = counting(shelf), Names(shelf.iris), asked(request.query_params).having("kind", "initiative")
        found = await asyncio.to_thread(gaps, tables, it, names)
        whole = await asyncio.to_thread(matrix, tables, it, names, await links(shelf))
        pairs = unborne(whole)
        sheet = Sheet("links", "Official links that nothing bears out", _LINKS, tuple((*pair, 0) for pair in pairs), whole.query)

        def show() -> Response:
            return pages.page("gaps.html", gaps=found, pairs=pairs, names=names, query=query_address(whole.query), forms=forms(request))

        return await tell_sheets(request, shelf, [*(gap.sheet for gap in found), sheet], show)

    for path in ("/gaps", "/gaps.{suffix}"):
        routes.add_route(path, missing, methods=["GET", "HEAD"])
    return routes
