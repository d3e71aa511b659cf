"""Lists of organizations, registries, and the things of a concept, organization or registry, as JSON or as a page.

Link headers name the next and previous page (https://www.rfc-editor.org/rfc/rfc8288); JSON has them in its body too.
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

_ABOUT = ("concept", "organization", "source", "gone")  # source: current records of a registry; gone: deleted ones


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the lists."""
    routes = APIRouter()

    async def things(request: Request) -> Response:
        name = next((name for name in _ABOUT if name in request.query_params), None)
        about = _iri(request.query_params[name]) if name else ""
        if name is None or not is_web(about):
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"Missing parameter: one of {', '.join(_ABOUT)}, with an IRI or a source's name")
        return await _tell(request, "things", {name: about}, await load_page(request, service, name, about))

    async def organizations(request: Request) -> Response:
        return await _tell(request, "organizations", {}, await load_page(request, service, "organizations"))

    async def sources(request: Request) -> Response:
        return await _tell(request, "sources", {}, await load_page(request, service, "sources"))

    def _iri(text: str) -> str:
        return text if ":" in text else f"{service.iris.base}source/{text}"

    async def _tell(request: Request, name: str, params: dict[str, str], list_page: ListPage) -> Response:
        path = f"/{name}" + (f"?{urlencode(params)}" if params else "")
        chosen_format = _negotiate(request)
        body = bytes(_page(name, path, params, list_page).body) if chosen_format is HTML else _json(request, path, list_page)
        links = list_page.links(origin(request) + path)
        return build_response(request, Representation(body, chosen_format.media, links=links, negotiated=True))

    def _page(name: str, path: str, params: dict[str, str], list_page: ListPage) -> Response:
        return pages.page("list.html", name=name, path_=path, about=next(iter(params.values()), None), listed=list_page)

    def _json(request: Request, path: str, list_page: ListPage) -> bytes:
        url = origin(request) + path
        document = {link.rel: link.target for link in list_page.links(url)}
        items = [_item(row, origin(request) + pages.path(row["thing"].value)) for row in list_page.rows]
        return orjson.dumps({"sort": list_page.order.value, **document, "items": items}, option=orjson.OPT_INDENT_2)

    for name, endpoint in (("things", things), ("organizations", organizations), ("sources", sources)):
        for end in ("", ".json", ".html"):
            routes.add_route(f"/{name}{end}", endpoint, methods=["GET", "HEAD"])
    return routes


def _negotiate(request: Request) -> Format:
    _, suffix = split_suffix(request.url.path)
    named = suffix or request.query_params.get("format")
    rows = {"json": JSON, "html": HTML}
    accept = request.headers.get("accept")
    chosen_format = rows.get(named) if named else HTML if wants_html(accept, [JSON]) else best_match(accept, [JSON])
    if chosen_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: application/json (.json), text/html (.html)",
            {"Vary": "Accept"},
        )
    return chosen_format


def _item(row: Row, page: str) -> dict[str, object]:
    document: dict[str, object] = {"id": row["thing"].value, "page": page}
    if "title" in row:
        document |= {"title": row["title"].value, "language": row["title"].language}
    if "property" in row:
        document["property"] = row["property"].value
    return document | {name: row[name].value for name in ("record", "status", "modified") if name in row}
