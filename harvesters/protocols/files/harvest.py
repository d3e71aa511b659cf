"""Folders of files: each JSON, XML or RDF file of a folder that a web server lists, or of a repository that a code host lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, SourcePosition
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, fault
from harvesters.protocols.files import payload
from harvesters.protocols.files.directory_listing import ACCEPT, Entry, folder_of, read_listing
from harvesters.protocols.files.payload import FORMATS, Item, records
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **payload.OPTIONS,
    "only": Option(str, None, "A regular expression that the paths of files must hold; without it the suffixes of `format`."),
    "deep": Option(bool, True, "Read the folders within too."),
    "raw": Option(str, None, "The address below which a repository's files lie, where its list does not tell that."),
}

_DEEP = 16  # folders within each other; more are a loop of links
_OVERLAP = timedelta(days=2)  # listings tell the server's own time, in no zone


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a folder stands: behind the file *last*; the others are as on a page, or count files in a row that cannot be read."""

    last: str = ""
    again: bool = False
    doubt: str | None = None
    faults: int = 0


def check(source: Source) -> None:
    """Refuse an unknown format and an expression that cannot be read; raises SourceDefinitionError."""
    payload.check(source)
    get_pattern(source, OPTIONS, "only")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Any]:
    """Collect all files, or those that their listing does not tell to be older than *since* less two days.

    A file's key is its path without its suffix; files of RDF bring their records under their own keys. A file that cannot be read is
    unreadable and stops nothing. Raises ParseError where the card's url is no listing.
    """
    spot = read(_Spot, cursor) or _Spot(again=cursor is not None)
    moment = None if since is None else (since.replace(tzinfo=UTC) if since.tzinfo is None else since) - _OVERLAP
    for entry, doubt in _files(source, fetch, spot.last):
        if entry is None:
            spot = replace(spot, doubt=spot.doubt or doubt)
        elif moment is None or entry.modified is None or entry.modified >= moment:
            items, at, spot = _file(source, fetch, entry, replace(spot, last=entry.address))
            yield Page(items, write(spot), None, at, again=spot.again, doubt=spot.doubt)
    yield Page((), None, again=spot.again, doubt=spot.doubt)


def _files(source: Source, fetch: Fetch, last: str) -> Iterator[tuple[Entry | None, str | None]]:
    """Give the files behind *last*, or None with the reason why a listing is not all."""
    only = re.compile(get_option(source, OPTIONS, "only") or FORMATS[get_option(source, OPTIONS, "format")].suffix, re.IGNORECASE)
    ahead = [(source.url, 0)]
    root, there, fit = "", 0, 0
    todo: list[tuple[Entry, int]] = []
    while ahead or todo:
        if ahead:
            address, deep = ahead.pop()
            reply = fetch.get(address, accept=ACCEPT)
            root = root or folder_of(reply.url)
            listing = read_listing(reply, root, get_option(source, OPTIONS, "raw"))
            if not listing.entries and deep == 0:
                raise ParseError(f"{source.name}: {reply.url} shows no file and no folder within itself; give a folder's listing")
            if listing.doubt:
                yield None, listing.doubt
            todo = [*((entry, deep + 1) for entry in listing.entries), *todo]
            continue
        entry, deep = todo.pop(0)
        if not entry.folder:
            there, fit = there + 1, fit + bool(only.search(entry.path))
            if entry.address > last and only.search(entry.path):
                yield entry, None
        elif get_option(source, OPTIONS, "deep") and (entry.address > last or last.startswith(entry.address)):
            if deep > _DEEP:
                raise ParseError(f"{source.name}: {entry.address} lies more than {_DEEP} folders deep; its folders do not end")
            ahead.append((entry.address, deep))
    if not fit and not last:
        raise ParseError(f"{source.name}: {source.url} shows {there} files, none of which is wanted; set the options 'format' and 'only'")


def _file(source: Source, fetch: Fetch, entry: Entry, spot: _Spot) -> tuple[tuple[Item, ...], SourcePosition | None, _Spot]:
    """Read one file; one that its listing shows and that is not there is gone."""
    kind = get_option(source, OPTIONS, "format")
    key = unquote(str(PurePosixPath(entry.path).with_suffix("")))
    at = None
    try:
        reply = fetch.get(entry.address, accept=FORMATS[kind].accept)
        at = reply.at
        stamp = f"{entry.modified:%Y-%m-%d}" if entry.modified else None
        return records(source, fetch, key, reply, stamp), at, replace(spot, faults=0)
    except NotFoundError:
        return (DeletedRecord(key),) if kind != "rdf" else (), at, replace(spot, faults=0)
    except UNREAD as error:
        faults = fault(source.name, spot.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(source, fetch, error)
        why = f"the file {entry.path} cannot be read, and so the keys of its records are not known" if kind == "rdf" else None
        return (InvalidRecord(None if kind == "rdf" else key, str(error)),), at, replace(spot, faults=faults, doubt=spot.doubt or why)


def _alive(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* where the folder can no longer be listed either: it is then more than one file's."""
    try:
        fetch.get(source.url, accept=ACCEPT)
    except UNREAD as unwell:
        raise error from unwell
