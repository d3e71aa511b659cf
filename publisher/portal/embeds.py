"""Serve ``/embed/``, figures for the frames of other sites, and ``/oembed``, by which sites
discover them (https://oembed.com/).
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote, unquote, urlsplit

import orjson
from fastapi import APIRouter, Path, Query
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.pages import PagesDep
from publisher.portal.datasets import SVG, TABLE_FORMATS, serialize_tables
from publisher.portal.facet_filters import (
    FiguresDep,
    chosen_codes,
    facet_parameters,
    parse_filters,
)
from publisher.portal.figures import EMBED, FIGURES, Figure
from web.charts import standalone_svg
from web.endpoints import blank_as, contents, get, problems, whole_number
from web.respond import HTML, JSON, origin, require, respond, typed_link

BY_FACET = ("bars", "table", "trend")  # kinds whose addresses end with a facet
# The height of a frame in pixels, by kind of figure.
HEIGHTS = {"count": 160, "bars": 520, "table": 480, "trend": 480, "map": 460, "matrix": 620}
WIDTH, SMALLEST = 640, 120  # pixels: the default width of a frame, and its least width and height
ROWS = 300  # the most rows of a table
EmbedPath = Annotated[
    str,
    Path(
        description=f"{', '.join(HEIGHTS)}; {', '.join(BY_FACET)} with a slash and a facet",
        examples=["bars/goal"],
    ),
]
Size = Annotated[int | None, Query(ge=1, le=10_000, description="Pixels, at most"), whole_number()]


router = APIRouter()


@get(
    router,
    "/embed/{rest:path}",
    operation_id="embed",
    summary="Show a figure, a map, a table or a count for the frame of another site",
    tags=["find"],
    response_class=Response,
    response_description="A small page without scripts and cookies",
    responses=contents("text/html", *(item.media for item in (*TABLE_FORMATS.values(), SVG)))
    | problems(400, 404, 503),
    openapi_extra={"parameters": facet_parameters()},
)
def embed(
    request: Request,
    pages: PagesDep,
    figures: FiguresDep,
    rest: EmbedPath,
    theme: Annotated[
        Literal["auto", "light", "dark"],
        Query(description="Colours; auto: those of the visitor"),
        blank_as("auto"),
    ] = "auto",
) -> Response:
    """Only these addresses may be framed by other sites."""
    form = request.query_params.get("format", "")
    view, page = figures[_find_figure(rest).key], f"{origin(request)}{request.url.path}"
    if form == "svg":
        require(
            view.drawing is not None,
            TranslatableText("Only maps, trends and the matrix are drawings; ask for format=csv"),
        )
        return respond(request, standalone_svg(view.drawing), SVG)
    if table := TABLE_FORMATS.get(form):
        return respond(request, serialize_tables([view.table], table, page, pages.iris), table)
    address = f"{page}{f'?{request.url.query}' if request.url.query else ''}"
    oembed = f"/oembed?url={quote(address, safe='')}"
    text = pages.page(
        "embed.html",
        kind=rest.partition("/")[0],
        theme=theme,
        figure=view,
        filters=[figures.names.short(*pair) for pair in chosen_codes(figures.filters)],
        oembed=oembed,
        site=origin(request),
        note=figures.note,
        most=ROWS,
    )
    return respond(
        request, text, HTML, links=[typed_link("alternate", oembed, "application/json+oembed")]
    )


@get(
    router,
    "/oembed",
    operation_id="oembed",
    summary="Describe an embed by oEmbed 1.0",
    tags=["find"],
    response_description="The frame",
    responses=contents(json="OembedJson") | problems(400, 404, 501),
)
def oembed(
    request: Request,
    pages: PagesDep,
    url: Annotated[str, Query(max_length=4_000, description="The address of an embed")],
    maxwidth: Size = None,
    maxheight: Size = None,
    format: Annotated[
        str, Query(description="json; XML is not supported", max_length=20), blank_as("json")
    ] = "json",
) -> Response:
    """Other sites turn a pasted address into a frame with it."""
    # oEmbed, section 2.3.5: the status is 501 for a format that the provider does not have.
    require(
        format == "json",
        TranslatableText("Only the format json is supported"),
        HTTPStatus.NOT_IMPLEMENTED if format == "xml" else HTTPStatus.BAD_REQUEST,
    )
    host = origin(request)
    require(
        url.startswith(f"{host}{EMBED}/"),
        TranslatableText(
            "The parameter url must be an address under {address}/", address=host + EMBED
        ),
    )
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix(f"{EMBED}/"))
    title, tallest = _find_figure(path).title, HEIGHTS[path.partition("/")[0]]
    parse_filters(QueryParams(parts.query))
    width = max(SMALLEST, min(maxwidth or WIDTH, WIDTH))
    height = max(SMALLEST, min(maxheight or tallest, tallest))
    address = parts._replace(fragment="").geturl()
    style = f"border:0;width:100%;max-width:{width}px;height:{height}px;resize:both;overflow:auto"
    frame = (
        f'<iframe src="{escape(address)}" title="{escape(title)}" width="{width}" height="{height}" '
        f'style="{style}" loading="lazy" referrerpolicy="no-referrer"></iframe>'
    )
    return respond(
        request,
        orjson.dumps(
            {
                "version": "1.0",
                "type": "rich",
                "title": title,
                "provider_name": pages.branding.name,
                "provider_url": f"{host}/",
                "width": width,
                "height": height,
                "cache_age": 3600,
                "html": frame,
            }
        ),
        JSON,
    )


def _find_figure(path: str) -> Figure:
    """Return the figure of an embed; a table has the numbers of bars."""
    kind, slash, facet = path.partition("/")
    key = f"bars/{facet}" if kind == "table" and slash else path
    require(
        kind in HEIGHTS and key in FIGURES,
        TranslatableText(
            "There is no embed {path}; there are count, map, matrix, bars/FACET, table/FACET and trend/FACET, such as bars/goal",
            path=repr(path[:60]),
        ),
    )
    return FIGURES[key]
