"""Convert a feed entry to a row: plain texts with languages, times in UTC, links by their relation."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harvesters.page_model import Row
from harvesters.payloads.html_to_text import html_to_text


def feed_row(parsed: Any) -> Row:
    """Return the values that apply to all entries of a parsed feed."""
    feed = parsed.feed
    return {
        "title": html_to_text(feed.get("title") or ""),
        "link": feed.get("link") or "",
        "language": feed.get("language") or "",
        "licence": _licence(feed),
        "publisher": feed.get("publisher") or "",
    }


def entry_row(entry: Any, feed: Row) -> Row:
    """Return an entry as a row; *feed* has the values of the whole feed. Authors are persons and
    are left out.
    """
    links = [element for element in entry.get("links", []) if element.get("href")]
    contents = [_text(element) for element in entry.get("content", [])]
    return {
        "id": entry.get("id") or "",
        "title": _detail(entry, "title"),
        "summary": _detail(entry, "summary"),
        "content": max(contents, key=lambda element: len(element["value"] or ""), default=None),
        "link": entry.get("link") or "",
        "alternates": [
            element["href"] for element in links if element.get("rel", "alternate") == "alternate"
        ],
        "enclosures": [element["href"] for element in links if element.get("rel") == "enclosure"],
        "related": [element["href"] for element in links if element.get("rel") == "related"],
        "published": _format_time(entry.get("published_parsed"))
        or _format_time(entry.get("created_parsed")),
        "updated": _format_time(entry.get("updated_parsed")) if "updated" in entry else None,
        "tags": [
            word
            for element in entry.get("tags", [])
            if (word := element.get("label") or element.get("term"))
        ],
        "publisher": entry.get("publisher") or "",
        "licence": _licence(entry),
        "where": _point(entry),
        "feed": feed,
    }


def _detail(entry: Any, name: str) -> Mapping[str, str | None] | None:
    detail = entry.get(f"{name}_detail")
    return _text(detail) if detail and detail.get("value") else None


def _text(detail: Any) -> Mapping[str, str | None]:
    return {
        "value": html_to_text(detail.get("value") or ""),
        "language": detail.get("language") or None,
    }


def _format_time(parsed: time.struct_time | None) -> str | None:
    """Format a time that feedparser parsed; None if it could not, or if no calendar has it."""
    try:
        return (
            datetime.fromtimestamp(calendar.timegm(parsed), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if parsed
            else None
        )
    except (ValueError, OverflowError, OSError):
        return None


def _licence(element: Any) -> str:
    links = (link.get("href") for link in element.get("links", []) if link.get("rel") == "license")
    return element.get("license") or next((link for link in links if link), "")


def _point(entry: Any) -> list[float] | None:
    """Return the longitude and latitude of a point; None for a line or polygon."""
    where = entry.get("where") or {}
    coordinates = where.get("coordinates") if where.get("type") == "Point" else None
    return (
        [float(number) for number in coordinates[:2]]
        if coordinates and len(coordinates) >= 2
        else None
    )
