"""Atom and RSS in all their versions, with their pages and archives; each entry is a record.

Source: https://www.rfc-editor.org/rfc/rfc4287, https://www.rssboard.org/rss-specification,
https://www.rfc-editor.org/rfc/rfc5005
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import feedparser
from lxml import etree

from harvesters.errors import ParseError
from harvesters.network.charset import is_charset
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import (
    declared_charset,
    dump_json,
    refuse_doctype,
    refuse_html,
)
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record, Row
from harvesters.parsing import join_url, parser_errors
from harvesters.protocols.cursor import read_cursor, write_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import LoopDetector
from harvesters.protocols.feed.entry import entry_row, feed_row
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "archives": Option(
        bool, True, "Read the feed's older pages and archives too, if it links to them."
    ),
}

_DECLARATION = re.compile(
    rb"\A\s*+<\?xml\b[^>]{0,200}?\bencoding\s*+=\s*+[\"']([^\"'>]{0,60})[\"'][^>]{0,200}>"
)
_FIRST_ELEMENT = re.compile(rb"<\w")
_LONG_BLANK = re.compile(rb"\s{100,}+")
_ACCEPT = "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, text/xml;q=0.8, */*;q=0.5"
_OLDER = ("prev-archive", "next")  # RFC 5005: sections 4 and 3
_HISTORY = "http://purl.org/syndication/history/1.0"
_DELETED = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"  # RFC 6721
_NEWEST_ONLY = Reason("newest_only")

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """Position in a feed: the *url* of the next page, and the reason why missing entries prove
    nothing.
    """

    url: str
    incomplete_reason: Reason | None = None


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all entries, from the newest page to the oldest archive; with *since*, no older page
    than necessary.

    Entries that are not well-formed XML are parsed as far as feedparser can, and mark the full
    harvest incomplete, as does a feed without its older entries. Raises ParseError if a response is
    not a feed, or pages repeat.
    """
    state = read_cursor(FeedCursor, cursor) or FeedCursor(source.url)
    loop_detector = LoopDetector(source.name)
    first = cursor is None
    while True:
        reply = fetch.get(state.url, accept=_ACCEPT, conditional=first)
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        parsed = _parse_feed(reply)
        items = tuple(_parse_entries(reply, parsed))
        loop_detector.check_page(reply.url, items, reply.content)
        older = _older_page(parsed, reply) if get_option(source, OPTIONS, "archives") else None
        incomplete_reason = (
            state.incomplete_reason
            or _format_error(parsed)
            or (_NEWEST_ONLY if first and not older and not _is_complete(parsed) else None)
        )
        if older is not None:
            loop_detector.check_token(reply.url, older, "older_page")
        after = (
            None
            if older is None or _is_older_than(items, since)
            else replace(state, url=older, incomplete_reason=incomplete_reason)
        )
        yield Page(
            items,
            write_cursor(after) if after else None,
            None,
            reply.at,
            incomplete_reason=incomplete_reason,
        )
        if after is None:
            return
        state, first = after, False


def _parse_feed(reply: Reply) -> Any:
    content = refuse_html(reply, "a feed")
    refuse_doctype(reply)
    headers = {"content-location": reply.url, "content-type": _content_type(reply)}
    with parser_errors(Reason("unreadable_feed", {"url": reply.url})):
        parsed = feedparser.parse(
            io.BytesIO(_without_blank_lines(_DECLARATION.sub(_valid_declaration, content))),
            response_headers=headers,
        )
    if not parsed.get("version") and not parsed.get("entries"):
        why = _format_error(parsed)
        if why:
            raise ParseError(Reason("not_feed_because", {"url": reply.url, "error": why}))
        raise ParseError(Reason("not_feed", {"url": reply.url}))
    return parsed


def _without_blank_lines(content: bytes) -> bytes:
    """Shorten long blanks before the first element: feedparser's search for a DOCTYPE takes the
    square of their length.
    """
    first = _FIRST_ELEMENT.search(content)
    start = first.start() if first else len(content)
    return _LONG_BLANK.sub(b"\n", content[:start]) + content[start:]


def _content_type(reply: Reply) -> str:
    """Return the media type with its charset, where that is one: feedparser tries any name that
    Python knows as a codec.
    """
    declared = str(reply.headers.get("content-type", ""))
    charset = declared_charset(reply)
    return declared if charset is None or is_charset(charset) else reply.media_type


def _valid_declaration(declaration: re.Match[bytes]) -> bytes:
    """Return an XML declaration, or nothing where its encoding is no charset."""
    return declaration[0] if is_charset(declaration[1].decode("ascii", "replace")) else b""


def _format_error(parsed: Any) -> Reason | None:
    """Return what is malformed in a feed, so that entries may be missing. An undeclared charset is
    harmless.
    """
    error = parsed.get("bozo_exception") if parsed.bozo else None
    harmless = isinstance(
        error, feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType
    )
    return (
        None
        if error is None or harmless
        else Reason("feed_malformed", {"error": " ".join(str(error).split())[:200]})
    )


def _is_complete(parsed: Any) -> bool:
    """Return whether the feed says that it is complete (RFC 5005), so that what it lacks is gone."""
    return any(
        f"{prefix}_complete" in parsed.feed
        for prefix, address in parsed.namespaces.items()
        if address == _HISTORY and prefix
    )


def _older_page(parsed: Any, reply: Reply) -> str | None:
    links = {link.get("rel"): link.get("href") for link in reversed(parsed.feed.get("links", []))}
    address = next((links[name] for name in _OLDER if links.get(name)), None)
    return join_url(reply.url, address) if address else None


def _is_older_than(items: tuple[Item, ...], since: datetime | None) -> bool:
    """Return whether all entries of a page are older than *since*, so that later pages are too."""
    if since is None or not items:
        return False
    since = in_utc(since)
    stamps = [getattr(item, "modified", None) for item in items]
    return all(stamp is not None and datetime.fromisoformat(stamp) < since for stamp in stamps)


def _parse_entries(reply: Reply, parsed: Any) -> Iterator[Item]:
    with parser_errors(Reason("unreadable_feed", {"url": reply.url})):
        about = feed_row(parsed)
    for entry in parsed.entries:
        key = entry.get("id") or entry.get("link")
        if not key:
            yield InvalidRecord(
                None,
                Reason("feed_entry_without_key", {"title": repr(str(entry.get("title"))[:80])}),
            )
            continue
        try:
            with parser_errors(Reason("entry_unreadable")):
                row = entry_row(entry, about)
                raw = dump_json(row)
        except ParseError as error:
            yield InvalidRecord(str(key).strip(), error.reason)
            continue
        yield Record(str(key).strip(), row, raw, row["updated"] or row["published"])
    yield from _tombstones(reply)


def _tombstones(reply: Reply) -> Iterator[DeletedRecord]:
    if b"tombstones/1.0" not in reply.content:
        return
    try:
        with parser_errors(reply.url):
            root = etree.fromstring(
                reply.content, etree.XMLParser(resolve_entities=False, no_network=True)
            )
    except ParseError:
        return
    for node in root.iter(_DELETED):
        if ref := node.get("ref"):
            yield DeletedRecord(ref.strip(), node.get("when"))


PROTOCOL = Protocol(collect, Payload.ROW, OPTIONS, incremental=True)
