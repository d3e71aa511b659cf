"""Mementos: what a record, or any graph of ours, was at some time, by the Memento protocol.

Source: https://www.rfc-editor.org/rfc/rfc7089. The time gate is of pattern 2.1: it stands at an address of its own and redirects.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from publisher.formats import DATA_FORMATS, HTML
from publisher.history.graph_changes import GraphChange
from publisher.history.mementos import MEDIA, Memento, links, memento_at, mementos, parse_stamp
from publisher.history.versions import read_history, read_version
from publisher.http.links import link_header, linkset_text, origin
from publisher.http.paths import path_segments, split_suffix
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, ResourceURLs, build_response, is_negotiated, negotiate_format
from publisher.linked_data.content_response import serialize
from publisher.pages.templating import Pages
from publisher.store.descriptions import Description
from publisher.store.query_service import QueryService

_BEHIND = HTTPProblem(HTTPStatus.SERVICE_UNAVAILABLE, "The history is still being read from the journal", {"Retry-After": "5"})


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of the time gate, the time map and the mementos."""
    routes = APIRouter()

    async def gate(request: Request) -> Response:
        graph = "/".join(path_segments(request))
        known = mementos(await _history(service, graph))
        wanted = _wanted(request)
        found = known[-1] if wanted is None else memento_at(known, wanted) or known[0]  # section 4.5.3: before the first, the first
        told = {"Vary": "accept-datetime", "Link": link_header(links(origin(request), graph, known, found))}
        return RedirectResponse(request.scope.get("root_path", "") + found.address(graph), HTTPStatus.FOUND, told)

    async def map_(request: Request) -> Response:
        graph = "/".join(path_segments(request))
        known = mementos(await _history(service, graph))
        return build_response(request, Representation(linkset_text(links(origin(request), graph, known)), MEDIA, modified=known[-1].time))

    async def memento(request: Request) -> Response:
        stamp, *rest = path_segments(request) or [""]
        graph, suffix, found = await _named(service, "/".join(rest))
        time, known = parse_stamp(stamp), mementos(found)
        shown = memento_at(known, time) if time is not None else None
        if shown is None:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND, f"{service.iris.base}{graph} was not known then; its first state is of {known[0].stamp}"
            )
        if shown.time != time:
            end = f".{suffix}" if suffix else ""
            return RedirectResponse(request.scope.get("root_path", "") + shown.address(graph) + end, HTTPStatus.FOUND)
        return await _tell(request, graph, suffix, shown, known)

    async def _tell(request: Request, graph: str, suffix: str | None, shown: Memento, known: list[Memento]) -> Response:
        it = await read_version(service, service.iris.base + graph, shown.entry)
        if it is None:
            raise _BEHIND
        place, negotiated = ResourceURLs(shown.address(graph)), is_negotiated(request, suffix)
        row = negotiate_format(request, place, suffix)
        body = bytes(_page(it, shown, known, graph).body) if row is HTML else serialize(it, row, service)
        headers = {"Memento-Datetime": shown.date} | ({"Content-Location": place.form(row)} if negotiated else {})
        told = links(origin(request), graph, known, shown)
        return build_response(request, Representation(body, row.media, _status(it), None, negotiated, told, headers))

    def _page(it: Description, shown: Memento, known: list[Memento], graph: str) -> Response:
        place = known.index(shown)
        spots = {"before": place - 1, "after": place + 1}
        near = {name: known[spot].address(graph) if 0 <= spot < len(known) else None for name, spot in spots.items()}
        return pages.page(
            "memento.html", it=it, shown=shown, near=near, own=shown.address(graph), graph=graph, graphs=DATA_FORMATS.values()
        )

    for path, endpoint in (("/timegate", gate), ("/timemap", map_), ("/memento", memento)):
        routes.add_route(path + "/{rest:path}", endpoint, methods=["GET", "HEAD"])
    return routes


def _status(it: Description) -> HTTPStatus:
    """Answer as was answered then (section 4.5.7): what was gone is gone."""
    gone = any(term.value == it.expand("wsis:gone") for term in it.all("adms:status"))
    return HTTPStatus.GONE if gone or not it.statements else HTTPStatus.OK


async def _history(service: QueryService, graph: str) -> tuple[GraphChange, ...]:
    """Give a graph's history; raises Refused where nothing is known of it (404) or not yet (503)."""
    found = await read_history(service, service.iris.base + graph)
    if found is None:
        raise _BEHIND
    if not found:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Nothing was ever known of {service.iris.base}{graph}")
    return found


async def _named(service: QueryService, name: str) -> tuple[str, str | None, tuple[GraphChange, ...]]:
    """Find the graph of a path, as it is or else without its suffix."""
    stem, suffix = split_suffix(name)
    if suffix and not await read_history(service, service.iris.base + name):
        return stem, suffix, await _history(service, stem)
    return name, None, await _history(service, name)


def _wanted(request: Request) -> int | None:
    stated = request.headers.get("accept-datetime")
    try:
        return int(parsedate_to_datetime(stated).timestamp()) if stated else None
    except (ValueError, TypeError, OverflowError) as error:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Accept-Datetime is an HTTP date: Thu, 31 May 2007 20:35:00 GMT") from error
