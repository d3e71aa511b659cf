"""Folders of JSON, XML or RDF files, on a web server or in a repository on a code host.

Web servers are Apache, nginx, lighttpd and IIS; lists of repositories are GitHub's trees and contents,
and GitLab's tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urldefrag

from lxml import html
from pydantic import Field

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, is_html, load_json
from harvesters.options import Regex
from harvesters.page_model import Pages, Payload
from harvesters.payloads.value_parsing import in_utc, join_url, may_be_newer
from harvesters.protocols.document import (
    FORMATS,
    FileOptions,
    ListedDocument,
    file_reader,
    payload_type,
)
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

_ACCEPT = "text/html, application/json;q=0.9, */*;q=0.5"
_MAX_DEPTH = 16  # Nested folders; more are a loop of links.
_OVERLAP = timedelta(days=2)  # Listings have the server's local time, without a zone.
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d|\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d|\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d"
    r"|\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d\d [AP]M"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_DATE_FORMATS = ("%Y-%m-%d %H:%M", "%d-%b-%Y %H:%M", "%Y-%b-%d %H:%M", "%m/%d/%Y %I:%M %p")


class FilesOptions(FileOptions):
    """The options of a folder."""

    only: Regex = Field(
        "",
        description="A regular expression that file paths must contain; without it the suffixes of `format`.",
    )
    raw: str = Field(
        "", description="The base address of a repository's files, if its list has no addresses."
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield all files, or those that their listing does not date before *since* minus two days.

    A file's key is its path without suffix; RDF files bring their records under the records' own
    keys. A file that cannot be read is unreadable and does not stop the others. Raises ParseError
    if the source's url is not a listing.
    """
    moment = in_utc(since) - _OVERLAP if since else None
    reader = file_reader(source, fetch, _ACCEPT)
    yield from reader.read_lists(
        cursor, lambda state: [("", _list_files(source, fetch, moment, state.last))]
    )


def _list_files(
    source: Source, fetch: Fetch, moment: datetime | None, last: str
) -> Iterator[ListedDocument | Reason]:
    """Yield the files that are wanted, and why a listing is incomplete."""
    options, total, matching = FilesOptions.of(source), 0, 0
    only = re.compile(options.only or FORMATS[options.format].suffix, re.IGNORECASE)
    for entry in _walk_folder(source, fetch, source.url, last):
        if isinstance(entry, Reason):
            yield entry
            continue
        total += 1
        if not only.search(entry.path):
            continue
        matching += 1
        if may_be_newer(entry.modified, moment):
            is_rdf = options.format == "rdf"
            key = None if is_rdf else unquote(str(PurePosixPath(entry.path).with_suffix("")))
            stamp = f"{entry.modified:%Y-%m-%d}" if entry.modified else None
            yield ListedDocument(entry.address, key, stamp, has_own_keys=is_rdf)
    if not matching and not last:
        raise ParseError(
            "%(source)s: %(url)s lists %(count)s files, and none of them matches; set the options "
            "'format' and 'only'",
            source=source.name,
            url=source.url,
            count=total,
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file or folder: its *address* (a folder's ends with a slash), its *path* below the root,
    and when it changed, if known.
    """

    address: str
    path: str
    modified: datetime | None = None


def _walk_folder(
    source: Source, fetch: Fetch, address: str, last: str, root: str = "", depth: int = 0
) -> Iterator[_Entry | Reason]:
    """Yield all files of a folder and its subfolders, without subfolders before the file *last*."""
    if depth > _MAX_DEPTH:
        raise ParseError(
            "%(source)s: %(url)s is more than %(limit)s folders deep; subfolders do not end",
            source=source.name,
            url=address,
            limit=_MAX_DEPTH,
        )
    reply = fetch.get(address, accept=_ACCEPT)
    root = root or _folder_url(reply.url)
    options = FilesOptions.of(source)
    entries, reason = _parse_listing(reply, root, options.raw)
    if not entries and depth == 0:
        raise ParseError(
            "%(source)s: %(url)s lists no files and no subfolders; set url to a directory listing",
            source=source.name,
            url=reply.url,
        )
    if reason:
        yield reason
    for entry in sorted(entries, key=lambda entry: entry.address):
        if not entry.address.endswith("/"):
            yield entry
        elif entry.address > last or last.startswith(entry.address):
            yield from _walk_folder(source, fetch, entry.address, last, root, depth + 1)


def _parse_listing(reply: Reply, root: str, raw: str) -> tuple[list[_Entry], Reason | None]:
    """Parse a listing, and return why it is incomplete, or None; paths are relative to the folder
    *root*, *raw* is the base address of a code host's files.

    Raises ParseError if the format of the listing is unknown.
    """
    start = reply.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not is_html(reply.content) and start in (b"{", b"["):
        return _parse_tree(reply, raw)
    if not is_html(reply.content) and not re.search(rb"<a\s", reply.content[:65536], re.IGNORECASE):
        raise ParseError(
            "%(url)s: not a directory listing of a known web server or code host", url=reply.url
        )
    folder, entries = _folder_url(reply.url), dict[str, _Entry]()
    with parser_errors(f"{reply.url}: the page cannot be parsed"):
        tree = html.fromstring(reply.content)
    for link in tree.iter("a"):
        address = join_url(folder, link.get("href") or "")
        # Links for sorting, to the parent and elsewhere are not files of the folder.
        if address.startswith(folder) and re.fullmatch(r"[^/?#]+/?", address[len(folder) :]):
            entries[address] = _Entry(address, address.removeprefix(root), _find_date(link))
    return list(entries.values()), None


def _folder_url(address: str) -> str:
    """Return the address of the folder that a listing shows.

    >>> _folder_url("https://a.example/x/index.html"), _folder_url("https://a.example/x?C=N")
    ('https://a.example/x/', 'https://a.example/x/')
    """
    folder, _, name = urldefrag(address).url.partition("?")[0].rpartition("/")
    return f"{folder}/{name}/" if name and "." not in name else f"{folder}/"


def _find_date(link: Any) -> datetime | None:
    """Return the date next to a link: in its table row, after it, or before it on its line (IIS)."""
    row, before, parent = next(link.iterancestors("tr"), None), link.getprevious(), link.getparent()
    preceding = before.tail if before is not None else getattr(parent, "text", None)
    texts = (
        "" if row is None else " ".join(row.itertext()),
        (link.tail or "").partition("\n")[0],
        (preceding or "").rpartition("\n")[2],
    )
    match = next(filter(None, map(_DATE.search, texts)), None)
    text = " ".join(match[0].split()) if match else ""
    for form in _DATE_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None


def _parse_tree(reply: Reply, raw: str) -> tuple[list[_Entry], Reason | None]:
    """Parse a code host's list of a repository: the path of each file, and the address of its
    content.
    """
    document = load_json(reply)
    rows = document.get("tree") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("path"), str) for row in rows
    ):
        raise ParseError(
            "%(url)s: not a list of a repository's files with their paths", url=reply.url
        )
    files = {row["path"]: row for row in rows if row.get("type") in ("blob", "file", None)}
    entries = []
    for path, row in files.items():
        address = join_url(raw, quote(path)) if raw else row.get("download_url") or row.get("url")
        if not isinstance(address, str) or not _SCHEME.match(address):
            raise ParseError(
                "%(url)s: has no address for '%(path)s'; set the option 'raw' to the address of the "
                "files",
                url=reply.url,
                path=path,
            )
        entries.append(_Entry(address, path))
    is_truncated = isinstance(document, dict) and document.get("truncated") is True
    return entries, Reason(
        "%(url)s reports that its list of files is truncated", url=reply.url
    ) if is_truncated else None


PROTOCOL = Protocol(
    collect, Payload.ROW, FilesOptions, incremental=True, payload_type_for=payload_type
)
