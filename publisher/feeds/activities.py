"""``/activities``: every change as an ActivityStreams 2 collection. Pages are ordered from the
oldest; a full page never changes.

Sources: https://www.w3.org/TR/activitystreams-core/ and https://iiif.io/api/discovery/1.0/ (clients
begin at the last page and go back until they reach a change that they have).
"""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.feeds.records import ChangedRecord, Changes, ChangesDep, instant
from publisher.history.change_reader import ALL, ChangeType
from web.endpoints import Documentation, get, problems, schema_of, whole_number
from web.respond import IMMUTABLE, origin, require, respond

PAGE_SIZE = 100  # activities on a page
MEDIA = "application/activity+json"
_CONTEXT = "https://www.w3.org/ns/activitystreams"
_SOON = "public, max-age=60"
_ACTIVITY_TYPES = {
    ChangeType.NEW: "Create",
    ChangeType.CHANGED: "Update",
    ChangeType.DELETED: "Delete",
}
_TYPES = {"initiative": "Article", "event": "Event", "document": "Document", "post": "Note"}


router = APIRouter()


def _contents(schema: str) -> Documentation:
    return {200: {"content": {MEDIA: {"schema": schema_of(schema)}}}}


@get(
    router,
    "/activities",
    operation_id="activities",
    summary="Describe the collection of all changes of records",
    tags=["watch"],
    response_class=Response,
    response_description="An ActivityStreams 2 collection",
    responses=_contents("ActivityCollection") | problems(503),
)
def collection(request: Request, changes: ChangesDep) -> Response:
    """Return the collection, which links its first and last page."""
    size, host = _size(changes), origin(request)
    document = {
        "@context": _CONTEXT,
        "id": f"{host}/activities",
        "type": "OrderedCollection",
        "summary": "Every change of every record, the oldest first",
        "totalItems": size,
        "first": f"{host}/activities/1",
        "last": f"{host}/activities/{max(1, -(-size // PAGE_SIZE))}",
    }
    return respond(request, orjson.dumps(document), MEDIA, headers={"Cache-Control": _SOON})


@get(
    router,
    "/activities/{number}",
    operation_id="activityPage",
    summary=f"Return {PAGE_SIZE} changes of records, the oldest first",
    tags=["watch"],
    response_class=Response,
    response_description="A page of the collection",
    responses=_contents("ActivityPage") | problems(404, 503),
)
def page(
    request: Request,
    changes: ChangesDep,
    number: Annotated[
        int, Path(ge=1, le=1_000_000_000, description="The page, from 1"), whole_number()
    ],
) -> Response:
    """Return a page of the collection."""
    size, host = _size(changes), origin(request)
    require(number <= size // PAGE_SIZE + 1, f"The collection has no page {number}")
    first, last = (number - 1) * PAGE_SIZE, min(number * PAGE_SIZE, size)
    entries = changes.history.changes(ALL, first, last, PAGE_SIZE)
    is_full = number * PAGE_SIZE <= size
    document = {
        "@context": _CONTEXT,
        "id": f"{host}/activities/{number}",
        "type": "OrderedCollectionPage",
        "partOf": f"{host}/activities",
        "startIndex": first,
        **({"prev": f"{host}/activities/{number - 1}"} if number > 1 else {}),
        **({"next": f"{host}/activities/{number + 1}"} if is_full else {}),
        "orderedItems": [_activity(record, host) for record in changes.records(entries)],
    }
    headers = {"Cache-Control": IMMUTABLE if is_full else _SOON}
    return respond(request, orjson.dumps(document), MEDIA, headers=headers)


def _size(changes: Changes) -> int:
    return changes.history.last_number(ALL, changes.watermark.sequence)


def _activity(record: ChangedRecord, host: str) -> dict[str, object]:
    change, timestamp = record.change, instant(record.change.stamp)
    kind = _TYPES.get(change.kind, "Object")
    tombstone = {"type": "Tombstone", "formerType": kind, "deleted": timestamp}
    names = {value.language or "und": value.text for value in record.values["titles"]}
    return {
        "id": f"{record.iris.base}ldes/version/{change.entry}/{change.name}",
        "type": _ACTIVITY_TYPES[change.change_type],
        "actor": {
            "id": record.iris.source(record.source),
            "type": "Organization",
            "name": record.source,
        },
        "published": timestamp,
        "endTime": timestamp,
        "object": {
            "id": record.topic,
            **(tombstone if change.change_type is ChangeType.DELETED else {"type": kind}),
            **({"nameMap": names} if names else {}),
            "url": f"{host}/page/{change.thing}",
        },
    }
