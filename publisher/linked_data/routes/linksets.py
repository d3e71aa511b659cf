"""Linksets: all links of a thing's page, its data and its contents, at one address.

Sources: https://signposting.org/FAIR/ (level 2), https://www.rfc-editor.org/rfc/rfc9264.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import Format
from publisher.http.links import JSON, TEXT, as_json, as_text, origin
from publisher.http.negotiation import best
from publisher.http.paths import segments, thing
from publisher.http.problems import Refused
from publisher.http.representation import Told, answer
from publisher.linked_data.signposting import Signed, linkset
from publisher.linked_data.thing_lookup import Found, found_or_suffixed
from publisher.pages.templating import Pages
from publisher.store.query_service import Shelf

_FORMS = {"json": Format("json", "JSON", JSON, ("application/json",)), "txt": Format("txt", "text", TEXT, ("text/plain",))}


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the sets of links."""
    routes = APIRouter()

    async def links(request: Request) -> Response:
        found, suffix = await _found(request)
        row = _FORMS[suffix] if suffix else best(request.headers.get("accept"), _FORMS.values())
        if row is None:
            raise Refused(HTTPStatus.NOT_ACCEPTABLE, f"There is /linkset/{found.path}.json ({JSON}) and .txt ({TEXT})", {"Vary": "Accept"})
        it, licence = await found.describe(shelf), await found.licence(shelf)
        told = linkset(Signed(it, origin(request), found.path, found.record, shelf.iris.base, licence))
        where = {} if suffix else {"Content-Location": f"/linkset/{found.path}.{row.suffix}"}
        body = as_json(told) if row.media == JSON else as_text(told)
        return answer(request, Told(body, row.media, found.status, negotiated=not suffix, headers=where))

    async def _found(request: Request) -> tuple[Found, str | None]:
        parts = segments(request)
        thing(parts)
        stem, _, suffix = parts[-1].rpartition(".")
        if stem and suffix in _FORMS:
            return (await found_or_suffixed(shelf, [*parts[:-1], stem]))[0], suffix
        return (await found_or_suffixed(shelf, parts))[0], None

    routes.add_route("/linkset/{rest:path}", links, methods=["GET", "HEAD"])
    return routes
