"""Respond with a description in the negotiated format, with its links and validators."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NotRequired

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.history.versions import read_history
from publisher.linked_data.jsonld import plain_json
from publisher.store.descriptions import Description, serialize_description
from publisher.store.query_service import QueryService
from web.endpoints import Documentation, WebAddress
from web.formats import FORMATS, GRAPHS, HTML, JSON, Format
from web.links import Link
from web.representation import (
    Representation,
    ResourceURLs,
    build_response,
    is_negotiated,
    negotiate_format,
)

DescriptionJson = TypedDict(
    "DescriptionJson",
    {"@context": WebAddress, "id": WebAddress, "type": NotRequired[str | list[str]]},
)
DescriptionJson.__doc__ = (
    "Nested JSON with texts by language. Its context makes it JSON-LD, with the same triples."
)
GONE: Documentation = {
    410: {
        "model": DescriptionJson,
        "description": "Deleted at its source: what it was, since when and why",
    }
}
RenderPage = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Resource:
    """A described resource at *urls*; *graph* is the graph with all of its data, "" if there are
    several.

    *plain* is its JSON if that does not follow our context.
    """

    description: Description
    urls: ResourceURLs
    status: HTTPStatus = HTTPStatus.OK
    graph: str = ""
    links: tuple[Link, ...] = ()
    plain: bytes | None = None


async def respond(
    request: Request,
    service: QueryService,
    resource: Resource,
    suffix: str | None,
    render_page: RenderPage,
) -> Response:
    """Return *resource* in the negotiated format; *render_page* renders its page."""
    data_format = negotiate_format(request, resource.urls, suffix)
    negotiated = is_negotiated(request, suffix)
    if data_format is HTML:
        body = bytes((await render_page()).body)
    else:
        body = (
            resource.plain
            if data_format is JSON and resource.plain is not None
            else serialize(resource.description, data_format, service)
        )
    headers = {"Content-Location": resource.urls.form(data_format)} if negotiated else {}
    modified = await _last_modified(service, "" if data_format is HTML else resource.graph)
    links = (*resource.links, *resource.urls.alternates(rows=other_formats(data_format)))
    return build_response(
        request,
        Representation(
            body, data_format.media, resource.status, modified, negotiated, links, headers
        ),
    )


def serialize(description: Description, data_format: Format, service: QueryService) -> bytes:
    """Serialize *description* in *data_format*."""
    return (
        plain_json(description, service.iris)
        if data_format is JSON
        else serialize_description(description, GRAPHS[data_format.suffix])
    )


def other_formats(data_format: Format, rows: Iterable[Format] = FORMATS.values()) -> list[Format]:
    """Return the other formats."""
    return [candidate for candidate in rows if candidate is not data_format]


async def _last_modified(service: QueryService, graph: str) -> int | None:
    """Return when *graph* last changed; for "", when anything in the snapshot did. None if unknown."""
    if not graph:
        modified = service.current.modified
        return modified if 0 < modified < int(time.time()) else None
    changes = await read_history(service, graph)
    return changes[-1].time if changes else None
