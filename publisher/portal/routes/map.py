"""The world by how many things each country has."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.charts.svg import quantile_bounds, quantile_ranges
from publisher.pages.dataset_response import dataset_response, format_links, register_dataset, require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.coverage import coverage, empty_chart_hint
from publisher.portal.facet_filters import active_filters, facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import facet_panels, most_complete
from publisher.portal.map import country_map, unmapped_areas
from publisher.portal.sources import source_titles
from publisher.store.query_service import QueryService

INSTEAD = ("goal", "line", "type", "status", "year", "language")  # what is shown where no country is named


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the map."""
    routes = APIRouter()

    async def world(request: Request) -> Response:
        tables, names, filters = (
            require_facet_index(service),
            FacetLabels(service.iris, await source_titles(service)),
            parse_filters(request.query_params).with_codes("kind", "initiative"),
        )
        made = {panel.facet: panel for panel in await asyncio.to_thread(facet_panels, tables, filters, ("country", "region"), names)}
        drawn = await asyncio.to_thread(country_map, tables, filters, names)
        counts = tables.counts(filters).get("country", {})
        regions = sorted(tables.counts(filters).get("region", {}), key=lambda code: names.name("region", code))
        placed = await asyncio.to_thread(coverage, tables, filters, "country")
        others = [] if counts else most_complete(await asyncio.to_thread(facet_panels, tables, filters, INSTEAD, names), 2)

        def show() -> Response:
            return pages.page(
                "map.html",
                active=active_filters(names),
                panels=made,
                map=drawn,
                placed=placed,
                missing=[] if counts else [empty_chart_hint("country")],
                others=others,
                counts=counts,
                ranges=quantile_ranges(quantile_bounds(counts.values())),
                regions=[(code, names.name("region", code), code in filters.codes("region")) for code in regions],
                names=names,
                beyond=unmapped_areas(counts),
                forms=format_links(request, drawn is not None),
            )

        return await dataset_response(request, service, [panel.table for panel in made.values()], show, drawn)

    register_dataset(routes, "/map", "map", "Count initiatives by country and region", facet_parameters(), drawn=True)(world)
    return routes
