"""Serve the pages that are lists of figures: home, map, trends, topics, gaps and the matrix's
counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.data_lists import list_table
from publisher.portal.data_table import Column, DataTable
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.dependencies import FiguresDep, NamesDep, OptionalTablesDep, TablesDep
from publisher.portal.facet_filters import active_filters, facet_parameters
from publisher.portal.facet_labels import facet_title
from publisher.portal.figures import (
    FIGURES,
    INITIATIVES,
    SPARSE,
    Figures,
    FigureView,
    Trend,
    empty_chart_hint,
    most_complete,
    official_links,
    overview,
)
from publisher.projections.facets.filter_query import Filter, listing, make_filter
from publisher.projections.facets.thing_count import NONE
from publisher.store.queries import query
from publisher.store.source_status import count_by_state, source_statuses
from web.page_cache import MINUTE, keep_for
from web.problems import HTTPProblem

NEWEST, EVENTS = 8, 4  # things on the front page: the latest updates, and upcoming events
HOME_DATA = ("line", "goal", "region", "country")
# of the front page, the most important first; with a matrix, without its facets
HOME_FIGURES = ("line", "goal", "region", "stakeholder", "type", "status", "year", "target")
MATRIX_FACETS = ("line", "goal", "region")
FIGURES_OF_HOME, FIGURES_OF_TRENDS = 3, 3
INSTEAD = ("goal", "line", "country", "type", "status", "year", "language")  # of an empty figure
TREND_FACETS = ("region", "stakeholder", "status", "goal", "line", "source")
TOPICS = {
    "line": "/scheme/action-line",
    "goal": "/scheme/sdg",
    "region": "/scheme/itu-region",
    "country": "/scheme/area",
}
GAPS = ("country", "line", "goal", "target")
_BY: dict[str, object] = {
    "name": "by",
    "in": "query",
    "description": "The facet by whose values initiatives are counted; without it, all of these",
    "schema": {"type": "string", "enum": ["", *TREND_FACETS]},
}

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
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: OptionalTablesDep,
    names: NamesDep,
) -> Response:
    """Show the key figures, the map, the newest records and the registries."""
    sources, statuses = await service.rows(query("sources")), await source_statuses(service)
    steps = await request.app.state.start.steps()
    keep_for(0 if steps else MINUTE)  # the steps change by the second, the next events by the day
    figures = Figures(tables, names, INITIATIVES, await official_links(service)) if tables else None
    today = f"{service.now():%Y-%m-%d}"

    def sheets() -> list[DataTable]:
        values = _home(figures, today)
        text = listing(Filter(), names.iris)
        newest = list_table("newest", "What changed last", values["newest"], text)
        return [*_tables(values["counted"]), newest, *values["total"]]

    def render() -> Response:
        start = service.iris.source("")
        by_name = {row["source"].value.removeprefix(start): row for row in sources}
        counts = figures["bars/source"].counts if figures else {}
        return pages.page(
            "home.html",
            steps=steps,
            sources=[(name, row, counts.get(name, 0)) for name, row in by_name.items()],
            states=count_by_state(statuses, service.now()),
            forms=format_links(request),
            **_home(figures, today),
        )

    return await asyncio.to_thread(dataset_response, request, service, sheets, render)


def _home(figures: Figures | None, today: str) -> dict[str, Any]:
    """Return the figures and lists of the front page; none while the facet tables are built."""
    if figures is None:
        lists = ("counted", "total", "panels", "newest", "events", "missing", "finding", "note")
        return {"kinds": {}, "place": None, "matrix": None} | dict.fromkeys(lists, ())
    tables, place, matrix = figures.tables, figures["map"], figures["matrix"]
    everything = replace(figures, filters=Filter())
    kinds = everything["bars/kind"].counts
    total = kinds.get("initiative", NONE)
    is_dense = matrix.counts and matrix.coverage.part * SPARSE >= matrix.coverage.all
    facets = [facet for facet in HOME_FIGURES if not is_dense or facet not in MATRIX_FACETS]
    by_record = (("record", total.records), ("cluster", total))
    columns = (Column("counted_by"), Column("initiatives"))
    sheet = DataTable("total", "Initiatives by record and by cluster", columns, by_record)
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
        "total": [sheet] if figures.note else [],
    }


@register_dataset(
    router, "/map", "map", "Count initiatives by country and region", facet_parameters(), drawn=True
)
def world(request: Request, service: ServiceDep, pages: PagesDep, figures: FiguresDep) -> Response:
    """Draw the initiatives of each country on a map of the world."""
    place, panels = figures["map"], figures.bars(("country", "region"))
    drawing = place.drawing

    def render() -> Response:
        return pages.page(
            "map.html",
            active=active_filters(figures.names),
            figures=figures,
            place=place,
            panels={panel.facet: panel for panel in panels},
            map=drawing,
            forms=format_links(request, drawing is not None),
            **_missing(figures, [] if place.counts else ["country"]),
        )

    return dataset_response(request, service, lambda: _tables(panels), render, drawing)


@register_dataset(
    router,
    "/trends",
    "trends",
    "Count initiatives by the year in which they begin",
    [*facet_parameters(), _BY],
    drawn=True,
)
def trends(request: Request, service: ServiceDep, pages: PagesDep, figures: FiguresDep) -> Response:
    """Draw how many initiatives begin in each year, by the facet of the parameter *by* or by each."""
    by = request.query_params.get("by", "")
    if by and by not in TREND_FACETS:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("The parameter by is one of {names}", names=", ".join(TREND_FACETS)),
        )
    counted = [
        Trend(FIGURES[f"trend/{facet}"], figures) for facet in ([by] if by else TREND_FACETS)
    ]
    drawn = ([trend for trend in counted if trend.years] or counted[:1])[:FIGURES_OF_TRENDS]
    has_years = bool(drawn[0].years)

    def render() -> Response:
        empty = [name for name in ("year", by) if name and not figures[f"bars/{name}"].counts]
        return pages.page(
            "trends.html",
            active=active_filters(figures.names),
            trends=drawn,
            by=by,
            titles={facet: facet_title(facet) for facet in TREND_FACETS},
            note=figures.note,
            forms=format_links(request, has_years),
            **_missing(figures, [] if has_years else empty),
        )

    return dataset_response(request, service, lambda: _tables(drawn), render, drawn[0].drawing)


@register_dataset(
    router, "/topics", "topics", "Count initiatives by action line, goal, region and country"
)
def topics(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """List the values of each facet with their numbers of initiatives."""
    initiatives = Figures(tables, names, INITIATIVES)
    panels = initiatives.bars(TOPICS)
    titles = {
        "line": _("Action lines"),
        "goal": _("SDGs"),
        "region": _("Regions"),
        "country": _("Countries"),
    }

    def render() -> Response:
        forms = format_links(request)
        return pages.page(
            "topics.html",
            panels=panels,
            titles=titles,
            lists=TOPICS,
            note=initiatives.note,
            forms=forms,
        )

    return dataset_response(request, service, lambda: _tables(panels), render)


@register_dataset(
    router,
    "/gaps",
    "gaps",
    "List action lines, goals and countries for which nothing is reported",
    facet_parameters(),
)
def gaps(request: Request, service: ServiceDep, pages: PagesDep, figures: FiguresDep) -> Response:
    """Links between action lines and goals of the official matrix that no initiative has are a
    table too.
    """
    missing, matrix = [figures[f"gap/{facet}"] for facet in GAPS], figures["matrix"]

    def render() -> Response:
        forms = format_links(request)
        return pages.page(
            "gaps.html", gaps=missing, matrix=matrix, names=figures.names, forms=forms
        )

    return dataset_response(request, service, lambda: [*_tables(missing), matrix.gaps], render)


@register_dataset(
    router,
    "/matrix/counts",
    "matrixCounts",
    "Count initiatives by action line and goal",
    facet_parameters(),
    drawn=True,
)
def matrix_counts(request: Request, service: ServiceDep, figures: FiguresDep) -> Response:
    """The page is `/matrix`."""
    matrix = figures["matrix"]
    page = f"/matrix{f'?{request.url.query}' if request.url.query else ''}"
    return dataset_response(
        request,
        service,
        lambda: [matrix.table],
        lambda: RedirectResponse(page, HTTPStatus.SEE_OTHER, {"Vary": "Accept"}),
        matrix.drawing,
    )
