"""Serve ``/about``, ``/about/design`` and ``/data``."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.store.queries import query
from vocab.schemes import label
from web.branding import LOGO, LOGO_TYPES
from web.endpoints import get
from web.problems import HTTPProblem
from web.representation import Representation, build_response

router = APIRouter()


@get(router, "/about", include_in_schema=False)
async def about(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Describe the portal, its operator and its registries."""
    rows, start = await service.rows(query("sources")), service.iris.source("")
    sources = {
        row["source"].value.removeprefix(start): (
            row["title"],
            row["licence"].value if "licence" in row else "",
        )
        for row in rows
    }
    listed = [(name, *rest) for name, rest in sorted(sources.items())]
    return _respond(request, pages.page("about.html", sources=listed))


@get(router, "/about/design", include_in_schema=False)
async def design(request: Request, pages: PagesDep) -> Response:
    """Show the components of the pages."""
    return _respond(request, pages.page("design.html"))


@get(router, "/api", include_in_schema=False)
@get(router, "/report", include_in_schema=False)
@get(router, "/help", include_in_schema=False)
async def guessed(request: Request, pages: PagesDep) -> Response:
    """Lead to the page that an address which people guess means."""
    help_page = "/docs/" if pages.documented else "/about"
    page = {"/api": "/docs/api", "/report": "/reports/"}.get(request.url.path, help_page)
    return RedirectResponse(page, HTTPStatus.FOUND)


@get(router, "/data", include_in_schema=False)
async def data(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """List the ways to read the data."""
    language, base = current_locale().language, service.iris.base
    rows = await service.rows(query("schemes"))
    schemes = [
        (row["scheme"].value, label(row["scheme"].value, language, base) or row["title"].value)
        for row in rows
    ]
    return _respond(request, pages.page("data.html", schemes=schemes))


@get(router, LOGO, include_in_schema=False)
async def logo(pages: PagesDep) -> Response:
    """Return the file."""
    file = pages.branding.logo
    if file is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("This installation has no logo of its own; STOCKTAKE_LOGO sets one"),
        )
    return FileResponse(
        file,
        media_type=LOGO_TYPES[file.suffix.lower()],
        headers={"Cache-Control": "public, max-age=3600"},
    )


def _respond(request: Request, page: Response) -> Response:
    return build_response(request, Representation(bytes(page.body), "text/html; charset=utf-8"))
