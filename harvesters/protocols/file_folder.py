"""Folders of files: each JSON, XML or RDF file of a folder that a web server lists, or of a repository that a code host lists."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from lxml import etree

from harvesters.errors import CardError, DeniedError, HarvestError, MissingError, ParseError
from harvesters.network.answer import dump_json, load_json, xml
from harvesters.network.fetch import Fetch, Reply
from harvesters.option import Option, value
from harvesters.payloads.contexts import ours
from harvesters.payloads.subjects import found
from harvesters.payloads.syntax import loaded
from harvesters.protocols.cursor import read, write
from harvesters.protocols.listing import ACCEPT, Entry, folder_of, read_listing
from harvesters.protocols.rdf_reading import nameless, reading
from harvesters.protocols.trouble import UNREAD, fault
from harvesters.record import Gone, Page, Pages, Payload, Position, Record, Unreadable
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "format": Option(str, "json", "What the files hold: `json`, `xml` or `rdf`."),
    "only": Option(str, None, "A regular expression that the paths of files must hold; without it the suffixes of `format`."),
    "deep": Option(bool, True, "Read the folders within too."),
    "raw": Option(str, None, "The address below which a repository's files lie, where its list does not tell that."),
}

_FORMATS = {
    "json": (Payload.ROW, r"\.json\Z", "application/json"),
    "xml": (Payload.XML, r"\.xml\Z", "application/xml, text/xml;q=0.9"),
    "rdf": (Payload.GRAPH, r"\.(ttl|nt|nq|trig|rdf|owl|jsonld)\Z", "text/turtle, application/rdf+xml;q=0.9, application/ld+json;q=0.8"),
}
_DEEP = 16  # folders within each other; more are a loop of links
_OVERLAP = timedelta(days=2)  # listings tell the server's own time, in no zone
Item = Record[Any] | Gone | Unreadable


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a folder stands: behind the file *last*; the others are as on a page, or count files in a row that cannot be read."""

    last: str = ""
    again: bool = False
    doubt: str | None = None
    faults: int = 0


def brings(source: Source) -> Payload:
    """Tell what the card's files hold."""
    told = value(source, OPTIONS, "format")
    return _FORMATS[told][0] if told in _FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Refuse an unknown format and an expression that cannot be read; raises CardError."""
    told = value(source, OPTIONS, "format")
    if told not in _FORMATS:
        raise CardError(f"{source.name}: option 'format' is {told!r}; it is one of {', '.join(_FORMATS)}")
    try:
        re.compile(value(source, OPTIONS, "only") or "")
    except re.error as error:
        raise CardError(f"{source.name}: option 'only' is no regular expression: {error}") from error


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
    only = re.compile(value(source, OPTIONS, "only") or _FORMATS[value(source, OPTIONS, "format")][1], re.IGNORECASE)
    ahead = [(source.url, 0)]
    root, there, fit = "", 0, 0
    todo: list[tuple[Entry, int]] = []
    while ahead or todo:
        if ahead:
            address, deep = ahead.pop()
            reply = fetch.get(address, accept=ACCEPT)
            root = root or folder_of(reply.url)
            listing = read_listing(reply, root, value(source, OPTIONS, "raw"))
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
        elif value(source, OPTIONS, "deep") and (entry.address > last or last.startswith(entry.address)):
            if deep > _DEEP:
                raise ParseError(f"{source.name}: {entry.address} lies more than {_DEEP} folders deep; its folders do not end")
            ahead.append((entry.address, deep))
    if not fit and not last:
        raise ParseError(f"{source.name}: {source.url} shows {there} files, none of which is wanted; set the options 'format' and 'only'")


def _file(source: Source, fetch: Fetch, entry: Entry, spot: _Spot) -> tuple[tuple[Item, ...], Position | None, _Spot]:
    """Read one file; one that its listing shows and that is not there is gone."""
    kind = value(source, OPTIONS, "format")
    key = unquote(str(PurePosixPath(entry.path).with_suffix("")))
    at = None
    try:
        reply = fetch.get(entry.address, accept=_FORMATS[kind][2])
        at = reply.at
        return _records(source, fetch, key, reply, kind, entry), at, replace(spot, faults=0)
    except MissingError:
        return (Gone(key),) if kind != "rdf" else (), at, replace(spot, faults=0)
    except UNREAD as error:
        faults = fault(source.name, spot.faults, error)
        if not isinstance(error, DeniedError | ParseError):
            _alive(source, fetch, error)
        why = f"the file {entry.path} cannot be read, and so the keys of its records are not known" if kind == "rdf" else None
        return (Unreadable(None if kind == "rdf" else key, str(error)),), at, replace(spot, faults=faults, doubt=spot.doubt or why)


def _records(source: Source, fetch: Fetch, key: str, reply: Reply, kind: str, entry: Entry) -> tuple[Item, ...]:
    stamp = f"{entry.modified:%Y-%m-%d}" if entry.modified else None
    if kind == "xml":
        root = xml(reply)
        return (Record(key, root, etree.tostring(root, encoding="utf-8", with_tail=False), stamp),)
    if kind == "rdf":
        told = reading(source, fetch)
        with loaded(reply, ours) as store:
            these = found(store, told.classes, reply.url)
            return (*(told.item(store, name, node) for name, node in these.records), *map(nameless, these.keyless))
    row = load_json(reply)
    if isinstance(row, dict) and row.get("encoding") == "base64" and isinstance(row.get("content"), str):
        row = load_json(replace(reply, content=_unpacked(reply, row["content"])))
    if not isinstance(row, dict):
        return (Unreadable(key, f"{reply.url}: holds no object but a {type(row).__name__}"),)
    try:
        return (Record(key, row, dump_json(row), stamp),)
    except ValueError as error:
        return (Unreadable(key, f"{reply.url}: holds {error}"),)


def _unpacked(reply: Reply, text: str) -> bytes:
    """Decode a file as code hosts give it in an object of theirs."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise ParseError(f"{reply.url}: its content is no base64: {error}") from error


def _alive(source: Source, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* where the folder can no longer be listed either: it is then more than one file's."""
    try:
        fetch.get(source.url, accept=ACCEPT)
    except UNREAD as unwell:
        raise error from unwell
