"""Serve ``/trends``: the initiatives that begin in each year, by region, stakeholder, status and
goal.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.coverage import empty_chart_hint
from publisher.portal.dataset_response import (
    dataset_response,
    format_links,
    register_dataset,
)
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.facet_filters import active_filters, facet_parameters, parse_filters
from publisher.portal.facet_labels import facet_title
from publisher.portal.facet_panels import facet_panels, most_complete
from publisher.portal.findings import count_note
from publisher.portal.trends import count_trend
from web.problems import HTTPProblem

FACETS = ("region", "stakeholder", "status", "goal", "line", "source")
MAX_FIGURES = 3  # figures, of those with data
_BY: dict[str, object] = {
    "name": "by",
    "in": "query",
    "description": "The facet by whose values initiatives are counted; without it, all of these",
    "schema": {"type": "string", "enum": ["", *FACETS]},
}
# the default without a year
INSTEAD = (
    "goal",
    "line",
    "country",
    "type",
    "status",
    "language",
)


router = APIRouter()


@register_dataset(
    router,
    "/trends",
    "trends",
    "Count initiatives by the year in which they begin",
    [*facet_parameters(), _BY],
    drawn=True,
)
async def trends(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Draw how many initiatives begin in each year, by the facet of the parameter *by* or by each."""
    by = request.query_params.get("by", "")
    if by and by not in FACETS:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText("The parameter by is one of {names}", names=", ".join(FACETS)),
        )
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    counted = [
        await asyncio.to_thread(count_trend, tables, filters, facet, names)
        for facet in ([by] if by else FACETS)
    ]
    drawn = (
        counted
        if by
        else ([trend for trend in counted if trend.years] or counted[:1])[:MAX_FIGURES]
    )
    has_years = bool(drawn[0].years)
    others = (
        [] if has_years else await asyncio.to_thread(facet_panels, tables, filters, INSTEAD, names)
    )
    counts = tables.counts_once(filters)
    empty = [] if has_years else [name for name in ("year", by) if name and not counts.get(name)]

    def show() -> Response:
        return pages.page(
            "trends.html",
            active=active_filters(names),
            trends=drawn,
            missing=[empty_chart_hint(tables, filters, name) for name in empty],
            others=most_complete(others, 2),
            by=by,
            facets=FACETS,
            titles={name: facet_title(name) for name in FACETS},
            note=count_note(tables.count_different(filters)),
            forms=format_links(request, drawn=True),
        )

    sheets = [trend.table for trend in drawn]
    return await dataset_response(request, service, sheets, show, drawn[0].chart())
