"""Lists: the organizations, the registries, and the things of a concept, an organization or a registry; as JSON, or as a page.

A page tells its neighbours by Link headers (https://www.rfc-editor.org/rfc/rfc8288), and JSON in itself too.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import HTML, JSON, Format
from publisher.http.links import origin
from publisher.http.negotiation import best_match, wants_html
from publisher.http.paths import split_suffix
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.linked_data.cursor_lists import ListPage, load_page
from publisher.pages.templating import Pages
from publisher.rdf.results import Row
from publisher.store.query_service import QueryService
from vocab.iris import is_web

_ABOUT = ("concept", "organization", "source", "gone")  # of a registry: what it has, and what it had


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of the lists."""
    routes = APIRouter()

    async def things(request: Request) -> Response:
        name = next((name for name in _ABOUT if name in request.query_params), None)
        about = _iri(request.query_params[name]) if name else ""
        if name is None or not is_web(about):
            raise HTTPProblem(
                HTTPStatus.BAD_REQUEST, f"Missing parameter: give one of {', '.join(_ABOUT)}, with an address or a registry's name"
            )
        return await _tell(request, "things", {name: about}, await load_page(request, service, name, about))

    async def organizations(request: Request) -> Response:
        return await _tell(request, "organizations", {}, await load_page(request, service, "organizations"))

    async def sources(request: Request) -> Response:
        return await _tell(request, "sources", {}, await load_page(request, service, "sources"))

    def _iri(text: str) -> str:
        return text if ":" in text else f"{service.iris.base}source/{text}"

    async def _tell(request: Request, name: str, asked: dict[str, str], found: ListPage) -> Response:
        path = f"/{name}" + (f"?{urlencode(asked)}" if asked else "")
        row = _form(request)
        body = bytes(_page(name, path, asked, found).body) if row is HTML else _json(request, path, found)
        links = found.links(origin(request) + path)
        return build_response(request, Representation(body, row.media, links=links, negotiated=True))

    def _page(name: str, path: str, asked: dict[str, str], found: ListPage) -> Response:
        return pages.page("list.html", name=name, path_=path, about=next(iter(asked.values()), None), listed=found)

    def _json(request: Request, path: str, found: ListPage) -> bytes:
        where = origin(request) + path
        told = {link.rel: link.target for link in found.links(where)}
        items = [_item(row, origin(request) + pages.path(row["thing"].value)) for row in found.rows]
        return orjson.dumps({"sort": found.order.value, **told, "items": items}, option=orjson.OPT_INDENT_2)

    for name, endpoint in (("things", things), ("organizations", organizations), ("sources", sources)):
        for end in ("", ".json", ".html"):
            routes.add_route(f"/{name}{end}", endpoint, methods=["GET", "HEAD"])
    return routes


def _form(request: Request) -> Format:
    _, suffix = split_suffix(request.url.path)
    named = suffix or request.query_params.get("format")
    rows = {"json": JSON, "html": HTML}
    accept = request.headers.get("accept")
    row = rows.get(named) if named else HTML if wants_html(accept, [JSON]) else best_match(accept, [JSON])
    if row is None:
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "A list is told as application/json (.json) or text/html (.html)", {"Vary": "Accept"})
    return row


def _item(row: Row, page: str) -> dict[str, object]:
    told: dict[str, object] = {"id": row["thing"].value, "page": page}
    if "title" in row:
        told |= {"title": row["title"].value, "language": row["title"].language}
    if "property" in row:
        told["property"] = row["property"].value
    return told | {name: row[name].value for name in ("record", "status", "modified") if name in row}
