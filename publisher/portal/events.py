"""Serve ``/events``: a month as a calendar and as a list. Programs subscribe to the calendar feed."""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, timedelta
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, month_names
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.data_lists import list_table
from publisher.portal.data_table import DataTable
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.dependencies import TablesDep
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.figures import query_page_url
from publisher.projections.facets.filter_query import listing
from publisher.projections.facets.queries import ListItem
from web.page_cache import MINUTE, keep_for
from web.problems import HTTPProblem

COMING = 20  # events that are listed next to the month
_MONTH = r"[12]\d{3}-(0[1-9]|1[0-2])"
_FULL_DATE = 10  # characters of YYYY-MM-DD
_PARAMETERS: list[dict[str, object]] = [
    {
        "name": "month",
        "in": "query",
        "description": "A year and a month; without it, the current one",
        "schema": {"type": "string", "pattern": f"^{_MONTH}$"},
    },
    {
        "name": "all",
        "in": "query",
        "description": "With any value: the events of all months",
        "schema": {"type": "string"},
    },
]

router = APIRouter()


@register_dataset(
    router,
    "/events",
    "events",
    "List the events of a month",
    [*facet_parameters(), *_PARAMETERS],
)
def events(request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep) -> Response:
    """`/feeds/events.ics` is the calendar to subscribe to."""
    filters = parse_filters(request.query_params).with_codes("kind", "event")
    keep_for(MINUTE)  # it shows what takes place from today on
    first, today = _first_day(request, service.now()), service.now().date()
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    query = listing(filters, service.iris)

    def data() -> list[DataTable]:
        period = ("0000", "9999") if request.query_params.get("all") else (f"{first}", f"{last}")
        return [list_table("events", "Events", tables.events_between(filters, *period), query)]

    def page() -> Response:
        lines = tables.events_between(filters, f"{first}", f"{last}")
        later = tables.events_between(filters, f"{today}", "9999", COMING + len(lines))
        weeks = calendar.Calendar().monthdatescalendar(first.year, first.month)
        return pages.page(
            "events.html",
            month=first,
            weeks=[
                {day: [line for line in lines if _takes_place(line, day)] for day in week}
                for week in weeks
            ],
            before=first - timedelta(days=1),
            after=last + timedelta(days=1),
            name=month_names()[first.month],
            lines=lines,
            coming=[line for line in later if line not in lines][:COMING],
            past=tables.past_events(filters, f"{today}", COMING),
            today=today,
            forms=format_links(request),
            query=query_page_url(query),
        )

    return dataset_response(request, service, data, page)


def _first_day(request: Request, now: datetime) -> date:
    text = request.query_params.get("month") or f"{now:%Y-%m}"
    if not re.fullmatch(_MONTH, text, re.ASCII):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("The parameter month is a year and a month, such as 2026-05"),
        )
    return date.fromisoformat(f"{text}-01")


def _takes_place(event: ListItem, day: date) -> bool:
    """Return whether an event is on a day; one without a full date is on none."""
    begins, ends = (event.begins or "")[:_FULL_DATE], (event.ends or "")[:_FULL_DATE]
    if len(ends) < _FULL_DATE:
        ends = begins
    return len(begins) == _FULL_DATE and begins <= f"{day}" <= ends
