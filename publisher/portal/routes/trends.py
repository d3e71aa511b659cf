"""How many initiatives begin in each year, by region, by stakeholder, by status and by goal."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.problems import HTTPProblem
from publisher.pages.dataset_response import dataset_response, format_links, register_dataset, require_facet_index
from publisher.pages.templating import Pages
from publisher.portal.coverage import empty_chart_hint
from publisher.portal.facet_filters import active_filters, facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.facet_panels import facet_panels, most_complete
from publisher.portal.sources import source_titles
from publisher.portal.trends import count_trend
from publisher.store.query_service import QueryService

FACETS = ("region", "stakeholder", "status", "goal", "line", "source")
SHOWN = 3  # figures, of those that have something
_BY: dict[str, object] = {
    "name": "by",
    "in": "query",
    "description": "The facet by whose values initiatives are counted; without it, all of these",
    "schema": {"type": "string", "enum": ["", *FACETS]},
}
INSTEAD = ("goal", "line", "country", "type", "status", "language")  # what is shown where no year is named


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the trends."""
    routes = APIRouter()

    async def trends(request: Request) -> Response:
        by = request.query_params.get("by", "")
        if by and by not in FACETS:
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter by is one of {', '.join(FACETS)}")
        names, filters = (
            FacetLabels(service.iris, await source_titles(service)),
            parse_filters(request.query_params).with_codes("kind", "initiative"),
        )
        made = [
            await asyncio.to_thread(count_trend, require_facet_index(service), filters, facet, names) for facet in ([by] if by else FACETS)
        ]
        made = made if by else ([filters for filters in made if filters.years] or made[:1])[:SHOWN]
        others = (
            []
            if made[0].years
            else most_complete(await asyncio.to_thread(facet_panels, require_facet_index(service), filters, INSTEAD, names), 2)
        )

        counts = require_facet_index(service).counts(filters)
        empty = [] if made[0].years else [empty_chart_hint(name) for name in ("year", by) if name and not counts.get(name)]

        def show() -> Response:
            return pages.page(
                "trends.html",
                active=active_filters(names),
                trends=made,
                missing=empty,
                others=others,
                by=by,
                facets=FACETS,
                titles={name: facet_title(name) for name in FACETS},
                forms=format_links(request, drawn=True),
            )

        return await dataset_response(request, service, [filters.table for filters in made], show, made[0].chart())

    summary = "Count initiatives by the year in which they begin"
    register_dataset(routes, "/trends", "trends", summary, [*facet_parameters(), _BY], drawn=True)(trends)
    return routes
