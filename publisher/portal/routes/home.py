"""Serve the front page: key figures, map, newest records and registries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.coverage import ChartHint, Coverage, coverage, empty_chart_hint
from publisher.portal.data_lists import list_table
from publisher.portal.data_table import Column, DataTable
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import SPARSE, FacetPanel, facet_panels, most_complete
from publisher.portal.findings import count_note, matrix_finding, matrix_title, overview
from publisher.portal.map import country_map
from publisher.portal.matrix import Links, Matrix, count_matrix, official_links
from publisher.portal.sources import source_titles
from publisher.projections.facets.filter_query import Filter, listing, make_filter
from publisher.projections.facets.queries import FacetIndex, ListItem, open_facet_index
from publisher.projections.facets.thing_count import ThingCount
from publisher.rdf.results import Row
from publisher.store.queries import query
from publisher.store.source_status import count_by_state, source_statuses
from web.page_cache import MINUTE, keep_for

NEWEST = 8  # things on the front page
FACETS = ("kind", "line", "goal", "region", "country")
# Figures, the most important first.
FACETS_SHOWN = ("line", "goal", "region", "stakeholder", "type", "status", "year", "target")
FIGURES = 3  # next to the latest updates
EVENTS = 4  # upcoming


router = APIRouter()


@register_dataset(router, "/", "home", "Count what is published, and list what changed last")
async def home(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Show the key figures, the map, the newest records and the registries."""
    names = FacetLabels(service.iris, await source_titles(service))
    sources, statuses = await service.rows(query("sources")), await source_statuses(service)
    official, steps = await official_links(service), await request.app.state.start.steps()
    keep_for(0 if steps else MINUTE)  # the steps change by the second, the next events by the day
    today = f"{service.now():%Y-%m-%d}"
    tables = open_facet_index(service.current.path)  # None while it is built: no figures then
    figures = (
        await asyncio.to_thread(_count, tables, names, official, today) if tables else _NOT_COUNTED
    )
    sheets = [*(panel.table for panel in figures.counted.values()), _newest(figures.newest, names)]
    sheets += [_total(figures)] if figures.note else []

    def show() -> Response:
        return pages.page(
            "home.html",
            steps=steps,
            panels=figures.panels,
            placed=figures.placed,
            missing=figures.missing,
            kinds=figures.kinds,
            note=figures.note,
            finding=figures.finding,
            matrix=figures.matrix,
            matrix_finding=matrix_finding(figures.matrix) if figures.matrix else "",
            matrix_title=matrix_title(figures.matrix) if figures.matrix else "",
            where_title=figures.counted["region"].finding if "region" in figures.counted else "",
            regions=figures.counted["region"].bars if "region" in figures.counted else (),
            sources=_rows(sources, tables, names),
            states=count_by_state(statuses, service.now()),
            map=figures.map,
            newest=figures.newest,
            events=figures.events,
            forms=format_links(request),
        )

    return await dataset_response(request, service, sheets, show)


@dataclass(frozen=True, slots=True)
class _Figures:
    """The counts of the front page; empty while the facet index is built."""

    counted: dict[str, FacetPanel] = field(default_factory=dict)
    placed: Coverage | None = None
    matrix: Matrix | None = None
    panels: Sequence[FacetPanel] = ()
    newest: Sequence[ListItem] = ()
    kinds: Mapping[str, ThingCount] = field(default_factory=dict)
    note: str = ""  # a sentence on the number of records, if it is not that of initiatives
    finding: str = ""
    map: Markup | None = None
    events: Sequence[ListItem] = ()
    # for each chart that has no data although there are initiatives
    missing: Sequence[ChartHint] = ()


_NOT_COUNTED = _Figures()


def _count(tables: FacetIndex, names: FacetLabels, official: Links, today: str) -> _Figures:
    every, counted_kinds = (
        make_filter(kind="initiative"),
        tables.counts_once(Filter()).get("kind", {}),
    )
    placed, matrix = coverage(tables, every, "country"), _matrix(tables, names, official)
    kinds = facet_panels(tables, Filter(), FACETS[:1], names)
    panels = [*kinds, *facet_panels(tables, every, FACETS[1:], names)]
    counted = {panel.facet: panel for panel in panels}
    # Full figures come before sparse ones; with a matrix, its two facets are left out.
    facets = [
        facet for facet in FACETS_SHOWN if not matrix or facet not in ("line", "goal", "region")
    ]
    return _Figures(
        counted=counted,
        placed=placed,
        matrix=matrix,
        panels=most_complete(facet_panels(tables, every, facets, names), FIGURES),
        newest=tables.list_things(Filter(), "newest", NEWEST),
        kinds=counted_kinds,
        note=count_note(tables.count_different(every)),
        finding=overview(tables.counts_once(every), names, counted_kinds.get("initiative", 0)),
        map=country_map(tables, every, names) if placed.part else None,
        events=tables.events_between(make_filter(kind="event"), today, "9999", EVENTS),
        missing=[
            empty_chart_hint(tables, every, facet)
            for facet in ("country", "line")
            if placed.all and facet not in counted
        ],
    )


def _matrix(tables: FacetIndex, names: FacetLabels, official: Links) -> Matrix | None:
    """Count initiatives by action line and goal; None if too few have both."""
    every = make_filter(kind="initiative")
    both = coverage(tables, every, "line", "goal")
    if not both.part or both.part * SPARSE < both.all:
        return None
    return count_matrix(tables, every, names, official)


def _newest(lines: Sequence[ListItem], names: FacetLabels) -> DataTable:
    return list_table("newest", "What changed last", lines, listing(Filter(), names.iris))


def _total(figures: _Figures) -> DataTable:
    """Return the number of initiatives by record, and by cluster, in which what several registries
    describe counts once.
    """
    initiatives = figures.kinds["initiative"]
    rows = (("record", initiatives.records), ("cluster", initiatives))
    return DataTable(
        "total",
        "Initiatives by record and by cluster",
        (Column("counted_by"), Column("initiatives")),
        rows,
    )


def _rows(
    rows: list[Row], tables: FacetIndex | None, names: FacetLabels
) -> list[tuple[str, Row, int]]:
    """Return the registries: name, row of the query, and number of initiatives."""
    every = make_filter(kind="initiative")
    counts = tables.counts_once(every).get("source", {}) if tables else {}
    start = names.iris.source("")
    by_name = {row["source"].value.removeprefix(start): row for row in rows}
    return [(name, row, counts.get(name, 0)) for name, row in by_name.items()]
