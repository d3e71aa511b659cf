"""Listings: what a folder of files holds, as web servers show it and as the interfaces of code hosts tell it.

Web servers: Apache (mod_autoindex), nginx (autoindex), lighttpd and IIS. Code hosts: GitHub's trees and contents, GitLab's tree.
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
from harvesters.network.fetch import Reply
from harvesters.network.html_detection import is_html
from harvesters.network.response_parsing import load_json
from harvesters.parsing import join_url, parser_errors

ACCEPT = "text/html, application/json;q=0.9, */*;q=0.5"
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d|\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d|\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d"
    r"|\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d\d [AP]M"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_FORMS = ("%Y-%m-%d %H:%M", "%d-%b-%Y %H:%M", "%Y-%b-%d %H:%M", "%m/%d/%Y %I:%M %p")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder: its *address* (a folder's ends with a slash), its *path* below the root, when it changed if that is told."""

    address: str
    path: str
    modified: datetime | None = None

    @property
    def folder(self) -> bool:
        """Tell whether it is a folder."""
        return self.address.endswith("/")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing shows, in the order of addresses; *doubt* tells why it is not all."""

    entries: tuple[Entry, ...]
    doubt: str | None = None


def read_listing(reply: Reply, root: str, raw: str | None) -> Listing:
    """Read a listing; *root* is the address of the folder from which paths are told, *raw* that of a code host's plain files.

    Raises ParseError where it is no listing that is known.
    """
    if not is_html(reply.content) and reply.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _tree(reply, raw)
    if not is_html(reply.content) and not re.search(rb"<a\s", reply.content[:65536], re.IGNORECASE):
        raise ParseError(f"{reply.url}: is no listing of a folder, neither a web server's nor a code host's")
    found = {entry.address: entry for entry in _shown(reply, root)}
    return Listing(tuple(found[address] for address in sorted(found)))


def folder_of(address: str) -> str:
    """Give the address of the folder that a listing shows.

    >>> folder_of("https://a.example/x/index.html"), folder_of("https://a.example/x?C=N")
    ('https://a.example/x/', 'https://a.example/x/')
    """
    path = urldefrag(address).url.partition("?")[0]
    return path if path.endswith("/") else path.rpartition("/")[0] + "/" if "." in path.rpartition("/")[2] else f"{path}/"


def _shown(reply: Reply, root: str) -> Iterator[Entry]:
    """Give what lies in the folder itself, of all to which the page links: its sorting, its parent and its advice are left out."""
    folder = folder_of(reply.url)
    with parser_errors(f"{reply.url}: is no page that can be read"):
        tree = html.fromstring(reply.content)
    for link in tree.iter("a"):
        address = join_url(folder, link.get("href") or "")
        name = address.removeprefix(folder)
        if address.startswith(folder) and re.fullmatch(r"[^/?#]+/?", name):
            yield Entry(address, address.removeprefix(root), _date(link))


def _date(link: Any) -> datetime | None:
    """Find the date beside a link: in the cells of its row, behind it, or before it on its line as IIS writes it."""
    row = next(link.iterancestors("tr"), None)
    before = link.getprevious()
    behind = (link.tail or "").partition("\n")[0]
    ahead = (before.tail if before is not None else link.getparent().text if link.getparent() is not None else None) or ""
    for text in ("" if row is None else " ".join(row.itertext()), behind, ahead.rpartition("\n")[2]):
        if match := _DATE.search(text):
            return _read(" ".join(match.group().split()))
    return None


def _read(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _tree(reply: Reply, raw: str | None) -> Listing:
    """Read what a code host tells of a repository: each file's path, and where its bytes are."""
    told = load_json(reply)
    rows = told.get("tree") if isinstance(told, dict) else told
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("path"), str) for row in rows):
        raise ParseError(f"{reply.url}: is no listing of a repository's files, each with its path")
    files = {row["path"]: row for row in rows if row.get("type") in ("blob", "file", None)}
    entries = []
    for path, row in files.items():
        address = join_url(raw, quote(path)) if raw else row.get("download_url") or row.get("url")
        if not isinstance(address, str) or not _SCHEME.match(address):
            raise ParseError(f"{reply.url}: does not tell where {path!r} is; set the option 'raw' to the address of the files")
        entries.append(Entry(address, path))
    cut = isinstance(told, dict) and told.get("truncated") is True
    doubt = f"{reply.url} says that its list of files is cut short" if cut else None
    return Listing(tuple(sorted(entries, key=lambda it: it.address)), doubt)
