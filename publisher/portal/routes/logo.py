"""The logo of the installation, where it has one of its own."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from publisher.http.problems import HTTPProblem
from publisher.pages.branding import LOGO, LOGO_TYPES
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of ``/logo``."""
    routes = APIRouter()

    async def logo(request: Request) -> Response:
        file = pages.branding.logo
        if file is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "This installation has no logo of its own; STOCKTAKE_LOGO sets one")
        return FileResponse(file, media_type=LOGO_TYPES[file.suffix.lower()], headers={"Cache-Control": "public, max-age=3600"})

    routes.add_route(LOGO, logo, methods=["GET", "HEAD"])
    return routes
