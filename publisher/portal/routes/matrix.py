"""The counts of the heat map as data and as a drawing; `/matrix` shows them with the official
matrix.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.dependencies import ServiceDep, require_facet_index
from publisher.portal.dataset_response import dataset_response, register_dataset
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.matrix import count_matrix, official_links

router = APIRouter()


@register_dataset(
    router,
    "/matrix/counts",
    "matrixCounts",
    "Count initiatives by action line and goal",
    facet_parameters(),
    drawn=True,
)
async def counts(request: Request, service: ServiceDep) -> Response:
    """The page is `/matrix`."""
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    tables, official = require_facet_index(service), await official_links(service)
    matrix = await asyncio.to_thread(
        count_matrix, tables, filters, FacetLabels(service.iris), official
    )
    return await dataset_response(
        request, service, [matrix.table()], lambda: RedirectResponse("/matrix", 303), matrix.chart()
    )
