"""Serve ``/source/NAME``, a registry, its state and its figures, and ``/sources``, all of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.feeds.sets import links as feed_links
from publisher.linked_data.content_response import DescriptionJson, Resource, respond
from publisher.linked_data.cursor_lists import ListCursor, ListPage, load_page
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.routes.lists import negotiate_list, register_list, respond_list
from publisher.linked_data.schema_org import jsonld_block, source_markup
from publisher.linked_data.signposting import memento_links
from publisher.pages import Pages
from publisher.portal.data_table import TABLE_FORMATS
from publisher.portal.dataset_response import dataset_response, register_dataset
from publisher.portal.entity_statistics import EntityStatistics, entity_statistics
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.facet_panels import query_page_url
from publisher.portal.findings import count_note
from publisher.portal.registries import COVERED_FACETS, Registry, list_registries, registry_table
from publisher.portal.sources import source_titles
from publisher.projections.facets.filter_query import Filter, make_filter
from publisher.projections.facets.queries import FacetIndex, open_facet_index
from publisher.store.descriptions import Description, describe_graph
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import source_statuses
from vocab.terms import SCHEMA
from web.endpoints import SourcePath, get, problems
from web.formats import DATA_FORMATS, HTML
from web.links import Link, origin
from web.representation import Representation, build_response


async def source_parameters(source: SourcePath) -> None:
    """Declare the parameter; it is read from the raw path."""


router = APIRouter()


@get(router, "/source/{rest:path}", include_in_schema=False)
@get(
    router,
    "/source/{source}.json",
    operation_id="source",
    summary="Describe a registry",
    tags=["read"],
    dependencies=[Depends(source_parameters)],
    response_model=DescriptionJson,
    response_description="The registry",
    responses=problems(400, 404, 503),
)
async def source(
    request: Request, service: ServiceDep, pages: PagesDep, cursor: ListCursor
) -> Response:
    """The page lists the records of the registry."""
    document = await find_document(request, service, _describe, 2)
    source_iri = document.description.iri
    things = await load_page(cursor, service, "source", source_iri)
    feeds = feed_links(origin(request), source_iri, service.iris)
    links = (*_links(request, document, things), *feeds)
    subject = Resource(document.description, document.urls, graph=source_iri, links=links)
    return await respond(
        request,
        service,
        subject,
        document.suffix,
        lambda: _show(request, service, pages, document, things),
    )


async def _describe(service: QueryService, source: str) -> Description:
    """Describe a registry; of one that has published nothing, its state is all that is known."""
    described = await describe_graph(service, source)
    if described.statements:
        return described
    status = await describe_graph(service, service.iris.status, source)
    return replace(
        status, statements=tuple(row for row in status.statements if row.subject == source)
    )


async def _show(
    request: Request, service: QueryService, pages: Pages, document: Document, things: ListPage
) -> Response:
    description, name = document.description, document.name.removeprefix("source/")
    status = (await source_statuses(service)).get(name)
    count = int(status.properties.get("publishedRecords", 0)) if status else None
    return pages.page(
        "source.html",
        description=description,
        source_status=status,
        state=status.state(service.now()).value if status else None,
        confirmed=status.last_full_harvest if status else None,
        list_page=things,
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
        block=jsonld_block(source_markup(description, count, origin(request))),
        about=await _statistics(service, name) if description.one("dct:title") else None,
        name=name,
    )


async def _statistics(service: QueryService, name: str) -> EntityStatistics | None:
    """Return the figures of a registry; None while the facet index is built."""
    tables = open_facet_index(service.current.path)
    if tables is None:
        return None
    filters = Filter((("source", (name,)),))
    labels = FacetLabels(service.iris, await source_titles(service))
    search = f"/search?kind=initiative&source={name}"
    return await asyncio.to_thread(entity_statistics, tables, filters, labels, search, ("source",))


@register_list(router, "sources", "List all registries")
async def sources(
    request: Request, service: ServiceDep, pages: PagesDep, cursor: ListCursor
) -> Response:
    """A registry is a source from which records are harvested; the page shows them all."""
    if negotiate_list(request) is not HTML:
        listed = await load_page(cursor, service, "sources")
        return respond_list(request, pages, "sources", {}, listed)
    tables = open_facet_index(service.current.path)
    registries = await _registries(service, tables)
    different = tables.count_different(make_filter(kind="initiative")) if tables else None
    page = await asyncio.to_thread(
        pages.page,
        "registries.html",
        registries=registries,
        covered=[(facet, facet_title(facet)) for facet in COVERED_FACETS],
        note=count_note(different) if different else "",
        forms=[(row.label, f"/registries.{row.suffix}") for row in TABLE_FORMATS.values()],
        query=query_page_url(registry_table(registries, service.iris, tables).query),
    )
    return build_response(request, Representation(bytes(page.body), HTML.media, negotiated=True))


@register_dataset(
    router, "/registries", "registries", "List all registries, with how complete their records are"
)
async def registers(request: Request, service: ServiceDep) -> Response:
    """The page is `/sources`."""
    if request.url.path == "/registries":
        language = f"?lang={lang}" if (lang := request.query_params.get("lang")) else ""
        return RedirectResponse(f"/sources{language}", HTTPStatus.MOVED_PERMANENTLY)
    tables = open_facet_index(service.current.path)
    table = registry_table(await _registries(service, tables), service.iris, tables)
    return await dataset_response(
        request, service, [table], lambda: RedirectResponse("/sources", 303)
    )


async def _registries(service: QueryService, tables: FacetIndex | None) -> list[Registry]:
    rows, statuses = await service.rows(query("sources")), await source_statuses(service)
    return await asyncio.to_thread(
        list_registries, rows, statuses, tables, service.iris, service.now()
    )


def _links(request: Request, document: Document, things: ListPage) -> list[Link]:
    host, description = origin(request), document.description
    licence = next((term.value for term in description.all("dct:license") if term.is_iri), None)
    items = [f"{host}/page/{row['thing'].value.partition('/id/')[2]}" for row in things.rows]
    return [
        Link("cite-as", description.iri),
        Link("type", f"{SCHEMA}Dataset"),
        *([Link("license", licence)] if licence else []),
        *(Link("item", item) for item in items),
        *things.links(f"{host}{document.urls.stem}"),
        *memento_links(host, document.name),
    ]
