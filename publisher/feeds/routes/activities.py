"""``/activities``: every change as an ActivityStreams 2 collection. Pages are ordered from the
oldest; a full page never changes.

Sources: https://www.w3.org/TR/activitystreams-core/ and https://iiif.io/api/discovery/1.0/ (clients
begin at the last page and go back until they reach a change that they have).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal, NotRequired, cast

import orjson
from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.dependencies import ServiceDep
from publisher.feeds.record_metadata import read_metadata
from publisher.feeds.xml_writing import instant
from publisher.history import change_reader
from publisher.history.record_states import RecordState, read_states
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.endpoints import Count, Instant, WebAddress, get, problems, whole_number
from web.links import origin
from web.problems import HTTPProblem
from web.representation import Representation, build_response

PAGE_SIZE = 100  # activities on a page
MEDIA = "application/activity+json"
_CONTEXT = "https://www.w3.org/ns/activitystreams"
_FOR_EVER = "public, max-age=31536000, immutable"
_SOON = "public, max-age=60"
_ACTIVITY_TYPES: dict[change_reader.ChangeType, Literal["Create", "Update", "Delete"]] = {
    change_reader.ChangeType.NEW: "Create",
    change_reader.ChangeType.CHANGED: "Update",
    change_reader.ChangeType.DELETED: "Delete",
}
_MAX_NUMBER = 1_000_000_000
_TYPES = {"initiative": "Article", "event": "Event", "document": "Document", "post": "Note"}

PageNumber = Annotated[
    int, Path(ge=1, le=_MAX_NUMBER, description="The page, from 1"), whole_number()
]

ActivityCollection = TypedDict(
    "ActivityCollection",
    {
        "@context": WebAddress,
        "id": WebAddress,
        "type": Literal["OrderedCollection"],
        "summary": str,
        "totalItems": Count,
        "first": WebAddress,
        "last": WebAddress,
    },
)


class Actor(TypedDict):
    """The registry that published a change."""

    id: WebAddress
    type: str
    name: str


class ActivityObject(TypedDict):
    """The thing that changed; a deleted one is a Tombstone."""

    id: WebAddress
    type: str
    formerType: NotRequired[str]
    deleted: NotRequired[Instant]
    nameMap: NotRequired[dict[str, str]]
    url: WebAddress


class Activity(TypedDict):
    """A change of a record."""

    id: WebAddress
    type: Literal["Create", "Update", "Delete"]
    actor: Actor
    published: Instant
    endTime: Instant
    object: ActivityObject


ActivityPage = TypedDict(
    "ActivityPage",
    {
        "@context": WebAddress,
        "id": WebAddress,
        "type": Literal["OrderedCollectionPage"],
        "partOf": WebAddress,
        "startIndex": Count,
        "prev": NotRequired[WebAddress],
        "next": NotRequired[WebAddress],
        "orderedItems": list[Activity],
    },
)


class ActivityResponse(JSONResponse):
    """A response in ActivityStreams 2."""

    media_type = MEDIA


router = APIRouter()


@get(
    router,
    "/activities",
    operation_id="activities",
    summary="Describe the collection of all changes of records",
    tags=["watch"],
    response_model=ActivityCollection,
    response_class=ActivityResponse,
    response_description="An ActivityStreams 2 collection",
    responses=problems(503),
)
async def collection(request: Request, service: ServiceDep) -> Response:
    """Return the collection, which links its first and last page."""
    size, host = await _size(service), origin(request)
    document: ActivityCollection = {
        "@context": _CONTEXT,
        "id": f"{host}/activities",
        "type": "OrderedCollection",
        "summary": "Every change of every record, the oldest first",
        "totalItems": size,
        "first": f"{host}/activities/1",
        "last": f"{host}/activities/{max(1, -(-size // PAGE_SIZE))}",
    }
    return _json_response(request, document, _SOON)


@get(
    router,
    "/activities/{number}",
    operation_id="activityPage",
    summary=f"Return {PAGE_SIZE} changes of records, the oldest first",
    tags=["watch"],
    response_model=ActivityPage,
    response_class=ActivityResponse,
    response_description="A page of the collection",
    responses=problems(404, 503),
)
async def page(request: Request, service: ServiceDep, number: PageNumber) -> Response:
    """Return a page of the collection."""
    size, host = await _size(service), origin(request)
    if number > size // PAGE_SIZE + 1:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"The collection has no page {number}")
    first, last = (number - 1) * PAGE_SIZE, min(number * PAGE_SIZE, size)
    page_changes = await asyncio.to_thread(_changes, service, first, last)
    record_states = await read_states(service, page_changes)
    full = number * PAGE_SIZE <= size
    document = {
        "@context": _CONTEXT,
        "id": f"{host}/activities/{number}",
        "type": "OrderedCollectionPage",
        "partOf": f"{host}/activities",
        "startIndex": first,
        **({"prev": f"{host}/activities/{number - 1}"} if number > 1 else {}),
        **({"next": f"{host}/activities/{number + 1}"} if full else {}),
        "orderedItems": activities(page_changes, record_states, host, service.iris),
    }
    return _json_response(request, document, _FOR_EVER if full else _SOON)


async def _size(service: QueryService) -> int:
    """Return the number of changes."""
    horizon = await asyncio.to_thread(change_reader.read_watermark, service)
    return await asyncio.to_thread(_last_number, service, horizon.sequence)


def _last_number(service: QueryService, sequence: int) -> int:
    return change_reader.open_history(service).last_number(change_reader.ALL, sequence)


def _changes(service: QueryService, after: int, last: int) -> list[change_reader.Change]:
    history = change_reader.open_history(service)
    return history.changes(change_reader.ALL, after, last, PAGE_SIZE)


def activities(
    page_changes: Sequence[change_reader.Change],
    record_states: Sequence[RecordState],
    host: str,
    iris: Iris,
) -> list[Activity]:
    """Return changes as activities."""
    return [
        _activity(change, state, host, iris)
        for change, state in zip(page_changes, record_states, strict=True)
    ]


def _activity(change: change_reader.Change, state: RecordState, host: str, iris: Iris) -> Activity:
    metadata, timestamp = read_metadata(change, state, iris), instant(change.stamp)
    kind = _TYPES.get(change.kind, "Object")
    gone = {"type": "Tombstone", "formerType": kind, "deleted": timestamp}
    names = {text.language or "und": text.value for text in metadata.titles}
    changed = {
        "id": metadata.topic,
        **(gone if change.change_type is change_reader.ChangeType.DELETED else {"type": kind}),
        **({"nameMap": names} if names else {}),
        "url": f"{host}/page/{change.thing}",
    }
    return {
        "id": f"{iris.base}ldes/version/{change.entry}/{change.name}",
        "type": _ACTIVITY_TYPES[change.change_type],
        "actor": {
            "id": iris.source(metadata.source),
            "type": "Organization",
            "name": metadata.source,
        },
        "published": timestamp,
        "endTime": timestamp,
        "object": cast(ActivityObject, changed),
    }


def _json_response(request: Request, document: object, cache: str) -> Response:
    return build_response(
        request, Representation(orjson.dumps(document), MEDIA, headers={"Cache-Control": cache})
    )
