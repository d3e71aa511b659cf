"""A search as a feed: its newest results, and the records that are no longer among them.

Whoever applies each feed to a list of results has the results of the search. Sources:
https://www.rfc-editor.org/rfc/rfc4287 (Atom), https://www.rfc-editor.org/rfc/rfc6721 (deleted
entries) and https://www.jsonfeed.org/version/1.1/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from publisher.feeds.atom import MEDIA
from publisher.feeds.xml_writing import element, empty, instant
from publisher.history import change_reader
from publisher.history.change_reader import Change, History
from publisher.portal.search_results import SearchResult
from publisher.projections.facets.filter_query import Filter
from vocab.iris import Iris
from web.formats import Format

FEED_FORMATS: Mapping[str, Format] = {
    "atom": Format("atom", "Atom", MEDIA),
    "json": Format("json", "JSON Feed", "application/feed+json"),
}
# parameters of a search that do not change what is found
LEFT_OUT = ("page", "per", "sort", "format", "view", "lang")
ENTRIES = 100  # results of a feed, the newest
# newest changes of all records; records that left the results are looked for among these
WINDOW = 1_000
# of which the change log has what a record had before
_KNOWN_FACETS = ("kind", "source", "goal", "country", "line")
_NEWEST = (1 << 31) - 1  # no number of a change is higher
_EXTENSION = "_stocktake"


@dataclass(frozen=True, slots=True)
class RemovedResult:
    """A thing (IRI) that is not among the results, and may have been before its change at *stamp*,
    in seconds since 1970.
    """

    thing: str
    stamp: int


@dataclass(frozen=True, slots=True)
class SearchFeed:
    """The feed of a search: *url* is its address, *page* that of the results. *updated* is in
    seconds since 1970.
    """

    title: str
    url: str
    page: str
    author: str
    updated: int
    results: Sequence[SearchResult]
    removed: Sequence[RemovedResult]


def possibly_left(history: History, filters: Filter, iris: Iris) -> dict[str, int]:
    """Return the things that changed lately and may have matched before: the stamp of the newest
    change by IRI.

    Of the facets that the change log knows, a record had what is asked for; of words and other
    facets that is not known.
    """
    stamps: dict[str, int] = {}
    # also those that are not announced yet
    changes = history.newest_changes(change_reader.ALL, _NEWEST, WINDOW)
    earlier = history.changes_before(changes)
    for change in changes:
        before = earlier.get(change.previous)
        thing = f"{iris.base}id/{(before or change).thing}"
        if before is not None and _may_match(before, filters):
            stamps[thing] = max(change.stamp, stamps.get(thing, 0))
    return stamps


def _may_match(change: Change, filters: Filter) -> bool:
    if change.change_type is change_reader.ChangeType.DELETED:
        return False
    sets = change.sets
    return all(
        not (codes := filters.codes(facet)) or any(_has(sets, facet, code) for code in codes)
        for facet in _KNOWN_FACETS
    )


def _has(sets: Iterable[str], facet: str, code: str) -> bool:
    name = f"{facet}:{code}"
    return any(item == name or item.startswith((f"{name}:", f"{name}-")) for item in sets)


def write_search_feed(feed: SearchFeed, suffix: str, host: str, iris: Iris) -> bytes:
    """Write a feed as ``atom`` or ``json``; links begin with *host*."""
    return _atom(feed, host, iris) if suffix == "atom" else _json(feed, host, iris)


def _atom(feed: SearchFeed, host: str, iris: Iris) -> bytes:
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0">',
        element("id", feed.url),
        element("title", feed.title),
        element("updated", instant(feed.updated)),
        f"<author>{element('name', feed.author)}</author>",
        empty("link", rel="self", type=MEDIA, href=feed.url),
        empty("link", rel="alternate", type="text/html", href=feed.page),
    ]
    removed = (
        f'<at:deleted-entry ref="{iris_text(item.thing)}" when="{instant(item.stamp)}"/>'
        for item in feed.removed
    )
    entries = (
        f"<entry>{''.join(_entry(result, feed, host, iris))}</entry>" for result in feed.results
    )
    return "\n".join((*head, *removed, *entries, "</feed>\n")).encode()


def iris_text(iri: str) -> str:
    """Return an IRI as the value of an XML attribute."""
    return iri.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _entry(result: SearchResult, feed: SearchFeed, host: str, iris: Iris) -> Iterator[str]:
    text, language = result.title or (result.entry.thing, None)
    yield element("id", result.entry.thing)
    yield element("title", text, xml_lang=language)
    yield element("updated", result.modified or instant(feed.updated))
    yield f"<author>{element('name', result.entry.source or feed.author)}</author>"
    yield empty("link", rel="alternate", type="text/html", href=_page(result, host, iris))
    if passage := "".join(piece.text for piece in result.passage):
        yield element("summary", passage, xml_lang=result.language)


def _page(result: SearchResult, host: str, iris: Iris) -> str:
    return f"{host}/page/{result.entry.thing.removeprefix(f'{iris.base}id/')}"


def _json(feed: SearchFeed, host: str, iris: Iris) -> bytes:
    document: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": feed.page,
        "feed_url": feed.url,
        "authors": [{"name": feed.author}],
        "items": [_item(result, host, iris) for result in feed.results],
        _EXTENSION: {
            "about": f"{host}/docs/reference/feeds.html#searches",
            "removed": [{"id": item.thing, "date": instant(item.stamp)} for item in feed.removed],
        },
    }
    return orjson.dumps(document)


def _item(result: SearchResult, host: str, iris: Iris) -> dict[str, Any]:
    text, language = result.title or (result.entry.thing, None)
    passage = "".join(piece.text for piece in result.passage)
    item = {
        "id": result.entry.thing,
        "url": _page(result, host, iris),
        "title": text,
        "content_text": passage or text,
    }
    item |= {"date_modified": result.modified} if result.modified else {}
    return item | ({"language": language} if language else {})
