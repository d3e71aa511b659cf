"""ResourceSync: all resources of a source's lists, later those in its change lists.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Pages, Payload
from harvesters.protocols.cursor import ListCursorMethods, read_cursor, write_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import RECORD_ERRORS, count_unreadable
from harvesters.protocols.files import payload
from harvesters.protocols.files.payload import FORMATS, Item, parse_file, payload_type
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.resourcesync.dump import read_package
from harvesters.protocols.resourcesync.resource_list import ACCEPT, ResourceEntry, fetch_lists
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    **payload.OPTIONS,
    "only": Option(str, None, "A regular expression that the addresses of resources must contain."),
}

_OVERLAP = timedelta(days=1)  # a lastmod may be a date without a time


@dataclass(frozen=True, slots=True)
class ResourceSyncCursor(ListCursorMethods):
    """Position in a harvest: after the resource *last* of the list *list*; the others are as in
    Page, or count errors in a row.
    """

    list: str = ""
    last: str = ""
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown format or an invalid regular expression."""
    payload.check(source)
    get_pattern(source, OPTIONS, "only")


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield all resources, or those changed since *since* by change lists, else by the dates in
    resource lists.

    A resource's key is its address; one that is reported as deleted is gone. One that cannot be
    read is unreadable and does not stop the others. Raises ParseError if the source's url leads to
    no list.
    """
    moment = in_utc(since) if since else None
    state = read_cursor(ResourceSyncCursor, cursor) or ResourceSyncCursor(again=cursor is not None)
    only = get_pattern(source, OPTIONS, "only")
    passed = not state.list
    for name, entries in _select_entries(source, fetch, moment):
        passed = passed or name == state.list
        for entry, packaged in entries if passed else []:
            if (name != state.list or entry.address > state.last) and only.search(entry.address):
                items, position, state = _read_resource(
                    source, fetch, entry, packaged, replace(state, list=name, last=entry.address)
                )
                yield state.page(items, has_next=True, at=position, again=state.again)
    if not passed:  # the cursor's list no longer exists
        yield from collect(
            source,
            fetch,
            since,
            write_cursor(ResourceSyncCursor(again=True, incomplete_reason=state.incomplete_reason)),
        )
        return
    yield state.page((), has_next=False, again=state.again)


def _select_entries(
    source: Source, fetch: Fetch, moment: datetime | None
) -> Iterator[tuple[str, Iterable[tuple[ResourceEntry, Reply | None]]]]:
    """Yield the entries to read, list by list or package by package, sorted by address; a package's
    with their content.
    """
    changes = _latest_changes(source, fetch, moment) if moment is not None else None
    if changes is not None:
        yield "changes", [(entry, None) for entry in changes]
        return
    count = 0
    for document in fetch_lists(source, fetch, "resourcelist"):
        count += 1
        yield (
            document.url,
            [
                (entry, None)
                for entry in sorted(document.entries, key=lambda entry: entry.address)
                if _may_have_changed(entry, moment)
            ],
        )
    for package in [] if count else _list_packages(source, fetch):
        count += 1
        yield (
            package,
            (
                (entry, packaged)
                for entry, packaged in read_package(source, fetch, package)
                if _may_have_changed(entry, moment)
            ),
        )
    if not count:
        raise ParseError(Reason("no_resource_list", {"source": source.name, "url": source.url}))


def _may_have_changed(entry: ResourceEntry, moment: datetime | None) -> bool:
    return moment is None or entry.moment is None or entry.moment >= moment - _OVERLAP


def _list_packages(source: Source, fetch: Fetch) -> Iterator[str]:
    for document in fetch_lists(source, fetch, "resourcedump"):
        yield from sorted(entry.address for entry in document.entries)


def _latest_changes(source: Source, fetch: Fetch, moment: datetime) -> list[ResourceEntry] | None:
    """Return the newest change of each resource since *moment*, or None if change lists do not
    reach back to it.
    """
    documents = list(fetch_lists(source, fetch, "changelist"))
    if not any(
        document.changes_from is None or document.changes_from <= moment for document in documents
    ):
        return None
    changes = (
        entry
        for document in documents
        for entry in document.entries
        if entry.moment is None or entry.moment >= moment
    )
    newest: dict[str, ResourceEntry] = {}
    for entry in changes:
        known = newest.get(entry.address)
        if known is None or (entry.moment or moment) >= (known.moment or moment):
            newest[entry.address] = entry
    return [newest[address] for address in sorted(newest)]


def _read_resource(
    source: Source,
    fetch: Fetch,
    entry: ResourceEntry,
    packaged: Reply | None,
    state: ResourceSyncCursor,
) -> tuple[tuple[Item, ...], SourcePosition | None, ResourceSyncCursor]:
    """Read one resource, from the package (*packaged*) or its address."""
    key, kind = entry.address, get_option(source, OPTIONS, "format")
    if entry.change == "deleted":
        return (DeletedRecord(key, entry.stamp or None),), None, state
    position = None
    try:
        reply = packaged or fetch.get(key, accept=FORMATS[kind].accept)
        position = reply.at
        if packaged and not packaged.content:
            raise ParseError(f"{key}: it is missing in its package, or too large")
        items = parse_file(source, fetch, key, reply, entry.stamp or None)
        is_single = kind == "rdf" and len(items) == 1
        return (
            tuple(replace(item, key=key) for item in items) if is_single else items,
            position,
            replace(state, faults=0),
        )
    except NotFoundError:
        return (DeletedRecord(key, entry.stamp or None),), position, replace(state, faults=0)
    except RECORD_ERRORS as error:
        faults = count_unreadable(source.name, state.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(source, fetch, error)
        return (InvalidRecord(key, error.reason),), position, replace(state, faults=faults)


def _check_reachable(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* if the source's own document can no longer be read either: the fault is then
    not a single resource's.
    """
    try:
        fetch.get(source.url, accept=ACCEPT)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


PROTOCOL = Protocol(
    collect, Payload.ROW, OPTIONS, incremental=True, check=check, payload_type_for=payload_type
)
