"""ActivityStreams 2 change collections: the newest activity of each object, read from the newest
page back.

Source: https://www.w3.org/TR/activitystreams-core/, https://iiif.io/api/discovery/1.0/ (whose
algorithm is used)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json
from harvesters.options import Options, one_of
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Payload
from harvesters.payloads.value_parsing import as_list, join_url, parse_timestamp
from harvesters.protocols.document import (
    FORMATS,
    DocumentCursor,
    ListedDocument,
    file_reader,
    payload_type,
    row_record,
)
from harvesters.protocols.lists import Batch, ListCursor, PagedProtocol
from harvesters.protocols.protocol import Items, Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

_ACCEPT = "application/activity+json, application/ld+json;q=0.9, application/json;q=0.8"
_COLLECTIONS = {"Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage"}
_CHANGES = {"Create", "Update", "Add", "Announce", "Move"}
_DELETIONS = {"Delete", "Remove"}


class ActivityOptions(Options):
    """The options of a collection."""

    format: Annotated[str, one_of(("inline", *FORMATS))] = Field(
        "inline",
        description="Where records are: the activity's object (`inline`), or a file at the object's address: `json`, `xml`, `rdf`.",
    )


class ActivityStreams(PagedProtocol[Any]):
    """Each object by its newest activity, or those with an activity since *since*; deleted or
    removed objects are gone.

    Pages are read from the newest back, and the activities on a page likewise, so that the first
    activity of each object counts. The position is the address of a page. The window is whether only
    deletions count, since a Refresh re-announced everything else.
    """

    windows = ((False,),)
    is_linked = True
    repeats = True
    moves = False

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options, self.seen = ActivityOptions.of(source), set[str]()
        is_inline = self.options.format == "inline"
        self.reader = None if is_inline else file_reader(source, fetch, _ACCEPT)

    def start(self) -> ListCursor:
        """Begin with the collection's last page, or with the collection if it has no pages."""
        reply, document = _fetch_page(self.source, self.fetch, self.source.url)
        newest = join_url(reply.url, _object_id(document.get("last")))
        return ListCursor(self.windows, position=newest)

    def request(self, cursor: ListCursor, size: int) -> Batch:
        (deletions,) = cursor.windows[0]
        reply, document = _fetch_page(self.source, self.fetch, cursor.position)
        earlier = _object_id(document.get("prev"))
        following = join_url(reply.url, earlier) if earlier else ""
        items: list[Item[Any]] = []
        activities = as_list(document.get("orderedItems"))
        for activity in reversed(activities):
            kind, moment = _kind(activity), parse_timestamp(_stamp(activity))
            is_refresh = kind == "Refresh"
            if (self.since and moment and moment < self.since) or (is_refresh and not self.since):
                following = ""
                break
            deletions = deletions or is_refresh
            items += () if is_refresh else self._objects(activity, kind, deletions)
        passed = len(activities)
        return Batch(reply, items, next=following, passed=passed, window=(deletions,))

    def _objects(self, activity: Any, kind: str, deletions: bool) -> Items:
        """Return the items of an activity; none if a newer activity of the same object was read."""
        if not isinstance(activity, dict):
            text = "an activity that is not an object: %(text)s"
            return (InvalidRecord(None, Reason(text, text=repr(str(activity)[:40]))),)
        row, target = (
            {"id": value} if isinstance(value, str) else value
            for value in (_first(activity.get("object")), _first(activity.get("target")))
        )
        key, stamp, gone = _object_id(row), _stamp(activity) or None, Items()
        if not isinstance(row, dict) or not key:
            text = "an activity %(id)s whose object has no id"
            return (InvalidRecord(None, Reason(text, id=repr(str(activity.get("id"))[:80]))),)
        is_moved = kind == "Move" and isinstance(target, dict) and target
        if key not in self.seen and (kind in _DELETIONS or is_moved):
            self.seen.add(key)
            gone = (DeletedRecord(key, stamp),)
        if is_moved:
            row, key = target, _object_id(target)
        if not key or key in self.seen or kind not in _CHANGES or deletions:
            return gone
        self.seen.add(key)
        if self.reader is None:
            return (*gone, row_record(key, row, stamp))
        pages = self.reader.read(ListedDocument(key, key, stamp), DocumentCursor())
        return gone + tuple(item for items, _, _ in pages for item in items)


def _fetch_page(source: Source, fetch: Fetch, url: str) -> tuple[Reply, Mapping[str, Any]]:
    """Request a collection or a page of one. Raise ParseError if it is neither."""
    reply = fetch.get(url, accept=_ACCEPT)
    document = load_json(reply)
    if isinstance(document, dict):
        types = as_list(document.get("type") or document.get("@type"))
        if {str(name).rpartition("#")[2].rpartition(":")[2] for name in types} & _COLLECTIONS:
            return reply, document
    raise ParseError(
        "%(source)s: %(url)s is not an ActivityStreams collection or a page of one",
        source=source.name,
        url=reply.url,
    )


def _kind(activity: Any) -> str:
    return str(_first(activity.get("type")) or "") if isinstance(activity, dict) else ""


def _stamp(activity: Any) -> str:
    names = ("endTime", "updated", "published", "startTime")
    stamps = [activity.get(name) for name in names] if isinstance(activity, dict) else []
    return next((text for text in stamps if isinstance(text, str)), "")


def _first(value: Any) -> Any:
    return next(iter(as_list(value)), None)


def _object_id(node: Any) -> str:
    identifier = (node.get("id") or node.get("@id")) if isinstance(node, dict) else node
    return identifier.strip() if isinstance(identifier, str) else ""


PROTOCOL = Protocol(
    ActivityStreams.collect,
    Payload.ROW,
    ActivityOptions,
    incremental=True,
    payload_type_for=payload_type,
)
