"""Web pages found by the site's sitemap: their JSON-LD, microdata and RDFa.

Source: https://schema.org/docs/gs.html, https://www.sitemaps.org/protocol.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from urllib.parse import urldefrag, urlsplit

import structlog

from harvesters.errors import ForbiddenError, HarvestError, NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.html_detection import is_html
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_pattern
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload
from harvesters.payloads.graph import Graph
from harvesters.protocols.cursor import ListCursorMethods, read_cursor, write_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import RECORD_ERRORS, count_unreadable
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf import reader
from harvesters.protocols.rdf.reader import Item, RdfReader, build_reader, unidentified
from harvesters.protocols.web.sitemap import ACCEPT, Sitemap, SitemapEntry, parse_sitemap
from harvesters.reasons import Reason, Value
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    **{name: reader.OPTIONS[name] for name in ("types", "steps")},
    "only": Option(
        str,
        None,
        "A regular expression that the addresses of pages must contain, e.g. `/projects/`.",
    ),
}

_MAX_HOSTS = 5  # that an error names
_PAGE = "text/html, application/xhtml+xml;q=0.9"
_MAX_DEPTH = 3  # nesting: an index should list sitemaps only, some list indexes
_OVERLAP = timedelta(days=1)  # a lastmod is often a date without a time
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WebCursor(ListCursorMethods):
    """Position in a crawl: in the sitemap *map*, after the page *last*; *incomplete_reason*,
    *again* as in Page, *faults* counts pages in a row.
    """

    map: str = ""
    last: str = ""
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an invalid class or regular expression."""
    reader.check(source)
    get_pattern(source, OPTIONS, "only")


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the records on all pages of a site, or on those that its sitemaps date since the day
    before *since*.

    The source's url is a sitemap, an index of sitemaps, a robots.txt that names some, or a single
    page. A page that is no longer there is gone. Raises ParseError if the url is none of these.
    """
    rdf_reader = build_reader(source, fetch)
    state = read_cursor(WebCursor, cursor) or WebCursor(again=cursor is not None)
    moment = in_utc(since) - _OVERLAP if since else None
    reply = fetch.get(source.url, accept=ACCEPT)
    if is_html(reply.content):
        items = _parse_page(rdf_reader, reply)
        if not items:
            raise ParseError(
                Reason("page_without_record", {"source": source.name, "url": reply.url})
            )
        yield Page(items, None, at=reply.at)
        return
    passed = not state.map
    for sitemap, pages in _walk_sitemaps(rdf_reader, reply, moment):
        passed = passed or sitemap == state.map
        for entry in pages if passed else []:
            if sitemap != state.map or entry.address > state.last:
                after = replace(state, map=sitemap, last=entry.address)
                items, position, state = _read_page(rdf_reader, entry, after)
                yield state.page(items, has_next=True, at=position, again=state.again)
    if not passed:  # the cursor's sitemap no longer exists
        start = WebCursor(again=True, incomplete_reason=state.incomplete_reason)
        yield from collect(source, fetch, since, write_cursor(start))
        return
    yield state.page((), has_next=False, again=state.again)


def _walk_sitemaps(
    rdf_reader: RdfReader, reply: Reply, moment: datetime | None, depth: int = 0
) -> Iterator[tuple[str, list[SitemapEntry]]]:
    """Yield each sitemap with its pages, always in the same order."""
    sitemap = parse_sitemap(reply)
    hosts = {urlsplit(rdf_reader.source.url).hostname, urlsplit(reply.url).hostname}
    only = get_pattern(rdf_reader.source, OPTIONS, "only")
    pages = [
        entry
        for entry in sitemap.pages
        if urlsplit(entry.address).hostname in hosts and only.search(entry.address)
    ]
    counts = {
        "pages": len(pages),
        "passed": len(sitemap.pages) - len(pages),
        "unusable": sitemap.ignored,
    }
    log.info(
        "sitemap read",
        source=rdf_reader.source.name,
        sitemap=reply.url,
        maps=len(sitemap.maps),
        **counts,
    )
    _check_hosts(rdf_reader, reply, sitemap, hosts)
    yield reply.url, [entry for entry in pages if entry.changed_since(moment)]
    if sitemap.maps and depth == _MAX_DEPTH:
        raise ParseError(
            Reason(
                "sitemaps_too_deep",
                {"source": rdf_reader.source.name, "url": reply.url, "limit": _MAX_DEPTH},
            )
        )
    for entry in sitemap.maps:
        if entry.changed_since(moment) and urlsplit(entry.address).hostname in hosts:
            yield from _walk_sitemaps(
                rdf_reader, rdf_reader.fetch.get(entry.address, accept=ACCEPT), moment, depth + 1
            )


def _check_hosts(
    rdf_reader: RdfReader, reply: Reply, sitemap: Sitemap, hosts: set[str | None]
) -> None:
    """Raise ParseError if all pages of a sitemap are on other hosts than *hosts*."""
    others = {urlsplit(entry.address).hostname for entry in sitemap.pages}
    if others and not others & hosts:
        values: dict[str, Value] = {
            "source": rdf_reader.source.name,
            "url": reply.url,
            "count": len(sitemap.pages),
            "hosts": ", ".join(sorted(filter(None, others))[:_MAX_HOSTS]),
        }
        raise ParseError(Reason("sitemap_elsewhere", values))


def _read_page(
    rdf_reader: RdfReader, entry: SitemapEntry, state: WebCursor
) -> tuple[tuple[Item, ...], SourcePosition | None, WebCursor]:
    """Read one page; one that cannot be read does not stop the others while the site answers."""
    address = entry.address
    try:
        reply = rdf_reader.fetch.get(address, accept=_PAGE)
    except NotFoundError as error:
        log.info(
            "page listed in the sitemap not found",
            source=rdf_reader.source.name,
            page=address,
            reason=str(error),
        )
        return (DeletedRecord(address),), None, replace(state, faults=0)
    except RECORD_ERRORS as error:
        faults = count_unreadable(rdf_reader.source.name, state.faults, error)
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(rdf_reader, error)
        why = Reason("page_unreadable", {"page": address})
        return (
            (InvalidRecord(address, error.reason),),
            None,
            replace(state, faults=faults).mark_incomplete(why),
        )
    items = _parse_page(rdf_reader, reply, entry)
    broken = any(isinstance(item, InvalidRecord) and item.key == address for item in items)
    return (
        items,
        reply.at,
        replace(
            state,
            faults=0,
            incomplete_reason=state.incomplete_reason
            or (Reason("markup_unreadable", {"page": address}) if broken else None),
        ),
    )


def _parse_page(
    rdf_reader: RdfReader, reply: Reply, entry: SitemapEntry | None = None
) -> tuple[Item, ...]:
    """Return the records of a page; if its markup is invalid and has none, the page is unreadable."""
    page = entry.address if entry else urldefrag(reply.url).url
    if reply.media_type not in {
        "",
        "text/html",
        "application/xhtml+xml",
        "text/plain",
        "application/xml",
        "text/xml",
    }:
        return ()
    # Imported with the first page: its libraries take a fifth of the start of a process that
    # harvests.
    parser = import_module("harvesters.protocols.web.structured_data")
    store, problems = parser.parse_page(reply)
    result = rdf_reader.find_records(store, page=page)
    items = (
        *(rdf_reader.parse_record(store, key, node) for key, node in result.records),
        *(unidentified(node) for node in result.keyless),
    )
    if problems and not result.records:
        return (InvalidRecord(page, "; ".join(problems)),)
    if problems:
        log.warning(
            "page has invalid markup", source=rdf_reader.source.name, page=page, problems=problems
        )
    modified = entry.modified or None if entry else None
    return tuple(
        replace(item, modified=modified)
        if not isinstance(item, InvalidRecord) and item.modified is None
        else item
        for item in items
    )


def _check_reachable(rdf_reader: RdfReader, error: HarvestError) -> None:
    """Raise *error* if the sitemap can no longer be read either: the fault is then not a single
    page's.
    """
    try:
        rdf_reader.fetch.get(rdf_reader.source.url, accept=ACCEPT)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


PROTOCOL = Protocol(collect, Payload.GRAPH, OPTIONS, incremental=True, check=check)
