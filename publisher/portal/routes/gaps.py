"""Where nothing is reported."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.charts.data_table import Column, DataTable
from publisher.pages.dataset_response import dataset_response, format_links, require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import query_page_url
from publisher.portal.gaps import find_gaps, unsupported_links
from publisher.portal.matrix import count_matrix, official_links
from publisher.store.query_service import QueryService

_LINKS = (Column("line", "line"), Column("goal", "goal"), Column("official"), Column("things"))


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the gaps."""
    routes = APIRouter()

    async def missing(request: Request) -> Response:
        tables, names, filters = (
            require_facet_index(service),
            FacetLabels(service.iris),
            parse_filters(request.query_params).with_codes("kind", "initiative"),
        )
        found = await asyncio.to_thread(find_gaps, tables, filters, names)
        whole = await asyncio.to_thread(count_matrix, tables, filters, names, await official_links(service))
        pairs = unsupported_links(whole)
        sheet = DataTable("links", "Official links that nothing bears out", _LINKS, tuple((*pair, 0) for pair in pairs), whole.query)

        def show() -> Response:
            return pages.page(
                "gaps.html", gaps=found, pairs=pairs, names=names, query=query_page_url(whole.query), forms=format_links(request)
            )

        return await dataset_response(request, service, [*(gap.table for gap in found), sheet], show)

    for path in ("/gaps", "/gaps.{suffix}"):
        routes.add_route(path, missing, methods=["GET", "HEAD"])
    return routes
