"""ActivityStreams 2 change collections: the newest activity of each object, from the newest page back.

Source: https://www.w3.org/TR/activitystreams-core/, https://iiif.io/api/discovery/1.0/ (whose way of reading is taken)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.response_parsing import dump_json, load_json
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record
from harvesters.parsing import join_url
from harvesters.protocols.cursor import read, write
from harvesters.protocols.datestamps import read_stamp
from harvesters.protocols.error_recovery import UNREAD, Repeats, empties, fault
from harvesters.protocols.files.payload import FORMATS, Item, records
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "format": Option(str, "inline", "What a record is: the activity's object (`inline`), or what is at its address: `json`, `xml`, `rdf`."),
    "also": Option(bool, False, "The record is at the address that the object gives as `seeAlso`."),
}

_ACCEPT = "application/activity+json, application/ld+json;q=0.9, application/json;q=0.8"
_CHANGES = {"Create", "Update", "Add", "Announce", "Move"}
_DELETIONS = {"Delete", "Remove"}


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a walk stands: *pages* are those still to be read, the next one first; *back* by the links to earlier ones.

    *deletions*: from here on only these count, since a Refresh told all else anew. *doubt* as on a page, the others count in a row.
    """

    pages: tuple[str, ...] = ()
    back: bool = True
    deletions: bool = False
    doubt: str | None = None
    faults: int = 0
    empty: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    """An activity: its *kind*, its object's *key* and *row*, when it was, and for a Move the object's new place."""

    kind: str
    key: str
    row: Mapping[str, Any]
    stamp: str
    target: Mapping[str, Any] | None = None


def brings(source: Source) -> Payload:
    """Tell what the card's records are."""
    told = get_option(source, OPTIONS, "format")
    return FORMATS[told].payload if told in FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Refuse an unknown format; raises SourceDefinitionError."""
    told = get_option(source, OPTIONS, "format")
    if told not in {"inline", *FORMATS}:
        raise SourceDefinitionError(f"{source.name}: option 'format' is {told!r}; it is one of inline, {', '.join(FORMATS)}")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Any]:
    """Collect each object by its newest activity, or those with an activity since *since*; what was deleted or removed is gone.

    Pages are read from the newest back, and activities on a page likewise, so that of each object the first one that comes counts.
    Raises ParseError where it is no collection, or its pages do not end.
    """
    moment = None if since is None else since.replace(tzinfo=UTC) if since.tzinfo is None else since
    spot = read(_Spot, cursor) or _begun(source, fetch)
    repeats, met = Repeats(source.name), set[str]()
    while spot.pages:
        address = spot.pages[0]
        repeats.token("", address, "the page")
        reply = fetch.get(address, accept=_ACCEPT)
        document = _document(source, reply.url, load_json(reply))
        told = list(_activities(document))
        items: list[Item] = []
        ended = False
        for activity in told:
            if isinstance(activity, InvalidRecord):
                items.append(activity)
                continue
            at = read_stamp(activity.stamp)
            if moment is not None and at is not None and at < moment:
                ended = True
                break
            if activity.kind == "Refresh":
                ended = moment is None
                spot = replace(spot, deletions=True)
                if ended:
                    break
                continue
            found, spot = _items(source, fetch, activity, met, spot)
            items += found
        earlier = document.get("prev") if spot.back else None
        rest = (join_url(reply.url, _id(earlier)),) if earlier else () if spot.back else spot.pages[1:]
        empty = empties(source.name, reply.url, spot.empty, told)
        spot = replace(spot, pages=() if ended else rest, empty=empty)
        yield Page(tuple(items), write(spot) if spot.pages else None, None, reply.at, again=True, doubt=spot.doubt)


def _begun(source: Source, fetch: Fetch) -> _Spot:
    """Find the newest page: the collection's last one; where it has none, all pages from the first on, to be read from their end."""
    reply = fetch.get(source.url, accept=_ACCEPT)
    document = _document(source, reply.url, load_json(reply))
    if last := _id(document.get("last")):
        return _Spot((join_url(reply.url, last),))
    if not (first := _id(document.get("first"))):
        return _Spot((reply.url,))
    pages, following = [], join_url(reply.url, first)
    repeats = Repeats(source.name)
    while following:
        repeats.token(reply.url, following, "the page")
        pages.append(following)
        reply = fetch.get(following, accept=_ACCEPT)
        after = _id(_document(source, reply.url, load_json(reply)).get("next"))
        following = join_url(reply.url, after) if after else ""
    return _Spot(tuple(reversed(pages)), back=False)


def _document(source: Source, url: str, document: Any) -> Mapping[str, Any]:
    types = _many(document.get("type") or document.get("@type")) if isinstance(document, dict) else []
    names = {str(name).rpartition("#")[2].rpartition(":")[2] for name in types}
    if not isinstance(document, dict) or not names & {"Collection", "OrderedCollection", "CollectionPage", "OrderedCollectionPage"}:
        raise ParseError(f"{source.name}: {url} is no collection of ActivityStreams, nor a page of one")
    return document


def _activities(document: Mapping[str, Any]) -> Iterator[_Told | InvalidRecord]:
    """Give a page's activities, the newest first: an ordered page is told from the oldest on, any other is put in order."""
    ordered = document.get("orderedItems")
    rows = _many(ordered if ordered is not None else document.get("items"))
    found = [_told(row) for row in rows]
    if ordered is None:
        found.sort(key=lambda it: "" if isinstance(it, InvalidRecord) else _moment(it.stamp))
    return reversed(found)


def _moment(stamp: str) -> str:
    moment = read_stamp(stamp)
    return moment.isoformat(timespec="microseconds") if moment else ""


def _told(row: Any) -> _Told | InvalidRecord:
    if not isinstance(row, dict):
        return InvalidRecord(None, f"an activity that is no object but {str(row)[:40]!r}")
    kind = str(next(iter(_many(row.get("type"))), ""))
    stamp = next((text for name in ("endTime", "updated", "published", "startTime") if isinstance(text := row.get(name), str)), "")
    if kind == "Refresh":
        return _Told(kind, "", {}, stamp)
    it = next(iter(_many(row.get("object"))), None)
    it = {"id": it} if isinstance(it, str) else it
    key = _id(it)
    if not isinstance(it, dict) or not key:
        return InvalidRecord(None, f"an activity {str(row.get('id'))[:80]!r} whose object has no id")
    target = next(iter(_many(row.get("target"))), None)
    return _Told(kind, key, it, stamp, {"id": target} if isinstance(target, str) else target if isinstance(target, dict) else None)


def _items(source: Source, fetch: Fetch, it: _Told, met: set[str], spot: _Spot) -> tuple[list[Item], _Spot]:
    """Give what an activity says of its object, nothing where a newer one did already."""
    moved = it.target if it.kind == "Move" else None
    found: list[Item] = []
    if it.key not in met and (it.kind in _DELETIONS or moved):
        met.add(it.key)
        found.append(DeletedRecord(it.key, it.stamp or None))
    row = moved or it.row
    key = _id(row)
    if key and key not in met and it.kind in _CHANGES and not spot.deletions:
        met.add(key)
        some, spot = _brought(source, fetch, key, row, it.stamp, spot)
        found += some
    return found, spot


def _brought(source: Source, fetch: Fetch, key: str, row: Mapping[str, Any], stamp: str, spot: _Spot) -> tuple[tuple[Item, ...], _Spot]:
    """Bring an object: as it stands in its activity, or from its address; what is no longer there is gone."""
    kind = get_option(source, OPTIONS, "format")
    try:
        if kind == "inline":
            return (Record(key, row, dump_json(row), stamp or None),), spot
        also = _id(next(iter(_many(row.get("seeAlso"))), None)) if get_option(source, OPTIONS, "also") else key
        if not also:
            return (InvalidRecord(key, "its object gives no address as seeAlso"),), spot
        reply = fetch.get(also, accept=FORMATS[kind].accept)
        found = records(source, fetch, key, reply, stamp or None)
        return tuple(replace(item, key=key) for item in found[:1]) if kind == "rdf" and len(found) == 1 else found, replace(spot, faults=0)
    except NotFoundError:
        return (DeletedRecord(key, stamp or None),), spot
    except ValueError as error:
        return (InvalidRecord(key, f"an object that holds {error}"),), spot
    except UNREAD as error:
        faults = fault(source.name, spot.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(source, fetch, error)
        return (InvalidRecord(key, str(error)),), replace(spot, faults=faults)


def _alive(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* where the collection can no longer be read either: it is then more than one object's."""
    try:
        fetch.get(source.url, accept=_ACCEPT)
    except UNREAD as unwell:
        raise error from unwell


def _many(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [] if found is None else [found]


def _id(found: Any) -> str:
    told = (found.get("id") or found.get("@id")) if isinstance(found, dict) else found
    return told.strip() if isinstance(told, str) else ""
