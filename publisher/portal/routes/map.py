"""Serve ``/map``: the initiatives of each country on a map of the world."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.coverage import coverage, empty_chart_hint
from publisher.portal.dataset_response import (
    dataset_response,
    format_links,
    register_dataset,
)
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.embeds import embed_path
from publisher.portal.facet_filters import active_filters, facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import facet_panels, most_complete
from publisher.portal.findings import count_note, map_title
from publisher.portal.map import country_map, unmapped_areas
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from web.charts.svg import quantile_bounds, quantile_ranges

# the default without a country
INSTEAD = (
    "goal",
    "line",
    "type",
    "status",
    "year",
    "language",
)


router = APIRouter()


@register_dataset(
    router,
    "/map",
    "map",
    "Count initiatives by country and region",
    facet_parameters(),
    drawn=True,
)
async def world(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Draw the initiatives of each country on a map of the world."""
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    panels = await asyncio.to_thread(facet_panels, tables, filters, ("country", "region"), names)
    drawing = await asyncio.to_thread(country_map, tables, filters, names)
    counts = tables.counts_once(filters).get("country", {})
    placed = await asyncio.to_thread(coverage, tables, filters, "country")
    others = (
        [] if counts else await asyncio.to_thread(facet_panels, tables, filters, INSTEAD, names)
    )

    def show() -> Response:
        return pages.page(
            "map.html",
            active=active_filters(names),
            panels={panel.facet: panel for panel in panels},
            map=drawing,
            embed_address=embed_path("map", "", filters),
            placed=placed,
            finding=map_title(counts, names, placed.part),
            missing=[] if counts else [empty_chart_hint(tables, filters, "country")],
            others=most_complete(others, 2),
            counts=counts,
            ranges=quantile_ranges(quantile_bounds(counts.values())),
            regions=_regions(tables, filters, names),
            names=names,
            beyond=unmapped_areas(counts),
            note=count_note(tables.count_different(filters)),
            forms=format_links(request, drawing is not None),
        )

    return await dataset_response(
        request, service, [panel.table for panel in panels], show, drawing
    )


def _regions(
    tables: FacetIndex, filters: Filter, names: FacetLabels
) -> list[tuple[str, str, bool]]:
    """Return the regions by name: code, name, and whether it is chosen."""
    codes = tables.counts_once(filters).get("region", {})
    chosen = filters.codes("region")
    named = sorted((names.name("region", code), code) for code in codes)
    return [(code, name, code in chosen) for name, code in named]
