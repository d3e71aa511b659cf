"""Sitemaps, ``/robots.txt`` and ``/.well-known/security.txt``.

Sources: https://www.sitemaps.org/protocol.html, https://www.rfc-editor.org/rfc/rfc9309 (robots.txt)
and https://www.rfc-editor.org/rfc/rfc9116 (security.txt).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.feeds.xml_writing import element, instant
from publisher.history.change_reader import open_history, read_watermark
from publisher.store.query_service import QueryService
from web.endpoints import contents, get, problems
from web.links import origin
from web.problems import HTTPProblem
from web.representation import Representation, build_response

_XML, _TEXT = "application/xml", "text/plain; charset=utf-8"
_NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
_SOON = {"Cache-Control": "public, max-age=60"}
# Queries and past states have unlimited URLs; pages and dumps have all of their data.
_DISALLOWED = (
    "/sparql",
    "/exports",
    "/rdf-graph-store",
    "/memento/",
    "/timegate/",
    "/timemap/",
    "/search",
    "/admin",
    "/problem?",  # the form, with the path of the page that leads to it
    # several facets or pages of a list: without end, and each costs more
    # (publisher.page_budget)
    "/*?*&",
)
_EXPIRY = timedelta(days=180)  # RFC 9116 recommends less than a year


SitemapNumber = Annotated[
    str, Path(description="The number of the part, from 1; `/sitemap.xml` lists them")
]
router = APIRouter()


@get(
    router,
    "/sitemap.xml",
    operation_id="sitemapIndex",
    summary="List the sitemaps",
    tags=["watch"],
    response_class=Response,
    response_description="A sitemap index",
    responses=contents(_XML) | problems(503),
)
async def sitemap_index(request: Request, service: ServiceDep) -> Response:
    """Crawlers begin here."""
    horizon, host = await asyncio.to_thread(read_watermark, service), origin(request)
    slices = await asyncio.to_thread(_slices, service, horizon.sequence)
    rows = (
        element("loc", f"{host}/sitemap-{number}.xml") + element("lastmod", instant(stamp))
        for number, stamp in slices
    )
    return _sitemap_response(request, "sitemapindex", "sitemap", rows)


@get(
    router,
    "/sitemap-{number}.xml",
    operation_id="sitemap",
    summary="List pages, with the time at which each last changed",
    tags=["watch"],
    response_class=Response,
    response_description="A sitemap",
    responses=contents(_XML) | problems(404, 503),
)
async def sitemap(request: Request, service: ServiceDep, number: SitemapNumber) -> Response:
    """A page of a thing is listed in one sitemap."""
    horizon, host = await asyncio.to_thread(read_watermark, service), origin(request)
    slice_number = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 0
    records = await asyncio.to_thread(_slice_records, service, slice_number, horizon.sequence)
    if not records:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, f"There is no sitemap {number}; /sitemap.xml lists them"
        )
    rows = (
        element("loc", f"{host}/page/{thing}") + element("lastmod", instant(stamp))
        for thing, stamp in records
    )
    return _sitemap_response(request, "urlset", "url", rows)


@get(router, "/robots.txt", include_in_schema=False)
async def robots(request: Request) -> Response:
    """Return the rules for crawlers."""
    # Another Stocktake requests one journal entry at a time, which costs little; it has its own
    # pause between requests.
    lines = [
        "User-agent: Stocktake",
        "Allow: /",
        "",
        "User-agent: *",
        *(f"Disallow: {path}" for path in _DISALLOWED),
        "Crawl-delay: 1",
        "",
        f"Sitemap: {origin(request)}/sitemap.xml",
    ]
    return _text_response(request, lines, _SOON)


@get(router, "/.well-known/security.txt", include_in_schema=False)
async def security(request: Request, pages: PagesDep) -> Response:
    """Return the address to which vulnerabilities are reported."""
    contact = pages.branding.contact_url
    if contact is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, "The operators have given no address (STOCKTAKE_CONTACT)"
        )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {contact}",
        f"Expires: {today + _EXPIRY:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: {origin(request)}/.well-known/security.txt",
    ]
    return _text_response(request, lines, {})


def _slices(service: QueryService, sequence: int) -> list[tuple[int, int]]:
    return open_history(service).slices(sequence)


def _slice_records(service: QueryService, number: int, sequence: int) -> list[tuple[str, int]]:
    return open_history(service).slice_records(number, sequence)


def _text_response(request: Request, lines: Iterable[str], headers: dict[str, str]) -> Response:
    return build_response(
        request,
        Representation("".join(f"{line}\n" for line in lines).encode(), _TEXT, headers=headers),
    )


def _sitemap_response(request: Request, container: str, item: str, rows: Iterable[str]) -> Response:
    inner = "".join(f"<{item}>{entry}</{item}>\n" for entry in rows)
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{container} xmlns="{_NAMESPACE}">\n{inner}</{container}>\n'
    return build_response(request, Representation(body.encode(), _XML, headers=_SOON))
