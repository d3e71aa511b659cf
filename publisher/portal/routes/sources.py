"""Each registry, how it fares, and what it has."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from publisher.facets.filter_query import Filter
from publisher.facets.queries import open_facet_index
from publisher.feeds.sets import links as feed_links
from publisher.formats import DATA_FORMATS
from publisher.http.endpoints import SourcePath, get, problems
from publisher.http.links import Link, origin
from publisher.linked_data.content_response import DescriptionJson, Resource, respond
from publisher.linked_data.cursor_lists import ListCursor, ListPage, load_page
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.schema_org import jsonld_block, source_markup
from publisher.linked_data.signposting import memento_links
from publisher.pages.dataset_response import dataset_response, format_links, register_dataset
from publisher.pages.templating import Pages
from publisher.portal.entity_statistics import EntityStatistics, entity_statistics
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.facet_panels import query_page_url
from publisher.portal.registries import COVERED_FACETS, list_registries, registry_table
from publisher.portal.sources import source_titles
from publisher.store.descriptions import describe_graph
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import clock, source_statuses
from vocab.terms import SCHEMA


async def source_parameters(source: SourcePath) -> None:
    """Declare the parameter; it is read from the raw path."""


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the registries."""
    routes = APIRouter()

    @get(
        routes,
        "/source/{source}.json",
        operation_id="source",
        summary="Describe a registry",
        tags=["read"],
        dependencies=[Depends(source_parameters)],
        response_model=DescriptionJson,
        response_description="The registry",
        responses=problems(400, 404, 503),
    )
    async def source(request: Request, cursor: ListCursor) -> Response:
        found = await find_document(request, service, describe_graph, 2)
        things = await load_page(cursor, service, "source", found.description.iri)
        subject = Resource(
            found.description,
            found.urls,
            graph=found.description.iri,
            links=(*_links(request, found, things), *feed_links(origin(request), found.description.iri, service.iris)),
        )
        return await respond(request, service, subject, found.suffix, lambda: _show(request, found, things))

    async def _show(request: Request, found: Document, things: ListPage) -> Response:
        description = found.description
        standing = (await source_statuses(service)).get(found.name.removeprefix("source/"))
        state, known = (standing.state(clock()).value, standing.last_full_harvest) if standing else (None, None)
        count = int(standing.properties.get("publishedRecords", 0)) if standing else None
        return pages.page(
            "source.html",
            it=description,
            standing=standing,
            state=state,
            confirmed=known,
            listed=things,
            graphs=DATA_FORMATS.values(),
            place=found.urls,
            block=jsonld_block(source_markup(description, count, origin(request))),
            about=await _figures(found.name.removeprefix("source/")),
            name=found.name.removeprefix("source/"),
        )

    async def _figures(name: str) -> EntityStatistics | None:
        tables = open_facet_index(service.current.path)
        if tables is None:
            return None
        filters = Filter((("source", (name,)),))
        return await asyncio.to_thread(
            entity_statistics,
            tables,
            filters,
            FacetLabels(service.iris, await source_titles(service)),
            f"/search?source={name}",
            ("source",),
        )

    async def registers(request: Request) -> Response:
        tables = open_facet_index(service.current.path)
        rows, fared = await service.rows(query("sources")), await source_statuses(service)
        found = await asyncio.to_thread(list_registries, rows, fared, tables, service.iris, clock())
        whole = registry_table(found, service.iris)
        shown = [(facet, facet_title(facet)) for facet in COVERED_FACETS]

        def show() -> Response:
            return pages.page(
                "registries.html", registries=found, covered=shown, forms=format_links(request), query=query_page_url(whole.query)
            )

        return await dataset_response(request, service, [whole], show)

    register_dataset(routes, "/registries", "registries", "List all registries, with how complete their records are")(registers)
    get(routes, "/source/{rest:path}", include_in_schema=False)(source)
    return routes


def _links(request: Request, found: Document, things: ListPage) -> list[Link]:
    host, description = origin(request), found.description
    licence = next((term.value for term in description.all("dct:license") if term.is_iri), None)
    items = [f"{host}/page/{row['thing'].value.partition('/id/')[2]}" for row in things.rows]
    return [
        Link("cite-as", description.iri),
        Link("type", f"{SCHEMA}Dataset"),
        *([Link("license", licence)] if licence else []),
        *(Link("item", item) for item in items),
        *things.links(f"{host}{found.urls.stem}"),
        *memento_links(host, found.name),
    ]
