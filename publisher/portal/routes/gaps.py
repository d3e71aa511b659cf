"""Serve ``/gaps``: topics without initiatives."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.data_table import Column, DataTable
from publisher.portal.dataset_response import (
    dataset_response,
    format_links,
    register_dataset,
)
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_panels import query_page_url
from publisher.portal.gaps import find_gaps, unsupported_links
from publisher.portal.matrix import count_matrix, official_links

_LINKS = (Column("line", "line"), Column("goal", "goal"), Column("official"), Column("things"))


router = APIRouter()


@register_dataset(
    router,
    "/gaps",
    "gaps",
    "List action lines, goals and countries for which nothing is reported",
    facet_parameters(),
)
async def gaps(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Links between action lines and goals of the official matrix that no initiative has are a
    table too.
    """
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    missing = await asyncio.to_thread(find_gaps, tables, filters, names)
    whole = await asyncio.to_thread(
        count_matrix, tables, filters, names, await official_links(service)
    )
    pairs = unsupported_links(whole)
    sheet = DataTable(
        "links",
        "Official links without any initiative",
        _LINKS,
        tuple((*pair, 0) for pair in pairs),
        whole.query,
    )

    def show() -> Response:
        query, forms = query_page_url(whole.query), format_links(request)
        return pages.page(
            "gaps.html", gaps=missing, pairs=pairs, names=names, query=query, forms=forms
        )

    return await dataset_response(request, service, [*(gap.table for gap in missing), sheet], show)
