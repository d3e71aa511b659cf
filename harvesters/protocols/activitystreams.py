"""ActivityStreams 2 change collections: the newest activity of each object, read from the newest
page back.

Source: https://www.w3.org/TR/activitystreams-core/, https://iiif.io/api/discovery/1.0/ (whose
algorithm is used)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, load_json
from harvesters.options import Options, one_of
from harvesters.page_model import DeletedRecord, InvalidRecord, Pages, Payload, Record
from harvesters.parsing import join_url
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import in_utc, parse_timestamp
from harvesters.protocols.document import Items, ListedDocument
from harvesters.protocols.error_recovery import LoopDetector, count_empty_pages
from harvesters.protocols.file_formats import FORMATS, file_reader, payload_type
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

_ACCEPT = "application/activity+json, application/ld+json;q=0.9, application/json;q=0.8"
_COLLECTIONS = {"Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage"}
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


class ActivityOptions(Options):
    """The options of a collection."""

    format: Annotated[str, one_of(("inline", *FORMATS))] = Field(
        "inline",
        description="Where records are: the activity's object (`inline`), or a file at the object's address: `json`, `xml`, `rdf`.",
    )
    also: bool = Field(False, description="The record is at the address in the object's `seeAlso`.")


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
    loop_detector, reader = LoopDetector(source.name), ActivityReader(source, fetch, state)
    while state.pages:
        address, rest = state.pages[0], state.pages[1:]
        loop_detector.check_token("", address, "the page")
        reply, document = _fetch_page(source, fetch, address)
        activities = _parse_activities(document)
        items, is_last = reader.read(activities, moment)
        if state.back:
            earlier = _object_id(document.get("prev"))
            rest = (join_url(reply.url, earlier),) if earlier else ()
        state = replace(
            state,
            pages=() if is_last else rest,
            deletions=reader.deletions,
            faults=reader.faults,
            empty=count_empty_pages(source.name, reply.url, state.empty, activities),
        )
        yield state.page((*items,), has_next=bool(state.pages), at=reply.at, again=True)


class ActivityReader:
    """Reads the objects of activities, each by its newest one."""

    def __init__(self, source: Source, fetch: Fetch, state: ActivityCursor) -> None:
        self.source, self.fetch = source, fetch
        self.deletions, self.faults = state.deletions, state.faults
        self.seen = set[str]()

    def read(
        self, activities: list[Activity | InvalidRecord], moment: datetime | None
    ) -> tuple[list[Record[Any] | DeletedRecord | InvalidRecord], bool]:
        """Return the objects of a page's activities, and whether earlier ones are irrelevant."""
        items: list[Record[Any] | DeletedRecord | InvalidRecord] = []
        for activity in activities:
            if isinstance(activity, InvalidRecord):
                items.append(activity)
                continue
            timestamp = parse_timestamp(activity.stamp)
            if moment and timestamp and timestamp < moment:
                return items, True
            if activity.kind == "Refresh":
                self.deletions = True
                if moment is None:
                    return items, True
            else:
                items += self._apply(activity)
        return items, False

    def _apply(self, activity: Activity) -> Items:
        """Return the items of an activity; none if a newer activity of the same object was read."""
        moved = activity.target if activity.kind == "Move" else None
        stamp, row, gone = activity.stamp or None, moved or activity.row, Items()
        if activity.key not in self.seen and (activity.kind in _DELETIONS or moved):
            self.seen.add(activity.key)
            gone = (DeletedRecord(activity.key, stamp),)
        key = _object_id(row)
        if not key or key in self.seen or activity.kind not in _CHANGES or self.deletions:
            return gone
        self.seen.add(key)
        return gone + self._read_object(key, row, stamp)

    def _read_object(self, key: str, row: Mapping[str, Any], stamp: str | None) -> Items:
        """Return an object from its activity or its address; one that is missing is gone."""
        options = ActivityOptions.of(self.source)
        if options.format == "inline":
            try:
                return (Record(key, row, dump_json(row), stamp),)
            except ValueError as error:
                return (
                    InvalidRecord(key, Reason("a record that holds %(error)s", error=str(error))),
                )
        address = _object_id(_first(row.get("seeAlso"))) if options.also else key
        if not address:
            return (InvalidRecord(key, Reason("its object has no address in seeAlso")),)
        reader = file_reader(self.source, self.fetch, _ACCEPT)
        items, _, self.faults, _ = reader.read(ListedDocument(address, key, stamp), self.faults)
        return items


def _start(source: Source, fetch: Fetch) -> ActivityCursor:
    """Find the newest page: the collection's last one, else all pages from the first on, to be read
    in reverse.
    """
    reply, document = _fetch_page(source, fetch, source.url)
    if last := _object_id(document.get("last")):
        return ActivityCursor((join_url(reply.url, last),))
    following = _object_id(document.get("first"))
    if not following:
        return ActivityCursor((reply.url,))
    pages, loop_detector = list[str](), LoopDetector(source.name)
    while following:
        pages.insert(0, join_url(reply.url, following))
        loop_detector.check_token(reply.url, pages[0], "the page")
        reply, document = _fetch_page(source, fetch, pages[0])
        following = _object_id(document.get("next"))
    return ActivityCursor(tuple(pages), back=False)


def _fetch_page(source: Source, fetch: Fetch, url: str) -> tuple[Reply, Mapping[str, Any]]:
    """Request a collection or a page of one. Raise ParseError if it is neither."""
    reply = fetch.get(url, accept=_ACCEPT)
    document = load_json(reply)
    if isinstance(document, dict):
        types = _as_list(document.get("type") or document.get("@type"))
        names = {str(name).rpartition("#")[2].rpartition(":")[2] for name in types}
        if names & _COLLECTIONS:
            return reply, document
    raise ParseError(
        Reason(
            "%(source)s: %(url)s is not an ActivityStreams collection or a page of one",
            source=source.name,
            url=reply.url,
        )
    )


def _parse_activities(document: Mapping[str, Any]) -> list[Activity | InvalidRecord]:
    """Return a page's activities, the newest first: an ordered page begins with the oldest, any
    other is sorted.
    """
    ordered = document.get("orderedItems")
    rows = _as_list(ordered if ordered is not None else document.get("items"))
    activities = [_parse_activity(row) for row in rows]
    if ordered is None:
        activities.sort(key=_sort_key)
    return activities[::-1]


def _sort_key(activity: Activity | InvalidRecord) -> str:
    moment = parse_timestamp(activity.stamp) if isinstance(activity, Activity) else None
    return moment.isoformat(timespec="microseconds") if moment else ""


def _parse_activity(row: Any) -> Activity | InvalidRecord:
    if not isinstance(row, dict):
        return InvalidRecord(
            None, Reason("an activity that is not an object: %(text)s", text=repr(str(row)[:40]))
        )
    kind = str(_first(row.get("type")) or "")
    stamps = (row.get(name) for name in ("endTime", "updated", "published", "startTime"))
    stamp = next((text for text in stamps if isinstance(text, str)), "")
    if kind == "Refresh":
        return Activity(kind, "", {}, stamp)
    node, target = (
        {"id": value} if isinstance(value, str) else value
        for value in (_first(row.get("object")), _first(row.get("target")))
    )
    key = _object_id(node)
    if not isinstance(node, dict) or not key:
        why = Reason("an activity %(id)s whose object has no id", id=repr(str(row.get("id"))[:80]))
        return InvalidRecord(None, why)
    return Activity(kind, key, node, stamp, target if isinstance(target, dict) else None)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _first(value: Any) -> Any:
    return next(iter(_as_list(value)), None)


def _object_id(node: Any) -> str:
    identifier = (node.get("id") or node.get("@id")) if isinstance(node, dict) else node
    return identifier.strip() if isinstance(identifier, str) else ""


PROTOCOL = Protocol(
    collect, Payload.ROW, ActivityOptions, incremental=True, payload_type_for=payload_type
)
