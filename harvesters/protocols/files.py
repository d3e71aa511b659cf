"""Folders of files: each JSON, XML or RDF file in a folder on a web server (Apache, nginx, lighttpd,
IIS), or in a repository on a code host (GitHub's trees and contents, GitLab's tree).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urldefrag

from lxml import etree, html

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.html_detection import is_html
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import dump_json, load_json, parse_xml
from harvesters.option_schema import Option, check_choice, get_option, get_pattern
from harvesters.page_model import InvalidRecord, Pages, Payload, Record
from harvesters.parsing import join_url, parser_errors
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.document import DocumentReader, Items, ListedDocument
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf import RdfReader
from harvesters.protocols.rdf_format import parse_rdf
from harvesters.reasons import Reason, Value
from harvesters.source import Source

FORMAT_OPTION = {"format": Option(str, "json", "The format of the files: `json`, `xml` or `rdf`.")}
OPTIONS: Mapping[str, Option] = {
    **FORMAT_OPTION,
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


class Format(NamedTuple):
    """A file format: its *payload* type, the *suffix* of file names (a regular expression), and the
    Accept header.
    """

    payload: Payload
    suffix: str
    accept: str


FORMATS: Mapping[str, Format] = {
    "json": Format(Payload.ROW, r"\.json\Z", "application/json"),
    "xml": Format(Payload.XML, r"\.xml\Z", "application/xml, text/xml;q=0.9"),
    "rdf": Format(
        Payload.GRAPH,
        r"\.(ttl|nt|nq|trig|rdf|owl|jsonld)\Z",
        "text/turtle, application/n-triples;q=0.9, application/rdf+xml;q=0.9, application/ld+json;q=0.8",
    ),
}

_ACCEPT = "text/html, application/json;q=0.9, */*;q=0.5"
_MAX_DEPTH = 16  # Nested folders; more are a loop of links.
_OVERLAP = timedelta(days=2)  # Listings have the server's local time, without a zone.
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d|\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d|\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d"
    r"|\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d\d [AP]M"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:")
_DATE_FORMATS = ("%Y-%m-%d %H:%M", "%d-%b-%Y %H:%M", "%Y-%b-%d %H:%M", "%m/%d/%Y %I:%M %p")


def payload_type(source: Source) -> Payload:
    """Return the payload type of the source's files."""
    file_format = get_option(source, FORMAT_OPTION, "format")
    return FORMATS[file_format].payload if file_format in FORMATS else Payload.ROW


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an unknown format or an invalid regular expression."""
    check_choice(source, FORMAT_OPTION, "format", FORMATS)
    get_pattern(source, OPTIONS, "only")


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


def file_reader(source: Source, fetch: Fetch, probe: str) -> DocumentReader:
    """Return a reader of files in the source's format; *probe* as in DocumentReader."""
    accept = FORMATS[get_option(source, FORMAT_OPTION, "format")].accept

    def parse(document: ListedDocument, reply: Reply) -> tuple[Items, None]:
        return _parse_file(source, fetch, document, reply), None

    return DocumentReader(source, fetch, accept, probe, parse)


def _list_files(
    source: Source, fetch: Fetch, moment: datetime | None, last: str
) -> Iterator[ListedDocument | Reason]:
    """Yield the files that are wanted, and why a listing is incomplete."""
    kind = get_option(source, FORMAT_OPTION, "format")
    suffix = get_option(source, OPTIONS, "only") or FORMATS[kind].suffix
    only, total, matching = re.compile(suffix, re.IGNORECASE), 0, 0
    for entry in _walk_folder(source, fetch, source.url, last):
        if isinstance(entry, Reason):
            yield entry
            continue
        total += 1
        if not only.search(entry.path):
            continue
        matching += 1
        if moment is None or entry.modified is None or entry.modified >= moment:
            key = unquote(str(PurePosixPath(entry.path).with_suffix("")))
            stamp = f"{entry.modified:%Y-%m-%d}" if entry.modified else None
            if kind == "rdf":
                lost = Reason("file_unreadable", {"file": entry.path})
                yield ListedDocument(entry.address, None, stamp, unreadable=lost)
            else:
                yield ListedDocument(entry.address, key, stamp)
    if not matching and not last:
        values: dict[str, Value] = {"source": source.name, "url": source.url, "count": total}
        raise ParseError(Reason("no_matching_files", values))


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
        values: dict[str, Value] = {"source": source.name, "url": address, "limit": _MAX_DEPTH}
        raise ParseError(Reason("folders_too_deep", values))
    reply = fetch.get(address, accept=_ACCEPT)
    root = root or _folder_url(reply.url)
    entries, reason = _parse_listing(reply, root, get_option(source, OPTIONS, "raw"))
    if not entries and depth == 0:
        raise ParseError(Reason("no_files", {"source": source.name, "url": reply.url}))
    if reason:
        yield reason
    for entry in sorted(entries, key=lambda entry: entry.address):
        if not entry.address.endswith("/"):
            yield entry
        elif get_option(source, OPTIONS, "deep") and (
            entry.address > last or last.startswith(entry.address)
        ):
            yield from _walk_folder(source, fetch, entry.address, last, root, depth + 1)


def _parse_listing(reply: Reply, root: str, raw: str | None) -> tuple[list[_Entry], Reason | None]:
    """Parse a listing, and return why it is incomplete, or None; paths are relative to the folder
    *root*, *raw* is the base address of a code host's files.

    Raises ParseError if the format of the listing is unknown.
    """
    start = reply.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not is_html(reply.content) and start in (b"{", b"["):
        return _parse_tree(reply, raw)
    if not is_html(reply.content) and not re.search(rb"<a\s", reply.content[:65536], re.IGNORECASE):
        raise ParseError(Reason("not_listing", {"url": reply.url}))
    folder, entries = _folder_url(reply.url), dict[str, _Entry]()
    with parser_errors(f"{reply.url}: the page cannot be parsed"):
        tree = html.fromstring(reply.content)
    for link in tree.iter("a"):
        address = join_url(folder, link.get("href") or "")
        # Links for sorting, to the parent and elsewhere are no files of the folder.
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


def _parse_tree(reply: Reply, raw: str | None) -> tuple[list[_Entry], Reason | None]:
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
        entries.append(_Entry(address, path))
    is_truncated = isinstance(document, dict) and document.get("truncated") is True
    return entries, Reason("listing_truncated", {"url": reply.url}) if is_truncated else None


def _parse_file(source: Source, fetch: Fetch, document: ListedDocument, reply: Reply) -> Items:
    """Return the record of a file under its key; those of an RDF file without a key, or with
    several records, under their own.

    Raises ParseError if the file is not what the source definition says.
    """
    key, kind = document.key, get_option(source, FORMAT_OPTION, "format")
    if kind == "rdf":
        return _parse_rdf_file(source, fetch, key, reply)
    assert key is not None
    if kind == "xml":
        root = parse_xml(reply)
        raw = etree.tostring(root, encoding="utf-8", with_tail=False)
        return (Record(key, root, raw, document.modified),)
    match load_json(reply):
        # A code host wraps the content of a file in a JSON object.
        case {"encoding": "base64", "content": str(text)}:
            with parser_errors(f"{reply.url}: its content is not base64"):
                content = base64.b64decode(text)
            row = load_json(replace(reply, content=content))
        case row:
            pass
    if not isinstance(row, dict):
        values = {"url": reply.url, "kind": type(row).__name__}
        return (InvalidRecord(key, Reason("not_json_object", values)),)
    try:
        return (Record(key, row, dump_json(row), document.modified),)
    except ValueError as error:
        values = {"url": reply.url, "error": str(error)}
        return (InvalidRecord(key, Reason("file_holds", values)),)


def _parse_rdf_file(source: Source, fetch: Fetch, key: str | None, reply: Reply) -> Items:
    reader, broken = RdfReader(source, fetch), NodeErrors()
    with parse_rdf(reply, builtin_context, broken=broken) as store:
        items = reader.parse_records(store, reader.find_records(store, reply.url), broken)
    if not items:
        return (InvalidRecord(key, Reason("file_without_record", {"url": reply.url})),)
    if key is not None and len(items) == 1:
        return (replace(items[0], key=key),)
    return tuple(items)


PROTOCOL = Protocol(
    collect, Payload.ROW, OPTIONS, incremental=True, check=check, payload_type_for=payload_type
)
