"""Respond with tables in the requested format: the page, JSON, CSV, RDF, or the drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from publisher.portal.data_table import (
    TABLE_FORMATS,
    DataTable,
    FiguresJson,
    serialize_tables,
)
from publisher.store.query_service import QueryService
from web.charts.svg import standalone_svg
from web.endpoints import (
    EndpointT,
    declared_parameters,
    get,
    known_parameters,
    other_contents,
    problems,
)
from web.formats import HTML, Format
from web.links import origin, typed_link
from web.respond import ResourceURLs, choose_format, respond

HOME = "/home"  # path of the front page's data
SVG = Format("svg", "SVG", "image/svg+xml")


def format_links(request: Request, drawn: bool = False) -> list[tuple[str, str]]:
    """Return the other formats of a page: label and URL."""
    stem, _suffix = _split_address(request)
    names = declared_parameters(request) - {"format", "lang"}
    parameters = {
        name: value for name, value in request.query_params.items() if name in names and value
    }
    tail = f"?{urlencode(parameters)}" if parameters else ""
    return [
        (row.label, f"{stem}.{row.suffix}{tail}")
        for row in (*TABLE_FORMATS.values(), *([SVG] if drawn else []))
    ]


def dataset_response(
    request: Request,
    service: QueryService,
    tables: Sequence[DataTable] | Callable[[], Sequence[DataTable]],
    render: Callable[[], Response],
    drawing: Markup | None = None,
) -> Response:
    """Return *tables* in the requested format; *render* returns the page, or where it is.
    *drawing* is what the format SVG has.
    """
    stem, suffix = _split_address(request)
    formats = {**TABLE_FORMATS, "html": HTML} | ({} if drawing is None else {"svg": SVG})
    row = choose_format(request, formats, suffix, ResourceURLs(stem))
    content: Response | bytes
    if row is HTML:
        content = render()
        if content.status_code != HTTPStatus.OK:
            return content
    elif row is SVG and drawing is not None:
        content = standalone_svg(drawing)
    else:
        sheets = tables() if callable(tables) else tables
        content = serialize_tables(sheets, row, origin(request) + stem, service.iris)
    links = [
        typed_link("alternate", address, one.media)
        for one, (_label, address) in zip(
            TABLE_FORMATS.values(), format_links(request), strict=True
        )
    ]
    return respond(request, content, row, links=links)


def register_dataset(
    router: APIRouter,
    path: str,
    operation_id: str,
    summary: str,
    parameters: Sequence[dict[str, object]] = (),
    drawn: bool = False,
) -> Callable[[EndpointT], EndpointT]:
    """Register an endpoint that returns ``dataset_response`` at *path*, and at *path* with the
    suffix of a format.

    Only the address with a suffix is described. *parameters*: as OpenAPI describes them; *drawn*:
    there is an SVG too.
    """
    formats = (*TABLE_FORMATS.values(), *([SVG] if drawn else []))

    def register(endpoint: EndpointT) -> EndpointT:
        described = {"parameters": list(parameters)}
        get(router, path, include_in_schema=False, openapi_extra=described)(endpoint)
        get(
            router,
            f"{HOME if path == '/' else path}.{{suffix}}",
            operation_id=operation_id,
            summary=summary,
            tags=["find"],
            dependencies=[Depends(suffix_parameter), Depends(known_parameters)],
            response_model=FiguresJson,
            response_description="The numbers",
            responses=other_contents(formats) | problems(400, 404, 406, 503),
            openapi_extra=described,
        )(endpoint)
        return endpoint

    return register


async def suffix_parameter(
    suffix: Annotated[
        str, Path(description="The format", json_schema_extra={"enum": list(TABLE_FORMATS)})
    ],
) -> None:
    """Declare the parameter; ``dataset_response`` reads it from the raw path, and answers 406 for
    an unknown format.
    """


def _split_address(request: Request) -> tuple[str, str | None]:
    """Return the raw path without the suffix of a format, and the suffix. A percent-encoded slash
    does not begin a new segment.
    """
    raw = request.scope.get("raw_path", b"").partition(b"?")[0] or request.url.path
    path = quote(raw, safe="/%:@!$&'()*+,;=~-._")
    stem, _dot, suffix = path.rpartition(".")
    if suffix in (*TABLE_FORMATS, "svg", "html"):
        return stem, suffix
    return HOME if path == "/" else path, None
