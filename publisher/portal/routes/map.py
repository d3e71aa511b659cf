"""Atlas: the world by how many things each country has."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.charts.svg import ranges
from publisher.pages.dataset_response import counting, forms, tell_sheets
from publisher.pages.templating import Pages
from publisher.portal.coverage import coverage, missing
from publisher.portal.facet_filters import asked
from publisher.portal.facet_labels import Names
from publisher.portal.facet_panels import fullest, panels
from publisher.portal.map import beyond, countries
from publisher.store.query_service import Shelf

INSTEAD = ("goal", "line", "type", "status", "year", "language")  # what is shown where no country is named


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the map."""
    routes = APIRouter()

    async def world(request: Request) -> Response:
        tables, names, it = counting(shelf), Names(shelf.iris), asked(request.query_params).having("kind", "initiative")
        made = {panel.facet: panel for panel in await asyncio.to_thread(panels, tables, it, ("country", "region"), names)}
        drawn = await asyncio.to_thread(countries, tables, it, names)
        counts = tables.counts(it).get("country", {})
        placed = await asyncio.to_thread(coverage, tables, it, "country")
        others = [] if counts else fullest(await asyncio.to_thread(panels, tables, it, INSTEAD, names), 2)

        def show() -> Response:
            return pages.page(
                "map.html",
                panels=made,
                map=drawn,
                placed=placed,
                missing=[] if counts else [missing("country")],
                others=others,
                counts=counts,
                ranges=ranges(max(counts.values(), default=0)),
                names=names,
                beyond=beyond(counts),
                forms=forms(request, drawn is not None),
            )

        return await tell_sheets(request, shelf, [panel.sheet for panel in made.values()], show, drawn)

    for path in ("/map", "/map.{suffix}"):
        routes.add_route(path, world, methods=["GET", "HEAD"])
    return routes
