"""Serve ``/search``: full text in any language and facets; each search has its own URL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from languages.request_locale import current_locale, use_language
from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.errors import NotReady
from publisher.pages import Pages
from publisher.portal.data_lists import write_listed
from publisher.portal.facet_filters import active_filters, facet_parameters, filter_groups
from publisher.portal.facet_filters import parse_filters as narrowed
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import query_page_url
from publisher.portal.findings import count_note
from publisher.portal.search_feed import FEED_FORMATS, LEFT_OUT
from publisher.portal.search_results import (
    RESULT_FORMATS,
    SearchPage,
    SearchResult,
    SearchResultsJson,
    serialize_results,
)
from publisher.portal.sources import source_titles
from publisher.portal.topic_cards import topic_cards
from publisher.projections.facets.facets import FACETS, facet_of_concept
from publisher.projections.facets.filter_query import Filter, listing
from publisher.projections.facets.queries import FacetIndex, ListItem
from publisher.projections.facets.thing_count import ThingCount
from publisher.projections.search.index import SearchEntry
from publisher.projections.search.query import MAX_LENGTH, SearchRequest
from publisher.projections.search.searcher import (
    Marker,
    Matches,
    Searcher,
    best_text,
    open_searcher,
    suggest_spelling,
)
from publisher.store.query_service import QueryService
from vocab.iris import KINDS
from web.endpoints import (
    blank_as,
    format_parameter,
    get,
    known_parameters,
    other_contents,
    problems,
    whole_number,
)
from web.problems import HTTPProblem
from web.representation import negotiate_data_format

PER = 20  # default number of results per page
MAX_RESULTS = 1_000  # results of a page, at most
# results of a text search that can be paged through, and over which its facets are counted
REACH = 10_000
LINKED = 3  # concepts of a result that are shown if the words match them
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Query(max_length=MAX_LENGTH, description="The words; without them, everything"),
]
Sort = Annotated[
    Literal["relevance", "newest", "title", "begins"],
    Query(description="The order"),
    blank_as("relevance"),
]
PageNumber = Annotated[int, Query(ge=1, le=REACH, description="The page, from 1"), whole_number(1)]
PerPage = Annotated[
    int, Query(ge=1, le=MAX_RESULTS, description="Results a page"), whole_number(PER)
]
FormatName = Annotated[str | None, format_parameter(RESULT_FORMATS)]
_SELECTS = ("kind", "language", "source")  # facets in the form


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """The parsed parameters of a search; of equal results those in the language *first* come first."""

    words: str
    filters: Filter
    sort: str
    page: int
    per: int
    first: str | None = None


router = APIRouter()


@get(
    router,
    "/search",
    operation_id="search",
    dependencies=[Depends(known_parameters)],
    summary="Search the words of titles, descriptions and labels, in any language",
    tags=["find"],
    response_model=SearchResultsJson,
    response_description="A page of results",
    responses=other_contents(RESULT_FORMATS.values()) | problems(400, 406, 503),
    openapi_extra={"parameters": facet_parameters()},
)
async def search(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    q: Words = "",
    sort: Sort = "relevance",
    page: PageNumber = 1,
    per: PerPage = PER,
    format: FormatName = None,
) -> Response:
    """Return a page of results, as a page or in the format of the request."""
    search_parameters = parse_parameters(request, q, sort, page, per)
    data_format = negotiate_data_format(request, RESULT_FORMATS, format or None)
    if data_format and data_format.suffix == "csv":
        paged = not {"page", "per"}.isdisjoint(request.query_params)
        lines = await asyncio.to_thread(_table, service, search_parameters, paged)
        return StreamingResponse(lines, media_type=data_format.media, headers={"Vary": "Accept"})
    names, locale = FacetLabels(service.iris, await source_titles(service)), current_locale()
    # data are the same in all languages
    if data_format is None:
        search_parameters = replace(search_parameters, first=locale.language)
    with use_language("en" if data_format else locale.language, locale):
        results = await asyncio.to_thread(find_page, request, service, search_parameters, names)
    snapshot, headers = service.current, {"Vary": "Accept"}
    if snapshot.text != snapshot.position:
        headers["Stocktake-Text"] = f"position={snapshot.text}"
    if data_format is None:
        response = await _show(request, pages, search_parameters, results, names)
        response.headers.update(headers)
        return response
    content = serialize_results(results, data_format, service.iris)
    return Response(content, headers={"Content-Type": data_format.media, **headers})


async def _show(
    request: Request,
    pages: Pages,
    search_parameters: SearchParameters,
    page: SearchPage,
    names: FacetLabels,
) -> Response:
    groups = await asyncio.to_thread(
        filter_groups, search_parameters.filters, page.facets, names, has_parts=page.has_parts
    )
    parameters = request.query_params
    return pages.page(
        "search.html",
        search_parameters=search_parameters,
        results=page,
        active=active_filters(names),
        view="table" if parameters.get("view") == "table" else "",
        groups=groups,
        lists={
            group.facet: (*group.first, *group.rest) for group in groups if group.facet in _SELECTS
        },
        kept=[
            (name, value)
            for name, value in parameters.multi_items()
            if name in FACETS and name not in _SELECTS
        ],
        sorts=sorts(bool(search_parameters.words)),
        feeds=_feeds(search_parameters.filters),
        search_feeds=_search_feeds(request),
        follow=_search_feeds(request)[0][1].replace("/feeds/search.atom", "/follow", 1),
        meant=_search_url(request, page.suggestion),
        linked=lambda links: _linked(links, names),
        query=query_page_url(page.query),
        formats=[
            (row.label, _link(request, search_parameters.page, row.suffix))
            for row in RESULT_FORMATS.values()
        ],
        exports={
            "json": _link(request, 1, "json", str(MAX_RESULTS)),
            "csv": _link(request, 1, "csv", whole=True),
        },
    )


def sorts(words: bool) -> dict[str, str]:
    """Return the sort orders of a list and their labels."""
    labels = {
        "relevance": _("Most relevant"),
        "newest": _("Newest first"),
        "title": _("By title"),
        "begins": _("By start date"),
    }
    return (
        labels if words else {name: title for name, title in labels.items() if name != "relevance"}
    )


def _feeds(filters: Filter) -> list[tuple[str, str]]:
    """Return the feeds of the chosen facets: facet and URL; without a choice, the feed of all
    changes.
    """
    feeds = [
        (name, f"/feeds/{name}/{code}.atom")
        for name in ("line", "goal", "country", "source")
        for code in filters.codes(name)
    ]
    return feeds or [("", "/feeds/all.atom")]


def _search_feeds(request: Request) -> list[tuple[str, str]]:
    """Return the feeds of the search: label and address."""
    chosen = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in LEFT_OUT
    ]
    address = f"?{urlencode(chosen)}" if chosen else ""
    return [(row.label, f"/feeds/search.{row.suffix}{address}") for row in FEED_FORMATS.values()]


def _search_url(request: Request, words: str) -> str:
    """Return the URL of the search with other *words*, "" for none."""
    others = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in ("q", "page", "format")
    ]
    return "/search?" + urlencode([("q", words), *others]) if words else ""


def _linked(links: Iterable[str], names: FacetLabels) -> list[tuple[str, str]]:
    """Return the labels of concepts and the URLs of their pages, targets last."""
    facets = [item for iri in links if (item := facet_of_concept(iri, names.iris))]
    ranked = sorted(facets, key=lambda item: item[0] == "target")[:LINKED]
    return [(names.short(facet, code), names.page(facet, code)) for facet, code in ranked]


def parse_parameters(
    request: Request, words: str, sort: str, page: int, per: int
) -> SearchParameters:
    """Return the parameters of a search; raises HTTPProblem (400) for an unknown kind and for a
    page too far away.
    """
    item = narrowed(request.query_params)
    if wrong := [kind for kind in item.codes("kind") if kind not in KINDS]:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The parameter kind is one of {kinds}, not {value}",
                kinds=", ".join(KINDS),
                value=wrong[0][:40],
            ),
        )
    if page * per > REACH + per:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The first {most} results can be paged through; narrow the search, or ask by SPARQL",
                most=REACH,
            ),
        )
    return SearchParameters(words, item, sort, page, per)


def _matching(
    service: QueryService, search_parameters: SearchParameters
) -> tuple[FacetIndex, Searcher, Filter, Matches]:
    """Return both indexes, the filter with the results of the words, and these with their scores;
    raises NotReady while an index is being made.
    """
    tables, index = require_facet_index(service), open_searcher(service.current.path)
    if index is None:
        raise NotReady(
            TranslatableText("the search index is being prepared; try again in a minute")
        )
    words, filters = search_parameters.words, search_parameters.filters
    if not words:
        return tables, index, filters, Matches(0, {}, False)
    matches = index.matches(SearchRequest(words, first=search_parameters.first), REACH)
    return tables, index, replace(filters, words=words, among=tuple(matches.scores)), matches


def _table(
    service: QueryService, search_parameters: SearchParameters, paged: bool
) -> Iterator[bytes]:
    """Return all results as CSV, or with *paged* those of the page. It blocks."""
    tables, _, filters, _ = _matching(service, search_parameters)
    per, order = search_parameters.per, _order(search_parameters)
    page = (per, (search_parameters.page - 1) * per) if paged else ()
    return write_listed(tables, filters, order, service.iris, *page)


def _order(search_parameters: SearchParameters) -> str:
    is_ranked = search_parameters.words or search_parameters.sort != "relevance"
    return search_parameters.sort if is_ranked else "newest"


def find_page(
    request: Request, service: QueryService, search_parameters: SearchParameters, names: FacetLabels
) -> SearchPage:
    """Return a page of results; raises NotReady while an index is being made. It blocks."""
    tables, index, filters, matches = _matching(service, search_parameters)
    words, number = search_parameters.words, search_parameters.page
    is_whole = words and not filters.chosen
    different = tables.count_different(filters)
    records = matches.total if is_whole else different.records
    total = ThingCount(records - different.records + different, records)
    last = max(1, -(-min(records, REACH) // search_parameters.per))
    around = {"previous": number - 1, "next": number + 1}
    is_unsure = bool(words) and (matches.is_fuzzy or not matches.total)
    topics = topic_cards(index, tables, names, words, loose=matches.is_fuzzy) if number == 1 else ()
    return SearchPage(
        words=words,
        total=total,
        note=_count_note(tables, filters),
        number=number,
        last=last,
        per=search_parameters.per,
        similar=matches.is_fuzzy,
        results=tuple(_results(tables, index, search_parameters, filters, matches)),
        links={
            name: _link(request, page) if 1 <= page <= last else "" for name, page in around.items()
        },
        facets=tables.counts_once(filters),
        counted=len(matches.scores) if words else records,
        query=listing(replace(filters, among=None), service.iris),
        topics=tuple(topics),
        suggestion=suggest_spelling(words, index) or "" if is_unsure else "",
        has_parts=tables.has_parts,
    )


def _count_note(tables: FacetIndex, filters: Filter) -> str:
    """Return a sentence on the initiatives among the results by record and by cluster; "" where
    both are the same.
    """
    if filters.codes("kind") not in ((), ("initiative",)):
        return ""
    initiatives = filters.with_codes("kind", "initiative")
    return count_note(tables.count_different(initiatives))


def _results(
    tables: FacetIndex,
    index: Searcher,
    search_parameters: SearchParameters,
    filters: Filter,
    matches: Matches,
) -> Iterator[SearchResult]:
    """Yield the results of a page."""
    per = search_parameters.per
    items = tables.list_things(
        filters, _order(search_parameters), per, (search_parameters.page - 1) * per
    )
    marker = Marker(search_parameters.words, similar=matches.is_fuzzy)
    named = index.named_links(search_parameters.words, fuzzy=matches.is_fuzzy)
    entries = index.entries(item.iri for item in items)
    for item, entry in zip(items, entries, strict=True):
        score = matches.scores.get(item.iri, 0.0)
        yield _finding(
            entry or _entry(item), marker, score, item.changed, _language(filters), named
        )


def _entry(line: ListItem) -> SearchEntry:
    """Return the result for a thing that is in the facet index but not yet in the search index."""
    return SearchEntry(
        line.iri,
        line.kind,
        line.source,
        ((line.title, line.language),) if line.title else (),
        (),
    )


def _language(filters: Filter) -> str | None:
    """Return the preferred language of titles: the chosen one, else that of the request."""
    codes, now = filters.codes("language"), current_locale().language
    return codes[0] if len(codes) == 1 else now if now != "en" else None


def _finding(
    entry: SearchEntry,
    mark: Marker,
    score: float,
    changed: str | None,
    language: str | None,
    named: frozenset[str],
) -> SearchResult:
    title, text = best_text(entry.titles, mark, language), best_text(entry.texts, mark, language)
    parties, places = (
        [(tuple(mark.pieces(name, tag)), tag) for name, tag in names]
        for names in (entry.parties, entry.places)
    )
    return SearchResult(
        entry,
        score,
        changed,
        title,
        tuple(mark.pieces(*title)) if title else (),
        text[1] if text else None,
        tuple(mark.passage(*text)) if text else (),
        tuple(link for link in entry.links if link in named),
        *(
            tuple((pieces, tag) for pieces, tag in names if any(piece.is_match for piece in pieces))
            for names in (parties, places)
        ),
    )


def _link(request: Request, page: int, suffix: str = "", per: str = "", whole: bool = False) -> str:
    without = {"page", *(["format"] if suffix else []), *(["per"] if per or whole else [])}
    parameters = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in without
    ]
    parameters += [("page", str(page))] if page > 1 else []
    return "/search?" + urlencode(
        [*parameters, *([("per", per)] if per else []), *([("format", suffix)] if suffix else [])]
    )
