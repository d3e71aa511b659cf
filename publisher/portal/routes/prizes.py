"""Serve ``/success-stories``: projects with WSIS Prizes, by year and category."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.portal.data_lists import prize_table
from publisher.portal.data_table import DataTable, count_table
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import FacetPanel, facet_panels, query_page_url
from publisher.portal.prizes import prizes_by_year
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex, Prize
from vocab.iris import Iris

router = APIRouter()


@register_dataset(
    router,
    "/prizes",
    "prizes",
    "List WSIS Prize winners, champions and nominees, by year and category",
    facet_parameters(),
)
async def prizes(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A prize has a category, a year and a stage: nominated, champion or winner."""
    tables = require_facet_index(service)
    names = FacetLabels(service.iris)
    filters = parse_filters(request.query_params)
    panels = await asyncio.to_thread(
        facet_panels, tables, filters, ("prizeyear", "prize", "stage"), names
    )
    years = await asyncio.to_thread(tables.prize_years, filters)
    chosen = request.query_params.get("prizeyear") or next(iter(years), "")
    text = filter_query.cross_tabulate(
        filters, "prizeyear", "prize", service.iris, has_parts=tables.has_parts
    )

    def show() -> Response:
        return pages.page(
            "prizes.html",
            years=years,
            chosen=chosen,
            listed=prizes_by_year(_matching_prizes(tables, filters, chosen), names),
            panels=panels,
            forms=format_links(request),
            query=query_page_url(text),
        )

    return await dataset_response(
        request, service, lambda: _sheets(tables, filters, panels, text, service.iris), show
    )


def _sheets(
    tables: FacetIndex, filters: Filter, panels: list[FacetPanel], text: str, iris: Iris
) -> list[DataTable]:
    both = [
        (*pair, things)
        for pair, things in sorted(tables.cross_once(filters, "prizeyear", "prize").items())
    ]
    return [
        prize_table(
            "prizes", "Prizes", tables.prizes(filters), filter_query.listing(filters, iris)
        ),
        count_table(
            "by-year-and-category",
            "Prizes by year and category",
            ("prizeyear", "prize"),
            both,
            text,
        ),
        *(panel.table for panel in panels),
    ]


def _matching_prizes(tables: FacetIndex, filters: Filter, year: str) -> list[Prize]:
    """Return the prizes of *year* in the chosen categories and stages."""
    categories, stages = filters.codes("prize"), filters.codes("stage")
    return [
        prize
        for prize in tables.prizes(filters, year)
        if (not categories or prize.category in categories)
        and (not stages or prize.stage in stages)
    ]
