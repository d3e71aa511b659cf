"""Health: whether the shelf answers, what it shows and how far it is behind the journal."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from journal import origin
from publisher.pages.pages import Pages
from publisher.shelf.shelf import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/health``."""
    routes = APIRouter()

    async def health(request: Request) -> Response:
        shown, of, lag = shelf.generation, origin.read(shelf.journal.folder), await asyncio.to_thread(lambda: shelf.delay)
        mirror = {"mirror": asdict(of)} if of else {}
        mirror |= {"store": {"trouble": shelf.journal.trouble}} if shelf.journal.store else {}
        if shown is None:
            told = {"status": "starting", "position": 0, "quads": 0, "lag": lag}
            return JSONResponse({**told, **mirror}, HTTPStatus.SERVICE_UNAVAILABLE)
        told = {"status": "ok", "position": shown.position, "quads": shown.quads, "lag": lag, "generation": shown.number, **mirror}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    routes.add_route("/health", health, methods=["GET"])
    return routes
