"""Suggestions while a person types: ``/search/suggest``, as JSON for the script and as a page
without it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, replace
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from languages.request_locale import LANGUAGES, current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.errors import NotReady, QuotaExceeded
from publisher.limits import Limits
from publisher.pages import Pages
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.sources import source_titles
from publisher.portal.suggestions import Suggestion, suggestions
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import RateLimiter, client_key
from web.endpoints import format_parameter, get, other_contents, problems, whole_number
from web.formats import HTML, JSON
from web.negotiation import choose_format
from web.problems import HTTPProblem
from web.representation import Representation, build_response

LONGEST = 100  # characters of a query
DEFAULT, MAX_SUGGESTIONS = 8, 20  # suggestions
# requests of a client, and seconds: five a second, more than anybody types
REQUESTS = 300
WINDOW = 60
_FORMATS = {"json": JSON, "html": HTML}
Typed = Annotated[
    str,
    Query(
        max_length=LONGEST, description="What was typed so far; without it, the most common topics"
    ),
]
MaxCount = Annotated[
    int,
    Query(ge=1, le=MAX_SUGGESTIONS, description="The largest number of suggestions"),
    whole_number(DEFAULT),
]
FormatName = Annotated[str | None, format_parameter(_FORMATS)]
Language = Annotated[
    str | None,
    Query(
        description="The language of names; without it, Accept-Language",
        json_schema_extra={"enum": list(LANGUAGES)},
    ),
]
_LANGUAGE = {"Vary": "Accept-Language, Cookie"}  # labels are in the language of the request


class SuggestionsJson(TypedDict):
    """Suggestions for *query*: topics first, then titles."""

    query: str
    suggestions: list[Suggestion]


router = APIRouter()


def build_rate_limiter(limits: Limits) -> RateLimiter:
    """Return the rate limiter of suggestions, None if queries have no limit."""
    return RateLimiter(
        replace(limits, budget=REQUESTS if limits.budget else 0, window=WINDOW), time.monotonic
    )


@get(
    router,
    "/search/suggest",
    operation_id="suggest",
    summary="Complete the text of a search: topics that it names, then titles that begin with it",
    tags=["find"],
    response_model=SuggestionsJson,
    response_description="The suggestions",
    responses=other_contents([HTML]) | problems(400, 406, 429, 503),
)
async def suggest(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    q: Typed = "",
    limit: MaxCount = DEFAULT,
    format: FormatName = None,
    lang: Language = None,
) -> Response:
    """The script of the pages reads this while a person types."""
    _admit(request, request.app.state.suggestion_limiter)
    row = _FORMATS.get(format) if format else choose_format(request.headers.get("accept"), [JSON])
    if row is None:
        detail = TranslatableText(
            "No available format matches your request. Available: {formats}",
            formats="application/json, text/html",
        )
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, detail, {"Vary": "Accept"})
    names = FacetLabels(service.iris, await source_titles(service))
    typed = q.lstrip()
    matches = await asyncio.to_thread(_suggestions, service, pages, names, typed, limit)
    if row is HTML:
        return pages.page("suggest.html", typed=typed, suggestions=matches)
    body = {"query": typed, "suggestions": [asdict(item) for item in matches]}
    headers = {**_LANGUAGE, "Content-Language": current_locale().language}
    return build_response(
        request,
        Representation(orjson.dumps(body), JSON.media, negotiated=not format, headers=headers),
    )


def _admit(request: Request, rate: RateLimiter) -> None:
    client = client_key(request.scope)
    try:
        rate.admit(client)
    except QuotaExceeded as spent:
        raise QuotaExceeded(
            TranslatableText(
                "this address has asked for {count} suggestions within {seconds} seconds; wait, or search without them",
                count=REQUESTS,
                seconds=WINDOW,
            ),
            spent.wait,
        ) from spent
    rate.charge(client, 1)


def _suggestions(
    service: QueryService, pages: Pages, names: FacetLabels, typed: str, most: int
) -> list[Suggestion]:
    search = open_searcher(service.current.path)
    if search is None:
        raise NotReady(
            TranslatableText("the search index is being prepared; try again in a minute")
        )
    return suggestions(search, require_facet_index(service), pages, names, typed, most)
