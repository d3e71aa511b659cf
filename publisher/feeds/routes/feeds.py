"""``/feeds/``: Atom feeds of all changes and by action line, goal, country and registry, and a
calendar of events.

Sources: https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc5005
(archives), https://www.w3.org/TR/websub/ (hubs) and https://www.rfc-editor.org/rfc/rfc5545
(iCalendar).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from publisher.dependencies import PagesDep, ServiceDep
from publisher.feeds import atom, calendar
from publisher.feeds.sets import BASIS_TITLES, FEED_FAMILIES, feed_path, set_concept, set_title
from publisher.history import change_reader
from publisher.history.change_reader import ChangeType, open_history, read_watermark
from publisher.history.record_states import BATCH, read_states
from publisher.pages import Pages
from publisher.store.query_service import QueryService
from vocab.iris import encode
from web.conditional import matches_etag
from web.endpoints import contents, get, problems
from web.links import Link, origin
from web.problems import HTTPProblem
from web.representation import Representation, build_response

_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=60"
_EVENTS = "kind:event"

Archive = Annotated[
    str | None,
    Query(
        description="The number of a full, unchanging page of older changes; without it, the newest"
    ),
]
Family = Annotated[
    str, Path(description="What the feed is by", json_schema_extra={"enum": list(FEED_FAMILIES)})
]
Code = Annotated[
    str,
    Path(description="The code of the action line, goal or country, or the name of the registry"),
]
EventKey = Annotated[str, Path(description="The identifier of the event at its registry")]
BasisName = Annotated[
    str,
    Path(description="How the statement was made", json_schema_extra={"enum": list(BASIS_TITLES)}),
]

router = APIRouter()
_FEED: dict[str, Any] = {
    "tags": ["watch"],
    "response_class": Response,
    "response_description": "An Atom feed",
}


@get(
    router,
    "/feeds/events.ics",
    operation_id="eventsCalendar",
    summary="Return all events as a calendar",
    tags=["watch"],
    response_class=Response,
    response_description="An iCalendar file",
    responses=contents("text/calendar") | problems(503),
)
async def events(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Calendar programs subscribe to this address."""
    horizon = await asyncio.to_thread(read_watermark, service)
    etag = f'W/"{horizon.entry}-{calendar.FORMAT_VERSION}"'
    headers = {
        "ETag": etag,
        "Cache-Control": _SOON,
        "Content-Disposition": 'inline; filename="events.ics"',
    }
    if matches_etag(request.headers, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    chunks = _calendar(service, pages.branding.name, origin(request), horizon.sequence)
    return StreamingResponse(chunks, media_type="text/calendar; charset=utf-8", headers=headers)


@get(
    router,
    "/feeds/events/{source}/{key:path}.ics",
    operation_id="eventCalendar",
    summary="Return one event as a calendar",
    tags=["watch"],
    response_class=Response,
    response_description="An iCalendar file",
    responses=contents("text/calendar") | problems(404, 503),
)
async def event(
    request: Request, service: ServiceDep, pages: PagesDep, source: Code, key: EventKey
) -> Response:
    """The page of an event links to it."""
    horizon = await asyncio.to_thread(read_watermark, service)
    name = f"{source}/{encode(key)}"
    change = await asyncio.to_thread(_latest, service, name, horizon.sequence)
    if change is None or change.kind != "event" or change.change_type is ChangeType.DELETED:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no event {name}; /events lists them")
    (state,) = await read_states(service, [change])
    host, iris = origin(request), service.iris
    header = calendar.write_header(f"{iris.base}id/{change.thing}", pages.branding.name)
    body = header + calendar.write_event(change, state, host, iris) + calendar.END
    etag = f'W/"{change.entry}-{calendar.FORMAT_VERSION}"'
    disposition = 'attachment; filename="event.ics"'
    headers = {"ETag": etag, "Cache-Control": _SOON, "Content-Disposition": disposition}
    if matches_etag(request.headers, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)


@get(
    router,
    "/feeds/all.atom",
    operation_id="feed",
    summary="Return the newest change of each record",
    responses=contents(atom.MEDIA) | problems(400, 404, 503),
    **_FEED,
)
async def all_changes(
    request: Request, service: ServiceDep, pages: PagesDep, archive: Archive = None
) -> Response:
    """The link `prev-archive` leads to the pages of older changes (RFC 5005)."""
    return await _feed(request, service, pages, change_reader.ALL, archive)


@get(
    router,
    "/feeds/{family}/{code}.atom",
    operation_id="feedOf",
    summary="Return the newest changes by action line, goal, country or registry",
    responses=contents(atom.MEDIA) | problems(400, 404, 503),
    **_FEED,
)
async def changes_of_set(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    family: Family,
    code: Code,
    archive: Archive = None,
) -> Response:
    """`/oai?verb=ListSets` lists the sets that have a feed."""
    return await _feed(request, service, pages, _set_name(family, code), archive)


@get(
    router,
    "/feeds/{family}/{code}/{basis}.atom",
    operation_id="feedOfBasis",
    summary="Return the newest changes by action line or goal, only of statements made in one way",
    responses=contents(atom.MEDIA) | problems(400, 404, 503),
    **_FEED,
)
async def changes_by_basis(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    family: Family,
    code: Code,
    basis: BasisName,
    archive: Archive = None,
) -> Response:
    """A registry declares a statement, or a crosswalk translates it from the registry's own code."""
    return await _feed(request, service, pages, _set_name(family, code, basis), archive)


def _set_name(family: str, *codes: str) -> str:
    """Return the name of a set; raises HTTPProblem (404) for an unknown family."""
    if family not in FEED_FAMILIES:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            f"There are feeds by {', '.join(FEED_FAMILIES)}, and /feeds/all.atom",
        )
    return ":".join((family, *codes))


async def _feed(
    request: Request, service: QueryService, pages: Pages, set_name: str, archive: str | None
) -> Response:
    """Return the feed of a set, or the page of it that *archive* names."""
    horizon = await asyncio.to_thread(read_watermark, service)
    size = await asyncio.to_thread(_size, service, set_name, horizon.sequence)
    if not size and set_name != change_reader.ALL:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            f"No record was ever in {set_name}; /oai?verb=ListSets lists the feeds",
        )
    number = _archive(archive, size // atom.PAGE_SIZE)
    changes = await asyncio.to_thread(_changes, service, set_name, number, size)
    states = await read_states(service, changes)
    feed = _describe_feed(request, pages, set_name, number, size, changes)
    body = await asyncio.to_thread(
        atom.write_feed, feed, origin(request), service.iris, changes, states
    )
    hub = request.app.state.hub
    links = [Link("self", feed.url), *([Link("hub", hub)] if hub else [])]
    headers = {"Cache-Control": _FOR_EVER if number else _SOON}
    return build_response(request, Representation(body, atom.MEDIA, links=links, headers=headers))


def _describe_feed(
    request: Request,
    pages: Pages,
    set_name: str,
    number: int,
    size: int,
    changes: Sequence[change_reader.Change],
) -> atom.Feed:
    """Return the metadata of a feed whose set has *size* changes, or of its archive *number*, 0 for
    the feed itself.
    """
    iris = pages.iris
    host = origin(request)
    hub = request.app.state.hub
    path = f"{feed_path(set_name)}.atom"
    # The hub identifies a feed by one URL, whatever the host of the request.
    current = f"{iris.base}{path[1:]}" if hub else host + path
    before = number - 1 if number else size // atom.PAGE_SIZE
    links = [("prev-archive", f"{host}{path}?archive={before}")] if before else []
    links += [("hub", hub)] if hub else []
    about = set_concept(set_name, iris)
    return atom.Feed(
        id=f"{iris.base}{feed_path(set_name)[1:]}",
        author=pages.branding.name,
        title=pages.branding.name
        + (f": {set_title(set_name, iris)}" if set_name != change_reader.ALL else ""),
        url=f"{host}{path}?archive={number}" if number else current,
        current=host + path,
        page=host + (pages.path(about) if about else "/"),
        updated=max((change.stamp for change in changes), default=0),
        archive=bool(number),
        links=tuple(links),
    )


def _size(service: QueryService, set_name: str, sequence: int) -> int:
    return open_history(service).last_number(set_name, sequence)


def _changes(
    service: QueryService, set_name: str, number: int, size: int
) -> list[change_reader.Change]:
    """Return the changes of archive *number* in their order; of the feed itself (0) the newest of
    each record first.
    """
    history, last = open_history(service), number * atom.PAGE_SIZE
    if number:
        return history.changes(set_name, last - atom.PAGE_SIZE, last, atom.PAGE_SIZE)
    changes = history.newest_changes(set_name, size, atom.PAGE_SIZE)
    return list({change.name: change for change in reversed(changes)}.values())[::-1]


async def _calendar(
    service: QueryService, name: str, host: str, sequence: int
) -> AsyncIterator[bytes]:
    """Yield the calendar of all events, as of the change *sequence*."""
    yield calendar.write_header(f"{service.iris.base}feeds/events", name)
    after = 0
    while changes := await asyncio.to_thread(_event_changes, service, after, sequence):
        alive = [change for change in changes if change.change_type is not ChangeType.DELETED]
        for change, state in zip(alive, await read_states(service, alive), strict=True):
            yield calendar.write_event(change, state, host, service.iris)
        after = changes[-1].number
    yield calendar.END


def _latest(service: QueryService, name: str, sequence: int) -> change_reader.Change | None:
    return open_history(service).latest_change(name, sequence)


def _event_changes(service: QueryService, after: int, sequence: int) -> list[change_reader.Change]:
    return open_history(service).changes(_EVENTS, after, sequence, BATCH, sequence)


def _archive(text: str | None, last: int) -> int:
    """Return the number of the requested archive, 0 for the feed itself."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) <= last):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, f"This feed has no archive {text}; its archives are 1 to {last}"
        )
    return int(text)
