"""ActivityStreams 2 change collections: the newest activity of each object, read from the newest
page back.

Source: https://www.w3.org/TR/activitystreams-core/, https://iiif.io/api/discovery/1.0/ (whose
algorithm is used)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harvesters.errors import (
    ForbiddenError,
    HarvestError,
    NotFoundError,
    ParseError,
)
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, load_json
from harvesters.option_schema import Option, check_choice, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Pages, Payload, Record
from harvesters.parsing import join_url
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import in_utc, parse_timestamp
from harvesters.protocols.error_recovery import (
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
)
from harvesters.protocols.files.payload import FORMATS, Item, parse_file
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "format": Option(
        str,
        "inline",
        "Where records are: the activity's object (`inline`), or a file at the object's address: `json`, `xml`, `rdf`.",
    ),
    "also": Option(bool, False, "The record is at the address in the object's `seeAlso`."),
}

_ACCEPT = "application/activity+json, application/ld+json;q=0.9, application/json;q=0.8"
_CHANGES = {"Create", "Update", "Add", "Announce", "Move"}
_DELETIONS = {"Delete", "Remove"}


@dataclass(frozen=True, slots=True)
class ActivityCursor(ListCursorMethods):
    """Position in a collection: *pages* still to read, the next one first; *back* if they are found
    by links to earlier pages.

    *deletions*: from here on only deletions count, since a Refresh re-announced everything else.
    *incomplete_reason* as in Page; the others count in a row.
    """

    pages: tuple[str, ...] = ()
    back: bool = True
    deletions: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity: its *kind*, its object's *key* and *row*, its time, and for a Move the object's
    new location.
    """

    kind: str
    key: str
    row: Mapping[str, Any]
    stamp: str
    target: Mapping[str, Any] | None = None


def payload_type(source: Source) -> Payload:
    """Return the payload type of the source's records."""
    file_format = get_option(source, OPTIONS, "format")
    return FORMATS[file_format].payload if file_format in FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown format."""
    check_choice(source, OPTIONS, "format", ("inline", *FORMATS))


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield each object by its newest activity, or those with an activity since *since*; deleted or
    removed objects are gone.

    Pages are read from the newest back, and the activities on a page likewise, so that the first
    activity of each object counts. Raises ParseError if it is not a collection, or its pages do not
    end.
    """
    moment = in_utc(since) if since else None
    state = read_cursor(ActivityCursor, cursor) or _start(source, fetch)
    loop_detector, seen = LoopDetector(source.name), set[str]()
    while state.pages:
        address = state.pages[0]
        loop_detector.check_token("", address, "page")
        reply = fetch.get(address, accept=_ACCEPT)
        document = _check_collection(source, reply.url, load_json(reply))
        activities = list(_parse_activities(document))
        items, state, is_last = _read_activities(source, fetch, activities, moment, seen, state)
        empty = count_empty_pages(source.name, reply.url, state.empty, activities)
        rest = _next_pages(state, document, reply)
        state = replace(state, pages=() if is_last else rest, empty=empty)
        yield state.page(items, has_next=bool(state.pages), at=reply.at, again=True)


def _read_activities(
    source: Source,
    fetch: Fetch,
    activities: list[Activity | InvalidRecord],
    moment: datetime | None,
    seen: set[str],
    state: ActivityCursor,
) -> tuple[tuple[Item, ...], ActivityCursor, bool]:
    """Return the objects of a page, the cursor, and whether earlier activities are irrelevant."""
    items: list[Item] = []
    for activity in activities:
        if isinstance(activity, InvalidRecord):
            items.append(activity)
            continue
        timestamp = parse_timestamp(activity.stamp)
        if moment is not None and timestamp is not None and timestamp < moment:
            return tuple(items), state, True
        if activity.kind == "Refresh":
            state = replace(state, deletions=True)
            if moment is None:
                return tuple(items), state, True
            continue
        new_items, state = _apply_activity(source, fetch, activity, seen, state)
        items += new_items
    return tuple(items), state, False


def _next_pages(
    state: ActivityCursor, document: Mapping[str, Any], reply: Reply
) -> tuple[str, ...]:
    """Return the addresses of the pages that are still to be read."""
    if not state.back:
        return state.pages[1:]
    earlier = document.get("prev")
    return (join_url(reply.url, _object_id(earlier)),) if earlier else ()


def _start(source: Source, fetch: Fetch) -> ActivityCursor:
    """Find the newest page: the collection's last one, else all pages from the first on, to be read
    in reverse.
    """
    reply = fetch.get(source.url, accept=_ACCEPT)
    document = _check_collection(source, reply.url, load_json(reply))
    if last := _object_id(document.get("last")):
        return ActivityCursor((join_url(reply.url, last),))
    if not (first := _object_id(document.get("first"))):
        return ActivityCursor((reply.url,))
    pages, following = [], join_url(reply.url, first)
    loop_detector = LoopDetector(source.name)
    while following:
        loop_detector.check_token(reply.url, following, "page")
        pages.append(following)
        reply = fetch.get(following, accept=_ACCEPT)
        after = _object_id(_check_collection(source, reply.url, load_json(reply)).get("next"))
        following = join_url(reply.url, after) if after else ""
    return ActivityCursor(tuple(reversed(pages)), back=False)


def _check_collection(source: Source, url: str, document: Any) -> Mapping[str, Any]:
    types = (
        _as_list(document.get("type") or document.get("@type"))
        if isinstance(document, dict)
        else []
    )
    names = {str(name).rpartition("#")[2].rpartition(":")[2] for name in types}
    if not isinstance(document, dict) or not names & {
        "Collection",
        "OrderedCollection",
        "CollectionPage",
        "OrderedCollectionPage",
    }:
        raise ParseError(Reason("not_activities", {"source": source.name, "url": url}))
    return document


def _parse_activities(document: Mapping[str, Any]) -> Iterator[Activity | InvalidRecord]:
    """Yield a page's activities, the newest first: an ordered page begins with the oldest, any
    other is sorted.
    """
    ordered = document.get("orderedItems")
    rows = _as_list(ordered if ordered is not None else document.get("items"))
    activities = [_parse_activity(row) for row in rows]
    if ordered is None:
        activities.sort(
            key=lambda activity: (
                "" if isinstance(activity, InvalidRecord) else _sort_key(activity.stamp)
            )
        )
    return reversed(activities)


def _sort_key(stamp: str) -> str:
    moment = parse_timestamp(stamp)
    return moment.isoformat(timespec="microseconds") if moment else ""


def _parse_activity(row: Any) -> Activity | InvalidRecord:
    if not isinstance(row, dict):
        return InvalidRecord(None, Reason("activity_not_object", {"text": repr(str(row)[:40])}))
    kind = str(next(iter(_as_list(row.get("type"))), ""))
    stamp = next(
        (
            text
            for name in ("endTime", "updated", "published", "startTime")
            if isinstance(text := row.get(name), str)
        ),
        "",
    )
    if kind == "Refresh":
        return Activity(kind, "", {}, stamp)
    target_object = next(iter(_as_list(row.get("object"))), None)
    target_object = {"id": target_object} if isinstance(target_object, str) else target_object
    key = _object_id(target_object)
    if not isinstance(target_object, dict) or not key:
        return InvalidRecord(
            None, Reason("activity_without_object", {"id": repr(str(row.get("id"))[:80])})
        )
    target = next(iter(_as_list(row.get("target"))), None)
    return Activity(
        kind,
        key,
        target_object,
        stamp,
        {"id": target} if isinstance(target, str) else target if isinstance(target, dict) else None,
    )


def _apply_activity(
    source: Source, fetch: Fetch, activity: Activity, seen: set[str], state: ActivityCursor
) -> tuple[list[Item], ActivityCursor]:
    """Return the items of an activity; none if a newer activity of the same object was read."""
    moved = activity.target if activity.kind == "Move" else None
    items: list[Item] = []
    if activity.key not in seen and (activity.kind in _DELETIONS or moved):
        seen.add(activity.key)
        items.append(DeletedRecord(activity.key, activity.stamp or None))
    row = moved or activity.row
    key = _object_id(row)
    if key and key not in seen and activity.kind in _CHANGES and not state.deletions:
        seen.add(key)
        fetched, state = _fetch_object(source, fetch, key, row, activity.stamp, state)
        items += fetched
    return items, state


def _fetch_object(
    source: Source,
    fetch: Fetch,
    key: str,
    row: Mapping[str, Any],
    stamp: str,
    state: ActivityCursor,
) -> tuple[tuple[Item, ...], ActivityCursor]:
    """Return an object from its activity or its address; one that is missing is gone."""
    kind = get_option(source, OPTIONS, "format")
    try:
        if kind == "inline":
            return (Record(key, row, dump_json(row), stamp or None),), state
        also = (
            _object_id(next(iter(_as_list(row.get("seeAlso"))), None))
            if get_option(source, OPTIONS, "also")
            else key
        )
        if not also:
            return (InvalidRecord(key, Reason("object_without_see_also")),), state
        reply = fetch.get(also, accept=FORMATS[kind].accept)
        records = parse_file(source, fetch, key, reply, stamp or None)
        return tuple(replace(item, key=key) for item in records[:1]) if kind == "rdf" and len(
            records
        ) == 1 else records, replace(state, faults=0)
    except NotFoundError:
        return (DeletedRecord(key, stamp or None),), state
    except ValueError as error:
        return (InvalidRecord(key, Reason("record_holds", {"error": str(error)})),), state
    except RECORD_ERRORS as error:
        faults = count_unreadable(source.name, state.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(source, fetch, error)
        return (InvalidRecord(key, error.reason),), replace(state, faults=faults)


def _check_reachable(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* if the collection can no longer be read either: the fault is then not a single
    object's.
    """
    try:
        fetch.get(source.url, accept=_ACCEPT)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _object_id(node: Any) -> str:
    identifier = (node.get("id") or node.get("@id")) if isinstance(node, dict) else node
    return identifier.strip() if isinstance(identifier, str) else ""


PROTOCOL = Protocol(
    collect, Payload.ROW, OPTIONS, incremental=True, check=check, payload_type_for=payload_type
)
