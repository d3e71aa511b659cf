"""Web pages: what they say of projects, events and the like in JSON-LD, microdata and RDFa, found by the site's sitemap.

Source: https://schema.org/docs/gs.html, https://www.sitemaps.org/protocol.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urldefrag, urlsplit

import structlog

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.html_detection import is_html
from harvesters.option_schema import Option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, SourcePosition
from harvesters.payloads import structured_data
from harvesters.payloads.graph import Graph
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, fault
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import Item, Reading, nameless, reading
from harvesters.protocols.web.sitemap import ACCEPT, Entry, read_sitemap
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **{name: reader.OPTIONS[name] for name in ("types", "steps")},
    "only": Option(str, None, "A regular expression that the addresses of pages must hold, e.g. `/projects/`."),
}

_PAGE = "text/html, application/xhtml+xml;q=0.9"
_DEEP = 3  # sitemaps below each other: an index may hold sitemaps only, some hold indexes
_OVERLAP = timedelta(days=1)  # a lastmod is often a day
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a walk stands: in the sitemap *map*, behind the page *last*; *doubt*, *again* as on a page, *faults* pages in a row."""

    map: str = ""
    last: str = ""
    again: bool = False
    doubt: str | None = None
    faults: int = 0


def check(source: Source) -> None:
    """Refuse classes that are none and an expression that cannot be read; raises SourceDefinitionError."""
    reader.check(source)
    get_pattern(source, OPTIONS, "only")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Graph]:
    """Collect what all pages of a site say, or those that its sitemaps say to have changed since the day before *since*.

    The card's url is a sitemap, an index of sitemaps, a robots.txt that names some, or a single page. A page that is no longer
    there is gone. Raises ParseError where the url is none of these.
    """
    told = reading(source, fetch)
    spot = read(_Spot, cursor) or _Spot(again=cursor is not None)
    moment = None if since is None else (since.replace(tzinfo=UTC) if since.tzinfo is None else since) - _OVERLAP
    reply = fetch.get(source.url, accept=ACCEPT)
    if is_html(reply.content):
        items = _items(told, reply)
        if not items:
            raise ParseError(f"{source.name}: {reply.url} is a page that says nothing which we know as a record; set the option 'types'")
        yield Page(items, None, at=reply.at)
        return
    passed = not spot.map
    for here, pages in _maps(told, reply, moment):
        passed = passed or here == spot.map
        if passed:
            for entry in [it for it in pages if here != spot.map or it.address > spot.last]:
                items, at, spot = _page(told, entry, replace(spot, map=here, last=entry.address))
                yield Page(items, write(spot), None, at, again=spot.again, doubt=spot.doubt)
    if not passed:  # the sitemap in which it stood is no longer there
        yield from collect(source, fetch, since, write(_Spot(again=True, doubt=spot.doubt)))
        return
    yield Page((), None, again=spot.again, doubt=spot.doubt)


def _maps(told: Reading, reply: Reply, moment: datetime | None, deep: int = 0) -> Iterator[tuple[str, list[Entry]]]:
    """Give each sitemap with its pages, in an order that is the same each time."""
    found = read_sitemap(reply)
    hosts = {urlsplit(told.source.url).hostname, urlsplit(reply.url).hostname}
    only = get_pattern(told.source, OPTIONS, "only")
    pages = [entry for entry in found.pages if urlsplit(entry.address).hostname in hosts and only.search(entry.address)]
    counts = {"pages": len(pages), "passed": len(found.pages) - len(pages), "unusable": found.left}
    log.info("sitemap read", source=told.source.name, sitemap=reply.url, maps=len(found.maps), **counts)
    yield reply.url, [entry for entry in pages if entry.since(moment)]
    if found.maps and deep == _DEEP:
        raise ParseError(f"{told.source.name}: {reply.url} holds sitemaps more than {_DEEP} deep; its sitemaps do not end")
    for entry in found.maps:
        if entry.since(moment) and urlsplit(entry.address).hostname in hosts:
            yield from _maps(told, told.fetch.get(entry.address, accept=ACCEPT), moment, deep + 1)


def _page(told: Reading, entry: Entry, spot: _Spot) -> tuple[tuple[Item, ...], SourcePosition | None, _Spot]:
    """Read one page; one that cannot be read stops nothing while the site answers."""
    address = entry.address
    try:
        reply = told.fetch.get(address, accept=_PAGE)
    except NotFoundError as error:
        log.info("page listed in the sitemap not found", source=told.source.name, page=address, why=str(error))
        return (DeletedRecord(address),), None, replace(spot, faults=0)
    except UNREAD as error:
        faults = fault(told.source.name, spot.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(told, error)
        why = f"the page {address} cannot be read, so what it held is not known"
        return (InvalidRecord(address, str(error)),), None, replace(spot, faults=faults, doubt=spot.doubt or why)
    items = _items(told, reply, entry)
    broken = any(isinstance(item, InvalidRecord) and item.key == address for item in items)
    return items, reply.at, replace(spot, faults=0, doubt=spot.doubt or (f"the markup of {address} cannot be read" if broken else None))


def _items(told: Reading, reply: Reply, entry: Entry | None = None) -> tuple[Item, ...]:
    """Give the records of a page; where its markup is broken and holds none, the page is unreadable."""
    page = entry.address if entry else urldefrag(reply.url).url
    if reply.media_type not in {"", "text/html", "application/xhtml+xml", "text/plain", "application/xml", "text/xml"}:
        return ()
    store, troubles = structured_data.parse_page(reply)
    found = told.found(store, page=page)
    items = (*(told.item(store, key, node) for key, node in found.records), *(nameless(node) for node in found.keyless))
    if troubles and not found.records:
        return (InvalidRecord(page, "; ".join(troubles)),)
    if troubles:
        log.warning("page has invalid markup", source=told.source.name, page=page, troubles=troubles)
    modified = entry.modified or None if entry else None
    return tuple(replace(it, modified=modified) if not isinstance(it, InvalidRecord) and it.modified is None else it for it in items)


def _alive(told: Reading, error: HarvestError) -> None:
    """Raise *error* where the sitemap can no longer be read either: it is then more than one page's."""
    try:
        told.fetch.get(told.source.url, accept=ACCEPT)
    except UNREAD as unwell:
        raise error from unwell
