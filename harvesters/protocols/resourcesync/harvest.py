"""ResourceSync: each resource of a source's lists, later those that its change lists name.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.option_schema import Option, get_option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, SourcePosition
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, fault
from harvesters.protocols.files import payload
from harvesters.protocols.files.payload import FORMATS, Item, records
from harvesters.protocols.resourcesync.dump import packed
from harvesters.protocols.resourcesync.resource_list import ACCEPT, Entry, lists
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **payload.OPTIONS,
    "only": Option(str, None, "A regular expression that the addresses of resources must hold."),
}

_OVERLAP = timedelta(days=1)  # a lastmod may be a day


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a walk stands: behind the resource *last* of the list *list*; the others are as on a page, or count resources in a row."""

    list: str = ""
    last: str = ""
    again: bool = False
    doubt: str | None = None
    faults: int = 0


def check(source: Source) -> None:
    """Refuse an unknown format and an expression that cannot be read; raises SourceDefinitionError."""
    payload.check(source)
    get_pattern(source, OPTIONS, "only")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Any]:
    """Collect all resources, or what change lists tell since *since*; where these begin later, what resource lists date since.

    A resource's key is its address; one that is told to be deleted is gone. One that cannot be read is unreadable and stops nothing.
    Raises ParseError where the card's url leads to no list.
    """
    moment = None if since is None else since.replace(tzinfo=UTC) if since.tzinfo is None else since
    spot = read(_Spot, cursor) or _Spot(again=cursor is not None)
    only = get_pattern(source, OPTIONS, "only")
    passed = not spot.list
    for name, entries in _wanted(source, fetch, moment):
        passed = passed or name == spot.list
        for entry, held in entries if passed else []:
            if (name != spot.list or entry.address > spot.last) and only.search(entry.address):
                items, at, spot = _resource(source, fetch, entry, held, replace(spot, list=name, last=entry.address))
                yield Page(items, write(spot), None, at, again=spot.again, doubt=spot.doubt)
    if not passed:  # the list in which it stood is no longer there
        yield from collect(source, fetch, since, write(_Spot(again=True, doubt=spot.doubt)))
        return
    yield Page((), None, again=spot.again, doubt=spot.doubt)


def _wanted(source: Source, fetch: Fetch, moment: datetime | None) -> Iterator[tuple[str, Iterable[tuple[Entry, Reply | None]]]]:
    """Give the entries that are wanted, list by list or package by package, in the order of addresses; a package's with what it holds."""
    changes = _changes(source, fetch, moment) if moment is not None else None
    if changes is not None:
        yield "changes", [(entry, None) for entry in changes]
        return
    there = 0
    for it in lists(source, fetch, "resourcelist"):
        there += 1
        yield it.url, [(entry, None) for entry in sorted(it.entries, key=lambda entry: entry.address) if _fresh(entry, moment)]
    for package in [] if there else _packages(source, fetch):
        there += 1
        yield package, ((entry, held) for entry, held in packed(source, fetch, package) if _fresh(entry, moment))
    if not there:
        raise ParseError(f"{source.name}: {source.url} leads to no resource list, and to no resource dump")


def _fresh(entry: Entry, moment: datetime | None) -> bool:
    return moment is None or entry.moment is None or entry.moment >= moment - _OVERLAP


def _packages(source: Source, fetch: Fetch) -> Iterator[str]:
    for it in lists(source, fetch, "resourcedump"):
        yield from sorted(entry.address for entry in it.entries)


def _changes(source: Source, fetch: Fetch, moment: datetime) -> list[Entry] | None:
    """Give the newest change of each resource since *moment*; None where change lists do not reach back to it."""
    found = list(lists(source, fetch, "changelist"))
    if not any(it.begin is None or it.begin <= moment for it in found):
        return None
    told = (entry for it in found for entry in it.entries if entry.moment is None or entry.moment >= moment)
    newest: dict[str, Entry] = {}
    for entry in told:
        known = newest.get(entry.address)
        if known is None or (entry.moment or moment) >= (known.moment or moment):
            newest[entry.address] = entry
    return [newest[address] for address in sorted(newest)]


def _resource(
    source: Source, fetch: Fetch, entry: Entry, held: Reply | None, spot: _Spot
) -> tuple[tuple[Item, ...], SourcePosition | None, _Spot]:
    """Bring one resource, be it *held* by a package."""
    key, kind = entry.address, get_option(source, OPTIONS, "format")
    if entry.change == "deleted":
        return (DeletedRecord(key, entry.stamp or None),), None, spot
    at = None
    try:
        reply = held or fetch.get(key, accept=FORMATS[kind].accept)
        at = reply.at
        if held and not held.content:
            raise ParseError(f"{key}: its package does not hold it, or more of it than may come")
        found = records(source, fetch, key, reply, entry.stamp or None)
        alone = kind == "rdf" and len(found) == 1
        return tuple(replace(item, key=key) for item in found) if alone else found, at, replace(spot, faults=0)
    except NotFoundError:
        return (DeletedRecord(key, entry.stamp or None),), at, replace(spot, faults=0)
    except UNREAD as error:
        faults = fault(source.name, spot.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(source, fetch, error)
        return (InvalidRecord(key, str(error)),), at, replace(spot, faults=faults)


def _alive(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* where the card's own document can no longer be read either: it is then more than one resource's."""
    try:
        fetch.get(source.url, accept=ACCEPT)
    except UNREAD as unwell:
        raise error from unwell
