"""Serve ``/embed/``, figures for the frames of other sites, and ``/oembed``, by which sites
discover them (https://oembed.com/).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import APIRouter, Path, Query
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.portal.coverage import coverage
from publisher.portal.data_table import TABLE_FORMATS, count_table, serialize_tables
from publisher.portal.dataset_response import SVG
from publisher.portal.embeds import BY_FACET, KINDS, PATH, THEMES, frame, is_embed
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels, figure_title, trend_title
from publisher.portal.facet_panels import facet_panel, query_page_url, sort_key
from publisher.portal.findings import count_note, map_title, matrix_title
from publisher.portal.map import country_map
from publisher.portal.matrix import Matrix, count_matrix, official_links
from publisher.portal.sources import source_titles
from publisher.portal.trends import count_trend
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.store.query_service import QueryService
from web.charts.svg import quantile_bounds, quantile_ranges, standalone_svg
from web.endpoints import blank_as, contents, get, problems, whole_number
from web.formats import Format
from web.links import origin, typed_link
from web.problems import HTTPProblem
from web.representation import Representation, build_response

OEMBED = "application/json+oembed"
_PARAMETERS = [
    *facet_parameters(),
    {
        "name": "theme",
        "in": "query",
        "description": "Colours; auto: those of the visitor",
        "schema": {"type": "string", "enum": [*THEMES]},
    },
]
ROWS = 300  # of a table

EmbedPath = Annotated[
    str,
    Path(
        description=f"{', '.join(KINDS)}; {', '.join(BY_FACET)} with a slash and a facet",
        examples=["bars/goal"],
    ),
]
Url = Annotated[str, Query(max_length=4_000, description="The address of an embed")]
Size = Annotated[int | None, Query(ge=1, le=10_000, description="Pixels, at most"), whole_number()]
FormatName = Annotated[
    str, Query(description="json; XML is not supported", max_length=20), blank_as("json")
]


class OembedJson(TypedDict):
    """An embed as oEmbed describes it: *html* is the frame."""

    version: str
    type: str
    title: str
    provider_name: str
    provider_url: str
    width: int
    height: int
    cache_age: int
    html: str


router = APIRouter()


@get(
    router,
    "/embed/{rest:path}",
    operation_id="embed",
    summary="Show a figure, a map, a table or a count for the frame of another site",
    tags=["find"],
    response_class=Response,
    response_description="A small page without scripts and cookies",
    responses=contents("text/html", *(row.media for row in (*TABLE_FORMATS.values(), SVG)))
    | problems(400, 404, 503),
    openapi_extra={"parameters": _PARAMETERS},
)
async def embed(
    request: Request, service: ServiceDep, pages: PagesDep, rest: EmbedPath
) -> Response:
    """Only these addresses may be framed by other sites."""
    kind, facet = _parse_path(rest)
    theme = _read_theme(request)
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    names = FacetLabels(service.iris, await source_titles(service))
    tables = require_facet_index(service)
    if kind == "matrix":
        matrix = await asyncio.to_thread(
            count_matrix, tables, filters, names, await official_links(service)
        )
        values = _matrix_figure(matrix)
    else:
        values = await asyncio.to_thread(_figure, tables, kind, facet, filters, names)
    if row := {**TABLE_FORMATS, "svg": SVG}.get(request.query_params.get("format", "")):
        return await _as_data(request, service, values, row)
    address = (
        f"{origin(request)}{request.url.path}{f'?{request.url.query}' if request.url.query else ''}"
    )
    narrowed = [
        names.short(name, code)
        for name, codes in filters.chosen
        if name != "kind"
        for code in codes
    ]
    oembed = f"/oembed?url={quote(address, safe='')}"
    page = pages.page(
        "embed.html",
        kind=kind,
        theme=theme,
        narrowed=narrowed,
        oembed=oembed,
        site=origin(request),
        note=count_note(tables.count_different(filters)),
        **values,
    )
    links = [typed_link("alternate", oembed, OEMBED)]
    return build_response(
        request, Representation(bytes(page.body), "text/html; charset=utf-8", links=links)
    )


@get(
    router,
    "/oembed",
    operation_id="oembed",
    summary="Describe an embed by oEmbed 1.0",
    tags=["find"],
    response_model=OembedJson,
    response_description="The frame",
    responses=problems(400, 404, 501),
)
async def oembed(
    request: Request,
    pages: PagesDep,
    url: Url,
    maxwidth: Size = None,
    maxheight: Size = None,
    format: FormatName = "json",
) -> Response:
    """Editors of other sites turn a pasted address into a frame by it."""
    if format != "json":  # oEmbed, section 2.3.5: 501 for a format that the provider does not have
        status = HTTPStatus.NOT_IMPLEMENTED if format == "xml" else HTTPStatus.BAD_REQUEST
        raise HTTPProblem(status, TranslatableText("Only the format json is supported"))
    host = origin(request)
    try:
        parts = urlsplit(url)
    except ValueError:  # an unclosed bracket of an IPv6 address
        parts = urlsplit("")
    if f"{parts.scheme}://{parts.netloc}" != host or not parts.path.startswith(f"{PATH}/"):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "The parameter url must be an address under {address}/", address=host + PATH
            ),
        )
    kind, facet = _parse_path(unquote(parts.path.removeprefix(f"{PATH}/")))
    parse_filters(QueryParams(parts.query))
    iframe = frame(
        parts._replace(fragment="").geturl(), _title(kind, facet), kind, maxwidth, maxheight
    )
    document = OembedJson(
        version="1.0",
        type="rich",
        title=iframe.title,
        provider_name=pages.branding.name,
        provider_url=f"{host}/",
        width=iframe.width,
        height=iframe.height,
        cache_age=3600,
        html=iframe.html,
    )
    return JSONResponse(document)


async def _as_data(
    request: Request, service: QueryService, values: dict[str, Any], row: Format
) -> Response:
    """Return the numbers of an embed, or its drawing, as a file."""
    if row is SVG:
        if values.get("drawing") is None:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND,
                TranslatableText(
                    "Only maps, trends and the matrix are drawings; ask for format=csv"
                ),
            )
        return build_response(request, Representation(standalone_svg(values["drawing"]), row.media))
    page = f"{origin(request)}{request.url.path}"
    body = await asyncio.to_thread(serialize_tables, [values["sheet"]], row, page, service.iris)
    return build_response(request, Representation(body, row.media))


def _read_theme(request: Request) -> str:
    theme = request.query_params.get("theme", "") or THEMES[0]
    if theme not in THEMES:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The parameter theme is one of {names}, not {value}",
                names=", ".join(THEMES),
                value=repr(theme[:20]),
            ),
        )
    return theme


def _parse_path(rest: str) -> tuple[str, str]:
    kind, _slash, facet = rest.partition("/")
    if not is_embed(kind, facet):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "There is no embed {path}; there are count, map, matrix, bars/FACET, table/FACET and trend/FACET, such as bars/goal",
                path=repr(rest[:60]),
            ),
        )
    return kind, facet


def _title(kind: str, facet: str) -> str:
    if kind == "trend":
        return trend_title(facet)
    if facet:
        return figure_title(facet)
    return {
        "count": _("Initiatives"),
        "map": _("World map: initiatives by country"),
        "matrix": _("WSIS–SDG matrix"),
    }[kind]


def _matrix_figure(matrix: Matrix) -> dict[str, Any]:
    """Return what the template shows of the matrix."""
    query, ranges = query_page_url(matrix.query), matrix.ranges
    figure = {
        "drawing": matrix.chart(),
        "series": (),
        "ranges": ranges,
        "rows": (),
        "query": query,
        "sheet": matrix.table(),
    }
    return {"title": _title("matrix", ""), "finding": matrix_title(matrix), **figure}


def _figure(
    tables: FacetIndex, kind: str, facet: str, filters: Filter, names: FacetLabels
) -> dict[str, Any]:
    """Return what the template shows of an embed: its title and finding, its query, and its numbers
    or its drawing.
    """
    values: dict[str, Any] = {
        "title": _title(kind, facet),
        "finding": "",
        "drawing": None,
        "series": (),
        "ranges": (),
        "rows": (),
    }
    if kind == "count":
        total = tables.count_different(filters)
        text = filter_query.total(filters, names.iris, has_parts=tables.has_parts)
        sheet = count_table("count", values["title"], (), ((total,),), text)
        return values | {"total": total, "query": query_page_url(text), "sheet": sheet}
    if kind == "map":
        return values | _map_figure(tables, filters, names)
    if kind == "trend":
        trend = count_trend(tables, filters, facet, names)
        return values | {
            "finding": trend.finding,
            "drawing": trend.chart() if trend.years else None,
            "series": [*trend.series],
            "query": trend.query,
            "sheet": trend.table,
        }
    return values | _ranking(tables, facet, filters, names)


def _map_figure(tables: FacetIndex, filters: Filter, names: FacetLabels) -> dict[str, Any]:
    counts = tables.counts_once(filters).get("country", {})
    panel = facet_panel(tables, "country", counts, filters, names)
    return {
        "finding": map_title(counts, names, coverage(tables, filters, "country").part),
        "drawing": country_map(tables, filters, names),
        "ranges": quantile_ranges(quantile_bounds(counts.values())),
        "query": panel.query,
        "sheet": panel.table,
    }


def _ranking(tables: FacetIndex, facet: str, filters: Filter, names: FacetLabels) -> dict[str, Any]:
    """Return the values of a facet that most initiatives have, for bars and tables."""
    counts = tables.counts_once(filters).get(facet, {})
    panel = facet_panel(tables, facet, counts, filters, names)
    ranked = sorted(counts.items(), key=lambda pair: sort_key(facet, *pair))
    return {
        "finding": panel.finding,
        "panel": panel,
        "rows": [(names.short(facet, code), things) for code, things in ranked[:ROWS]],
        "query": panel.query,
        "sheet": panel.table,
    }
