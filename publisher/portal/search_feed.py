"""``/feeds/search.atom`` and ``/feeds/search.json``: a search as a feed, by the parameters of its
address. It has the newest results, and the records that are no longer among them.

Whoever applies each feed to a list of results has the results of the search. Sources:
https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc6721 (deleted
entries) and https://www.jsonfeed.org/version/1.1/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale, use_language
from publisher.data.counts import FacetIndex
from publisher.data.filters import Filter
from publisher.dependencies import PagesDep, ServiceDep, TablesDep, require_searcher
from publisher.feeds.atom import write_feed
from publisher.feeds.xml import clean, instant
from publisher.history import change_reader
from publisher.history.change_reader import Change, History, open_history, read_watermark
from publisher.portal.facet_filters import facet_parameters
from publisher.portal.facet_labels import NamesDep
from publisher.portal.follow import Followed, parse_followed
from publisher.portal.search import (
    FEED_FORMATS,
    MAX_PAGED,
    PRESENTATION,
    Results,
    SearchParameters,
    Words,
    find_page,
    with_parameters,
)
from publisher.store.query_service import QueryService
from publisher.store.search.query import SearchRequest
from vocab.iris import Iris
from web.endpoints import get, known_parameters, other_contents, problems
from web.respond import Link, origin, respond

ENTRIES = 100  # the newest results, which a feed has
# The number of newest changes of all records among which removed results are searched.
WINDOW = 1_000
# The facets of which the change log has the earlier values of a record.
_KNOWN_FACETS = ("kind", "source", "goal", "country", "line")
_NEWEST = (1 << 31) - 1  # no number of a change is higher
_EXTENSION = "_stocktake"
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
def search_feed(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    names: NamesDep,
    suffix: Annotated[
        str,
        Path(
            description="The format",
            json_schema_extra={"enum": list(FEED_FORMATS)},
            pattern="^(atom|json)$",
        ),
    ],
    q: Words = "",
    thing: Annotated[
        str,
        Query(
            max_length=2_000,
            description="The path of one thing to follow, such as `initiative/demo/7`",
        ),
    ] = "",
) -> Response:
    """The parameters are those of `/search`, or `thing`: an organization stands for what it takes
    part in.
    """
    updated, host = read_watermark(service).stamp, origin(request)
    followed, name = parse_followed(request.query_params, service.iris, tables), pages.branding.name
    parameters = SearchParameters(q, followed.filters, per=ENTRIES)
    with use_language("en", current_locale()):
        results = find_page(request, service, tables, parameters, names)["results"]
    query = with_parameters(request, *PRESENTATION)
    sent = request.query_params.multi_items()
    words = clean(q) or " ".join(text for key, text in sent if text and key not in PRESENTATION)
    address = f"?{query}" if query else ""
    removed = _removed(service, tables, followed)
    feed: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": f"{name}: {words}" if words else name,
        "home_page_url": f"{host}{followed.page if followed.thing else f'/search{address}'}",
        "feed_url": f"{host}/feeds/search.{suffix}{address}",
        "authors": [{"name": name}],
        "items": [_item(result, f"{host}{pages.path(result['thing'])}") for result in results],
        _EXTENSION: {
            "about": f"{host}/docs/reference/feeds.html#searches",
            "removed": [{"id": thing, "date": instant(stamp)} for thing, stamp in removed],
        },
    }
    return respond(
        request,
        orjson.dumps(feed) if suffix == "json" else _write_atom(feed, results, instant(updated)),
        FEED_FORMATS[suffix],
        links=[Link("self", feed["feed_url"])],
        headers={"Cache-Control": "public, max-age=60"},
    )


def _removed(
    service: QueryService, tables: FacetIndex, followed: Followed
) -> list[tuple[str, int]]:
    """Return what changed lately and is not among the results, the newest first."""
    filters, words = followed.filters, followed.words
    left = possibly_left(open_history(service), filters, service.iris)
    if filters.among is not None:  # one thing is followed
        left = {iri: stamp for iri, stamp in left.items() if iri == followed.thing}
    among = set(left)
    if words:
        filters = replace(filters, words=words)
        among &= set(require_searcher(service).matches(SearchRequest(words), MAX_PAGED).scores)
    filters = replace(filters, among=tables.numbers(among))
    listed = tables.list_things(filters, "newest", len(among)) if among else []
    there = {item.iri for item in listed}
    newest_first = sorted(left.items(), key=lambda pair: (-pair[1], pair[0]))
    return [pair for pair in newest_first if pair[0] not in there]


def possibly_left(history: History, filters: Filter, iris: Iris) -> dict[str, int]:
    """Return the things that changed lately and may have matched before: the stamp of the newest
    change by IRI.

    Of the facets that the change log has, a record had a value of the filter before. Words and other
    facets cannot be checked.
    """
    stamps: dict[str, int] = {}
    # Changes that are not announced yet are among them.
    changes = history.newest_changes(change_reader.ALL, _NEWEST, WINDOW)
    earlier = history.changes_before(changes)
    for change in changes:
        before = earlier.get(change.previous)
        if before is not None and _may_match(before, filters):
            thing = f"{iris.base}id/{before.thing}"
            stamps[thing] = max(change.stamp, stamps.get(thing, 0))
    return stamps


def _may_match(change: Change, filters: Filter) -> bool:
    chosen = [
        [f"{facet}:{code}" for code in codes]
        for facet in _KNOWN_FACETS
        if (codes := filters.codes(facet))
    ]
    return change.change_type is not change_reader.ChangeType.DELETED and all(
        any(
            item == name or item.startswith((f"{name}:", f"{name}-"))
            for name in names
            for item in change.sets
        )
        for names in chosen
    )


def _write_atom(feed: Mapping[str, Any], results: Iterable[Results], updated: str) -> bytes:
    [author], address = feed["authors"], feed["feed_url"]
    removed = [
        {"deleted": True, "id": item["id"], "updated": item["date"]}
        for item in feed[_EXTENSION]["removed"]
    ]
    entries = [
        {
            "id": result["thing"],
            "title": {"text": item["title"], "language": item.get("language")},
            "updated": result["modified"] or updated,
            "authors": [result["source"] or author["name"]],
            "links": [("alternate", "text/html", item["url"])],
            "summary": {"text": result["passage"], "language": result["language"]}
            if result["passage"]
            else None,
        }
        for item, result in zip(feed["items"], results, strict=True)
    ]
    return write_feed(
        [*removed, *entries],
        id=address,
        title=feed["title"],
        updated=updated,
        author=author["name"],
        url=address,
        page=feed["home_page_url"],
    )


def _item(result: Results, page: str) -> dict[str, str]:
    title, language = result["title"] or (result["thing"], None)
    item = {
        "id": result["thing"],
        "url": page,
        "title": title,
        "content_text": result["passage"] or title,
        "date_modified": result["modified"],
        "language": language,
    }
    return {name: value for name, value in item.items() if value}
