"""Serve the ontology, the matrix and its links, the facilitators, and the JSON-LD context and
frames.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText, gettext
from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.content_response import Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.jsonld import CONTEXT_PATH, FRAMES, jsonld_context, jsonld_frame
from publisher.pages import Pages
from publisher.portal.coverage import coverage, empty_chart_hint
from publisher.portal.embeds import embed_path
from publisher.portal.facet_filters import active_filters, parse_filters
from publisher.portal.facet_labels import FacetLabels, basis_title
from publisher.portal.facet_panels import SPARSE, facet_panels, query_page_url
from publisher.portal.findings import count_note, matrix_title
from publisher.portal.matrix import count_matrix, official_links
from publisher.portal.ontology import (
    count_uses,
    diagram,
    in_language,
    term_groups,
)
from publisher.portal.sources import source_titles
from publisher.portal.vocabulary_versions import find_version, versions_of
from publisher.projections.facets.queries import FacetIndex, open_facet_index
from publisher.store.descriptions import describe_graph, describe_thing
from publisher.store.query_service import QueryService
from vocab.initiative import Basis
from vocab.product.release import FORMS, whole_vocabulary
from vocab.schemes import ONTOLOGIES
from web.endpoints import get
from web.formats import DATA_FORMATS
from web.links import Link
from web.problems import HTTPProblem
from web.representation import Representation, ResourceURLs, build_response

_LD = "application/ld+json"
_FRAME = '; profile="http://www.w3.org/ns/json-ld#frame"'


router = APIRouter()


@get(router, "/matrix.{suffix}", include_in_schema=False)
@get(router, "/matrix", include_in_schema=False)
@get(router, "/facilitators.{suffix}", include_in_schema=False)
@get(router, "/facilitators", include_in_schema=False)
@get(router, "/country-lists.{suffix}", include_in_schema=False)
@get(router, "/country-lists", include_in_schema=False)
@get(router, "/labels.{suffix}", include_in_schema=False)
@get(router, "/labels", include_in_schema=False)
@get(router, "/operations.{suffix}", include_in_schema=False)
@get(router, "/operations", include_in_schema=False)
@get(router, "/ns.{suffix}", include_in_schema=False)
@get(router, "/ns", include_in_schema=False)
async def whole(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the ontology, its labels, the matrix, the facilitators or the lists of countries."""
    document = await find_document(request, service, describe_graph, 1)
    return await _respond(request, service, pages, document, document.description.iri)


@get(router, "/vocabulary.{suffix}", include_in_schema=False)
async def everything(request: Request, service: ServiceDep, suffix: str) -> Response:
    """Return the whole vocabulary as one file: ontologies, concept schemes and mappings."""
    if suffix not in FORMS:
        known = ", ".join(f"/vocabulary.{name}" for name in FORMS)
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("The vocabulary is at {known}", known=known)
        )
    content = await asyncio.to_thread(whole_vocabulary, suffix, service.iris.base)
    return build_response(request, Representation(content, FORMS[suffix].media_type))


@get(router, "/matrix/{rest:path}", include_in_schema=False)
@get(router, "/facilitators/{rest:path}", include_in_schema=False)
@get(router, "/country-lists/{rest:path}", include_in_schema=False)
@get(router, "/labels/{rest:path}", include_in_schema=False)
async def part(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return a link or an edition of the matrix, one relation of a facilitator, one list of
    countries or one label.
    """
    depth = request.url.path.strip("/").count("/") + 1
    document = await find_document(request, service, describe_thing, depth)
    return await _respond(request, service, pages, document, "")


@get(router, "/ns/{version}", include_in_schema=False)
async def version(request: Request, service: ServiceDep, pages: PagesDep, version: str) -> Response:
    """Return a version of the ontology, the current or an older one, by its owl:versionIRI."""
    result = await find_version(service, "ns", "ns", version)
    return await _respond(request, service, pages, result.document, result.graph, cite=result.iri)


@get(router, "/operations/{version}", include_in_schema=False)
async def operations_version(
    request: Request, service: ServiceDep, pages: PagesDep, version: str
) -> Response:
    """Return a version of the ontology of operations, the current or an older one."""
    result = await find_version(service, "operations", "operations", version)
    return await _respond(request, service, pages, result.document, result.graph, cite=result.iri)


@get(router, f"/{CONTEXT_PATH}", include_in_schema=False)
async def context(request: Request, service: ServiceDep) -> Response:
    """Return the JSON-LD context of the published JSON."""
    content = _json({"@context": jsonld_context(service.iris)})
    return build_response(request, Representation(content, _LD))


@get(router, "/frame/{name}.jsonld", include_in_schema=False)
async def frame(request: Request, service: ServiceDep, name: str) -> Response:
    """Return the JSON-LD frame of a kind of things."""
    if name not in FRAMES:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText("There are frames of {names}", names=", ".join(FRAMES)),
        )
    content = _json(jsonld_frame(name, service.iris))
    return build_response(request, Representation(content, _LD + _FRAME))


async def _respond(
    request: Request,
    service: QueryService,
    pages: Pages,
    document: Document,
    graph: str,
    cite: str = "",
) -> Response:
    links = (Link("cite-as", cite or document.description.iri),)
    subject = Resource(document.description, document.urls, graph=graph, links=links)
    return await respond(
        request, service, subject, document.suffix, lambda: _show(request, service, pages, document)
    )


async def _show(
    request: Request, service: QueryService, pages: Pages, document: Document
) -> Response:
    tables = open_facet_index(service.current.path)
    if document.description.iri == f"{service.iris.base}matrix" and tables:
        return await _show_matrix(request, service, pages, tables, document.urls)
    if document.description.iri in {service.iris.base + name for name in ONTOLOGIES}:
        return await _show_ontology(service, pages, document)
    return pages.page(
        "resource.html",
        description=document.description,
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
        changes=[],
    )


async def _show_ontology(service: QueryService, pages: Pages, document: Document) -> Response:
    description, ontology = document.description, document.description.iri
    groups = term_groups(description, ontology, await count_uses(service))
    language = current_locale().language
    return pages.page(
        "ontology.html",
        description=description,
        ontology=ontology,
        title=in_language(description.all("dct:title", ontology), language),
        summary=in_language(description.all("dct:description", ontology), language),
        prefix=description.short(f"{ontology}#").rstrip(":"),
        groups=groups,
        drawing=diagram(groups, description, gettext("Classes and their properties")),
        versions=await versions_of(service, description),
        query_page_url=query_page_url,
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
    )


async def _show_matrix(
    request: Request, service: QueryService, pages: Pages, tables: FacetIndex, urls: ResourceURLs
) -> Response:
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    names = FacetLabels(service.iris, await source_titles(service))
    official = await official_links(service)
    matrix = await asyncio.to_thread(count_matrix, tables, filters, names, official)
    pairs = (("line",), ("goal",), ("line", "goal"))
    covered = {
        facets: await asyncio.to_thread(coverage, tables, filters, *facets) for facets in pairs
    }
    both = covered["line", "goal"]
    # the matrix itself has fewer labels than its two sides
    is_sparse = both.part * SPARSE < both.all
    sides = ("line", "goal") if is_sparse else ()
    return pages.page(
        "matrix.html",
        embed_address=embed_path("matrix", "", filters),
        active=active_filters(names),
        matrix=matrix,
        finding=matrix_title(matrix),
        bases=[(basis.value, basis_title(basis.value), basis in filters.bases) for basis in Basis],
        query=query_page_url(matrix.query),
        graphs=DATA_FORMATS.values(),
        urls=urls,
        coverage=[one.text for one in covered.values()],
        note=count_note(tables.count_different(filters)),
        missing=[
            empty_chart_hint(tables, filters, facet)
            for facet in ("line", "goal")
            if both.all and not covered[facet,].part
        ],
        sides=await asyncio.to_thread(facet_panels, tables, filters, sides, names),
    )


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)
