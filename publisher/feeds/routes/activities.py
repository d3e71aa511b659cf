"""``/activities``: every change as an ActivityStreams 2 collection. Pages are ordered from the oldest; a full page never changes.

Sources: https://www.w3.org/TR/activitystreams-core/ and https://iiif.io/api/discovery/1.0/ (from which readers of such collections know
to begin at the last page and to go back until they meet what they have).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.record_metadata import read_metadata
from publisher.feeds.xml_writing import instant
from publisher.history import change_reader
from publisher.history.record_states import RecordState, read_states, wait_until_current
from publisher.http.links import origin
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService
from vocab.iris import Iris

PAGE_SIZE = 100  # activities a page
MEDIA = "application/activity+json"
_CONTEXT = "https://www.w3.org/ns/activitystreams"
_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=60"
_DEEDS = {change_reader.ChangeType.NEW: "Create", change_reader.ChangeType.CHANGED: "Update", change_reader.ChangeType.GONE: "Delete"}
_TYPES = {"initiative": "Article", "event": "Event", "document": "Document", "post": "Note"}


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/activities``."""
    routes = APIRouter()

    async def collection(request: Request) -> Response:
        size, host = await _size(), origin(request)
        document = {
            "@context": _CONTEXT,
            "id": f"{host}/activities",
            "type": "OrderedCollection",
            "summary": "Every change of every record, the oldest first",
            "totalItems": size,
            "first": f"{host}/activities/1",
            "last": f"{host}/activities/{max(1, -(-size // PAGE_SIZE))}",
        }
        return _json_response(request, document, _SOON)

    async def page(request: Request) -> Response:
        size, text = await _size(), request.path_params["number"]
        if not (text.isascii() and text.isdecimal() and text[0] != "0" and int(text[:10]) <= size // PAGE_SIZE + 1):
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The collection has no page {text}")
        number, host = int(text), origin(request)
        page_changes = await asyncio.to_thread(_changes, (number - 1) * PAGE_SIZE, min(number * PAGE_SIZE, size))
        record_states = await read_states(service, page_changes)
        full = number * PAGE_SIZE <= size
        document = {
            "@context": _CONTEXT,
            "id": f"{host}/activities/{number}",
            "type": "OrderedCollectionPage",
            "partOf": f"{host}/activities",
            "startIndex": (number - 1) * PAGE_SIZE,
            **({"prev": f"{host}/activities/{number - 1}"} if number > 1 else {}),
            **({"next": f"{host}/activities/{number + 1}"} if full else {}),
            "orderedItems": activities(page_changes, record_states, host, service.iris),
        }
        return _json_response(request, document, _FOR_EVER if full else _SOON)

    async def _size() -> int:
        horizon = await wait_until_current(service)

        def read() -> int:
            with change_reader.open_log(service.history) as file:
                return change_reader.last_number(file, change_reader.ALL, horizon.place) if file else 0

        return await asyncio.to_thread(read)

    def _changes(after: int, last: int) -> list[change_reader.Change]:
        with change_reader.open_log(service.history) as file:
            return change_reader.changes(file, change_reader.ALL, after, last, PAGE_SIZE) if file else []

    routes.add_route("/activities", collection, methods=["GET", "HEAD"])
    routes.add_route("/activities/{number}", page, methods=["GET", "HEAD"])
    return routes


def activities(
    page_changes: Sequence[change_reader.Change], record_states: Sequence[RecordState], host: str, iris: Iris
) -> list[dict[str, object]]:
    """Tell changes as activities."""
    return [_activity(change, state, host, iris) for change, state in zip(page_changes, record_states, strict=True)]


def _activity(change: change_reader.Change, state: RecordState, host: str, iris: Iris) -> dict[str, object]:
    metadata, when = read_metadata(change, state, iris), instant(change.stamp)
    kind = _TYPES.get(change.kind, "Object")
    gone = {"type": "Tombstone", "formerType": kind, "deleted": when}
    names = {text.language or "und": text.value for text in metadata.titles}
    return {
        "id": f"{iris.base}ldes/version/{change.entry}/{change.name}",
        "type": _DEEDS[change.change_type],
        "actor": {"id": iris.source(metadata.source), "type": "Organization", "name": metadata.source},
        "published": when,
        "endTime": when,
        "object": {
            "id": metadata.topic,
            **(gone if change.change_type is change_reader.ChangeType.GONE else {"type": kind}),
            **({"nameMap": names} if names else {}),
            "url": f"{host}/page/{change.thing}",
        },
    }


def _json_response(request: Request, document: dict[str, object], cache: str) -> Response:
    return build_response(request, Representation(orjson.dumps(document), MEDIA, headers={"Cache-Control": cache}))
