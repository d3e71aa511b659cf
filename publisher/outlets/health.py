"""Health: whether the shelf answers, what it shows and how far it is behind the journal."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from publisher.pages import Pages
from publisher.shelf import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/health``."""
    routes = APIRouter()

    async def health(request: Request) -> Response:
        shown = shelf.generation
        if shown is None:
            return JSONResponse({"status": "starting", "position": 0, "quads": 0, "lag": shelf.lag}, HTTPStatus.SERVICE_UNAVAILABLE)
        told = {"status": "ok", "position": shown.position, "quads": shown.quads, "lag": shelf.lag, "generation": shown.number}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    routes.add_route("/health", health, methods=["GET"])
    return routes
