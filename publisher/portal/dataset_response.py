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
    stem = _stem(request)
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
    formats: dict[str, Format] = {**TABLE_FORMATS, "html": HTML}
    formats |= {"svg": SVG} if drawing is not None else {}
    suffix = _path(request).rpartition(".")[2] if _has_suffix(request) else None
    row = choose_format(request, formats, suffix, ResourceURLs(_stem(request)))
    body: bytes | Response
    if row is HTML:
        body = render()
        if body.status_code != HTTPStatus.OK:
            return body
    elif row is SVG and drawing is not None:
        body = standalone_svg(drawing)
    else:
        address = origin(request) + _stem(request)
        sheets = tables() if callable(tables) else tables
        body = serialize_tables(sheets, row, address, service.iris)
    links = [
        typed_link(
            "alternate", address, TABLE_FORMATS[address.partition("?")[0].rpartition(".")[2]].media
        )
        for _, address in format_links(request)
    ]
    return respond(request, body, row, links=links)


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


def _stem(request: Request) -> str:
    path = _path(request)
    stem, _, suffix = path.rpartition(".")
    named = stem if suffix in TABLE_FORMATS or suffix in ("svg", "html") else path
    return HOME if named == "/" else named


def _path(request: Request) -> str:
    """Return the raw path, since a percent-encoded slash does not begin a new segment."""
    return quote(
        request.scope.get("raw_path", b"").partition(b"?")[0] or request.url.path,
        safe="/%:@!$&'()*+,;=~-._",
    )


def _has_suffix(request: Request) -> bool:
    path = _path(request)
    return _stem(request) not in (path, HOME if path == "/" else "")
