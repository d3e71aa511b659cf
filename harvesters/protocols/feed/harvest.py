"""Feeds: Atom and RSS in all their versions, with their pages and archives, one record an entry.

Source: https://www.rfc-editor.org/rfc/rfc4287, https://www.rssboard.org/rss-specification, https://www.rfc-editor.org/rfc/rfc5005
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import feedparser
from lxml import etree

from harvesters.errors import ParseError
from harvesters.network.charset import is_charset
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import declared_charset, dump_json, refuse_doctype, refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Record, Row
from harvesters.parsing import join_url, parser_errors
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import Repeats
from harvesters.protocols.feed.entry import entry_row, feed_row
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "archives": Option(bool, True, "Whether to go on to the feed's older pages and archives, where it links them."),
}

_DECLARATION = re.compile(rb"\A\s*+<\?xml\b[^>]{0,200}?\bencoding\s*+=\s*+[\"']([^\"'>]{0,60})[\"'][^>]{0,200}>")
_ACCEPT = "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, text/xml;q=0.8, */*;q=0.5"
_OLDER = ("prev-archive", "next")  # RFC 5005: sections 4 and 3
_HISTORY = "http://purl.org/syndication/history/1.0"
_DELETED = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"  # RFC 6721
_NEWEST = "the feed holds its newest entries only, so nothing that is not in it is known to be gone"

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a feed stands: the *url* of the next page, and why its end cannot be told from a gap."""

    url: str
    doubt: str | None = None


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all entries, from the feed's newest page to its oldest archive; with *since*, no older page than is needed.

    Entries that are not well-formed XML are read as far as feedparser can, and leave the sweep in doubt, as does a feed that is no
    whole one. Raises ParseError where an answer is no feed, or pages repeat.
    """
    spot = read(_Spot, cursor) or _Spot(source.url)
    repeats = Repeats(source.name)
    first = cursor is None
    while True:
        reply = fetch.get(spot.url, accept=_ACCEPT, conditional=first)
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        told = _parsed(reply)
        items = tuple(_items(reply, told))
        repeats.page(reply.url, items, reply.content)
        older = _older(told, reply) if get_option(source, OPTIONS, "archives") else None
        doubt = spot.doubt or _fault(told) or (_NEWEST if first and not older and not _complete(told) else None)
        if older is not None:
            repeats.token(reply.url, older, "the older page")
        after = None if older is None or _passed(items, since) else replace(spot, url=older, doubt=doubt)
        yield Page(items, write(after) if after else None, None, reply.at, doubt=doubt)
        if after is None:
            return
        spot, first = after, False


def _parsed(reply: Reply) -> Any:
    content = refuse_html(reply, "a feed")
    refuse_doctype(reply)
    headers = {"content-location": reply.url, "content-type": _content_type(reply)}
    with parser_errors(f"{reply.url}: no feed that can be read"):
        told = feedparser.parse(io.BytesIO(_DECLARATION.sub(_known, content)), response_headers=headers)
    if not told.get("version") and not told.get("entries"):
        why = _fault(told)
        raise ParseError(f"{reply.url}: neither Atom nor RSS{'; ' if why else ''}{why or ''}")
    return told


def _content_type(reply: Reply) -> str:
    """Return the media type with its charset, where that is one: feedparser tries any name that Python knows as a codec."""
    declared = str(reply.headers.get("content-type", ""))
    charset = declared_charset(reply)
    return declared if charset is None or is_charset(charset) else reply.media_type


def _known(declaration: re.Match[bytes]) -> bytes:
    """Return an XML declaration, or nothing where its encoding is no charset."""
    return declaration[0] if is_charset(declaration[1].decode("ascii", "replace")) else b""


def _fault(told: Any) -> str | None:
    """Tell what makes a feed one that may have lost entries; a charset that is not as declared does not."""
    error = told.get("bozo_exception") if told.bozo else None
    harmless = isinstance(error, feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType)
    return None if error is None or harmless else f"the feed is not well-formed: {' '.join(str(error).split())[:200]}"


def _complete(told: Any) -> bool:
    """Tell whether a feed says that it holds all that there is (RFC 5005 section 2)."""
    return any(f"{prefix}_complete" in told.feed for prefix, address in told.namespaces.items() if address == _HISTORY and prefix)


def _older(told: Any, reply: Reply) -> str | None:
    links = {it.get("rel"): it.get("href") for it in reversed(told.feed.get("links", []))}
    found = next((links[name] for name in _OLDER if links.get(name)), None)
    return join_url(reply.url, found) if found else None


def _passed(items: tuple[Item, ...], since: datetime | None) -> bool:
    """Tell whether a page is wholly older than *since*, so that those behind it are too."""
    if since is None or not items:
        return False
    since = since.replace(tzinfo=UTC) if since.tzinfo is None else since
    stamps = [getattr(item, "modified", None) for item in items]
    return all(stamp is not None and datetime.fromisoformat(stamp) < since for stamp in stamps)


def _items(reply: Reply, told: Any) -> Iterator[Item]:
    with parser_errors(f"{reply.url}: no feed that can be read"):
        about = feed_row(told)
    for entry in told.entries:
        key = entry.get("id") or entry.get("link")
        if not key:
            yield InvalidRecord(None, f"an entry with neither an identifier nor a link, titled {str(entry.get('title'))[:80]!r}")
            continue
        try:
            with parser_errors("an entry that cannot be read"):
                row = entry_row(entry, about)
                raw = dump_json(row)
        except ParseError as error:
            yield InvalidRecord(str(key).strip(), str(error))
            continue
        yield Record(str(key).strip(), row, raw, row["updated"] or row["published"])
    yield from _tombstones(reply)


def _tombstones(reply: Reply) -> Iterator[DeletedRecord]:
    if b"tombstones/1.0" not in reply.content:
        return
    try:
        with parser_errors(reply.url):
            root = etree.fromstring(reply.content, etree.XMLParser(resolve_entities=False, no_network=True))
    except ParseError:
        return
    for node in root.iter(_DELETED):
        if ref := node.get("ref"):
            yield DeletedRecord(ref.strip(), node.get("when"))
