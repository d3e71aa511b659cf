"""Lists of organizations, registries, and the things of a concept, organization or registry, as JSON or as a page.

Link headers name the next and previous page (https://www.rfc-editor.org/rfc/rfc8288); JSON has them in its body too.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, NotRequired
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.formats import HTML, JSON, Format
from publisher.http.endpoints import Instant, WebAddress, get, problems
from publisher.http.links import origin
from publisher.http.negotiation import best_match, wants_html
from publisher.http.paths import split_suffix
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.linked_data.cursor_lists import ListCursor, ListPage, load_page
from publisher.pages.templating import Pages
from publisher.rdf.results import Row
from publisher.store.query_service import QueryService
from vocab.iris import is_web

_Source = Annotated[str | None, Query(description="Current records of a registry, by its name or IRI", examples=["demo"])]
_Gone = Annotated[str | None, Query(description="Deleted records of a registry, by its name or IRI")]
_Concept = Annotated[str | None, Query(description="Things with a concept, goal, target or country, by its IRI")]
_Organization = Annotated[str | None, Query(description="Things of an organization, by its IRI")]


class ListItem(TypedDict):
    """A thing of a list: its IRI, its page, and what is known of it."""

    id: WebAddress
    page: WebAddress
    title: NotRequired[str]
    language: NotRequired[str | None]
    property: NotRequired[WebAddress]
    record: NotRequired[WebAddress]
    status: NotRequired[WebAddress]
    modified: NotRequired[Instant]


class ListJson(TypedDict):
    """A page of a list; *next* and *prev* are the URLs of the pages around it."""

    sort: str
    next: NotRequired[WebAddress]
    prev: NotRequired[WebAddress]
    items: list[ListItem]


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the lists."""
    routes = APIRouter()

    async def things(
        request: Request,
        cursor: ListCursor,
        concept: _Concept = None,
        organization: _Organization = None,
        source: _Source = None,
        gone: _Gone = None,
    ) -> Response:
        subjects = {"concept": concept, "organization": organization, "source": source, "gone": gone}
        name, value = next(((name, value) for name, value in subjects.items() if value is not None), ("", ""))
        about = _iri(value)
        if not name or not is_web(about):
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"Missing parameter: one of {', '.join(subjects)}, with an IRI or a source's name")
        return await _respond(request, "things", {name: about}, await load_page(cursor, service, name, about))

    async def organizations(request: Request, cursor: ListCursor) -> Response:
        return await _respond(request, "organizations", {}, await load_page(cursor, service, "organizations"))

    async def sources(request: Request, cursor: ListCursor) -> Response:
        return await _respond(request, "sources", {}, await load_page(cursor, service, "sources"))

    def _iri(text: str) -> str:
        return text if ":" in text else f"{service.iris.base}source/{text}"

    async def _respond(request: Request, name: str, params: dict[str, str], list_page: ListPage) -> Response:
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

    for name, summary, endpoint in (
        ("things", "List the things of a concept, an organization or a registry", things),
        ("organizations", "List all organizations", organizations),
        ("sources", "List all registries", sources),
    ):
        get(
            routes,
            f"/{name}.json",
            operation_id=name,
            summary=summary,
            tags=["find"],
            response_model=ListJson,
            response_description="A page of the list, with links to the next and previous page",
            responses=problems(400, 503),
        )(endpoint)
        for end in ("", ".html"):
            get(routes, f"/{name}{end}", include_in_schema=False)(endpoint)
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


def _item(row: Row, page: str) -> ListItem:
    document: ListItem = {"id": row["thing"].value, "page": page}
    if "title" in row:
        document |= {"title": row["title"].value, "language": row["title"].language}
    if "property" in row:
        document["property"] = row["property"].value
    if "record" in row:
        document["record"] = row["record"].value
    if "status" in row:
        document["status"] = row["status"].value
    if "modified" in row:
        document["modified"] = row["modified"].value
    return document
