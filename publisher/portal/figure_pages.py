"""Serve the pages that are lists of figures: home, map, trends, topics, gaps, the matrix's counts;
and ``/sources``, the registries compared, with ``/registries``, the same as data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.data.count_queries import coverage_by_source, listing
from publisher.data.tables import NONE, FacetIndex, Filter, ThingCount, make_filter
from publisher.linked_data.lists import (
    ListCursor,
    choose_list_format,
    load_page,
    register_list,
    respond_list,
)
from publisher.middleware import MINUTE, keep_for
from publisher.pages import PagesDep, ServiceDep, TablesDep
from publisher.portal.datasets import (
    TABLE_FORMATS,
    Column,
    DataPage,
    DataTable,
    list_table,
    register_dataset,
)
from publisher.portal.facet_filters import FiguresDep, active_filters, facet_parameters
from publisher.portal.facet_labels import NamesDep, facet_title, plural_title
from publisher.portal.figures import (
    INITIATIVES,
    SPARSE,
    Figures,
    FigureView,
    count_note,
    empty_chart_hint,
    most_complete,
    overview,
    query_page_url,
)
from publisher.store.descriptions import count_by_state, registry_rows, source_statuses
from publisher.store.query_service import QueryService
from vocab.terms import DCT
from web.respond import HTML, respond

NEWEST, EVENTS = 8, 4  # things on the front page: the latest updates, and upcoming events
HOME_DATA = ("line", "goal", "region", "country")
# The facets of the front page, the most important first; those of the matrix only without it.
HOME_FIGURES = ("line", "goal", "region", "stakeholder", "type", "status", "year", "target")
MATRIX_FACETS = ("line", "goal", "region")
FIGURES_OF_HOME, FIGURES_OF_TRENDS = 3, 3
# The facets of the figures that replace an empty one.
INSTEAD = ("goal", "line", "country", "type", "status", "year", "language")
TREND_FACETS = ("region", "stakeholder", "status", "goal", "line", "source")
TOPICS = {
    "line": "/scheme/action-line",
    "goal": "/scheme/sdg",
    "region": "/scheme/itu-region",
    "country": "/scheme/area",
}
GAPS = ("country", "line", "goal", "target")

router = APIRouter()


def _tables(views: Sequence[FigureView]) -> list[DataTable]:
    return [view.table for view in views]


def _missing(figures: Figures, facets: Sequence[str]) -> dict[str, Any]:
    """Return what a page shows in place of its empty figures by *facets*."""
    hints = [empty_chart_hint(figures.tables, figures.filters, facet) for facet in facets]
    return {
        "missing": hints,
        "others": most_complete(figures.bars(INSTEAD), 2) if facets else [],
    }


@register_dataset(router, "/", "home", "Count what is published, and list what changed last")
async def home(
    request: Request, service: ServiceDep, tables: TablesDep, names: NamesDep
) -> DataPage:
    """Show the key figures, the map, the newest records and the registries."""
    rows, statuses = await registry_rows(service), await source_statuses(service)
    steps = await request.app.state.start.steps()
    keep_for(0 if steps else MINUTE)  # the steps change by the second, the next events by the day
    figures = Figures(tables, names, INITIATIVES)
    today = f"{service.now():%Y-%m-%d}"

    def tables_of_page() -> list[DataTable]:
        values = _home(figures, today)
        text = listing(Filter(), names.iris)
        newest = list_table("newest", "What changed last", values["newest"], text)
        return [*_tables(values["counted"]), newest, *values["total"]]

    def values() -> dict[str, Any]:
        counts = figures["bars/source"].counts
        return _home(figures, today) | {
            "steps": steps,
            "sources": [(name, row, counts.get(name, 0)) for name, row in rows.items()],
            "states": count_by_state(statuses, service.now()),
        }

    return DataPage(tables_of_page, "home.html", values)


def _home(figures: Figures, today: str) -> dict[str, Any]:
    """Return the figures and lists of the front page."""
    tables, place, matrix = figures.tables, figures["map"], figures["matrix"]
    everything = replace(figures, filters=Filter())
    kinds = everything["bars/kind"].counts
    total = kinds.get("initiative", NONE)
    is_dense = matrix.counts and matrix.coverage.part * SPARSE >= matrix.coverage.all
    facets = [facet for facet in HOME_FIGURES if not is_dense or facet not in MATRIX_FACETS]
    by_record = (("record", total.records), ("cluster", total))
    columns = (Column("counted_by"), Column("initiatives"))
    empty = [facet for facet in ("country", "line") if not figures[f"bars/{facet}"].counts]
    return {
        "counted": [*everything.bars(("kind",)), *figures.bars(HOME_DATA)],
        "kinds": kinds,
        "place": place if place.coverage.part else None,
        "regions": figures["bars/region"],
        "matrix": matrix if is_dense else None,
        "panels": most_complete(figures.bars(facets), FIGURES_OF_HOME),
        "newest": tables.list_things(Filter(), "newest", NEWEST),
        "events": tables.events_between(make_filter(kind="event"), today, "9999", EVENTS),
        "missing": _missing(figures, empty)["missing"] if place.coverage.all else [],
        "finding": overview(tables.counts_once(INITIATIVES), figures.names, total),
        "note": figures.note,
        "total": [DataTable("total", "Initiatives by record and by cluster", columns, by_record)]
        if figures.note
        else [],
    }


@register_dataset(
    router, "/map", "map", "Count initiatives by country and region", facet_parameters(), drawn=True
)
def world_map(request: Request, figures: FiguresDep) -> DataPage:
    """Draw the initiatives of each country on a map of the world."""
    place, panels = figures["map"], figures.bars(("country", "region"))
    return DataPage(
        lambda: _tables(panels),
        "map.html",
        lambda: {
            **_missing(figures, [] if place.counts else ["country"]),
            "active": active_filters(figures.names),
            "figures": figures,
            "place": place,
            "panels": {panel.facet: panel for panel in panels},
            "map": place.drawing,
        },
        place.drawing,
    )


@register_dataset(
    router,
    "/trends",
    "trends",
    "Count initiatives by the year in which they begin",
    facet_parameters(),
    drawn=True,
)
def trends(
    request: Request,
    figures: FiguresDep,
    by: Annotated[
        Literal["", "region", "stakeholder", "status", "goal", "line", "source"],
        Query(
            description="The facet by whose values initiatives are counted; without it, all of these"
        ),
    ] = "",
) -> DataPage:
    """Draw how many initiatives begin in each year, by the facet of the parameter *by* or by each."""
    counted = [figures[f"trend/{facet}"] for facet in ([by] if by else TREND_FACETS)]
    drawn = ([trend for trend in counted if trend.years] or counted[:1])[:FIGURES_OF_TRENDS]

    def values() -> dict[str, Any]:
        empty = [name for name in ("year", by) if name and not figures[f"bars/{name}"].counts]
        return _missing(figures, [] if drawn[0].years else empty) | {
            "active": active_filters(figures.names),
            "trends": drawn,
            "by": by,
            "titles": {facet: facet_title(facet) for facet in TREND_FACETS},
            "note": figures.note,
        }

    return DataPage(lambda: _tables(drawn), "trends.html", values, drawn[0].drawing)


@register_dataset(
    router, "/topics", "topics", "Count initiatives by action line, goal, region and country"
)
def topics(request: Request, tables: TablesDep, names: NamesDep) -> DataPage:
    """List the values of each facet with their numbers of initiatives."""
    initiatives = Figures(tables, names, INITIATIVES)
    panels = initiatives.bars(TOPICS)
    return DataPage(
        lambda: _tables(panels),
        "topics.html",
        lambda: {
            "panels": panels,
            "titles": {facet: plural_title(facet) for facet in TOPICS},
            "lists": TOPICS,
            "note": initiatives.note,
        },
    )


@register_dataset(
    router,
    "/gaps",
    "gaps",
    "List action lines, goals and countries for which nothing is reported",
    facet_parameters(),
)
def gaps(request: Request, figures: FiguresDep) -> DataPage:
    """Links between action lines and goals of the official matrix that no initiative has are a
    table too.
    """
    missing, matrix = [figures[f"gap/{facet}"] for facet in GAPS], figures["matrix"]
    return DataPage(
        lambda: [*_tables(missing), matrix.gaps],
        "gaps.html",
        lambda: {"gaps": missing, "matrix": matrix, "names": figures.names},
    )


@register_dataset(
    router,
    "/matrix/counts",
    "matrixCounts",
    "Count initiatives by action line and goal",
    facet_parameters(),
    drawn=True,
)
def matrix_counts(request: Request, figures: FiguresDep) -> DataPage:
    """The page is `/matrix`."""
    matrix = figures["matrix"]
    return DataPage(
        lambda: _tables([matrix]),
        page=f"/matrix{f'?{request.url.query}' if request.url.query else ''}",
        drawing=matrix.drawing,
    )


# The facets whose completeness is counted.
COVERED_FACETS = ("line", "goal", "country", "year", "remark")
registries_router = APIRouter()


async def list_registries(service: QueryService, tables: FacetIndex) -> list[dict[str, Any]]:
    """Return all registries, sorted by title: *things* is the number of published things, *filled*
    how many have each of COVERED_FACETS, *state* is the freshness.
    """
    statuses = await source_statuses(service)
    counts = await asyncio.to_thread(_count_registries, tables)
    listed = [
        {
            "name": name,
            "row": row,
            "source_status": statuses.get(name),
            "state": statuses[name].state(service.now()).value if name in statuses else "",
            "things": counts["things"].get(name, NONE),
            "filled": {facet: counts[facet].get(name, NONE) for facet in COVERED_FACETS},
        }
        for name, row in (await registry_rows(service)).items()
    ]
    return sorted(listed, key=lambda registry: registry["row"]["title"].value.lower())


def _count_registries(tables: FacetIndex) -> dict[str, Mapping[str, ThingCount]]:
    counts = {facet: tables.coverage_by_source(INITIATIVES, facet) for facet in COVERED_FACETS}
    return {**counts, "things": tables.counts_once(INITIATIVES).get("source", {})}


@register_list(registries_router, "sources", "List all registries")
async def sources(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    cursor: ListCursor,
) -> Response:
    """A registry is a source from which records are harvested; the page shows them all."""
    if choose_list_format(request) is not HTML:
        return respond_list(
            request, pages, "sources", {}, (await load_page(cursor, service, "sources"))
        )
    return respond(
        request,
        (
            await asyncio.to_thread(
                pages.page,
                "registries.html",
                registries=await list_registries(service, tables),
                covered=[(facet, facet_title(facet)) for facet in COVERED_FACETS],
                note=count_note(tables.count_different(INITIATIVES)),
                forms=[
                    (item.label, f"/registries.{item.suffix}") for item in TABLE_FORMATS.values()
                ],
                query=query_page_url(_registries_query(service, tables)),
            )
        ),
        HTML,
    )


def _registries_query(service: QueryService, tables: FacetIndex) -> str:
    return coverage_by_source(INITIATIVES, "remark", service.iris, has_parts=tables.has_parts)


@register_dataset(
    registries_router,
    "/registries",
    "registries",
    "List all registries, with how complete their records are",
)
async def registries(
    request: Request, service: ServiceDep, tables: TablesDep
) -> DataPage | Response:
    """The page is `/sources`."""
    if request.url.path == "/registries":
        language = f"?lang={lang}" if (lang := request.query_params.get("lang")) else ""
        return RedirectResponse(f"/sources{language}", HTTPStatus.MOVED_PERMANENTLY)
    columns = (
        Column("source"),
        Column("title", property=f"{DCT}title"),
        Column("freshness"),
        Column("initiatives", property="http://rdfs.org/ns/void#entities"),
        *(Column(f"with_{facet}") for facet in COVERED_FACETS),
    )
    rows = tuple(
        (
            service.iris.source(item["name"]),
            item["row"]["title"].value,
            item["state"] or None,
            item["things"],
            *item["filled"].values(),
        )
        for item in await list_registries(service, tables)
    )
    text = _registries_query(service, tables)
    table = DataTable("registries", "Registries", columns, rows, text, is_observation=False)
    return DataPage(lambda: [table], page="/sources")
