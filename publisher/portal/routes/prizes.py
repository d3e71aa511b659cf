"""Success stories, by the year and the category of the WSIS Prizes that they had."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.facets import filter_query as asking
from publisher.pages.charts.data_table import DataTable, count_table
from publisher.pages.dataset_response import dataset_response, format_links, require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.data_lists import prize_table
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import facet_panels, query_page_url
from publisher.portal.prizes import prizes_by_year
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the prizes."""
    routes = APIRouter()

    async def prizes(request: Request) -> Response:
        tables, names, filters = require_facet_index(service), FacetLabels(service.iris), parse_filters(request.query_params)
        made = await asyncio.to_thread(facet_panels, tables, filters, ("prizeyear", "prize", "stage"), names)
        years = await asyncio.to_thread(tables.prize_years, filters)
        chosen = request.query_params.get("prizeyear") or next(iter(years), "")
        text = asking.cross_tabulate(filters, "prizeyear", "prize", service.iris)

        def sheets() -> list[DataTable]:
            both = [(*pair, things) for pair, things in sorted(tables.cross_tabulate(filters, "prizeyear", "prize").items())]
            return [
                prize_table("prizes", "Prizes", tables.prizes(filters), asking.listing(filters, service.iris)),
                count_table("by-year-and-category", "Prizes by year and category", ("prizeyear", "prize"), both, text),
                *(panel.table for panel in made),
            ]

        def show() -> Response:
            shown = [
                prize
                for prize in tables.prizes(filters, chosen)
                if _fits(prize.category, filters.codes("prize")) and _fits(prize.stage, filters.codes("stage"))
            ]
            return pages.page(
                "prizes.html",
                years=years,
                chosen=chosen,
                found=prizes_by_year(shown, names),
                panels=made,
                forms=format_links(request),
                query=query_page_url(text),
            )

        return await dataset_response(request, service, sheets, show)

    for path in ("/prizes", "/prizes.{suffix}"):
        routes.add_route(path, prizes, methods=["GET", "HEAD"])
    return routes


def _fits(code: str | None, codes: tuple[str, ...]) -> bool:
    return not codes or code in codes
