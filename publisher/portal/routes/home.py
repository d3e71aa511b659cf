"""Serve the front page: key figures, map, newest records and registries."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.facets.filter_query import Filter, listing, make_filter
from publisher.facets.queries import FacetIndex, ListItem, open_facet_index
from publisher.pages.charts.data_table import DataTable
from publisher.pages.dataset_response import dataset_response, format_links, register_dataset
from publisher.pages.templating import Pages
from publisher.portal.coverage import coverage, empty_chart_hint
from publisher.portal.data_lists import list_table
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import SPARSE, FacetPanel, facet_panels, most_complete
from publisher.portal.findings import matrix_finding, overview
from publisher.portal.map import country_map
from publisher.portal.matrix import Links, Matrix, count_matrix, official_links
from publisher.portal.sources import source_titles
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_status import clock, count_by_state, source_statuses

NEWEST = 8  # things on the front page
FACETS = ("kind", "line", "goal", "region", "country")
SHOWN = ("line", "goal", "region", "stakeholder", "type", "status", "year", "target")  # figures, the most telling first
FIGURES = 3  # beside the latest updates


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the front page."""
    routes = APIRouter()

    async def home(request: Request) -> Response:
        names, sources = FacetLabels(service.iris, await source_titles(service)), await service.rows(query("sources"))
        found = await source_statuses(service)
        tables = open_facet_index(service.current.path)  # while they are made, the front page stands without them
        made = await asyncio.to_thread(_counted, tables, names) if tables else {}
        every = make_filter(kind="initiative")
        placed = await asyncio.to_thread(coverage, tables, every, "country") if tables else None
        matrix = await asyncio.to_thread(_matrix, tables, names, await official_links(service)) if tables else None
        figures = await asyncio.to_thread(_figures, tables, names, matrix is not None) if tables else []
        newest = await asyncio.to_thread(tables.list_things, Filter(), "newest", NEWEST) if tables else []
        sheets = [*(panel.table for panel in made.values()), _newest(newest, names)]

        steps = await request.app.state.start.steps()

        def show() -> Response:
            return pages.page(
                "home.html",
                steps=steps,
                panels=figures,
                placed=placed,
                missing=[
                    empty_chart_hint(facet) for facet in ("country", "line") if tables and placed and placed.all and facet not in made
                ],
                kinds=tables.counts(Filter()).get("kind", {}) if tables else {},
                finding=overview(tables.counts(every), names, tables.total(every)) if tables else "",
                matrix=matrix,
                matrix_finding=matrix_finding(matrix) if matrix else "",
                regions=made["region"].bars if "region" in made else (),
                sources=_rows(sources, tables, names),
                states=count_by_state(found, clock()),
                map=country_map(tables, every, names) if tables and placed and placed.part else None,
                newest=newest,
                events=tables.events_between(make_filter(kind="event"), f"{clock():%Y-%m-%d}", "9999", 4) if tables else [],
                forms=format_links(request),
            )

        return await dataset_response(request, service, sheets, show)

    register_dataset(routes, "/", "home", "Count what is published, and list what changed last")(home)
    return routes


def _figures(tables: FacetIndex, names: FacetLabels, has_matrix: bool) -> list[FacetPanel]:
    """Choose the figures: those that have something, before those that have little; a matrix has the first two."""
    shown = [facet for facet in SHOWN if not has_matrix or facet not in ("line", "goal", "region")]
    return most_complete(facet_panels(tables, make_filter(kind="initiative"), shown, names), FIGURES)


def _matrix(tables: FacetIndex, names: FacetLabels, official: Links) -> Matrix | None:
    """Count initiatives by action line and goal; None where too few have both."""
    every = make_filter(kind="initiative")
    both = coverage(tables, every, "line", "goal")
    return count_matrix(tables, every, names, official) if both.part and both.part * SPARSE >= both.all else None


def _counted(tables: FacetIndex, names: FacetLabels) -> dict[str, FacetPanel]:
    every, initiatives = (
        facet_panels(tables, Filter(), FACETS[:1], names),
        facet_panels(tables, make_filter(kind="initiative"), FACETS[1:], names),
    )
    return {panel.facet: panel for panel in (*every, *initiatives)}


def _newest(lines: list[ListItem], names: FacetLabels) -> DataTable:
    return list_table("newest", "What changed last", lines, listing(Filter(), names.iris))


def _rows(rows: list[Row], tables: FacetIndex | None, names: FacetLabels) -> list[tuple[str, Row, int]]:
    """Return the registries: name, row of the query, and number of things."""
    counts = tables.counts(Filter()).get("source", {}) if tables else {}
    start = names.iris.source("")
    found = {row["source"].value.removeprefix(start): row for row in rows}
    return [(name, row, counts.get(name, 0)) for name, row in found.items()]
