"""The figures of one concept, organization or registry as tables with their queries; its page shows
them as charts.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from languages.translations import TranslatableText
from publisher.dependencies import ServiceDep, require_facet_index
from publisher.portal.data_lists import write_listed
from publisher.portal.data_table import TABLE_FORMATS, FiguresJson
from publisher.portal.dataset_response import dataset_response
from publisher.portal.entity_statistics import PARTY, entity_filter, statistics_tables
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.sources import source_titles
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.store.query_service import QueryService
from web.endpoints import get, known_parameters, other_contents, problems, redirects
from web.negotiation import wants_html
from web.paths import path_segments
from web.problems import HTTPProblem

EntityPath = Annotated[
    str,
    Path(description="A facet and a code, and the suffix of a format", examples=["goal/3.json"]),
]

Rows = Annotated[
    Literal["initiatives"] | None,
    Query(description="The initiatives themselves, as CSV, instead of their numbers"),
]

router = APIRouter()


@get(
    router,
    "/figures/{rest:path}",
    operation_id="figures",
    dependencies=[Depends(known_parameters)],
    summary="Return the numbers of a concept, an organization or a registry",
    tags=["find"],
    response_model=FiguresJson,
    response_description="The numbers",
    responses=other_contents(TABLE_FORMATS.values())
    | redirects(303)
    | problems(400, 404, 406, 503),
    openapi_extra={"parameters": facet_parameters()},
)
async def figures(
    request: Request, service: ServiceDep, rest: EntityPath, rows: Rows = None
) -> Response:
    """A browser is redirected to the page that shows the same as charts."""
    (facet, *code), suffix = _split_suffix(path_segments(request) or [""])
    names = FacetLabels(service.iris, await source_titles(service))
    filters = entity_filter(
        facet, "/".join(code), parse_filters(request.query_params).bases, service.iris
    )
    if not code or filters is None or not _known(service, filters, names):
        known = ", ".join(
            [*(facet.name for facet in FACETS.values() if facet.scheme), "source", PARTY]
        )
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "There are no figures at this address; use /figures/FACET/CODE, where FACET is one of {known}",
                known=known,
            ),
        )
    if rows:
        filters = filters.with_codes("kind", "initiative")
        lines = write_listed(require_facet_index(service), filters, "title", service.iris)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8")
    if suffix == "html" or (
        not suffix and "format" not in request.query_params and _for_people(request)
    ):
        return RedirectResponse(_page(filters, names), HTTPStatus.SEE_OTHER, {"Vary": "Accept"})
    tables = statistics_tables(require_facet_index(service), filters, names)
    return await asyncio.to_thread(dataset_response, request, service, tables, Response)


def _known(service: QueryService, filters: Filter, names: FacetLabels) -> bool:
    """Return whether the things that *filters* refers to exist."""
    if filters.party:
        return bool(require_facet_index(service).organization_names((filters.party,)))
    ((facet, (code,)),) = filters.chosen
    return names.name(facet, code) != code or code in names.sources


def _split_suffix(parts: list[str]) -> tuple[list[str], str]:
    """Split the format suffix from the last segment of a path; a code may contain a dot."""
    stem, dot, suffix = parts[-1].rpartition(".")
    return (
        ([*parts[:-1], stem], suffix)
        if dot and (suffix in TABLE_FORMATS or suffix == "html")
        else (parts, "")
    )


def _for_people(request: Request) -> bool:
    return wants_html(request.headers.get("accept"), TABLE_FORMATS.values())


def _page(filters: Filter, names: FacetLabels) -> str:
    if filters.party:
        return "/page/" + filters.party.removeprefix(f"{names.iris.base}id/")
    ((facet, (code,)),) = filters.chosen
    return names.page(facet, code)
