"""Things: ``/id/...`` points by 303 to the page or the data of an initiative, event, document, post or organization.

Source: https://www.w3.org/TR/cooluris/#r303gendocument
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.addresses import segments, thing, without_suffix
from publisher.formats import GRAPHS, Graph
from publisher.negotiation import best, wants_html
from publisher.pages import Pages
from publisher.paging import after, titled
from publisher.problems import Refused
from publisher.queries import query
from publisher.resources import Description, of_graph, of_thing, replaced, write
from publisher.shelf import Shelf
from publisher.standings import confirmed, standings
from publisher.terms import iri
from publisher.views import view


@dataclass(frozen=True, slots=True)
class _Found:
    address: str
    record: str | None  # None of an organization, which has no record of its own
    gone: bool


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/id``, ``/page`` and ``/data``."""
    routes = APIRouter()

    async def identify(request: Request) -> Response:
        parts = segments(request)
        await _find(shelf, *thing(parts))
        rest = "/".join(parts)
        accept = request.headers.get("accept")
        where = f"/page/{rest}" if wants_html(accept, GRAPHS.values()) else f"/data/{rest}.{_graph(accept, None).suffix}"
        return RedirectResponse(request.scope.get("root_path", "") + where, HTTPStatus.SEE_OTHER, {"Vary": "Accept"})

    async def data(request: Request) -> Response:
        kind, source, last = thing(segments(request))
        key, suffix = without_suffix(last)
        row = _graph(request.headers.get("accept"), suffix)
        found = await _find(shelf, kind, source, key)
        told = await _describe(shelf, found)
        headers = {"Content-Type": row.media, "Vary": "Accept", "Link": f'<{found.address}>; rel="describes"'}
        return Response(write(told, row), HTTPStatus.GONE if found.gone else HTTPStatus.OK, headers)

    async def page(request: Request) -> Response:
        kind, source, key = thing(segments(request))
        found = await _find(shelf, kind, source, key)
        told = await _describe(shelf, found)
        if found.gone:
            heirs = await replaced(shelf, found.record or "")
            return pages.page("gone.html", HTTPStatus.GONE, it=told, record=found.record, heirs=heirs, graphs=GRAPHS.values())
        if found.record is None:
            bound = {"organization": iri(found.address), "after": iri(after(request, shelf))}
            things = titled(await shelf.rows(query("organization-things"), bound), "thing")
            return pages.page("organization.html", it=told, things=things, graphs=GRAPHS.values())
        it, record, about, graphs = told, found.record, (await standings(shelf)).get(source), GRAPHS.values()
        seen, known = view(it, record), confirmed(about, it, record)
        return pages.page("thing.html", it=it, kind=kind, record=record, view=seen, standing=about, confirmed=known, graphs=graphs)

    for path, endpoint in (("/id", identify), ("/data", data), ("/page", page)):
        routes.add_route(path + "/{rest:path}", endpoint, methods=["GET", "HEAD"])
    return routes


def _graph(accept: str | None, suffix: str | None) -> Graph:
    row = GRAPHS[suffix] if suffix else best(accept, GRAPHS.values())
    if row is None:
        raise Refused(HTTPStatus.NOT_ACCEPTABLE, "Data is given as " + ", ".join(row.media for row in GRAPHS.values()))
    return row


async def _find(shelf: Shelf, kind: str, source: str, key: str) -> _Found:
    address = f"{shelf.iris.base}id/{kind}/{source}/{key}"
    missing = Refused(HTTPStatus.NOT_FOUND, f"Nothing is known of {address}")
    if kind == "organization":
        if not await shelf.rows(query("about"), {"subject": iri(address)}):
            raise missing
        return _Found(address, None, False)
    record = f"{shelf.iris.base}record/{source}/{key}"
    state = await shelf.rows(query("state"), {"record": iri(record)})
    if not any("thing" not in row or row["thing"].value == address for row in state):
        raise missing
    return _Found(address, record, any(row["status"].value == f"{shelf.iris.ns}gone" for row in state))


async def _describe(shelf: Shelf, found: _Found) -> Description:
    if found.record is None:
        return await of_thing(shelf, found.address)
    return await of_graph(shelf, found.record, found.address)
