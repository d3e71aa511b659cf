"""Serve the concept schemes (action lines, goals and targets, places, kinds), and the page of each
concept.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.feeds.sets import links as feed_links
from publisher.linked_data.content_response import DescriptionJson, Resource, respond
from publisher.linked_data.cursor_lists import ListCursor, ListPage, ListParameters, load_page
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.schema_org import concept_markup, jsonld_block, scheme_markup
from publisher.pages import Pages
from publisher.portal.entity_statistics import EntityStatistics, entity_statistics
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.ontology import in_language
from publisher.portal.sources import source_titles
from publisher.portal.vocabulary_versions import find_version, versions_of
from publisher.projections.facets.facets import FACETS, facet_of_concept
from publisher.projections.facets.filter_query import Filter, make_filter
from publisher.projections.facets.queries import open_facet_index
from publisher.rdf.results import Row, Term, iri
from publisher.store.descriptions import Description, describe_graph, describe_thing
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.countries import country
from vocab.initiative import Basis
from vocab.iris import Iris, is_web, slug
from vocab.product.mapping_sets import mapped_schemes, sssom_table
from vocab.schemes import concepts, label
from vocab.terms import SCHEMA
from web.endpoints import format_parameter, get, other_contents, problems
from web.formats import DATA_FORMATS, FORMATS
from web.links import Link, origin
from web.paths import path_segments
from web.problems import HTTPProblem
from web.representation import Representation, ResourceURLs, build_response

_TSV = "text/tab-separated-values; charset=utf-8"
_ORDERED_BY = ("notation", "broader")
_SHORT_ADDRESSES = {"country": "country", "goal": "goal", "target": "target", "action-line": "line"}
ConceptIri = Annotated[str, Query(description="The IRI of the concept")]
FormatName = Annotated[str | None, format_parameter(FORMATS)]


async def scheme_parameters(
    scheme: Annotated[
        str, Path(min_length=1, description="The scheme, such as action-line or coverage")
    ],
) -> None:
    """Declare the parameter; it is read from the raw path."""


router = APIRouter()


@get(router, "/scheme/{scheme}.sssom.tsv", include_in_schema=False)
async def mappings(request: Request, service: ServiceDep, scheme: str) -> Response:
    """Return the mappings of a scheme as an SSSOM table."""
    base = service.iris.base
    if scheme not in mapped_schemes(base):
        known = ", ".join(mapped_schemes(base))
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "The scheme has no mappings. Schemes with mappings: {known}", known=known
            ),
        )
    links = (Link("describes", service.iris.scheme(scheme)),)
    table = sssom_table(scheme, base).encode()
    return build_response(request, Representation(table, _TSV, links=links))


@get(router, "/scheme/{scheme}/version/{version}", include_in_schema=False)
async def version(
    request: Request, service: ServiceDep, pages: PagesDep, scheme: str, version: str
) -> Response:
    """Return a version of a scheme, the current or an older one, by its owl:versionIRI."""
    result = await find_version(service, f"scheme/{scheme}", f"scheme/{scheme}/version", version)
    return await _respond_scheme(request, service, pages, result.document, result.graph, result.iri)


@get(router, "/scheme/{rest:path}", include_in_schema=False)
@get(
    router,
    "/scheme/{scheme}.json",
    operation_id="scheme",
    summary="Describe a concept scheme and its concepts",
    tags=["read"],
    dependencies=[Depends(scheme_parameters)],
    response_model=DescriptionJson,
    response_description="The scheme with its concepts",
    responses=problems(400, 404, 503),
)
async def scheme(
    request: Request, service: ServiceDep, pages: PagesDep, cursor: ListCursor
) -> Response:
    """A concept of a scheme has the path of the scheme before its own name."""
    if len(path_segments(request)) > 1:
        return await _respond(
            request,
            service,
            pages,
            cursor,
            await find_document(request, service, describe_thing, 3),
        )
    document = await find_document(request, service, describe_graph, 2)
    whole = document.description.iri
    return await _respond_scheme(request, service, pages, document, whole, whole)


@get(router, "/country/{code}", include_in_schema=False)
@get(router, "/goal/{code}", include_in_schema=False)
@get(router, "/target/{code}", include_in_schema=False)
@get(router, "/action-line/{code}", include_in_schema=False)
async def short_address(
    request: Request, service: ServiceDep, pages: PagesDep, code: str
) -> Response:
    """Redirect an address that people write, /country/kenya or /goal/3, to the page of the concept.
    Countries that have the same short name are listed.
    """
    facet = _SHORT_ADDRESSES[request.url.path.split("/")[-2]]
    codes = codes_by_slug(facet, service.iris).get(slug(code), ())
    if not codes and facet == "country" and (address := country(code.replace("-", " "))):
        codes = (FACETS[facet].code(address, service.iris),)
    names = FacetLabels(service.iris)
    if len(codes) == 1:
        return RedirectResponse(names.page(facet, codes[0]), HTTPStatus.MOVED_PERMANENTLY)
    if codes:
        choices = [(names.name(facet, one), names.page(facet, one)) for one in codes]
        return pages.page("choices.html", HTTPStatus.MULTIPLE_CHOICES, name=code, choices=choices)
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND, TranslatableText("This concept doesn't exist: {iri}", iri=code)
    )


@lru_cache
def codes_by_slug(facet: str, iris: Iris) -> dict[str, tuple[str, ...]]:
    """Return the codes of a facet by their slugs, of countries also by those of their English
    names: the whole name, and without brackets and the form of government.

    >>> codes = codes_by_slug("country", Iris())
    >>> codes["kenya"], codes["404"], codes["iran"], codes["congo"]
    (('404',), ('404',), ('364',), ('178', '180'))
    >>> codes_by_slug("line", Iris())["c7-ehea"]
    ('C7-ehea',)
    """
    by_slug: dict[str, set[str]] = {}
    for address in concepts(FACETS[facet].scheme, iris.base):
        if (named := facet_of_concept(address, iris)) and named[0] == facet:
            code = named[1]
            names = {code}
            if facet == "country" and (name := label(address, "en", iris.base)):
                short = name.partition(" (")[0].rpartition("Republic of ")[2]
                names |= {name, short.removeprefix("the ")}
            for one in names:
                by_slug.setdefault(slug(one), set()).add(code)
    return {name: tuple(sorted(codes)) for name, codes in by_slug.items()}


async def _respond_scheme(
    request: Request, service: QueryService, pages: Pages, document: Document, graph: str, cite: str
) -> Response:
    links = (Link("cite-as", cite), Link("type", f"{SCHEMA}DefinedTermSet"))
    subject = Resource(document.description, document.urls, graph=graph, links=links)
    return await respond(
        request, service, subject, document.suffix, lambda: _show_scheme(service, pages, document)
    )


@get(
    router,
    "/concept",
    operation_id="concept",
    summary="Describe a concept of another publisher: a goal, a target or an area of the United Nations",
    tags=["read"],
    response_model=DescriptionJson,
    response_description="The concept",
    responses=other_contents(FORMATS.values()) | problems(400, 404, 406, 503),
)
async def concept(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    cursor: ListCursor,
    iri: ConceptIri = "",
    format: FormatName = None,
) -> Response:
    """The page lists the things that have the concept."""
    description = await describe_thing(service, iri) if is_web(iri) else None
    if description is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("The parameter iri must be the IRI of a concept")
        )
    if not description.statements:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("This concept doesn't exist: {iri}", iri=iri)
        )
    urls = ResourceURLs("/concept", query=f"?iri={quote(iri, safe=':/')}")
    return await _respond(request, service, pages, cursor, Document(description, urls, None))


async def _respond(
    request: Request,
    service: QueryService,
    pages: Pages,
    cursor: ListParameters,
    document: Document,
) -> Response:
    things = await load_page(cursor, service, "concept", document.description.iri)
    where = origin(request) + document.urls.stem + document.urls.query
    feeds = (
        feed_links(origin(request), document.description.iri, service.iris) if things.rows else []
    )
    links = (
        Link("cite-as", document.description.iri),
        Link("type", f"{SCHEMA}DefinedTerm"),
        *things.links(where),
        *feeds,
    )
    subject = Resource(document.description, document.urls, links=links)
    return await respond(
        request,
        service,
        subject,
        document.suffix,
        lambda: _show_concept(request, service, pages, document, things),
    )


async def _show_scheme(service: QueryService, pages: Pages, document: Document) -> Response:
    tables = open_facet_index(service.current.path)
    counts = (
        await asyncio.to_thread(tables.counts_once, make_filter(*Basis, kind="initiative"))
        if tables
        else {}
    )
    facets = [
        facet
        for facet in FACETS.values()
        if document.description.iri == service.iris.scheme(facet.scheme)
    ]
    things = {
        facet.iri(code, service.iris): number
        for facet in facets
        for code, number in counts.get(facet.name, {}).items()
    }
    mapped = {service.iris.scheme(name) for name in mapped_schemes(service.iris.base)}
    return pages.page(
        "scheme.html",
        has_mappings=document.description.iri in mapped,
        description=document.description,
        concepts=concept_tree(scheme_concepts(document.description)),
        versions=await versions_of(service, document.description),
        things=things,
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
        block=jsonld_block(scheme_markup(document.description)),
    )


async def _show_concept(
    request: Request, service: QueryService, pages: Pages, document: Document, things: ListPage
) -> Response:
    return pages.page(
        "concept.html",
        description=document.description,
        list_page=things,
        matrix=await service.rows(query("matrix"), {"concept": iri(document.description.iri)}),
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
        block=jsonld_block(concept_markup(document.description, service.iris.base)),
        about=await _statistics(request, service, document.description.iri),
    )


async def _statistics(
    request: Request, service: QueryService, concept: str
) -> EntityStatistics | None:
    """Return the figures of a concept; None if things are not counted by it, or while the facet
    index is built.
    """
    facet_code = facet_of_concept(concept, service.iris)
    tables = open_facet_index(service.current.path)
    if facet_code is None or tables is None:
        return None
    facet, code = facet_code
    filters = Filter(((facet, (code,)),), parse_filters(request.query_params).bases)
    labels = FacetLabels(service.iris, await source_titles(service))
    search = f"/search?{urlencode({'kind': 'initiative', facet: code})}"
    return await asyncio.to_thread(entity_statistics, tables, filters, labels, search, (facet,))


def scheme_concepts(description: Description) -> list[Row]:
    """Return the concepts of a scheme: concept, notation, broader, and name (in the language of the
    page, else in English).
    """
    properties = {
        description.expand(f"skos:{name}"): name
        for name in ("prefLabel", "notation", "broader", "inScheme")
    }
    results: dict[str, dict[str, list[Term]]] = {}
    for row in description.statements:
        if name := properties.get(row.predicate):
            results.setdefault(row.subject, {}).setdefault(name, []).append(row.object)
    language = current_locale().language
    rows = list[Row]()
    for subject, values in results.items():
        if "inScheme" in values and (label := in_language(values.get("prefLabel", ()), language)):
            ordering = {name: terms[0] for name, terms in values.items() if name in _ORDERED_BY}
            rows.append({"concept": Term(subject), "name": label} | ordering)
    return rows


def concept_tree(rows: list[Row]) -> list[tuple[int, Row]]:
    """Return the concepts with their depth, ordered by notation, each below its broader concept."""
    known = {row["concept"].value for row in rows}
    below: dict[str | None, list[Row]] = {}
    for row in sorted(rows, key=_sort_key):
        parent = (
            row["broader"].value if "broader" in row and row["broader"].value in known else None
        )
        below.setdefault(parent, []).append(row)
    ordered: list[tuple[int, Row]] = []
    waiting = [(0, row) for row in reversed(below.get(None, []))]
    seen: set[str] = set()
    while waiting:
        depth, row = waiting.pop()
        if row["concept"].value not in seen:
            seen.add(row["concept"].value)
            ordered.append((depth, row))
            waiting += [
                (depth + 1, child) for child in reversed(below.get(row["concept"].value, []))
            ]
    return ordered


def _sort_key(row: Row) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts 4 before 10 and 4.2 before 4.a."""
    notation = row["notation"].value if "notation" in row else ""
    parts = "".join(char if char.isdigit() else f" {char} " for char in notation).split()
    return [(int(part), "") if part.isdigit() else (1 << 30, part) for part in parts], row[
        "name"
    ].value
