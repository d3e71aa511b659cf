"""Atom and RSS in all their versions, with their pages and archives; each entry is a record.

Source: https://www.rfc-editor.org/rfc/rfc4287, https://www.rssboard.org/rss-specification,
https://www.rfc-editor.org/rfc/rfc5005
"""

from __future__ import annotations

import calendar
import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import feedparser

from harvesters.errors import ParseError, parser_errors
from harvesters.network.reply import (
    Reply,
    dump_json,
    parse_xml,
    refuse_doctype,
    refuse_html,
)
from harvesters.options import Options
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Payload, Record, Row
from harvesters.payloads.value_parsing import html_to_text, join_url
from harvesters.protocols.lists import Batch, ListCursor, PagedProtocol
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason

_FIRST_ELEMENT = re.compile(rb"<\w")
_LONG_BLANK = re.compile(rb"\s{100,}+")
_ACCEPT = "application/atom+xml, application/rss+xml, application/rdf+xml;q=0.9, application/xml;q=0.8, text/xml;q=0.8, */*;q=0.5"
_OLDER = ("prev-archive", "next")  # RFC 5005: sections 4 and 3
_HISTORY = "http://purl.org/syndication/history/1.0"
_DELETED = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"  # RFC 6721
_NEWEST_ONLY = Reason(
    "the feed has its newest entries only, so missing entries are not known to be deleted"
)
_HARMLESS = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)


class Feed(PagedProtocol[Row]):
    """The entries of a feed, from the newest page to the oldest archive; the position is the
    address of a page. With *since*, no older page is read than necessary.

    Entries that are not well-formed XML are parsed as far as feedparser can, and mark the full
    harvest incomplete, as does a feed without its older entries.
    """

    is_linked = True
    moves = False

    def request(self, cursor: ListCursor, size: int) -> Batch:
        address = cursor.position or self.source.url
        reply = self.fetch.get(address, accept=_ACCEPT, conditional=cursor.is_first)
        if reply.not_modified:
            return Batch(reply, ())
        parsed = _parse_feed(reply)
        items = tuple(_parse_entries(reply, parsed))
        older = _older_page(parsed, reply)
        doubt = _format_error(parsed)
        if cursor.is_first and not older and not _is_complete(parsed):
            doubt = doubt or _NEWEST_ONLY
        is_last = not older or _is_older_than(items, self.since)
        return Batch(reply, items, next="" if is_last else older, doubt=doubt)


def _parse_feed(reply: Reply) -> Any:
    content = refuse_html(reply, "a feed")
    refuse_doctype(reply)
    # Its search for a DOCTYPE takes the square of the length of blanks before the first element.
    element = _FIRST_ELEMENT.search(content)
    start = element.start() if element else len(content)
    content = _LONG_BLANK.sub(b"\n", content[:start]) + content[start:]
    headers = {"content-location": reply.url, "content-type": reply.headers.get("content-type", "")}
    with parser_errors(Reason("%(url)s: the feed cannot be parsed", url=reply.url)):
        parsed = feedparser.parse(io.BytesIO(content), response_headers=headers)
    if not parsed.get("version") and not parsed.get("entries"):
        why, text = _format_error(parsed), "%(url)s: neither Atom nor RSS"
        text = "%(url)s: neither Atom nor RSS; %(error)s" if why else text
        raise ParseError(text, url=reply.url, error=why or "")
    return parsed


def _format_error(parsed: Any) -> Reason | None:
    """Return what is malformed in a feed, so that entries may be missing. An undeclared charset is
    harmless.
    """
    error = parsed.get("bozo_exception") if parsed.bozo else None
    if error is None or isinstance(error, _HARMLESS):
        return None
    return Reason(
        "the feed is not well-formed: %(error)s", error=" ".join(str(error).split())[:200]
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


def _is_older_than(items: tuple[Item[Row], ...], since: datetime | None) -> bool:
    """Return whether all entries of a page are older than *since*, so that later pages are too."""
    stamps = [getattr(item, "modified", None) for item in items]
    is_older = since and all(stamp and datetime.fromisoformat(stamp) < since for stamp in stamps)
    return bool(stamps and is_older)


def _parse_entries(reply: Reply, parsed: Any) -> Iterator[Item[Row]]:
    with parser_errors(Reason("%(url)s: the feed cannot be parsed", url=reply.url)):
        feed = _feed_row(parsed.feed)
    for entry in parsed.entries:
        key = str(entry.get("id") or entry.get("link") or "")
        if not key:
            title = repr(str(entry.get("title"))[:80])
            yield InvalidRecord(
                None,
                Reason(
                    "an entry with neither an identifier nor a link, titled %(title)s", title=title
                ),
            )
            continue
        try:
            with parser_errors(Reason("an entry that cannot be read")):
                row = _entry_row(entry, feed)
                raw = dump_json(row)
            yield Record(key.strip(), row, raw, row["updated"] or row["published"])
        except ParseError as error:
            yield InvalidRecord(key.strip(), error.reason)
    if b"tombstones/1.0" in reply.content:
        yield from _tombstones(reply)


def _tombstones(reply: Reply) -> Iterator[DeletedRecord]:
    with suppress(ParseError):
        for node in parse_xml(reply).iter(_DELETED):
            if ref := node.get("ref"):
                yield DeletedRecord(ref.strip(), node.get("when"))


def _feed_row(feed: Any) -> Row:
    """Return the values that apply to all entries of a feed."""
    return {
        "title": html_to_text(feed.get("title") or ""),
        "link": feed.get("link") or "",
        "language": feed.get("language") or "",
        "licence": _licence(feed),
        "publisher": feed.get("publisher") or "",
    }


def _entry_row(entry: Any, feed: Row) -> Row:
    """Return an entry as a row: plain texts with languages, times in UTC, links by their relation;
    *feed* has the values of the whole feed. Authors are persons and are left out.
    """
    links: dict[str, list[str]] = {}
    for link in entry.get("links", []):
        if link.get("href"):
            links.setdefault(link.get("rel", "alternate"), []).append(link["href"])
    contents = [_text(element) for element in entry.get("content", [])]
    tags = (tag.get("label") or tag.get("term") for tag in entry.get("tags", []))
    where = entry.get("where") or {}
    point = where.get("coordinates") if where.get("type") == "Point" else None
    created = entry.get("published_parsed") or entry.get("created_parsed")
    return {
        "id": entry.get("id") or "",
        "title": _detail(entry, "title"),
        "summary": _detail(entry, "summary"),
        "content": max(contents, key=lambda element: len(element["value"] or ""), default=None),
        "link": entry.get("link") or "",
        "alternates": links.get("alternate", []),
        "enclosures": links.get("enclosure", []),
        "related": links.get("related", []),
        "published": _format_time(created),
        "updated": _format_time(entry.get("updated_parsed")) if "updated" in entry else None,
        "tags": [tag for tag in tags if tag],
        "publisher": entry.get("publisher") or "",
        "licence": _licence(entry),
        "where": [*map(float, point[:2])] if point and len(point) >= 2 else None,
        "feed": feed,
    }


def _detail(entry: Any, name: str) -> Mapping[str, str | None] | None:
    detail = entry.get(f"{name}_detail")
    return _text(detail) if detail and detail.get("value") else None


def _text(detail: Any) -> Mapping[str, str | None]:
    text = html_to_text(detail.get("value") or "")
    return {"value": text, "language": detail.get("language") or None}


def _format_time(parsed: time.struct_time | None) -> str | None:
    """Format a time that feedparser parsed; None if it could not, or if no calendar has it."""
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(calendar.timegm(parsed), UTC) if parsed else None
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None
    return None


def _licence(element: Any) -> str:
    links = (link.get("href") for link in element.get("links", []) if link.get("rel") == "license")
    return element.get("license") or next(filter(None, links), "")


PROTOCOL = Protocol(Feed.collect, Payload.ROW, Options, incremental=True)
