"""Join: how a registry comes in: what is read, a card written step by step, and how its dry run is done."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.pages.pages import Pages
from publisher.portal.card import KINDS, card, given
from publisher.shelf.shelf import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of joining."""
    routes = APIRouter()

    async def join(request: Request) -> Response:
        it = given(request.query_params)
        return pages.page("join.html", it=it, card=card(it), kinds=KINDS)

    routes.add_route("/join", join, methods=["GET", "HEAD"])
    return routes
