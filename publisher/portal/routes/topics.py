"""Serve ``/topics``: action lines, goals, regions and countries, each with its number of
initiatives.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.dataset_response import (
    dataset_response,
    format_links,
    register_dataset,
)
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.facet_panels import facet_panels
from publisher.portal.findings import count_note
from publisher.projections.facets.filter_query import make_filter

FACETS = ("line", "goal", "region", "country")
_LISTS = {
    "line": "/scheme/action-line",
    "goal": "/scheme/sdg",
    "region": "/scheme/itu-region",
    "country": "/scheme/area",
}


router = APIRouter()


@register_dataset(
    router, "/topics", "topics", "Count initiatives by action line, goal, region and country"
)
async def topics(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """List the values of each facet with their numbers of initiatives."""
    initiatives = make_filter(kind="initiative")
    panels = await asyncio.to_thread(facet_panels, tables, initiatives, FACETS, names)
    titles = {
        "line": _("Action lines"),
        "goal": _("SDGs"),
        "region": _("Regions"),
        "country": _("Countries"),
    }

    def show() -> Response:
        return pages.page(
            "topics.html",
            panels=panels,
            titles=titles,
            lists=_LISTS,
            note=count_note(tables.count_different(initiatives)),
            forms=format_links(request),
        )

    return await dataset_response(request, service, [panel.table for panel in panels], show)
