"""Serve ``/about``, ``/about/design`` and ``/data``: what the portal is, how its pages look, and how to use its data."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.queries import query
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the pages about the portal."""
    routes = APIRouter()

    async def about(request: Request) -> Response:
        rows, start = await service.rows(query("sources")), service.iris.source("")
        sources = {
            row["source"].value.removeprefix(start): (row["title"], row["licence"].value if "licence" in row else "") for row in rows
        }
        return _respond(request, pages.page("about.html", sources=[(name, *rest) for name, rest in sorted(sources.items())]))

    async def design(request: Request) -> Response:
        return _respond(request, pages.page("design.html"))

    async def data(request: Request) -> Response:
        return _respond(request, pages.page("data.html", schemes=await service.rows(query("schemes"))))

    for path, endpoint in (("/about", about), ("/about/design", design), ("/data", data)):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


def _respond(request: Request, page: Response) -> Response:
    return build_response(request, Representation(bytes(page.body), "text/html; charset=utf-8"))
