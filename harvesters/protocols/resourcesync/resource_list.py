"""Parse ResourceSync documents: resource lists, change lists, capability lists and indexes.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.parsing import join_url
from harvesters.protocols.datestamps import parse_timestamp
from harvesters.protocols.error_recovery import LoopDetector
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

ACCEPT = "application/xml, text/xml;q=0.9"
_RS = "{http://www.openarchives.org/rs/terms/}"
_MAX_DEPTH = 4  # source description, capability list, index, list


@dataclass(frozen=True, slots=True)
class ResourceEntry:
    """A resource or document: its *address*, the timestamp *stamp* as written, its *change*, and
    its *capability*.
    """

    address: str
    stamp: str
    change: str
    capability: str

    @property
    def moment(self) -> datetime | None:
        """Return the time of the timestamp."""
        return parse_timestamp(self.stamp)


@dataclass(frozen=True, slots=True)
class ResourceDocument:
    """A document: its *capability*, whether it is an index, the time from which it lists changes,
    and its entries.
    """

    url: str
    capability: str
    is_index: bool
    changes_from: datetime | None
    entries: tuple[ResourceEntry, ...]


def fetch_document(source: Source, fetch: Fetch, address: str) -> ResourceDocument:
    """Request a document. Raise ParseError if it is not ResourceSync."""
    reply = fetch.get(address, accept=ACCEPT)
    root = parse_xml(reply)
    metadata = _metadata(root)
    kind, capability = etree.QName(root).localname, metadata.get("capability", "")
    if kind not in {"urlset", "sitemapindex"} or not capability:
        raise ParseError(
            Reason("not_resourcesync", {"source": source.name, "url": reply.url, "element": kind})
        )
    entries = tuple(
        entry
        for node in root.iterfind("{*}*")
        if (entry := _parse_entry(node, reply.url, capability))
    )
    return ResourceDocument(
        reply.url,
        capability,
        kind == "sitemapindex",
        parse_timestamp(metadata.get("from", "")),
        entries,
    )


def parse_manifest(source: Source, reply: Reply) -> list[tuple[ResourceEntry, str, str]]:
    """Parse a package's manifest: each resource with its path in the package and its media type,
    sorted by address.
    """
    root = parse_xml(reply)
    capability = _metadata(root).get("capability", "")
    if capability not in {"resourcedump-manifest", "changedump-manifest"}:
        raise ParseError(
            Reason(
                "not_dump_manifest",
                {"source": source.name, "url": reply.url, "capability": capability},
            )
        )
    resources = []
    for node in root.iterfind("{*}url"):
        if entry := _parse_entry(node, reply.url, capability):
            metadata = _metadata(node)
            resources.append((entry, metadata.get("path", ""), metadata.get("type", "")))
    return sorted(resources, key=lambda resource: resource[0].address)


def _metadata(node: _Element) -> Mapping[str, str]:
    element = node.find(f"{_RS}md")
    return (
        {} if element is None else {str(name): str(text) for name, text in element.attrib.items()}
    )


def _parse_entry(node: _Element, base: str, capability: str) -> ResourceEntry | None:
    address = join_url(base, " ".join((node.findtext("{*}loc") or "").split()))
    if (
        etree.QName(node).localname not in {"url", "sitemap"}
        or not is_web(address)
        or node.find("{*}loc") is None
    ):
        return None
    metadata = _metadata(node)
    stamp = metadata.get("datetime") or " ".join((node.findtext("{*}lastmod") or "").split())
    return ResourceEntry(
        address, stamp, metadata.get("change", ""), metadata.get("capability", capability)
    )


def fetch_lists(source: Source, fetch: Fetch, wanted: str) -> Iterator[ResourceDocument]:
    """Yield all lists of a capability, such as `resourcelist`, to which the source's url leads,
    sorted by address.
    """
    loop_detector = LoopDetector(source.name)
    yield from _walk_lists(source, fetch, source.url, wanted, loop_detector, 0)


def _walk_lists(
    source: Source, fetch: Fetch, address: str, wanted: str, loop_detector: LoopDetector, depth: int
) -> Iterator[ResourceDocument]:
    loop_detector.check_token(address, address, "document")
    if depth > _MAX_DEPTH:
        raise ParseError(
            Reason("lists_too_deep", {"source": source.name, "url": address, "limit": _MAX_DEPTH})
        )
    document = fetch_document(source, fetch, address)
    if document.capability == wanted and not document.is_index:
        yield document
        return
    for entry in sorted(document.entries, key=lambda entry: entry.address):
        if document.capability == wanted or entry.capability in {wanted, "capabilitylist"}:
            yield from _walk_lists(source, fetch, entry.address, wanted, loop_detector, depth + 1)
