"""Sitemaps, ``/robots.txt`` and ``/.well-known/security.txt``.

Sources: https://www.sitemaps.org/protocol.html, https://www.rfc-editor.org/rfc/rfc9309 (robots.txt)
and https://www.rfc-editor.org/rfc/rfc9116 (security.txt).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from markupsafe import escape
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.records import ChangesDep, instant
from publisher.pages import PagesDep
from web.endpoints import contents, get, problems
from web.respond import origin, require, respond

_TEXT = "text/plain; charset=utf-8"
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
    # Pages of several facets, and of lists, have no end, and each costs more (publisher.middleware).
    "/*?*&",
)
_EXPIRY = timedelta(days=180)  # RFC 9116 recommends less than a year


router = APIRouter()


@get(
    router,
    "/sitemap.xml",
    operation_id="sitemapIndex",
    summary="List the sitemaps",
    tags=["watch"],
    response_class=Response,
    response_description="A sitemap index",
    responses=contents("application/xml") | problems(503),
)
def sitemap_index(request: Request, changes: ChangesDep) -> Response:
    """Crawlers begin here."""
    slices = changes.history.slices(changes.watermark.sequence)
    paths = [(f"/sitemap-{number}.xml", stamp) for number, stamp in slices]
    return _sitemap_response(request, "sitemapindex", "sitemap", paths)


@get(
    router,
    "/sitemap-{number}.xml",
    operation_id="sitemap",
    summary="List pages, with the time at which each last changed",
    tags=["watch"],
    response_class=Response,
    response_description="A sitemap",
    responses=contents("application/xml") | problems(404, 503),
)
def sitemap(
    request: Request,
    changes: ChangesDep,
    number: Annotated[
        str, Path(description="The number of the part, from 1; `/sitemap.xml` lists them")
    ],
) -> Response:
    """A page of a thing is listed in one sitemap."""
    is_number = number.isascii() and number.isdecimal() and len(number) < 9
    things = changes.history.slice_records(
        int(number) if is_number else 0, changes.watermark.sequence
    )
    require(bool(things), f"There is no sitemap {number}; /sitemap.xml lists them")
    paths = [(f"/page/{thing}", stamp) for thing, stamp in things]
    return _sitemap_response(request, "urlset", "url", paths)


def _sitemap_response(
    request: Request, container: str, item: str, paths: list[tuple[str, int]]
) -> Response:
    """Return a list of *paths*, each with the time of its last change in seconds since 1970."""
    host = origin(request)
    # A template takes four times as long for ten thousand items.
    items = "".join(
        f"<{item}><loc>{escape(host + path)}</loc><lastmod>{instant(stamp)}</lastmod></{item}>"
        for path, stamp in paths
    )
    root = f'<{container} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{items}</{container}>'
    text = f'<?xml version="1.0" encoding="UTF-8"?>{root}'
    return respond(request, text, "application/xml", headers=_SOON)


@get(router, "/robots.txt", include_in_schema=False)
def robots(request: Request) -> Response:
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
    return respond(request, "\n".join([*lines, ""]), _TEXT, headers=_SOON)


@get(router, "/.well-known/security.txt", include_in_schema=False)
def security(request: Request, pages: PagesDep) -> Response:
    """Return the address to which vulnerabilities are reported."""
    contact = require(
        pages.branding.contact_url, "The operators have given no address (STOCKTAKE_CONTACT)"
    )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {contact}",
        f"Expires: {today + _EXPIRY:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: {origin(request)}/.well-known/security.txt",
    ]
    return respond(request, "\n".join([*lines, ""]), _TEXT)
