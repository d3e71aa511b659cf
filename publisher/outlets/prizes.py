"""Prizes: success stories, by the year and the category of the WSIS Prizes that they had."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.figures.sheet import counted
from publisher.http.figured import counting, forms, tell_sheets
from publisher.pages.pages import Pages
from publisher.portal.choices import asked
from publisher.portal.lists import of_prizes
from publisher.portal.names import Names
from publisher.portal.panels import panels, query_address
from publisher.portal.prizes import by_year
from publisher.shelf.shelf import Shelf
from publisher.tables import wanted as asking


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the prizes."""
    routes = APIRouter()

    async def prizes(request: Request) -> Response:
        tables, names, it = counting(shelf), Names(shelf.iris), asked(request.query_params)
        made = panels(tables, it, ("prizeyear", "prize", "stage"), names)
        every = tables.prizes(it)
        years = sorted({prize.year or "" for prize in every}, reverse=True)
        chosen = request.query_params.get("prizeyear") or next(iter(years), "")
        shown = [
            prize
            for prize in every
            if (prize.year or "") == chosen and _fits(prize.category, it.codes("prize")) and _fits(prize.stage, it.codes("stage"))
        ]
        text = asking.cross(it, "prizeyear", "prize", shelf.iris)
        both = [(*pair, things) for pair, things in sorted(tables.cross(it, "prizeyear", "prize").items())]
        sheets = [
            of_prizes("prizes", "Prizes", every, asking.listing(it, shelf.iris)),
            counted("by-year-and-category", "Prizes by year and category", ("prizeyear", "prize"), both, text),
            *(panel.sheet for panel in made),
        ]

        def show() -> Response:
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
