"""Serve ``/sources``, all registries, and ``/registries``, the same as data."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.lists import (
    ListCursor,
    choose_list_format,
    load_page,
    register_list,
    respond_list,
)
from publisher.portal.data_table import TABLE_FORMATS
from publisher.portal.dataset_response import dataset_response, register_dataset
from publisher.portal.dependencies import OptionalTablesDep
from publisher.portal.facet_labels import facet_title
from publisher.portal.figures import count_note, query_page_url
from publisher.portal.registries import COVERED_FACETS, Registry, list_registries, registry_table
from publisher.projections.facets.filter_query import make_filter
from publisher.projections.facets.queries import FacetIndex
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import source_statuses
from web.formats import HTML
from web.respond import respond

router = APIRouter()


@register_list(router, "sources", "List all registries")
async def sources(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: OptionalTablesDep,
    cursor: ListCursor,
) -> Response:
    """A registry is a source from which records are harvested; the page shows them all."""
    if choose_list_format(request) is not HTML:
        listed = await load_page(cursor, service, "sources")
        return respond_list(request, pages, "sources", {}, listed)
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
    return respond(request, page, HTML)


@register_dataset(
    router, "/registries", "registries", "List all registries, with how complete their records are"
)
async def registers(request: Request, service: ServiceDep, tables: OptionalTablesDep) -> Response:
    """The page is `/sources`."""
    if request.url.path == "/registries":
        language = f"?lang={lang}" if (lang := request.query_params.get("lang")) else ""
        return RedirectResponse(f"/sources{language}", HTTPStatus.MOVED_PERMANENTLY)
    table = registry_table(await _registries(service, tables), service.iris, tables)
    return await asyncio.to_thread(
        dataset_response, request, service, [table], lambda: RedirectResponse("/sources", 303)
    )


async def _registries(service: QueryService, tables: FacetIndex | None) -> list[Registry]:
    rows, statuses = await service.rows(query("sources")), await source_statuses(service)
    return await asyncio.to_thread(
        list_registries, rows, statuses, tables, service.iris, service.now()
    )
