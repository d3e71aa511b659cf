"""All resources of a source's lists; later those in its change lists.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, TypeAlias

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import parse_xml
from harvesters.page_model import Pages, Payload
from harvesters.payloads.value_parsing import in_utc, may_be_newer, parse_timestamp
from harvesters.protocols.document import (
    FileOptions,
    ListedDocument,
    file_reader,
    payload_type,
    sitemap_entries,
)
from harvesters.protocols.lists import LoopDetector
from harvesters.protocols.protocol import Protocol
from harvesters.source import Source
from vocab.iris import is_web

_ACCEPT = "application/xml, text/xml;q=0.9"
_RS = "{http://www.openarchives.org/rs/terms/}"
_OVERLAP = timedelta(days=1)  # A lastmod may be a date without a time.
# What a document says of itself or of a resource: the attributes of its metadata, and of a resource
# its *address*; the time of change is its *datetime*, as it is written.
Metadata: TypeAlias = Mapping[str, str]


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield all resources, or those changed since *since* by change lists, else by the dates in
    resource lists.

    A resource's key is its address; one that is reported as deleted is gone. One that cannot be
    read is unreadable and does not stop the others. Raises ParseError if the source's url leads to
    no list.
    """
    moment = in_utc(since) if since else None
    reader = file_reader(source, fetch, _ACCEPT)
    yield from reader.read_lists(cursor, lambda _: _select_documents(source, fetch, moment))


def _select_documents(
    source: Source, fetch: Fetch, moment: datetime | None
) -> Iterator[tuple[str, Iterable[ListedDocument]]]:
    """Yield the resources to read, list by list, sorted by address."""
    changes = _latest_changes(source, fetch, moment) if moment else None
    if changes is not None:
        yield "changes", map(_listed, changes)
        return
    since, is_empty = moment - _OVERLAP if moment else None, True
    for url, _, entries in _walk_lists(source, fetch, "resourcelist"):
        is_empty = False
        yield url, [_listed(entry) for entry in entries if may_be_newer(entry["datetime"], since)]
    if is_empty:
        raise ParseError(
            "%(source)s: %(url)s leads to no resource list", source=source.name, url=source.url
        )


def _listed(entry: Metadata) -> ListedDocument:
    address, is_deleted = entry["address"], entry.get("change") == "deleted"
    return ListedDocument(address, address, entry["datetime"] or None, is_deleted)


def _latest_changes(source: Source, fetch: Fetch, moment: datetime) -> list[Metadata] | None:
    """Return the newest change of each resource since *moment*, or None if change lists do not
    reach back to it.
    """
    documents = list(_walk_lists(source, fetch, "changelist"))
    begins = [parse_timestamp(metadata.get("from", "")) for _, metadata, _ in documents]
    if all(begin and begin > moment for begin in begins):
        return None
    changes = [entry for _, _, entries in documents for entry in entries]
    changes.sort(key=lambda entry: parse_timestamp(entry["datetime"]) or moment)
    newest = {e["address"]: e for e in changes if may_be_newer(e["datetime"], moment)}
    return [newest[address] for address in sorted(newest)]


def _walk_lists(
    source: Source,
    fetch: Fetch,
    wanted: str,
    address: str = "",
    loop_detector: LoopDetector | None = None,
) -> Iterator[tuple[str, Metadata, list[Metadata]]]:
    """Yield the address, metadata and entries of all lists of a capability, such as `resourcelist`,
    to which the source's url leads, sorted by address.
    """
    address, loop_detector = address or source.url, loop_detector or LoopDetector(source.name)
    loop_detector.check_token(address, address)
    reply = fetch.get(address, accept=_ACCEPT)
    root = parse_xml(reply)
    metadata, kind = _metadata(root), etree.QName(root).localname
    capability = metadata.get("capability", "")
    if kind not in {"urlset", "sitemapindex"} or not capability:
        raise ParseError(
            "%(source)s: %(url)s is not a ResourceSync document: <%(element)s> without a "
            "capability; set url to its source description, such as /.well-known/resourcesync",
            source=source.name,
            url=reply.url,
            element=kind,
        )
    entries = _parse_entries(root, reply.url, capability)
    if capability == wanted and kind == "urlset":
        yield reply.url, metadata, entries
        return
    for entry in entries:
        if capability == wanted or entry["capability"] in {wanted, "capabilitylist"}:
            yield from _walk_lists(source, fetch, wanted, entry["address"], loop_detector)


def _metadata(node: _Element) -> Metadata:
    element = node.find(f"{_RS}md")
    attributes = () if element is None else element.attrib.items()
    return {str(name): str(text) for name, text in attributes if text}


def _parse_entries(root: _Element, base: str, capability: str) -> list[Metadata]:
    """Return the entries with a web address, sorted by it."""
    entries = [
        {"datetime": stamp, "capability": capability, **_metadata(node), "address": address}
        for node, address, stamp in sitemap_entries(root, base)
        if is_web(address)
    ]
    return sorted(entries, key=itemgetter("address"))


PROTOCOL = Protocol(
    collect, Payload.ROW, FileOptions, incremental=True, payload_type_for=payload_type
)
