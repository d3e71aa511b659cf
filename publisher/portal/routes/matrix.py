"""The counts of the heat map as data and as a drawing; the page itself stands with the matrix that it is held against."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.pages.dataset_response import dataset_response, require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.matrix import count_matrix, official_links
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the counts."""
    routes = APIRouter()

    async def counts(request: Request) -> Response:
        wish = parse_filters(request.query_params).with_codes("kind", "initiative")
        matrix = await asyncio.to_thread(
            count_matrix, require_facet_index(service), wish, FacetLabels(service.iris), await official_links(service)
        )
        return await dataset_response(request, service, [matrix.table()], lambda: RedirectResponse("/matrix", 303), matrix.chart())

    for path in ("/matrix/counts", "/matrix/counts.{suffix}"):
        routes.add_route(path, counts, methods=["GET", "HEAD"])
    return routes
