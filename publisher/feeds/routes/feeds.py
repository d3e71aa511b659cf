"""``/feeds/``: Atom feeds of all changes and by action line, goal, country and registry, and a calendar of events.

Sources: https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc5005 (archives),
https://www.w3.org/TR/websub/ (hubs) and https://www.rfc-editor.org/rfc/rfc5545 (iCalendar).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from publisher.feeds import atom, calendar
from publisher.feeds.sets import FEED_FAMILIES, feed_path, set_concept, set_title
from publisher.history import change_reader
from publisher.history.record_states import BATCH, read_states, wait_until_current
from publisher.http.conditional import matches_etag
from publisher.http.links import Link, origin
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=60"
_EVENTS = "kind:event"
_CODED = "/feeds/{family}/{code}.atom"


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/feeds/``."""
    routes = APIRouter()

    async def everything(request: Request) -> Response:
        return await _feed(request, service, pages, change_reader.ALL)

    async def one(request: Request) -> Response:
        params = request.path_params
        if params["family"] not in FEED_FAMILIES:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There are feeds by {', '.join(FEED_FAMILIES)}, and /feeds/all.atom")
        return await _feed(request, service, pages, ":".join(params[name] for name in ("family", "code", "basis") if name in params))

    async def events(request: Request) -> Response:
        horizon = await wait_until_current(service)
        etag = f'W/"{horizon.entry}-{calendar.FORMAT_VERSION}"'
        headers = {"ETag": etag, "Cache-Control": _SOON, "Content-Disposition": 'inline; filename="events.ics"'}
        if matches_etag(request.headers, etag):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        chunks = _calendar(service, pages.branding.name, origin(request), horizon.place)
        return StreamingResponse(chunks, media_type="text/calendar; charset=utf-8", headers=headers)

    for path, endpoint in (
        ("/feeds/events.ics", events),
        ("/feeds/all.atom", everything),
        (_CODED, one),
        ("/feeds/{family}/{code}/{basis}.atom", one),
    ):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes


async def _feed(request: Request, service: QueryService, pages: Pages, set_name: str) -> Response:
    """Return the feed of a set, or the archive of it that the parameter ``archive`` names."""
    horizon = await wait_until_current(service)
    size = await asyncio.to_thread(_size, service, set_name, horizon.place)
    if not size and set_name != change_reader.ALL:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"No record was ever in {set_name}; /oai?verb=ListSets lists the feeds")
    number = _archive(request, size // atom.PAGE_SIZE)
    changes = await asyncio.to_thread(_changes, service, set_name, number, size)
    states = await read_states(service, changes)
    feed = _describe_feed(request, pages, set_name, number, size, changes)
    body = await asyncio.to_thread(atom.write_feed, feed, origin(request), service.iris, changes, states)
    hub = request.app.state.hub
    links = [Link("self", feed.url), *([Link("hub", hub)] if hub else [])]
    headers = {"Cache-Control": _FOR_EVER if number else _SOON}
    return build_response(request, Representation(body, atom.MEDIA, links=links, headers=headers))


def _describe_feed(
    request: Request, pages: Pages, set_name: str, number: int, size: int, changes: Sequence[change_reader.Change]
) -> atom.Feed:
    """Return the metadata of a feed whose set has *size* changes, or of its archive *number*, 0 for the feed itself."""
    iris, host, hub, path = pages.iris, origin(request), request.app.state.hub, f"{feed_path(set_name)}.atom"
    # A hub knows a feed by one URL, whichever host the request named.
    current = f"{iris.base}{path[1:]}" if hub else host + path
    before = number - 1 if number else size // atom.PAGE_SIZE
    links = [("prev-archive", f"{host}{path}?archive={before}")] if before else []
    links += [("hub", hub)] if hub else []
    about = set_concept(set_name, iris)
    return atom.Feed(
        id=f"{iris.base}{feed_path(set_name)[1:]}",
        author=pages.branding.name,
        title=pages.branding.name + (f": {set_title(set_name, iris)}" if set_name != change_reader.ALL else ""),
        url=f"{host}{path}?archive={number}" if number else current,
        current=host + path,
        page=host + (pages.path(about) if about else "/"),
        updated=max((change.stamp for change in changes), default=0),
        archive=bool(number),
        links=tuple(links),
    )


def _size(service: QueryService, set_name: str, place: int) -> int:
    with change_reader.open_log(service.history) as file:
        return change_reader.last_number(file, set_name, place) if file else 0


def _changes(service: QueryService, set_name: str, number: int, size: int) -> list[change_reader.Change]:
    """Return the changes of archive *number* in their order; of the feed itself (0) the newest of each record first."""
    with change_reader.open_log(service.history) as file:
        if file is None:
            return []
        if number:
            return change_reader.changes(file, set_name, (number - 1) * atom.PAGE_SIZE, number * atom.PAGE_SIZE, atom.PAGE_SIZE)
        changes = change_reader.newest_changes(file, set_name, size, atom.PAGE_SIZE)
        return list({change.name: change for change in reversed(changes)}.values())[::-1]


async def _calendar(service: QueryService, name: str, host: str, place: int) -> AsyncIterator[bytes]:
    """Yield the calendar of all events, in which the last change counted is *place*."""
    yield calendar.write_header(f"{service.iris.base}feeds/events", name)
    after = 0
    while changes := await asyncio.to_thread(_event_changes, service, after, place):
        alive = [change for change in changes if change.change_type is not change_reader.ChangeType.GONE]
        for change, state in zip(alive, await read_states(service, alive), strict=True):
            yield calendar.write_event(change, state, host, service.iris)
        after = changes[-1].number
    yield calendar.END


def _event_changes(service: QueryService, after: int, place: int) -> list[change_reader.Change]:
    with change_reader.open_log(service.history) as file:
        return change_reader.changes(file, _EVENTS, after, place, BATCH, place) if file else []


def _archive(request: Request, last: int) -> int:
    """Return the number of the requested archive, 0 for the feed itself."""
    text = request.query_params.get("archive")
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:10]) <= last):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"This feed has no archive {text}; its archives are 1 to {last}")
    return int(text)
