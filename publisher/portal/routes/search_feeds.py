"""``/feeds/search.atom`` and ``/feeds/search.json``: any search can be followed, by the parameters
of its address.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale, use_language
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.feeds.xml_writing import clean
from publisher.history.change_reader import open_history, read_watermark
from publisher.portal.facet_filters import facet_parameters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.following import parse_followed
from publisher.portal.routes.search import REACH, Words, find_page, parse_parameters
from publisher.portal.search_feed import (
    ENTRIES,
    FEED_FORMATS,
    LEFT_OUT,
    RemovedResult,
    SearchFeed,
    possibly_left,
    write_search_feed,
)
from publisher.portal.sources import source_titles
from publisher.projections.facets.filter_query import Filter
from publisher.projections.search.query import SearchRequest
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import QueryService
from web.endpoints import get, known_parameters, other_contents, problems
from web.links import Link, origin
from web.representation import Representation, build_response

_SOON = "public, max-age=60"

Thing = Annotated[
    str,
    Query(
        max_length=2_000, description="The path of one thing to follow, such as `initiative/demo/7`"
    ),
]
Suffix = Annotated[
    str,
    Path(
        description="The format",
        json_schema_extra={"enum": list(FEED_FORMATS)},
        pattern="^(atom|json)$",
    ),
]

# A feed takes the address of any search.
_OF_SEARCH: list[dict[str, object]] = [
    {
        "name": name,
        "in": "query",
        "description": "A parameter of /search; a feed ignores it",
        "schema": {"type": "string"},
    }
    for name in ("sort", "page", "per", "view")
]

router = APIRouter()


@get(
    router,
    "/feeds/search.{suffix}",
    operation_id="feedOfSearch",
    dependencies=[Depends(known_parameters)],
    summary="Follow a search: its newest results, and what is no longer among them",
    tags=["watch"],
    response_class=Response,
    response_description="A feed",
    responses=other_contents(FEED_FORMATS.values()) | problems(400, 404, 503),
    openapi_extra={"parameters": [*facet_parameters(), *_OF_SEARCH]},
)
async def search_feed(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    suffix: Suffix,
    q: Words = "",
    thing: Thing = "",
) -> Response:
    """The parameters are those of `/search`, or `thing`: an organization stands for what it takes
    part in.
    """
    watermark = await asyncio.to_thread(read_watermark, service)
    parameters = parse_parameters(request, q, "newest", 1, ENTRIES)
    followed = parse_followed(request.query_params, service.iris)
    parameters = replace(parameters, filters=followed.filters)
    labels, locale = FacetLabels(service.iris, await source_titles(service)), current_locale()
    with use_language("en", locale):
        results = await asyncio.to_thread(find_page, request, service, parameters, labels)
    removed = await asyncio.to_thread(_removed, service, parameters.filters, q)
    host = origin(request)
    chosen = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in LEFT_OUT
    ]
    address = f"?{urlencode(chosen)}" if chosen else ""
    words = clean(q) or " ".join(value for _name, value in chosen)
    thing_path = followed.thing.removeprefix(f"{service.iris.base}id/")
    feed = SearchFeed(
        title=f"{pages.branding.name}: {words}" if words else pages.branding.name,
        url=f"{host}/feeds/search.{suffix}{address}",
        page=f"{host}/page/{thing_path}" if thing_path else f"{host}/search{address}",
        author=pages.branding.name,
        updated=watermark.stamp,
        results=results.results,
        removed=removed,
    )
    media = FEED_FORMATS[suffix].media
    body = await asyncio.to_thread(write_search_feed, feed, suffix, host, service.iris)
    return build_response(
        request,
        Representation(
            body, media, links=[Link("self", feed.url)], headers={"Cache-Control": _SOON}
        ),
    )


def _removed(service: QueryService, filters: Filter, words: str) -> list[RemovedResult]:
    """Return what changed lately and is not among the results, the newest first."""
    left = possibly_left(open_history(service), filters, service.iris)
    if filters.among is not None:  # one thing is followed
        left = {iri: stamp for iri, stamp in left.items() if iri in filters.among}
    index = open_searcher(service.current.path)
    among = set(left)
    if words and index is not None:
        filters = replace(filters, words=words)
        among &= set(index.matches(SearchRequest(words), REACH).scores)
    tables = require_facet_index(service)
    listed = (
        tables.list_things(replace(filters, among=tuple(sorted(among))), "newest", len(among))
        if among
        else []
    )
    there = {item.iri for item in listed}
    newest_first = sorted(left.items(), key=lambda pair: (-pair[1], pair[0]))
    return [RemovedResult(thing, stamp) for thing, stamp in newest_first if thing not in there]
