"""Past states of a record, or of any other graph, by the Memento protocol.

Source: https://www.rfc-editor.org/rfc/rfc7089. The time gate follows pattern 2.1: it has a URL of
its own and redirects.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import TranslatableText
from publisher.history.change_reader import read_version
from publisher.linked_data.entities import DESCRIPTION, GONE, Entity, is_gone, respond_entity
from publisher.pages import PagesDep, ServiceDep
from publisher.store.descriptions import STAMP, GraphChange, mementos, read_history
from publisher.store.query_service import QueryService
from web.endpoints import contents, format_parameter, get, other_contents, problems, redirects
from web.respond import (
    DATA_FORMATS,
    FORMATS,
    Link,
    ResourceURLs,
    link_header,
    linkset_text,
    origin,
    parse_http_date,
    path_segments,
    require,
    respond,
    split_suffix,
)

GraphPath = Annotated[str, Path(description="The path of a graph, such as `record/demo/i%2F7`")]

MEDIA = "application/link-format"
router = APIRouter()


@get(
    router,
    "/timegate/{rest:path}",
    operation_id="timegate",
    summary="Redirect to the state of a graph at a time (RFC 7089)",
    tags=["read"],
    status_code=HTTPStatus.FOUND,
    response_class=Response,
    response_description="The address of the state is in Location",
    responses=problems(400, 404, 503),
)
async def time_gate(
    request: Request,
    service: ServiceDep,
    rest: GraphPath,
    accept_datetime: Annotated[
        str | None, Header(description="An HTTP date; without it, the newest state")
    ] = None,
) -> Response:
    """A time before the first state returns the first state."""
    graph = "/".join(path_segments(request))
    states = mementos(await _history(service, graph))
    requested = parse_http_date(accept_datetime)
    require(
        requested is not None or not accept_datetime,
        TranslatableText(
            "Accept-Datetime must be an HTTP date, such as Thu, 31 May 2007 20:35:00 GMT"
        ),
        HTTPStatus.BAD_REQUEST,
    )
    # Section 4.5.3: a time before the first memento selects the first.
    closest = states[-1] if requested is None else memento_at(states, int(requested)) or states[0]
    headers = {
        "Vary": "accept-datetime",
        "Link": link_header(links(origin(request), graph, states, closest)),
    }
    return RedirectResponse(closest.address(graph), HTTPStatus.FOUND, headers)


@get(
    router,
    "/timemap/{rest:path}",
    operation_id="timemap",
    summary="List all states of a graph (RFC 7089)",
    tags=["read"],
    response_class=Response,
    response_description="The links of the states",
    responses=contents(MEDIA) | problems(404, 503),
)
async def time_map(request: Request, service: ServiceDep, rest: GraphPath) -> Response:
    """Each link has the time from which the state was published."""
    graph = "/".join(path_segments(request))
    states = mementos(await _history(service, graph))
    return respond(
        request,
        linkset_text(links(origin(request), graph, states)),
        MEDIA,
        modified=states[-1].time,
    )


@get(
    router,
    "/memento/{rest:path}",
    operation_id="memento",
    summary="Return a past state of a graph",
    tags=["read"],
    response_description="The graph as it was",
    responses=other_contents(FORMATS.values(), DESCRIPTION)
    | GONE
    | redirects(302)
    | problems(404, 406, 503),
)
async def memento(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    rest: Annotated[
        str,
        Path(
            description="A UTC time as 14 digits, a slash, and the path of a graph with or without a suffix"
        ),
    ],
    format: Annotated[str | None, format_parameter(FORMATS)] = None,
) -> Response:
    """A time between two states redirects to the one that was valid."""
    stamp, *parts = path_segments(request) or [""]
    graph, suffix, changes = await _find_graph(service, "/".join(parts))
    iri, time, states = service.iris.base + graph, parse_stamp(stamp), mementos(changes)
    selected = require(
        memento_at(states, time) if time is not None else None,
        TranslatableText(
            "{iri} was not known then; its first state is of {time}", iri=iri, time=states[0].stamp
        ),
    )
    if selected.time != time:
        end = f".{suffix}" if suffix else ""
        return RedirectResponse(selected.address(graph) + end, HTTPStatus.FOUND)
    description = await read_version(service, iri, selected.entry)
    # Section 4.5.7: the status is that of the time.
    is_deleted = is_gone(description, iri) or not description.statements
    entity = Entity(
        description,
        ResourceURLs(selected.address(graph)),
        suffix,
        None,
        HTTPStatus.GONE if is_deleted else HTTPStatus.OK,
        headers={"Memento-Datetime": selected.date},
    )

    async def render_page() -> Response:
        position = states.index(selected)
        addresses = [None, *(state.address(graph) for state in states), None]
        return pages.page(
            "memento.html",
            description=description,
            version=selected,
            near={
                "before": addresses[position],
                "after": addresses[position + 2],
            },
            own=selected.address(graph),
            graph=graph,
            graphs=DATA_FORMATS.values(),
        )

    return await respond_entity(
        request, service, entity, links(origin(request), graph, states, selected), render_page
    )


async def _history(service: QueryService, graph: str) -> tuple[GraphChange, ...]:
    """Return a graph's history. Raises HTTPProblem (404) if there is none, and NotReady."""
    iri = service.iris.base + graph
    changes = await read_history(service, iri)
    return require(changes or None, TranslatableText("There is no history of {iri}", iri=iri))


async def _find_graph(
    service: QueryService, name: str
) -> tuple[str, str | None, tuple[GraphChange, ...]]:
    """Return name, format suffix and history of the graph of a path, with or without the suffix."""
    stem, suffix = split_suffix(name)
    if suffix and not await read_history(service, service.iris.base + name):
        return stem, suffix, await _history(service, stem)
    return name, None, await _history(service, name)


def parse_stamp(stamp: str) -> int | None:
    """Parse fourteen digits to seconds since 1970; None if they are not a time.

    >>> parse_stamp("20260301080000"), parse_stamp("20261301080000"), parse_stamp("2026")
    (1772352000, None, None)
    """
    try:
        return (
            int(datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).timestamp())
            if len(stamp) == 14 and stamp.isdecimal()
            else None
        )
    except ValueError:
        return None


def memento_at(known: Sequence[GraphChange], time: int) -> GraphChange | None:
    """Return the state at *time*, None before the first."""
    return next((item for item in reversed(known) if item.time <= time), None)


def links(
    host: str, graph: str, known: Sequence[GraphChange], current: GraphChange | None = None
) -> list[Link]:
    """Return the links of the memento *current* to its neighbours, or the links of the time map to
    all of *known* if it is None.
    """
    ends = (("from", known[0].date), ("until", known[-1].date)) if known else ()
    out = [
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        Link(
            "timemap" if current else "self",
            f"{host}/timemap/{graph}",
            (("type", MEDIA), *ends),
        ),
    ]
    if current is None:
        return out + [_memento_link(host, graph, item, known) for item in known]
    position, roles = known.index(current), {-1: "prev", 0: "", 1: "next"}
    return out + [
        _memento_link(host, graph, item, known, roles.get(index - position, ""))
        for index, item in enumerate(known)
        if index - position in roles or item in (known[0], known[-1])
    ]


def _memento_link(
    host: str, graph: str, memento: GraphChange, known: Sequence[GraphChange], neighbour: str = ""
) -> Link:
    roles = ("first" * (memento == known[0]), "last" * (memento == known[-1]), neighbour, "memento")
    rel = " ".join(filter(None, roles))
    return Link(rel, host + memento.address(graph), (("datetime", memento.date),))
