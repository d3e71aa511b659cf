"""``/linkset/``: all links of a thing's page, data and contents at one address.

Sources: https://signposting.org/FAIR/ (level 2), https://www.rfc-editor.org/rfc/rfc9264.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import Format
from publisher.http.links import LINKSET_JSON, LINKSET_TEXT, linkset_json, linkset_text, origin
from publisher.http.negotiation import best_match
from publisher.http.paths import parse_thing_path, path_segments
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.linked_data.signposting import SignpostedThing, linkset
from publisher.linked_data.thing_lookup import ThingDocument, find_thing
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

_FORMS = {"json": Format("json", "JSON", LINKSET_JSON, ("application/json",)), "txt": Format("txt", "text", LINKSET_TEXT, ("text/plain",))}


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the sets of links."""
    routes = APIRouter()

    async def links(request: Request) -> Response:
        document, suffix = await _found(request)
        chosen_format = _FORMS[suffix] if suffix else best_match(request.headers.get("accept"), _FORMS.values())
        if chosen_format is None:
            raise HTTPProblem(
                HTTPStatus.NOT_ACCEPTABLE,
                "No available format matches your Accept header. Available: "
                f"/linkset/{document.path}.json ({LINKSET_JSON}), /linkset/{document.path}.txt ({LINKSET_TEXT})",
                {"Vary": "Accept"},
            )
        description, licence = await document.describe(service), await document.licence(service)
        link_list = linkset(SignpostedThing(description, origin(request), document.path, document.record, service.iris.base, licence))
        headers = {} if suffix else {"Content-Location": f"/linkset/{document.path}.{chosen_format.suffix}"}
        body = linkset_json(link_list) if chosen_format.media == LINKSET_JSON else linkset_text(link_list)
        return build_response(request, Representation(body, chosen_format.media, document.status, negotiated=not suffix, headers=headers))

    async def _found(request: Request) -> tuple[ThingDocument, str | None]:
        parts = path_segments(request)
        parse_thing_path(parts)
        stem, _, suffix = parts[-1].rpartition(".")
        if stem and suffix in _FORMS:
            return (await find_thing(service, [*parts[:-1], stem]))[0], suffix
        return (await find_thing(service, parts))[0], None

    routes.add_route("/linkset/{rest:path}", links, methods=["GET", "HEAD"])
    return routes
