"""Linksets: all links of a thing's page, its data and its contents, at one address.

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
    """Give the route of the sets of links."""
    routes = APIRouter()

    async def links(request: Request) -> Response:
        found, suffix = await _found(request)
        row = _FORMS[suffix] if suffix else best_match(request.headers.get("accept"), _FORMS.values())
        if row is None:
            raise HTTPProblem(
                HTTPStatus.NOT_ACCEPTABLE,
                f"There is /linkset/{found.path}.json ({LINKSET_JSON}) and .txt ({LINKSET_TEXT})",
                {"Vary": "Accept"},
            )
        it, licence = await found.describe(service), await found.licence(service)
        told = linkset(SignpostedThing(it, origin(request), found.path, found.record, service.iris.base, licence))
        where = {} if suffix else {"Content-Location": f"/linkset/{found.path}.{row.suffix}"}
        body = linkset_json(told) if row.media == LINKSET_JSON else linkset_text(told)
        return build_response(request, Representation(body, row.media, found.status, negotiated=not suffix, headers=where))

    async def _found(request: Request) -> tuple[ThingDocument, str | None]:
        parts = path_segments(request)
        parse_thing_path(parts)
        stem, _, suffix = parts[-1].rpartition(".")
        if stem and suffix in _FORMS:
            return (await find_thing(service, [*parts[:-1], stem]))[0], suffix
        return (await find_thing(service, parts))[0], None

    routes.add_route("/linkset/{rest:path}", links, methods=["GET", "HEAD"])
    return routes
