"""The ontology, the matrix and its links, the facilitators, and the JSON-LD context and frames of our JSON."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.facets.queries import open_facet_index
from publisher.formats import DATA_FORMATS
from publisher.http.links import Link
from publisher.http.paths import split_suffix
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, ResourceURLs, build_response
from publisher.linked_data.content_response import Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.jsonld_context import CONTEXT_PATH, FRAMES, jsonld_context, jsonld_frame
from publisher.pages.templating import Pages
from publisher.portal.coverage import coverage, empty_chart_hint
from publisher.portal.facet_filters import active_filters, parse_filters
from publisher.portal.facet_labels import FacetLabels, basis_title
from publisher.portal.facet_panels import SPARSE, facet_panels, query_page_url
from publisher.portal.matrix import count_matrix, official_links
from publisher.portal.sources import source_titles
from publisher.store.descriptions import describe_graph, describe_thing
from publisher.store.query_service import QueryService
from vocab.initiative import Basis

_LD = "application/ld+json"
_VERSION_IRI = "http://www.w3.org/2002/07/owl#versionIRI"
_FRAME = '; profile="http://www.w3.org/ns/json-ld#frame"'


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the vocabulary."""
    routes = APIRouter()

    async def whole(request: Request) -> Response:
        found = await find_document(request, service, describe_graph, 1)
        return await _respond(request, found, found.description.iri)

    async def part(request: Request) -> Response:
        """Answer for a link or a version of the matrix, or for one relation of a facilitator."""
        depth = request.url.path.strip("/").count("/") + 1
        return await _respond(request, await find_document(request, service, describe_thing, depth), "")

    async def version(request: Request) -> Response:
        """Answer for the version of the ontology that is served; its IRI is the owl:versionIRI."""
        name, suffix = split_suffix(request.path_params["version"])
        iri = f"{service.iris.base}ns"
        found = Document(await describe_graph(service, iri), ResourceURLs("/ns"), suffix)
        current = [row.object.value for row in found.description.statements if (row.subject, row.predicate) == (iri, _VERSION_IRI)]
        if f"{iri}/{name}" not in current:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"This version isn't served here. Available: {', '.join(current) or 'none'}")
        return await _respond(request, found, iri)

    async def _respond(request: Request, found: Document, graph: str) -> Response:
        subject = Resource(found.description, found.urls, graph=graph, links=(Link("cite-as", found.description.iri),))
        return await respond(request, service, subject, found.suffix, lambda: _show(request, found))

    async def _show(request: Request, found: Document) -> Response:
        if found.description.iri == f"{service.iris.base}matrix" and (tables := open_facet_index(service.current.path)):
            filters, names = (
                parse_filters(request.query_params).with_codes("kind", "initiative"),
                FacetLabels(service.iris, await source_titles(service)),
            )
            whole = await asyncio.to_thread(count_matrix, tables, filters, names, await official_links(service))
            bases = [(basis.value, basis_title(basis.value), basis in filters.bases) for basis in Basis]
            pairs = (("line",), ("goal",), ("line", "goal"))
            covered = {facets: await asyncio.to_thread(coverage, tables, filters, *facets) for facets in pairs}
            both = covered["line", "goal"]
            sparse = both.part * SPARSE < both.all  # then the sides of the matrix say more than it does
            return pages.page(
                "matrix.html",
                active=active_filters(names),
                matrix=whole,
                bases=bases,
                query=query_page_url(whole.query),
                graphs=DATA_FORMATS.values(),
                place=found.urls,
                coverage=[one.text for one in covered.values()],
                missing=[empty_chart_hint(facet) for facet in ("line", "goal") if not covered[facet,].part] if both.all else [],
                sides=await asyncio.to_thread(facet_panels, tables, filters, ("line", "goal"), names) if sparse else [],
            )
        return pages.page("resource.html", it=found.description, graphs=DATA_FORMATS.values(), place=found.urls, changes=[])

    async def words(request: Request) -> Response:
        return build_response(request, Representation(_json({"@context": jsonld_context(service.iris)}), _LD))

    async def framed(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FRAMES:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There are frames of {', '.join(FRAMES)}")
        return build_response(request, Representation(_json(jsonld_frame(name, service.iris)), _LD + _FRAME))

    for path, endpoint in (
        ("/ns", whole),
        ("/ns.{suffix}", whole),
        ("/ns/{version}", version),
        ("/labels", whole),
        ("/labels.{suffix}", whole),
        ("/labels/{rest:path}", part),
        ("/facilitators", whole),
        ("/facilitators.{suffix}", whole),
        ("/facilitators/{rest:path}", part),
        ("/matrix", whole),
        ("/matrix.{suffix}", whole),
        ("/matrix/{rest:path}", part),
        (f"/{CONTEXT_PATH}", words),
        ("/frame/{name}.jsonld", framed),
    ):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)
