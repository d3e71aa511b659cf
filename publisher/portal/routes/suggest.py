"""Suggestions while a person types: ``/search/suggest``, as JSON for the pages' script and as a page for everybody else."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, replace
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from publisher.errors import NotReady, QuotaExceeded
from publisher.formats import HTML, JSON
from publisher.http.negotiation import choose_format
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.dataset_response import require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.sources import source_titles
from publisher.portal.suggestions import Suggestion, suggestions
from publisher.search.searcher import open_searcher
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import RateLimiter, client_of

LONGEST = 100  # characters that may be typed
DEFAULT, MOST = 8, 20  # suggestions
REQUESTS, WINDOW = 300, 60  # of one client, in so many seconds: five a second, more than anybody types
_LANGUAGE = {"Vary": "Accept-Language, Cookie"}  # names are in the language of the reader


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of ``/search/suggest``."""
    routes = APIRouter()
    # No budget of queries means none of suggestions either: it is a trusted or private installation.
    rate = RateLimiter(replace(service.limits, budget=REQUESTS if service.limits.budget else 0, window=WINDOW), time.monotonic)

    async def suggest(request: Request) -> Response:
        _admit(request, rate)
        typed, most = _typed(request)
        suffix = request.query_params.get("format")
        row = {"json": JSON, "html": HTML}.get(suffix) if suffix else choose_format(request.headers.get("accept"), [JSON])
        if row is None:
            raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "Suggestions are given as application/json or text/html", {"Vary": "Accept"})
        names = FacetLabels(service.iris, await source_titles(service))
        found = await asyncio.to_thread(_suggestions, service, pages, names, typed, most)
        if row is HTML:
            return pages.page("suggest.html", typed=typed, suggestions=found)
        body = {"query": typed, "suggestions": [asdict(item) for item in found]}
        headers = {**_LANGUAGE, "Content-Language": current_locale().language}
        return build_response(request, Representation(orjson.dumps(body), JSON.media, negotiated=not suffix, headers=headers))

    routes.add_route("/search/suggest", suggest, methods=["GET", "HEAD"])
    return routes


def _admit(request: Request, rate: RateLimiter) -> None:
    client = client_of(request.client.host) if request.client else ""
    try:
        rate.admit(client)
    except QuotaExceeded as spent:
        raise QuotaExceeded(
            f"this address has asked for {REQUESTS} suggestions within {WINDOW} seconds; wait, or search without them", spent.wait
        ) from spent
    rate.charge(client, 1)


def _typed(request: Request) -> tuple[str, int]:
    typed, most = request.query_params.get("q", ""), request.query_params.get("limit") or str(DEFAULT)
    if len(typed) > LONGEST:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"Suggestions are made for at most {LONGEST} characters")
    if not (most.isascii() and most.isdigit()) or not 1 <= int(most[:9]) <= MOST:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter limit is a whole number from 1 to {MOST}")
    return typed.lstrip(), int(most)


def _suggestions(service: QueryService, pages: Pages, names: FacetLabels, typed: str, most: int) -> list[Suggestion]:
    search = open_searcher(service.current.path)
    if search is None:
        raise NotReady("the index of texts is being made; try again in a moment")
    return suggestions(search, require_facet_index(service), pages, names, typed, most)
