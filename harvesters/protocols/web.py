"""Web pages found by the site's sitemap: their JSON-LD, microdata and RDFa.

Source: https://schema.org/docs/gs.html, https://www.sitemaps.org/protocol.html,
https://html.spec.whatwg.org/multipage/microdata.html, https://www.w3.org/TR/rdfa-core/,
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from importlib import import_module
from typing import Any
from urllib.parse import urldefrag, urlsplit

import structlog
from lxml import etree
from pydantic import Field
from pyoxigraph import RdfFormat, Store

from harvesters.errors import CharsetError, ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import (
    Reply,
    declared_charset,
    dump_json,
    fitting_charset,
    is_html,
    marked_charset,
    parse_xml,
)
from harvesters.options import Regex
from harvesters.page_model import InvalidRecord, Page, Pages, Payload
from harvesters.payloads.graph import Graph, iri_or_text, merge_graphs
from harvesters.payloads.rdf_parser import builtin_context, inline_contexts, parse_quads
from harvesters.payloads.value_parsing import in_utc, may_be_newer
from harvesters.protocols.document import DocumentReader, ListedDocument, sitemap_entries
from harvesters.protocols.protocol import Items, Protocol
from harvesters.protocols.rdf_reader import ClassOptions, RdfReader
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

_META = re.compile(rb"<meta[^>]{0,200}charset\s*+=\s*+[\"']?\s*+([\w.:-]++)", re.IGNORECASE)
# The libraries for microdata and RDFa resolve an empty address to that of the page.
_EMPTY_ADDRESS = re.compile(r"""\s(?:href|src)\s*+=\s*+(?:""|'')""", re.IGNORECASE)
_NAMESPACE = re.compile(r"(https?://.*[/#])[^/#]+\Z")
_SITEMAP = "application/xml, text/xml;q=0.9, text/html;q=0.8, */*;q=0.5"
_PAGE = "text/html, application/xhtml+xml;q=0.9"
_PAGE_TYPES = (
    "",
    "text/html",
    "application/xhtml+xml",
    "text/plain",
    "application/xml",
    "text/xml",
)
_MAX_HOSTS = 5  # Hosts that an error names.
_MAX_DEPTH = 3  # An index should list sitemaps only, some list indexes.
_MAX_BYTES = 64 * 1024 * 1024  # Bytes of a decompressed sitemap; the protocol allows 50 MB.
_OVERLAP = timedelta(days=1)  # A lastmod is often a date without a time.

log = structlog.get_logger()


class WebOptions(ClassOptions):
    """The options of a website."""

    only: Regex = Field(
        "",
        description="A regular expression that the addresses of pages must contain, e.g. `/projects/`.",
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield the records on all pages of a site, or on those that its sitemaps date since the day
    before *since*.

    The source's url is a sitemap, an index of sitemaps, or a single page. A page that is no longer
    there is gone. Raises ParseError if the url is none of these.
    """
    moment = in_utc(since) - _OVERLAP if since else None
    reader, root = RdfReader(source, fetch), fetch.get(source.url, accept=_SITEMAP)
    if is_html(root.content):
        items = _parse_page(reader, ListedDocument(root.url, urldefrag(root.url).url), root)
        if not items:
            raise ParseError(
                "%(source)s: %(url)s is a page without a record of a known class; set the option "
                "'types'",
                source=source.name,
                url=root.url,
            )
        yield Page(items, None, at=root.at)
        return
    pages = DocumentReader(source, fetch, _PAGE, _SITEMAP, partial(_parse_page, reader))
    yield from pages.read_lists(cursor, lambda _: _walk_sitemaps(source, fetch, root, moment))


def _walk_sitemaps(
    source: Source, fetch: Fetch, reply: Reply, moment: datetime | None, depth: int = 0
) -> Iterator[tuple[str, list[ListedDocument]]]:
    """Yield each sitemap with its pages, always in the same order."""
    is_index, listed, ignored = _parse_sitemap(reply)
    hosts = {urlsplit(source.url).hostname, urlsplit(reply.url).hostname}
    here = {address for address in listed if urlsplit(address).hostname in hosts}
    only = re.compile(WebOptions.of(source).only)
    wanted = [
        address for address in listed if address in here and (is_index or only.search(address))
    ]
    changed = [address for address in wanted if may_be_newer(listed[address], moment)]
    log.info(
        "sitemap read",
        source=source.name,
        sitemap=reply.url,
        maps=len(listed) if is_index else 0,
        pages=0 if is_index else len(wanted),
        passed=0 if is_index else len(listed) - len(wanted),
        unusable=ignored,
    )
    if listed and not here and not is_index:
        others = {urlsplit(address).hostname for address in listed}
        raise ParseError(
            "%(source)s: %(url)s lists %(count)s pages, all on another host (%(hosts)s), which "
            "are not read; set url to the sitemap of that host",
            source=source.name,
            url=reply.url,
            count=len(listed),
            hosts=", ".join(sorted(filter(None, others))[:_MAX_HOSTS]),
        )
    if not is_index:
        yield (
            reply.url,
            [
                ListedDocument(page, page, listed[page] or None, has_own_keys=True)
                for page in changed
            ],
        )
        return
    if depth == _MAX_DEPTH:
        raise ParseError(
            "%(source)s: %(url)s has sitemaps nested more than %(limit)s deep; its sitemaps do not end",
            source=source.name,
            url=reply.url,
            limit=_MAX_DEPTH,
        )
    for address in changed:
        following = fetch.get(address, accept=_SITEMAP)
        yield from _walk_sitemaps(source, fetch, following, moment, depth + 1)


def _parse_sitemap(reply: Reply) -> tuple[bool, dict[str, str], int]:
    """Parse a sitemap, or an index of sitemaps.

    Return whether it is an index, the time of change by address, as it is written, "" if unknown,
    and the number of entries that are not web addresses.

    Raises ParseError if it is neither.
    """
    root = parse_xml(_decompress(reply))
    kind = etree.QName(root).localname
    if kind not in {"urlset", "sitemapindex"}:
        raise ParseError(
            "%(url)s: not a sitemap but <%(element)s>; set url to a sitemap or a page",
            url=reply.url,
            element=kind,
        )
    entries = [(address, stamp) for _, address, stamp in sitemap_entries(root, reply.url)]
    listed = {address: stamp for address, stamp in sorted(entries) if is_web(address)}
    return kind == "sitemapindex", listed, len(entries) - len(listed)


def _decompress(reply: Reply) -> Reply:
    """Decompress a sitemap in a gzip file, in bounded memory."""
    if not reply.content.startswith(b"\x1f\x8b"):
        return reply
    with parser_errors(Reason("%(url)s: the gzip file cannot be decompressed", url=reply.url)):
        content = gzip.GzipFile(fileobj=io.BytesIO(reply.content)).read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ParseError(
            "%(url)s: its sitemap has more than %(limit)s bytes when decompressed",
            url=reply.url,
            limit=_MAX_BYTES,
        )
    return replace(reply, content=content)


def _parse_page(reader: RdfReader, document: ListedDocument, reply: Reply) -> Items:
    """Return the records of a page. Raise ParseError if its markup is invalid and has none."""
    if reply.media_type not in _PAGE_TYPES:
        return ()
    store, problems = parse_page(reply)
    page = str(document.key)
    result = reader.find_records(store, page)
    if problems and not result.records:
        raise ParseError("; ".join(problems))
    if problems:
        name = reader.source.name
        log.warning("page has invalid markup", source=name, page=page, problems=problems)
    return tuple(
        item
        if isinstance(item, InvalidRecord)
        else replace(item, modified=item.modified or document.modified)
        for item in reader.parse_records(store, result)
    )


@cache
def _extruct() -> Any:
    """Import the library with the first page: it takes a fifth of the start of a process."""
    return import_module("extruct")


def parse_page(reply: Reply) -> tuple[Store, list[str]]:
    """Return all structured data of a page as a store, and the errors of what could not be parsed."""
    store, errors = Store(), list[str]()
    text = _EMPTY_ADDRESS.sub("", _text(reply)).encode("utf-8", "replace")
    for kind, extract in (("JSON-LD", _json_ld), ("microdata", _microdata), ("RDFa", _rdfa)):
        try:
            with parser_errors(f"its {kind} cannot be read"):
                for item in extract(text, reply.url):
                    if isinstance(item, Exception):
                        raise item
                    _put(store, item, reply.url)
        except ParseError as error:
            errors.append(str(error))
    return store, errors


def _text(reply: Reply) -> str:
    """Decode a page as browsers do: by its byte order mark, its header, its meta element, else as
    UTF-8, else as Windows-1252.
    """
    meta = _META.search(reply.content[:4096])
    named = meta[1].decode("ascii", "replace") if meta else ""
    names = (marked_charset(reply), declared_charset(reply), named, "utf-8")
    try:
        return reply.content.decode(fitting_charset(reply, names)).removeprefix("\ufeff")
    except CharsetError:
        return reply.content.decode("cp1252", "replace")


def _json_ld(text: bytes, url: str) -> Iterator[Any]:
    """Yield the items of each script separately, so that an invalid one does not affect others; an
    error comes last.
    """
    broken: Exception | None = None
    page = _extruct().utils.parse_html(text, encoding="utf-8")
    for script in page.iterfind('.//script[@type="application/ld+json"]'):
        try:
            yield from (
                inline_contexts(item, builtin_context)
                for item in _extruct().jsonld.JsonLdExtractor().extract_items(script)
            )
        except LookupError as error:
            broken = ValueError(f"it needs the context {error.args[0]}, which is not built in")
        except (ValueError, TypeError, RecursionError) as error:
            broken = error
    if broken is not None:
        yield broken


def _microdata(text: bytes, url: str) -> Iterator[Any]:
    page = _extruct().utils.parse_html(text, encoding="utf-8")
    extractor = _extruct().w3cmicrodata.MicrodataExtractor(strict=False)
    for item in extractor.extract_items(page, base_url=url):
        yield _node(item, "")


def _node(item: dict[str, Any], around: str) -> dict[str, Any]:
    """Convert an item of microdata to JSON-LD; a property belongs to the vocabulary of its item's
    type, or of the enclosing item.
    """
    types = item.get("type", [])
    types = [
        name for name in (types if isinstance(types, list) else str(types).split()) if is_web(name)
    ]
    match = _NAMESPACE.match(types[0]) if types else None
    namespace = match.group(1) if match else around
    schema = re.match(r"https?://(www\.)?schema\.org/", namespace)
    node: dict[str, Any] = (
        {"@context": builtin_context("https://schema.org") if schema else {"@vocab": namespace}}
        if namespace
        else {}
    )
    node |= {"@type": types} if types else {}
    node |= {"@id": item["id"]} if is_web(item.get("id", "")) else {}
    for name, value in item.get("properties", {}).items():
        if namespace or ":" in name:
            node[name] = [
                _value(item_value, namespace)
                for item_value in (value if isinstance(value, list) else [value])
            ]
    return node


def _value(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return _node(value, namespace)
    return " ".join(value.split()) if isinstance(value, str) else value


def _rdfa(text: bytes, url: str) -> Iterator[Any]:
    yield from (
        _extruct()
        .rdfa.RDFaExtractor()
        .extract_items(_extruct().utils.parse_xmldom_html(text, encoding="utf-8"), base_url=url)
    )


def _put(store: Store, item: Any, url: str) -> None:
    quads = parse_quads(dump_json(item), RdfFormat.JSON_LD, "as JSON-LD", url, rename=True)
    store.extend(list(iri_or_text(merge_graphs(quads))))


PROTOCOL = Protocol(collect, Payload.GRAPH, WebOptions, incremental=True)
