"""Sitemaps, ``/robots.txt`` and ``/.well-known/security.txt``.

Sources: https://www.sitemaps.org/protocol.html, https://www.rfc-editor.org/rfc/rfc9309 (robots.txt) and
https://www.rfc-editor.org/rfc/rfc9116 (security.txt).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.xml_writing import element, instant
from publisher.history import change_reader
from publisher.history.record_states import wait_until_current
from publisher.http.links import origin
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

_XML, _TEXT = "application/xml", "text/plain; charset=utf-8"
_NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_SOON = {"Cache-Control": "public, max-age=60"}
# What answers questions or tells the past: without end for a crawler, and all of it is in the pages and dumps.
_ALONE = ("/sparql", "/exports", "/scratch", "/rdf-graph-store", "/memento/", "/timegate/", "/timemap/", "/search", "/admin")
_KEPT = timedelta(days=180)  # RFC 9116 wants less than a year


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/sitemap.xml``, ``/robots.txt`` and ``/.well-known/security.txt``."""
    routes = APIRouter()

    async def index(request: Request) -> Response:
        horizon, host = await wait_until_current(service), origin(request)

        def read() -> list[tuple[int, int]]:
            with change_reader.open_log(service.history) as file:
                return change_reader.slices(file, horizon.place) if file else []

        slices = await asyncio.to_thread(read)
        rows = (element("loc", f"{host}/sitemap-{number}.xml") + element("lastmod", instant(stamp)) for number, stamp in slices)
        return _sitemap_response(request, "sitemapindex", "sitemap", rows)

    async def part(request: Request) -> Response:
        horizon, text = await wait_until_current(service), request.path_params["number"]
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0

        def read() -> list[tuple[str, int]]:
            with change_reader.open_log(service.history) as file:
                return change_reader.slice_records(file, number, horizon.place) if file and number else []

        slices = await asyncio.to_thread(read)
        if not slices:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no sitemap {text}; /sitemap.xml lists them")
        host = origin(request)
        rows = (element("loc", f"{host}/page/{thing}") + element("lastmod", instant(stamp)) for thing, stamp in slices)
        return _sitemap_response(request, "urlset", "url", rows)

    async def robots(request: Request) -> Response:
        barred = (f"Disallow: {path}" for path in _ALONE)
        # Another Stocktake asks for one entry of the journal at a time, files that cost next to nothing: it sets its own pause.
        lines = [
            "User-agent: Stocktake",
            "Allow: /",
            "",
            "User-agent: *",
            *barred,
            "Crawl-delay: 1",
            "",
            f"Sitemap: {origin(request)}/sitemap.xml",
        ]
        return build_response(request, Representation("".join(f"{line}\n" for line in lines).encode(), _TEXT, headers=_SOON))

    async def security(request: Request) -> Response:
        contact = pages.branding.contact_url
        if contact is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "The operators have given no address (STOCKTAKE_CONTACT)")
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        lines = (
            f"Contact: {contact}",
            f"Expires: {today + _KEPT:%Y-%m-%dT%H:%M:%SZ}",
            "Preferred-Languages: en",
            f"Canonical: {origin(request)}/.well-known/security.txt",
        )
        return build_response(request, Representation("".join(f"{line}\n" for line in lines).encode(), _TEXT))

    for path, endpoint in (
        ("/sitemap.xml", index),
        ("/sitemap-{number}.xml", part),
        ("/robots.txt", robots),
        ("/.well-known/security.txt", security),
    ):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


def _sitemap_response(request: Request, whole: str, each: str, rows: Iterable[str]) -> Response:
    inner = "".join(f"<{each}>{entry}</{each}>\n" for entry in rows)
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{whole} xmlns="{_NAMESPACE}">\n{inner}</{whole}>\n'
    return build_response(request, Representation(body.encode(), _XML, headers=_SOON))
