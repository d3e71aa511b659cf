"""The figures of one concept, organization or registry as tables with their queries; its page shows
them as charts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from languages.translations import TranslatableText
from publisher.dependencies import ServiceDep
from publisher.portal.data_lists import write_listed
from publisher.portal.data_table import TABLE_FORMATS, FiguresJson
from publisher.portal.dataset_response import dataset_response
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.entity_statistics import PARTY, entity_filter, statistics_tables
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from web.endpoints import get, known_parameters, other_contents, path_segments, problems, redirects
from web.problems import HTTPProblem

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
def figures(
    request: Request,
    service: ServiceDep,
    tables: TablesDep,
    names: NamesDep,
    rest: Annotated[
        str,
        Path(
            description="A facet and a code, and the suffix of a format", examples=["goal/3.json"]
        ),
    ],
    rows: Annotated[
        Literal["initiatives"] | None,
        Query(description="The initiatives themselves, as CSV, instead of their numbers"),
    ] = None,
) -> Response:
    """A browser is redirected to the page that shows the same as charts."""
    facet, *code = _without_suffix(path_segments(request) or [""])
    bases = parse_filters(request.query_params).bases
    filters = entity_filter(facet, "/".join(code), bases, service.iris)
    if not code or filters is None or not _known(tables, filters, names):
        facets = [*(facet.name for facet in FACETS.values() if facet.scheme), "source", PARTY]
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "There are no figures at this address; use /figures/FACET/CODE, where FACET is one of {known}",
                known=", ".join(facets),
            ),
        )
    if rows:
        filters = filters.with_codes("kind", "initiative")
        lines = write_listed(tables, filters, "title", service.iris)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8")
    page, varies = _page(filters, names), {"Vary": "Accept"}
    return dataset_response(
        request,
        service,
        lambda: statistics_tables(tables, filters, names),
        lambda: RedirectResponse(page, HTTPStatus.SEE_OTHER, varies),
    )


def _known(tables: FacetIndex, filters: Filter, names: FacetLabels) -> bool:
    """Return whether the things that *filters* refers to exist."""
    if filters.party:
        return bool(tables.organization_names((filters.party,)))
    ((facet, (code,)),) = filters.chosen
    return names.name(facet, code) != code or code in names.sources


def _without_suffix(parts: list[str]) -> list[str]:
    """Return the segments of a path without the suffix of a format; a code may contain a dot."""
    stem, dot, suffix = parts[-1].rpartition(".")
    return [*parts[:-1], stem] if dot and suffix in (*TABLE_FORMATS, "html") else parts


def _page(filters: Filter, names: FacetLabels) -> str:
    if filters.party:
        return "/page/" + filters.party.removeprefix(f"{names.iris.base}id/")
    ((facet, (code,)),) = filters.chosen
    return names.page(facet, code)
