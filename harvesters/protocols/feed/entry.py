"""A feed's entry as a row: plain texts with their languages, times in UTC, links by what they are."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harvesters.page_model import Row
from harvesters.payloads.html_to_text import html_to_text


def feed_row(told: Any) -> Row:
    """Give what holds for all entries of a parsed feed."""
    feed = told.feed
    return {
        "title": html_to_text(feed.get("title") or ""),
        "link": feed.get("link") or "",
        "language": feed.get("language") or "",
        "licence": _licence(feed),
        "publisher": feed.get("publisher") or "",
    }


def entry_row(entry: Any, feed: Row) -> Row:
    """Give an entry as a row; *feed* is what holds for all of them. Who wrote it is a person, and is left out."""
    links = [it for it in entry.get("links", []) if it.get("href")]
    contents = [_text(it) for it in entry.get("content", [])]
    return {
        "id": entry.get("id") or "",
        "title": _detail(entry, "title"),
        "summary": _detail(entry, "summary"),
        "content": max(contents, key=lambda it: len(it["value"] or ""), default=None),
        "link": entry.get("link") or "",
        "alternates": [it["href"] for it in links if it.get("rel", "alternate") == "alternate"],
        "enclosures": [it["href"] for it in links if it.get("rel") == "enclosure"],
        "related": [it["href"] for it in links if it.get("rel") == "related"],
        "published": _moment(entry.get("published_parsed")) or _moment(entry.get("created_parsed")),
        "updated": _moment(entry.get("updated_parsed")) if "updated" in entry else None,
        "tags": [word for it in entry.get("tags", []) if (word := it.get("label") or it.get("term"))],
        "publisher": entry.get("publisher") or "",
        "licence": _licence(entry),
        "where": _where(entry),
        "feed": feed,
    }


def _detail(entry: Any, name: str) -> Mapping[str, str | None] | None:
    detail = entry.get(f"{name}_detail")
    return _text(detail) if detail and detail.get("value") else None


def _text(detail: Any) -> Mapping[str, str | None]:
    return {"value": html_to_text(detail.get("value") or ""), "language": detail.get("language") or None}


def _moment(parsed: time.struct_time | None) -> str | None:
    """Write a time that feedparser read; None for one that it could not, or that no calendar has."""
    try:
        return datetime.fromtimestamp(calendar.timegm(parsed), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if parsed else None
    except (ValueError, OverflowError, OSError):
        return None


def _licence(it: Any) -> str:
    links = (link.get("href") for link in it.get("links", []) if link.get("rel") == "license")
    return it.get("license") or next((link for link in links if link), "")


def _where(entry: Any) -> list[float] | None:
    """Give the longitude and latitude of a point; a line or polygon is none."""
    where = entry.get("where") or {}
    spot = where.get("coordinates") if where.get("type") == "Point" else None
    return [float(it) for it in spot[:2]] if spot and len(spot) >= 2 else None
