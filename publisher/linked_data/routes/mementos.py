"""Past states of a record, or of any other graph, by the Memento protocol.

Source: https://www.rfc-editor.org/rfc/rfc7089. The time gate follows pattern 2.1: it has a URL of its own and redirects.
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

_NOT_INDEXED = HTTPProblem(HTTPStatus.SERVICE_UNAVAILABLE, "The history index is still being built from the journal", {"Retry-After": "5"})


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of the time gate, the time map and the mementos."""
    routes = APIRouter()

    async def gate(request: Request) -> Response:
        graph = "/".join(path_segments(request))
        states = mementos(await _history(service, graph))
        requested = _accept_datetime(request)
        closest = (
            states[-1] if requested is None else memento_at(states, requested) or states[0]
        )  # section 4.5.3: a time before the first memento selects the first
        headers = {"Vary": "accept-datetime", "Link": link_header(links(origin(request), graph, states, closest))}
        return RedirectResponse(request.scope.get("root_path", "") + closest.address(graph), HTTPStatus.FOUND, headers)

    async def map_(request: Request) -> Response:
        graph = "/".join(path_segments(request))
        states = mementos(await _history(service, graph))
        return build_response(request, Representation(linkset_text(links(origin(request), graph, states)), MEDIA, modified=states[-1].time))

    async def memento(request: Request) -> Response:
        stamp, *rest = path_segments(request) or [""]
        graph, suffix, changes = await _find_graph(service, "/".join(rest))
        time, states = parse_stamp(stamp), mementos(changes)
        selected = memento_at(states, time) if time is not None else None
        if selected is None:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND, f"{service.iris.base}{graph} was not known then; its first state is of {states[0].stamp}"
            )
        if selected.time != time:
            end = f".{suffix}" if suffix else ""
            return RedirectResponse(request.scope.get("root_path", "") + selected.address(graph) + end, HTTPStatus.FOUND)
        return await _respond(request, graph, suffix, selected, states)

    async def _respond(request: Request, graph: str, suffix: str | None, selected: Memento, states: list[Memento]) -> Response:
        description = await read_version(service, service.iris.base + graph, selected.entry)
        if description is None:
            raise _NOT_INDEXED
        urls, negotiated = ResourceURLs(selected.address(graph)), is_negotiated(request, suffix)
        chosen_format = negotiate_format(request, urls, suffix)
        body = (
            bytes(_page(description, selected, states, graph).body)
            if chosen_format is HTML
            else serialize(description, chosen_format, service)
        )
        headers = {"Memento-Datetime": selected.date} | ({"Content-Location": urls.form(chosen_format)} if negotiated else {})
        memento_links = links(origin(request), graph, states, selected)
        return build_response(
            request, Representation(body, chosen_format.media, _status(description), None, negotiated, memento_links, headers)
        )

    def _page(description: Description, selected: Memento, states: list[Memento], graph: str) -> Response:
        position = states.index(selected)
        neighbours = {"before": position - 1, "after": position + 1}
        adjacent = {
            name: states[neighbour].address(graph) if 0 <= neighbour < len(states) else None for name, neighbour in neighbours.items()
        }
        return pages.page(
            "memento.html",
            it=description,
            shown=selected,
            near=adjacent,
            own=selected.address(graph),
            graph=graph,
            graphs=DATA_FORMATS.values(),
        )

    for path, endpoint in (("/timegate", gate), ("/timemap", map_), ("/memento", memento)):
        routes.add_route(path + "/{rest:path}", endpoint, methods=["GET", "HEAD"])
    return routes


def _status(description: Description) -> HTTPStatus:
    """Return the status of that time (section 4.5.7): 410 if the graph was deleted."""
    gone = any(term.value == description.expand("wsis:gone") for term in description.all("adms:status"))
    return HTTPStatus.GONE if gone or not description.statements else HTTPStatus.OK


async def _history(service: QueryService, graph: str) -> tuple[GraphChange, ...]:
    """Return a graph's history; raises HTTPProblem if there is none (404) or it is not indexed yet (503)."""
    changes = await read_history(service, service.iris.base + graph)
    if changes is None:
        raise _NOT_INDEXED
    if not changes:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no history of {service.iris.base}{graph}")
    return changes


async def _find_graph(service: QueryService, name: str) -> tuple[str, str | None, tuple[GraphChange, ...]]:
    """Return name, format suffix and history of the graph of a path, with or without the suffix."""
    stem, suffix = split_suffix(name)
    if suffix and not await read_history(service, service.iris.base + name):
        return stem, suffix, await _history(service, stem)
    return name, None, await _history(service, name)


def _accept_datetime(request: Request) -> int | None:
    stated = request.headers.get("accept-datetime")
    try:
        return int(parsedate_to_datetime(stated).timestamp()) if stated else None
    except (ValueError, TypeError, OverflowError) as error:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Accept-Datetime must be an HTTP date, such as Thu, 31 May 2007 20:35:00 GMT") from error
