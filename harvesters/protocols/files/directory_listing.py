"""Parse listings of folders, from web servers and from the APIs of code hosts.

Web servers: Apache (mod_autoindex), nginx (autoindex), lighttpd and IIS. Code hosts: GitHub's trees
and contents, GitLab's tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urldefrag

from lxml import html

from harvesters.errors import ParseError
from harvesters.network.html_detection import is_html
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.parsing import join_url, parser_errors
from harvesters.reasons import Reason

ACCEPT = "text/html, application/json;q=0.9, */*;q=0.5"
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d|\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d|\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d"
    r"|\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d\d [AP]M"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_DATE_FORMATS = ("%Y-%m-%d %H:%M", "%d-%b-%Y %H:%M", "%Y-%b-%d %H:%M", "%m/%d/%Y %I:%M %p")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file or folder: its *address* (a folder's ends with a slash), its *path* below the root,
    and when it changed, if known.
    """

    address: str
    path: str
    modified: datetime | None = None

    @property
    def is_folder(self) -> bool:
        """Return whether it is a folder."""
        return self.address.endswith("/")


@dataclass(frozen=True, slots=True)
class DirectoryListing:
    """Entries sorted by address; *incomplete_reason* says why some are missing."""

    entries: tuple[FileEntry, ...]
    incomplete_reason: Reason | None = None


def parse_listing(reply: Reply, root: str, raw: str | None) -> DirectoryListing:
    """Parse a listing; paths are relative to the folder *root*, *raw* is the base address of a code
    host's files.

    Raises ParseError if the format of the listing is unknown.
    """
    if not is_html(reply.content) and reply.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (
        b"{",
        b"[",
    ):
        return _parse_tree(reply, raw)
    if not is_html(reply.content) and not re.search(rb"<a\s", reply.content[:65536], re.IGNORECASE):
        raise ParseError(Reason("not_listing", {"url": reply.url}))
    entries = {entry.address: entry for entry in _parse_links(reply, root)}
    return DirectoryListing(tuple(entries[address] for address in sorted(entries)))


def folder_url(address: str) -> str:
    """Return the address of the folder that a listing shows.

    >>> folder_url("https://a.example/x/index.html"), folder_url("https://a.example/x?C=N")
    ('https://a.example/x/', 'https://a.example/x/')
    """
    path = urldefrag(address).url.partition("?")[0]
    return (
        path
        if path.endswith("/")
        else path.rpartition("/")[0] + "/"
        if "." in path.rpartition("/")[2]
        else f"{path}/"
    )


def _parse_links(reply: Reply, root: str) -> Iterator[FileEntry]:
    """Yield the files and folders directly in the folder; links for sorting, to the parent and
    elsewhere are ignored.
    """
    folder = folder_url(reply.url)
    with parser_errors(f"{reply.url}: the page cannot be parsed"):
        tree = html.fromstring(reply.content)
    for link in tree.iter("a"):
        address = join_url(folder, link.get("href") or "")
        name = address.removeprefix(folder)
        if address.startswith(folder) and re.fullmatch(r"[^/?#]+/?", name):
            yield FileEntry(address, address.removeprefix(root), _find_date(link))


def _find_date(link: Any) -> datetime | None:
    """Return the date next to a link: in its table row, after it, or before it on its line (IIS)."""
    row = next(link.iterancestors("tr"), None)
    before = link.getprevious()
    following = (link.tail or "").partition("\n")[0]
    preceding = (
        before.tail
        if before is not None
        else link.getparent().text
        if link.getparent() is not None
        else None
    ) or ""
    for text in (
        "" if row is None else " ".join(row.itertext()),
        following,
        preceding.rpartition("\n")[2],
    ):
        if match := _DATE.search(text):
            return _parse_date(" ".join(match.group().split()))
    return None


def _parse_date(text: str) -> datetime | None:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _parse_tree(reply: Reply, raw: str | None) -> DirectoryListing:
    """Parse a code host's list of a repository: the path of each file, and the address of its
    content.
    """
    document = load_json(reply)
    rows = document.get("tree") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("path"), str) for row in rows
    ):
        raise ParseError(Reason("not_file_tree", {"url": reply.url}))
    files = {row["path"]: row for row in rows if row.get("type") in ("blob", "file", None)}
    entries = []
    for path, row in files.items():
        address = join_url(raw, quote(path)) if raw else row.get("download_url") or row.get("url")
        if not isinstance(address, str) or not _SCHEME.match(address):
            raise ParseError(Reason("no_file_address", {"url": reply.url, "path": path}))
        entries.append(FileEntry(address, path))
    is_truncated = isinstance(document, dict) and document.get("truncated") is True
    incomplete_reason = Reason("listing_truncated", {"url": reply.url}) if is_truncated else None
    return DirectoryListing(
        tuple(sorted(entries, key=lambda entry: entry.address)), incomplete_reason
    )
