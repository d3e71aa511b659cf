"""Folders of files: each JSON, XML or RDF file in a folder on a web server or in a repository on a
code host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Pages, Payload
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import RECORD_ERRORS, count_unreadable
from harvesters.protocols.files import payload
from harvesters.protocols.files.directory_listing import (
    ACCEPT,
    FileEntry,
    folder_url,
    parse_listing,
)
from harvesters.protocols.files.payload import FORMATS, Item, parse_file, payload_type
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    **payload.OPTIONS,
    "only": Option(
        str,
        None,
        "A regular expression that file paths must contain; without it the suffixes of `format`.",
    ),
    "deep": Option(bool, True, "Read subfolders too."),
    "raw": Option(
        str, None, "The base address of a repository's files, if its list has no addresses."
    ),
}

_MAX_DEPTH = 16  # nested folders; more are a loop of links
_OVERLAP = timedelta(days=2)  # listings have the server's local time, without a zone


@dataclass(frozen=True, slots=True)
class FolderCursor(ListCursorMethods):
    """Position in a folder: after the file *last*; the others are as in Page, or count unreadable
    files in a row.
    """

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
    """Yield all files, or those that their listing does not date before *since* minus two days.

    A file's key is its path without suffix; RDF files bring their records under the records' own
    keys. A file that cannot be read is unreadable and does not stop the others. Raises ParseError
    if the source's url is not a listing.
    """
    state = read_cursor(FolderCursor, cursor) or FolderCursor(again=cursor is not None)
    moment = in_utc(since) - _OVERLAP if since else None
    for entry, incomplete_reason in _list_files(source, fetch, state.last):
        if entry is None:
            state = state.mark_incomplete(incomplete_reason)
        elif moment is None or entry.modified is None or entry.modified >= moment:
            items, position, state = _read_file(
                source, fetch, entry, replace(state, last=entry.address)
            )
            yield state.page(items, has_next=True, at=position, again=state.again)
    yield state.page((), has_next=False, again=state.again)


def _list_files(
    source: Source, fetch: Fetch, last: str
) -> Iterator[tuple[FileEntry | None, Reason | None]]:
    """Yield the files after *last*, or None with the reason why a listing is incomplete."""
    only = re.compile(
        get_option(source, OPTIONS, "only")
        or FORMATS[get_option(source, OPTIONS, "format")].suffix,
        re.IGNORECASE,
    )
    folders = [(source.url, 0)]
    root, total, matching = "", 0, 0
    pending: list[tuple[FileEntry, int]] = []
    while folders or pending:
        if folders:
            address, depth = folders.pop()
            reply = fetch.get(address, accept=ACCEPT)
            root = root or folder_url(reply.url)
            listing = parse_listing(reply, root, get_option(source, OPTIONS, "raw"))
            if not listing.entries and depth == 0:
                raise ParseError(Reason("no_files", {"source": source.name, "url": reply.url}))
            if listing.incomplete_reason:
                yield None, listing.incomplete_reason
            pending = [*((entry, depth + 1) for entry in listing.entries), *pending]
            continue
        entry, depth = pending.pop(0)
        if not entry.is_folder:
            total, matching = total + 1, matching + bool(only.search(entry.path))
            if entry.address > last and only.search(entry.path):
                yield entry, None
        elif get_option(source, OPTIONS, "deep") and (
            entry.address > last or last.startswith(entry.address)
        ):
            if depth > _MAX_DEPTH:
                raise ParseError(
                    Reason(
                        "folders_too_deep",
                        {"source": source.name, "url": entry.address, "limit": _MAX_DEPTH},
                    )
                )
            folders.append((entry.address, depth))
    if not matching and not last:
        raise ParseError(
            Reason("no_matching_files", {"source": source.name, "url": source.url, "count": total})
        )


def _read_file(
    source: Source, fetch: Fetch, entry: FileEntry, state: FolderCursor
) -> tuple[tuple[Item, ...], SourcePosition | None, FolderCursor]:
    """Read one file; one that is listed and missing is gone."""
    kind = get_option(source, OPTIONS, "format")
    key = unquote(str(PurePosixPath(entry.path).with_suffix("")))
    position = None
    try:
        reply = fetch.get(entry.address, accept=FORMATS[kind].accept)
        position = reply.at
        stamp = f"{entry.modified:%Y-%m-%d}" if entry.modified else None
        return parse_file(source, fetch, key, reply, stamp), position, replace(state, faults=0)
    except NotFoundError:
        return (DeletedRecord(key),) if kind != "rdf" else (), position, replace(state, faults=0)
    except RECORD_ERRORS as error:
        faults = count_unreadable(source.name, state.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(source, fetch, error)
        why = Reason("file_unreadable", {"file": entry.path}) if kind == "rdf" else None
        return (
            (InvalidRecord(None if kind == "rdf" else key, error.reason),),
            position,
            replace(state, faults=faults).mark_incomplete(why),
        )


def _check_reachable(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* if the folder can no longer be listed either: the fault is then not a single
    file's.
    """
    try:
        fetch.get(source.url, accept=ACCEPT)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


PROTOCOL = Protocol(
    collect, Payload.ROW, OPTIONS, incremental=True, check=check, payload_type_for=payload_type
)
