"""Serve the lists of things of one kind: documents with the good practices among them, posts, the
events of a month, and projects with WSIS Prizes.
"""

from __future__ import annotations

import calendar
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request

from languages.translations import current_locale, month_names
from languages.translations import gettext as _
from publisher.data.count_queries import listing
from publisher.data.tables import FacetIndex, ListItem, Prize
from publisher.middleware import MINUTE, keep_for
from publisher.pages import ServiceDep, TablesDep
from publisher.portal.datasets import (
    PRIZE,
    DataPage,
    DataTable,
    list_table,
    register_dataset,
)
from publisher.portal.facet_filters import chosen_codes, facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels, NamesDep
from publisher.portal.figures import Figures, query_page_url, sort_key
from publisher.store.query_service import QueryService
from publisher.store.search.searcher import Marker, best_text, open_searcher
from web.endpoints import whole_number

DATA = 1_000  # things in the tables of a page
PAGE_SIZE = 25  # things on a page
_LAST = 10_000 // PAGE_SIZE  # number of the last page
_EXCERPT_LENGTH = 260  # characters of a text's beginning
_PANELS = {
    "document": ("document", "line", "goal", "country", "language", "source", "year"),
    "post": ("source", "language", "year", "line", "goal"),
}
PageNumber = Annotated[
    int,
    Query(ge=1, le=_LAST, description="The page that is shown; data have all"),
    whole_number(1),
]
COMING = 20  # events that are listed next to the month
_MONTH = r"[12][0-9]{3}-(0[1-9]|1[0-2])"
_FULL_DATE = 10  # characters of YYYY-MM-DD
_STAGES = ("winner", "champion", "nominee")  # the highest first
Text = tuple[str, str | None]  # a text and its language tag

router = APIRouter()


@register_dataset(
    router,
    "/events",
    "events",
    "List the events of a month",
    facet_parameters(),
)
def events(
    request: Request,
    service: ServiceDep,
    tables: TablesDep,
    month: Annotated[
        str,
        Query(
            pattern=rf"^({_MONTH})?$", description="A year and a month; without it, the current one"
        ),
    ] = "",
    every: Annotated[
        str, Query(alias="all", description="With any value: the events of all months")
    ] = "",
) -> DataPage:
    """`/feeds/events.ics` is the calendar to subscribe to."""
    filters = parse_filters(request.query_params).with_codes("kind", "event")
    keep_for(MINUTE)  # it shows what takes place from today on
    first = date.fromisoformat(f"{month or f'{service.now():%Y-%m}'}-01")
    today = service.now().date()
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    query = listing(filters, service.iris)

    def data() -> list[DataTable]:
        period = ("0000", "9999") if every else (f"{first}", f"{last}")
        return [list_table("events", "Events", tables.events_between(filters, *period), query)]

    def values() -> dict[str, object]:
        lines = tables.events_between(filters, f"{first}", f"{last}")
        later = tables.events_between(filters, f"{today}", "9999", COMING + len(lines))
        weeks = calendar.Calendar().monthdatescalendar(first.year, first.month)
        return {
            "month": first,
            "weeks": [
                {day: [line for line in lines if _takes_place(line, day)] for day in week}
                for week in weeks
            ],
            "before": first - timedelta(days=1),
            "after": last + timedelta(days=1),
            "name": month_names()[first.month],
            "lines": lines,
            "coming": [line for line in later if line not in lines][:COMING],
            "past": tables.past_events(filters, f"{today}", COMING),
            "today": today,
            "query": query_page_url(query),
        }

    return DataPage(data, "events.html", values)


def _takes_place(event: ListItem, day: date) -> bool:
    """Return whether an event is on a day; one without a full date is on none."""
    begins, ends = (event.begins or "")[:_FULL_DATE], (event.ends or "")[:_FULL_DATE]
    if len(ends) < _FULL_DATE:
        ends = begins
    return len(begins) == _FULL_DATE and begins <= f"{day}" <= ends


@register_dataset(
    router,
    "/documents",
    "documents",
    f"List documents and good practices, the newest {DATA}",
    facet_parameters(),
)
def documents(
    request: Request,
    service: ServiceDep,
    tables: TablesDep,
    names: NamesDep,
    page: PageNumber = 1,
) -> DataPage:
    """Counts by type, country and language are tables too."""
    return _newest(request, service, tables, names, "document", page)


@register_dataset(router, "/posts", "posts", f"List posts, the newest {DATA}", facet_parameters())
def posts(
    request: Request,
    service: ServiceDep,
    tables: TablesDep,
    names: NamesDep,
    page: PageNumber = 1,
) -> DataPage:
    """Counts by registry and language are tables too."""
    return _newest(request, service, tables, names, "post", page)


def _newest(
    request: Request,
    service: QueryService,
    tables: FacetIndex,
    names: FacetLabels,
    kind: str,
    page: int,
) -> DataPage:
    filters = parse_filters(request.query_params).with_codes("kind", kind)
    query, figures = listing(filters, service.iris), Figures(tables, names, filters)

    def data() -> list[DataTable]:
        newest = tables.list_things(filters, "newest", DATA)
        listed = list_table(f"{kind}s", f"{kind.capitalize()}s", newest, query)
        return [listed, *(panel.table for panel in figures.bars(_PANELS[kind]))]

    def values() -> dict[str, object]:
        total = tables.count_different(filters)
        return {
            "kind": kind,
            "title": _("Documents and good practices") if kind == "document" else _("Posts"),
            "total": total,
            "page_number": page,
            "last": max(1, -(-total.records // PAGE_SIZE)),
            "items": _texts(
                tables.list_things(filters, "newest", PAGE_SIZE, (page - 1) * PAGE_SIZE),
                service.current.path,
            ),
            "panels": figures.bars(_PANELS[kind]),
            "chosen": [
                (name, code, names.short(name, code)) for name, code in chosen_codes(filters)
            ],
            "query": query_page_url(query),
        }

    return DataPage(data, "documents.html", values)


def _texts(lines: list[ListItem], snapshot: str) -> list[tuple[ListItem, Text, Text]]:
    """Return things with their titles and the beginnings of their texts in the language that fits
    best.
    """
    search, language, marker = open_searcher(snapshot), current_locale().language, Marker("")
    entries = search.entries(line.iri for line in lines) if search else [None] * len(lines)
    items = []
    for line, entry in zip(lines, entries, strict=True):
        title = best_text(entry.titles, marker, language) if entry else None
        text, tag = (best_text(entry.texts, marker, language) if entry else None) or ("", None)
        if len(text) > _EXCERPT_LENGTH:
            text = f"{text[:_EXCERPT_LENGTH].rpartition(' ')[0] or text[:_EXCERPT_LENGTH]} …"
        name = line.title or line.iri.rpartition("/")[2]
        items.append((line, title or (name, line.language), (text, tag)))
    return items


@register_dataset(
    router,
    "/prizes",
    "prizes",
    "List WSIS Prize winners, champions and nominees, by year and category",
    facet_parameters(),
)
def prizes(request: Request, service: ServiceDep, tables: TablesDep, names: NamesDep) -> DataPage:
    """A prize has a category, a year and a stage: nominated, champion or winner."""
    filters = parse_filters(request.query_params)
    figures = Figures(tables, names, filters)
    pairs, panels = (
        figures["pairs/by-year-and-category"],
        figures.bars(("prizeyear", "prize", "stage")),
    )

    def data() -> list[DataTable]:
        text = listing(filters, service.iris)
        both = replace(pairs.table, title="Prizes by year and category")
        listed = list_table("prizes", "Prizes", tables.prizes(filters), text, PRIZE)
        return [listed, both, *(panel.table for panel in panels)]

    def values() -> dict[str, object]:
        years = tables.prize_years(filters)
        chosen = request.query_params.get("prizeyear") or next(iter(years), "")
        categories, stages = filters.codes("prize"), filters.codes("stage")
        listed = [
            prize
            for prize in tables.prizes(filters, chosen)
            if (not categories or prize.category in categories)
            and (not stages or prize.stage in stages)
        ]
        return {
            "years": years,
            "chosen": chosen,
            "categories": by_category(listed),
            "names": names,
            "panels": panels,
            "query": pairs.query,
        }

    return DataPage(data, "prizes.html", values)


def by_category(prizes: list[Prize]) -> list[tuple[str, list[Prize]]]:
    """Return prizes by category, in the order of their codes, each with the highest stage first."""
    stages = {stage: rank for rank, stage in enumerate(_STAGES)}
    ranked = sorted(
        prizes,
        key=lambda prize: (
            sort_key("goal", prize.category or ""),
            stages.get(prize.stage or "", len(stages)),
            prize.title or "",
            prize.iri,
        ),
    )
    groups = groupby(ranked, key=lambda prize: prize.category or "")
    return [(category, list(group)) for category, group in groups]
