"""Prizes: success stories, by the year and the category of the WSIS Prizes that they had."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.facets import filter_query as asking
from publisher.pages.charts.data_table import Sheet, counted
from publisher.pages.dataset_response import counting, forms, tell_sheets
from publisher.pages.templating import Pages
from publisher.portal.data_lists import of_prizes
from publisher.portal.facet_filters import asked
from publisher.portal.facet_labels import Names
from publisher.portal.facet_panels import panels, query_address
from publisher.portal.prizes import by_year
from publisher.store.query_service import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the prizes."""
    routes = APIRouter()

    async def prizes(request: Request) -> Response:
        tables, names, it = counting(shelf), Names(shelf.iris), asked(request.query_params)
        made = await asyncio.to_thread(panels, tables, it, ("prizeyear", "prize", "stage"), names)
        years = await asyncio.to_thread(tables.awarded, it)
        chosen = request.query_params.get("prizeyear") or next(iter(years), "")
        text = asking.cross_tabulate(it, "prizeyear", "prize", shelf.iris)

        def sheets() -> list[Sheet]:
            both = [(*pair, things) for pair, things in sorted(tables.cross(it, "prizeyear", "prize").items())]
            return [
                of_prizes("prizes", "Prizes", tables.prizes(it), asking.listing(it, shelf.iris)),
                counted("by-year-and-category", "Prizes by year and category", ("prizeyear", "prize"), both, text),
                *(panel.sheet for panel in made),
            ]

        def show() -> Response:
            shown = [
                prize
                for prize in tables.prizes(it, chosen)
                if _fits(prize.category, it.codes("prize")) and _fits(prize.stage, it.codes("stage"))
            ]
            return pages.page(
                "prizes.html",
                years=years,
                chosen=chosen,
                found=by_year(shown, names),
                panels=made,
                forms=forms(request),
                query=query_address(text),
            )

        return await tell_sheets(request, shelf, sheets, show)

    for path in ("/prizes", "/prizes.{suffix}"):
        routes.add_route(path, prizes, methods=["GET", "HEAD"])
    return routes


def _fits(code: str | None, codes: tuple[str, ...]) -> bool:
    return not codes or code in codes
