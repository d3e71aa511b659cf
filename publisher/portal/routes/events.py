"""Serve ``/events``: a month as a calendar and as a list. Programs subscribe to the calendar feed."""

from __future__ import annotations

import asyncio
from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText, month_names
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.portal.calendar import Month, parse_month, with_events
from publisher.portal.data_lists import list_table
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_panels import query_page_url
from publisher.projections.facets.filter_query import listing
from web.page_cache import MINUTE, keep_for
from web.problems import HTTPProblem

COMING = 20  # events that are listed next to the month


_EVENT_PARAMETERS: list[dict[str, object]] = [
    {
        "name": "month",
        "in": "query",
        "description": "A year and a month; without it, the current one",
        "schema": {"type": "string", "pattern": r"^[12]\d{3}-(0[1-9]|1[0-2])$"},
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
    [*facet_parameters(), *_EVENT_PARAMETERS],
)
async def events(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """`/feeds/events.ics` is the calendar to subscribe to."""
    tables = require_facet_index(service)
    filters = parse_filters(request.query_params).with_codes("kind", "event")
    keep_for(MINUTE)  # it shows what takes place from today on
    month, today = _month(request, service.now()), service.now().date()
    lines = await asyncio.to_thread(tables.events_between, filters, month.first, month.last)
    after = await asyncio.to_thread(
        tables.events_between, filters, f"{today}", "9999", COMING + len(lines)
    )
    coming = [line for line in after if line not in lines][:COMING]
    past = await asyncio.to_thread(tables.past_events, filters, f"{today}", COMING)
    text = listing(filters, service.iris)
    whole = (
        await asyncio.to_thread(tables.events_between, filters, "0000", "9999")
        if request.query_params.get("all")
        else lines
    )

    def show() -> Response:
        return pages.page(
            "events.html",
            month=with_events(month, lines),
            name=month_names()[month.number],
            lines=lines,
            coming=coming,
            past=past,
            today=today,
            forms=format_links(request),
            query=query_page_url(text),
        )

    return await dataset_response(
        request, service, [list_table("events", "Events", whole, text)], show
    )


def _month(request: Request, now: datetime) -> Month:
    text = request.query_params.get("month") or f"{now:%Y-%m}"
    try:
        return parse_month(text)
    except ValueError as error:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("The parameter month is a year and a month, such as 2026-05"),
        ) from error
