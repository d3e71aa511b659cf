"""The earlier interface of ``web.respond``, for routes that are not moved to it yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from web import respond
from web.formats import FORMATS, HTML, Format
from web.links import Link
from web.negotiation import FormatT
from web.respond import REVALIDATED, ResourceURLs

__all__ = ["REVALIDATED", "ResourceURLs"]


@dataclass(frozen=True, slots=True)
class Representation:
    """A response body with its metadata."""

    body: bytes
    media: str
    status: HTTPStatus = HTTPStatus.OK
    modified: int | None = None
    negotiated: bool = False
    links: Iterable[Link] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def negotiate_format(request: Request, urls: ResourceURLs, suffix: str | None) -> Format:
    """Choose among all formats."""
    return respond.choose_format(request, FORMATS, suffix, urls)


def negotiate_data_format(
    request: Request, formats: Mapping[str, FormatT], suffix: str | None
) -> FormatT | None:
    """Choose among *formats* and the page, which is None."""
    rows: dict[str, Format] = {**formats, "html": HTML}
    return formats.get(respond.choose_format(request, rows, suffix).suffix)


def is_negotiated(request: Request, suffix: str | None) -> bool:
    """Return whether Accept decides the format, and neither suffix nor parameter."""
    return not suffix and "format" not in request.query_params


def build_response(request: Request, item: Representation) -> Response:
    """Return a response."""
    request.state.is_negotiated = item.negotiated
    return respond.respond(
        request,
        item.body,
        item.media,
        status=item.status,
        modified=item.modified,
        links=item.links,
        headers=item.headers,
    )


def see_other(
    request: Request, path: str, links: Iterable[Link] = (), vary: str = "Accept"
) -> Response:
    """Redirect."""
    request.state.is_negotiated = bool(vary)
    return respond.see_other(request, path, links)
