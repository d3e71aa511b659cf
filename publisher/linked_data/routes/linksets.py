"""``/linkset/``: all links of a thing's page, data and contents at one address.

Sources: https://signposting.org/FAIR/ (level 2), https://www.rfc-editor.org/rfc/rfc9264.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.linked_data.signposting import SignpostedThing, linkset
from publisher.linked_data.thing_lookup import ThingDocument, find_thing
from publisher.store.query_service import QueryService
from web.endpoints import Documentation, contents, get, problems
from web.formats import Format
from web.links import LINKSET_JSON, LINKSET_TEXT, linkset_json, linkset_text, origin
from web.negotiation import best_match
from web.paths import parse_thing_path, path_segments
from web.problems import HTTPProblem
from web.representation import Representation, build_response

_FORMATS = {
    "json": Format("json", "JSON", LINKSET_JSON, ("application/json",)),
    "txt": Format("txt", "text", LINKSET_TEXT, ("text/plain",)),
}
_CONTENT = contents(LINKSET_JSON, LINKSET_TEXT)[200]
_GONE: Documentation = {
    410: {**_CONTENT, "description": "The links of a thing that is deleted at its source"}
}


ThingPath = Annotated[
    str,
    Path(
        description="Kind, registry and key of a thing, with or without the suffix `.json` or `.txt`"
    ),
]

router = APIRouter()


@get(
    router,
    "/linkset/{rest:path}",
    operation_id="linkset",
    summary="Return all links of a thing's page, data and contents",
    tags=["read"],
    response_class=Response,
    response_description="A link set (RFC 9264)",
    responses=contents(LINKSET_JSON, LINKSET_TEXT) | _GONE | problems(404, 406, 503),
)
async def links(request: Request, service: ServiceDep, rest: ThingPath) -> Response:
    """Level 2 of FAIR Signposting: the links that are too many for the headers of a page."""
    document, suffix = await _find(request, service)
    chosen_format = (
        _FORMATS[suffix] if suffix else best_match(request.headers.get("accept"), _FORMATS.values())
    )
    if chosen_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: "
            f"/linkset/{document.path}.json ({LINKSET_JSON}), /linkset/{document.path}.txt ({LINKSET_TEXT})",
            {"Vary": "Accept"},
        )
    description, licence = await document.describe(service), await document.licence(service)
    link_list = linkset(
        SignpostedThing(
            description, origin(request), document.path, document.record, service.iris.base, licence
        )
    )
    headers = (
        {} if suffix else {"Content-Location": f"/linkset/{document.path}.{chosen_format.suffix}"}
    )
    body = (
        linkset_json(link_list) if chosen_format.media == LINKSET_JSON else linkset_text(link_list)
    )
    return build_response(
        request,
        Representation(
            body, chosen_format.media, document.status, negotiated=not suffix, headers=headers
        ),
    )


async def _find(request: Request, service: QueryService) -> tuple[ThingDocument, str | None]:
    """Return the thing of the path and the suffix after it; raises HTTPProblem (404)."""
    parts = path_segments(request)
    parse_thing_path(parts)
    stem, _, suffix = parts[-1].rpartition(".")
    if stem and suffix in _FORMATS:
        return (await find_thing(service, [*parts[:-1], stem]))[0], suffix
    return (await find_thing(service, parts))[0], None
