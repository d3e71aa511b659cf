"""Atlas: the world by how many things each country has."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.figured import counting, forms, tell_sheets
from publisher.pages.pages import Pages
from publisher.portal.atlas import beyond, countries
from publisher.portal.choices import asked
from publisher.portal.names import Names
from publisher.portal.panels import panels
from publisher.shelf.shelf import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the map."""
    routes = APIRouter()

    async def world(request: Request) -> Response:
        tables, names, it = counting(shelf), Names(shelf.iris), asked(request.query_params).having("kind", "initiative")
        made = {panel.facet: panel for panel in await asyncio.to_thread(panels, tables, it, ("country", "region"), names)}
        drawn = await asyncio.to_thread(countries, tables, it, names)
        counts = tables.counts(it).get("country", {})

        def show() -> Response:
            return pages.page(
                "map.html",
                panels=made,
                map=drawn,
                counts=counts,
                names=names,
                beyond=beyond(counts),
                forms=forms(request, drawn is not None),
            )

        return await tell_sheets(request, shelf, [panel.sheet for panel in made.values()], show, drawn)

    for path in ("/map", "/map.{suffix}"):
        routes.add_route(path, world, methods=["GET", "HEAD"])
    return routes
