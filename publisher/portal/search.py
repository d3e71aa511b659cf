"""Serve ``/search``: full text in any language and facets; each search has its own URL. And
``/search/suggest``: what a person who types may mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from languages.translations import TranslatableText, current_locale, use_language
from languages.translations import gettext as _
from publisher.catalog.openapi import response_schemas
from publisher.data.count_queries import listing
from publisher.data.properties import FACETS, facet_of_concept
from publisher.data.tables import FacetIndex, Filter, ThingCount
from publisher.feeds.atom import MEDIA as ATOM
from publisher.pages import Pages, PagesDep, ServiceDep, TablesDep, require_searcher
from publisher.portal.datasets import TABLE_FORMATS, write_listed
from publisher.portal.facet_filters import (
    active_filters,
    facet_parameters,
    filter_groups,
    parse_filters,
)
from publisher.portal.facet_labels import FacetLabels, NamesDep
from publisher.portal.figures import count_note, query_page_url
from publisher.portal.suggestions import topic_cards
from publisher.rdf import Term, namespaces
from publisher.store.descriptions import Description, Statement, serialize_description
from publisher.store.query_service import QueryService
from publisher.store.search.index import SearchEntry, Texts
from publisher.store.search.query import MAX_LENGTH, SearchRequest
from publisher.store.search.searcher import (
    Marker,
    Matches,
    Piece,
    Searcher,
    best_text,
    suggest_spelling,
)
from vocab.iris import KINDS, Iris
from vocab.terms import DCT, FOAF, ORG, RDF, SCHEMA, SIOC, SKOS
from web.endpoints import (
    blank_as,
    format_parameter,
    get,
    known_parameters,
    other_contents,
    problems,
    whole_number,
)
from web.respond import HTML, Format, GraphFormat, choose_format, require, respond

PAGE_SIZE = 20  # default number of results per page
MAX_RESULTS = 1_000  # the most results of a page
# The results of a text search that can be paged through, and over which its facets are counted.
MAX_PAGED = 10_000
LINKED = 3  # concepts of a result that are shown if the words match them
# The parameters of a search that do not change its results.
PRESENTATION = ("page", "per", "sort", "format", "view", "lang")
FEED_FORMATS: dict[str, Format] = {
    "atom": Format("atom", "Atom", ATOM),
    "json": Format("json", "JSON Feed", "application/feed+json"),
}
_CLASS = {
    "event": f"{SCHEMA}Event",
    "document": f"{FOAF}Document",
    "post": f"{SIOC}Post",
    "organization": f"{ORG}Organization",
}
_SELECTS = ("kind", "language", "source")  # facets in the form
_FEED_FACETS = ("line", "goal", "country", "source")  # facets whose changes have feeds

Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    Query(max_length=MAX_LENGTH, description="The words; without them, everything"),
]
Results = dict[str, Any]  # the members of SearchResultsJson in schemas.toml, and more for the page


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """The parsed parameters of a search; of equal results those in the language *first* come first."""

    words: str
    filters: Filter
    sort: str = "newest"
    page: int = 1
    per: int = PAGE_SIZE
    first: str | None = None

    @property
    def order(self) -> str:
        """Return the order of the results: without words, none is more relevant."""
        return "newest" if self.sort == "relevance" and not self.words else self.sort


router = APIRouter()


@get(
    router,
    "/search",
    operation_id="search",
    dependencies=[Depends(known_parameters)],
    summary="Search the words of titles, descriptions and labels, in any language",
    tags=["find"],
    response_description="A page of results",
    responses=other_contents(TABLE_FORMATS.values(), "SearchResultsJson") | problems(400, 406, 503),
    openapi_extra={"parameters": facet_parameters()},
)
def search(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    names: NamesDep,
    q: Words = "",
    sort: Annotated[
        Literal["relevance", "newest", "title", "begins"],
        Query(description="The order"),
        blank_as("relevance"),
    ] = "relevance",
    page: Annotated[
        int, Query(ge=1, le=MAX_PAGED, description="The page, from 1"), whole_number(1)
    ] = 1,
    per: Annotated[
        int, Query(ge=1, le=MAX_RESULTS, description="Results a page"), whole_number(PAGE_SIZE)
    ] = PAGE_SIZE,
    format: Annotated[str | None, format_parameter(TABLE_FORMATS)] = None,
) -> Response:
    """Return a page of results, as a page or in the format of the request."""
    require(
        page * per <= MAX_PAGED + per,
        TranslatableText(
            "The first {most} results can be paged through; narrow the search, or ask by SPARQL",
            most=MAX_PAGED,
        ),
        HTTPStatus.BAD_REQUEST,
    )
    parameters = SearchParameters(q, parse_search(request.query_params), sort, page, per)
    data_format = choose_format(request, {**TABLE_FORMATS, "html": HTML}, format)
    if data_format.suffix == "csv":
        filters, _matches = match_words(service, tables, parameters)
        paged = not {"page", "per"}.isdisjoint(request.query_params)
        part = (per, (page - 1) * per) if paged else ()
        return StreamingResponse(
            write_listed(tables, filters, parameters.order, service.iris, *part),
            media_type=data_format.media,
            headers={"Vary": "Accept"},
        )
    snapshot, locale = service.current, current_locale()
    first = locale.language if data_format is HTML else None
    # Data are the same in all languages.
    with use_language(first or "en", locale):
        results = find_page(request, service, tables, replace(parameters, first=first), names)
    content: bytes | Response
    if data_format is HTML:
        content = _page(request, pages, parameters, results, names)
    elif isinstance(data_format, GraphFormat):
        content = serialize_description(_describe(results["results"], service.iris), data_format)
    else:
        content = orjson.dumps(_json_members(results), option=orjson.OPT_INDENT_2)
    is_current = snapshot.text == snapshot.position
    return respond(
        request,
        content,
        data_format,
        headers={} if is_current else {"Stocktake-Text": f"position={snapshot.text}"},
    )


def _page(
    request: Request,
    pages: Pages,
    parameters: SearchParameters,
    results: Results,
    names: FacetLabels,
) -> Response:
    filters, sent = parameters.filters, request.query_params
    groups = filter_groups(filters, results["facets"], names, has_parts=results["has_parts"])
    feeds = [
        (facet, f"/feeds/{facet}/{code}.atom")
        for facet in _FEED_FACETS
        for code in filters.codes(facet)
    ]
    followed = with_parameters(request, *PRESENTATION)
    return pages.page(
        "search.html",
        search_parameters=parameters,
        results=results,
        active=active_filters(names),
        view="table" if sent.get("view") == "table" else "",
        groups=groups,
        lists={
            group["facet"]: (*group["first"], *group["rest"])
            for group in groups
            if group["facet"] in _SELECTS
        },
        others=[
            (name, value)
            for name, value in sent.multi_items()
            if name in FACETS and name not in _SELECTS
        ],
        sorts=sorts(bool(parameters.words)),
        feeds=feeds or [("", "/feeds/all.atom")],
        search_feeds=feed_links(followed),
        follow=f"/follow?{followed}" if followed else "/follow",
        meant=f"/search?{with_parameters(request, 'page', 'format', q=results['suggestion'])}",
        linked=lambda links: _linked(links, names),
        query=query_page_url(results["sparql"]),
        formats=[
            (item.label, f"/search?{_with_page(request, parameters.page, format=item.suffix)}")
            for item in TABLE_FORMATS.values()
        ],
        exports={
            "json": f"/search?{with_parameters(request, 'page', per=str(MAX_RESULTS), format='json')}",
            "csv": f"/search?{with_parameters(request, 'page', 'per', format='csv')}",
        },
    )


def _json_members(results: Results) -> Results:
    page, result = (
        response_schemas()[name]["properties"] for name in ("SearchResultsJson", "ResultJson")
    )
    listed = [{name: item[name] for name in result} for item in results["results"]]
    return {name: results[name] for name in page} | {"results": listed}


def sorts(words: bool) -> dict[str, str]:
    """Return the sort orders of a list and their labels; by relevance only with *words*."""
    labels = {"relevance": _("Most relevant")} if words else {}
    return labels | {
        "newest": _("Newest first"),
        "title": _("By title"),
        "begins": _("By start date"),
    }


def with_parameters(request: Request, *dropped: str, **changes: str | None) -> str:
    """Return the query of the request's URL without the parameters *dropped*, with *changes* at its
    end; those without a value are left out.
    """
    sent = request.query_params.multi_items()
    others = [pair for pair in sent if pair[1] and pair[0] not in (*dropped, *changes)]
    return urlencode([*others, *((name, value) for name, value in changes.items() if value)])


def _with_page(request: Request, number: int, **changes: str) -> str:
    return with_parameters(request, page=str(number) if number > 1 else "", **changes)


def feed_links(query: str) -> list[tuple[str, str]]:
    """Return the feeds of the search with the parameters *query*: label and address."""
    return [
        (item.label, f"/feeds/search.{item.suffix}{f'?{query}' if query else ''}")
        for item in FEED_FORMATS.values()
    ]


def _linked(links: Iterable[str], names: FacetLabels) -> list[tuple[str, str]]:
    facets = [item for iri in links if (item := facet_of_concept(iri, names.iris))]
    ranked = sorted(facets, key=lambda item: item[0] == "target")[:LINKED]
    return [(names.short(facet, code), names.page(facet, code)) for facet, code in ranked]


def parse_search(parameters: QueryParams) -> Filter:
    """Return the facets of a search; raises HTTPProblem (400) for an unknown kind."""
    filters = parse_filters(parameters)
    for kind in filters.codes("kind"):
        require(
            kind in KINDS,
            TranslatableText(
                "The parameter kind is one of {kinds}, not {value}",
                kinds=", ".join(KINDS),
                value=kind[:40],
            ),
            HTTPStatus.BAD_REQUEST,
        )
    return filters


def match_words(
    service: QueryService, tables: FacetIndex, parameters: SearchParameters
) -> tuple[Filter, Matches]:
    """Return the filter with the results of the words, and these with their scores."""
    index, words = require_searcher(service), parameters.words
    if not words:
        return parameters.filters, Matches(0, {}, False)
    matches = index.matches(SearchRequest(words, first=parameters.first), MAX_PAGED)
    among = tables.numbers(matches.scores)
    return replace(parameters.filters, words=words, among=among), matches


def find_page(
    request: Request,
    service: QueryService,
    tables: FacetIndex,
    parameters: SearchParameters,
    names: FacetLabels,
) -> Results:
    """Return a page of results, and for the page over how many records its facets are *counted*, a
    *note* on the number of initiatives, and whether they count with their wholes (*has_parts*).
    Raises NotReady while the search index is built.
    """
    index, words, number = require_searcher(service), parameters.words, parameters.page
    filters, matches = match_words(service, tables, parameters)
    different = tables.count_different(filters)
    records = matches.total if words and not filters.chosen else different.records
    last = max(1, -(-min(records, MAX_PAGED) // parameters.per))
    is_unsure = bool(words) and (matches.is_fuzzy or not matches.total)
    initiatives = filters.with_codes("kind", "initiative")
    return {
        "query": words,
        "total": ThingCount(records - different.records + different, records),
        "records": records,
        "page": number,
        "pages": last,
        "per": parameters.per,
        "similar": matches.is_fuzzy,
        "suggestion": suggest_spelling(words, index) if is_unsure else None,
        "topics": topic_cards(index, tables, names, words, loose=matches.is_fuzzy)
        if number == 1
        else [],
        "previous": f"/search?{_with_page(request, number - 1)}"
        if 1 < number <= last + 1
        else None,
        "next": f"/search?{_with_page(request, number + 1)}" if number < last else None,
        "sparql": listing(replace(filters, among=None), service.iris),
        "facets": tables.counts_once(filters),
        "results": list(_results(tables, index, parameters, filters, matches)),
        "counted": len(matches.scores) if words else records,
        "note": count_note(tables.count_different(initiatives))
        if filters.codes("kind") in ((), ("initiative",))
        else "",
        "has_parts": tables.has_parts,
    }


def _results(
    tables: FacetIndex,
    index: Searcher,
    parameters: SearchParameters,
    filters: Filter,
    matches: Matches,
) -> Iterator[Results]:
    """Yield the results, each with its *texts*; the *title* that fits the visit best, the *language*
    of the passage, and the names of organizations and places are marked where they match.
    """
    per, codes, now = parameters.per, filters.codes("language"), current_locale().language
    language = codes[0] if len(codes) == 1 else now if now != "en" else None
    marker = Marker(parameters.words, similar=matches.is_fuzzy)
    named = index.named_links(parameters.words, fuzzy=matches.is_fuzzy)
    items = tables.list_things(filters, parameters.order, per, (parameters.page - 1) * per)
    for item, indexed in zip(items, index.entries(item.iri for item in items), strict=True):
        # A thing that is in the facet index may not be in the search index yet.
        titles = ((item.title, item.language),) if item.title else ()
        entry = indexed or SearchEntry(item.iri, item.kind, item.source, titles, ())
        title = best_text(entry.titles, marker, language)
        text = best_text(entry.texts, marker, language)
        passage = marker.passage(*text) if text else []
        parties, places = _marked(marker, entry.parties), _marked(marker, entry.places)
        yield {
            "thing": entry.thing,
            "kind": entry.kind,
            "source": entry.source,
            "modified": item.changed,
            "score": round(matches.scores.get(item.iri, 0.0), 4),
            "titles": [{"text": text, "language": tag} for text, tag in entry.titles],
            "passage": _joined(passage),
            "languages": entry.languages,
            "links": [link for link in entry.links if link in named],
            "organizations": [_joined(pieces) for pieces, _tag in parties],
            "places": [_joined(pieces) for pieces, _tag in places],
            "texts": entry.texts,
            "title": title,
            "language": text[1] if text else None,
            "title_pieces": marker.pieces(*title) if title else [],
            "passage_pieces": passage,
            "names": [*parties[:2], *places[:2]],
        }


def _marked(marker: Marker, names: Texts) -> list[tuple[list[Piece], str | None]]:
    marked = [(marker.pieces(name, tag), tag) for name, tag in names]
    return [item for item in marked if any(piece.is_match for piece in item[0])]


def _joined(pieces: Iterable[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _describe(results: Iterable[Results], iris: Iris) -> Description:
    statements = []
    for result in results:
        thing, kind = result["thing"], result["kind"]
        title = f"{SKOS}prefLabel" if kind == "organization" else f"{DCT}title"
        text = f"{SIOC}content" if kind == "post" else f"{DCT}description"
        statements += [
            Statement(thing, f"{RDF}type", Term(_CLASS.get(kind, f"{iris.ns}Initiative"))),
            *(
                Statement(thing, title, Term(item["text"], "literal", item["language"]))
                for item in result["titles"]
            ),
            *(
                Statement(thing, text, Term(value, "literal", tag))
                for value, tag in result["texts"]
            ),
        ]
    return Description(iris.base, tuple(statements), {}, namespaces(iris))
