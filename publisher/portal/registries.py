"""``/sources``, the registries compared: freshness, last run, and completeness and remarks of their
records; ``/registries`` is the same as data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

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
from publisher.portal.data_table import TABLE_FORMATS, Column, DataTable
from publisher.portal.dataset_response import dataset_response, register_dataset
from publisher.portal.dependencies import OptionalTablesDep
from publisher.portal.facet_labels import facet_title
from publisher.portal.figures import INITIATIVES, count_note, query_page_url
from publisher.projections.facets.filter_query import coverage_by_source
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, source_statuses
from vocab.iris import Iris
from vocab.terms import DCT
from web.formats import HTML
from web.respond import respond

ENTITIES = "http://rdfs.org/ns/void#entities"
# facets whose completeness is counted
COVERED_FACETS = ("line", "goal", "country", "year", "remark")

router = APIRouter()


class Registry(NamedTuple):
    """A registry: *things* is its number of published things, *filled* how many have each facet of
    FILLED, *state* is its freshness.
    """

    name: str
    title: str
    row: Row
    source_status: SourceStatus | None
    state: str
    things: ThingCount
    filled: Mapping[str, ThingCount]

    def share(self, facet: str) -> int | None:
        """Return the share of its things that have a value of a facet, in percent; None if it has
        no things.
        """
        return round(100 * self.filled.get(facet, NONE) / self.things) if self.things else None


def list_registries(
    rows: Iterable[Row],
    source_statuses: Mapping[str, SourceStatus],
    tables: FacetIndex | None,
    iris: Iris,
    at: datetime,
) -> list[Registry]:
    """Return all registries, sorted by title; without *tables* there are no counts."""
    counts = tables.counts_once(INITIATIVES).get("source", {}) if tables else {}
    filled = {
        facet: tables.coverage_by_source(INITIATIVES, facet) if tables else {}
        for facet in COVERED_FACETS
    }
    english_last = sorted(rows, key=lambda row: row["title"].language == "en")
    by_name = {row["source"].value.removeprefix(iris.source("")): row for row in english_last}
    registries = [
        Registry(
            name,
            row["title"].value,
            row,
            source_statuses.get(name),
            source_statuses[name].state(at).value if name in source_statuses else "",
            counts.get(name, NONE),
            {facet: numbers.get(name, NONE) for facet, numbers in filled.items()},
        )
        for name, row in by_name.items()
    ]
    return sorted(registries, key=lambda registry: registry.title.lower())


def registry_table(registries: list[Registry], iris: Iris, tables: FacetIndex | None) -> DataTable:
    """Return registries as rows."""
    rows = tuple(
        (
            iris.source(item.name),
            item.title,
            item.state or None,
            item.things,
            *(item.filled.get(facet, NONE) for facet in COVERED_FACETS),
        )
        for item in registries
    )
    columns = (
        Column("source"),
        Column("title", property=f"{DCT}title"),
        Column("freshness"),
        Column("initiatives", property=ENTITIES),
        *(Column(f"with_{facet}") for facet in COVERED_FACETS),
    )
    return DataTable(
        "registries",
        "Registries",
        columns,
        rows,
        coverage_by_source(
            INITIATIVES,
            "remark",
            iris,
            has_parts=tables is not None and tables.has_parts,
        ),
        is_observation=False,
    )


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
    different = tables.count_different(INITIATIVES) if tables else None
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
