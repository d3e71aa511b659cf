"""ResourceSync documents: what a source has, what it changed, and where it tells that.

Source: https://www.openarchives.org/rs/1.1/resourcesync (ANSI/NISO Z39.99-2017)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import parse_xml
from harvesters.parsing import join_url
from harvesters.protocols.datestamps import read_stamp
from harvesters.protocols.error_recovery import Repeats
from harvesters.source import Source
from vocab.iris import is_web

ACCEPT = "application/xml, text/xml;q=0.9"
_RS = "{http://www.openarchives.org/rs/terms/}"
_DEEP = 4  # description, capability list, index, list


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource or a document: its *address*, its *stamp* as it stands, what *change* is told of it, and which *capability* it has."""

    address: str
    stamp: str
    change: str
    capability: str

    @property
    def moment(self) -> datetime | None:
        """Give the time of the stamp."""
        return read_stamp(self.stamp)


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its *capability*, whether it is an *index* of further ones, *begin*, from when it tells changes, and its entries."""

    url: str
    capability: str
    index: bool
    begin: datetime | None
    entries: tuple[Entry, ...]


def ask(source: Source, fetch: Fetch, address: str) -> Document:
    """Ask for a document; raises ParseError where it is none of ResourceSync's."""
    reply = fetch.get(address, accept=ACCEPT)
    root = parse_xml(reply)
    told = _md(root)
    kind, capability = etree.QName(root).localname, told.get("capability", "")
    if kind not in {"urlset", "sitemapindex"} or not capability:
        cure = "give the address of its source description, such as /.well-known/resourcesync"
        raise ParseError(f"{source.name}: {reply.url} is no document of ResourceSync, <{kind}> without a capability; {cure}")
    entries = tuple(it for node in root.iterfind("{*}*") if (it := _entry(node, reply.url, capability)))
    return Document(reply.url, capability, kind == "sitemapindex", read_stamp(told.get("from", "")), entries)


def read_manifest(source: Source, reply: Reply) -> list[tuple[Entry, str, str]]:
    """Read a package's manifest: each resource with its path in the package and its media type, in the order of addresses."""
    root = parse_xml(reply)
    capability = _md(root).get("capability", "")
    if capability not in {"resourcedump-manifest", "changedump-manifest"}:
        raise ParseError(f"{source.name}: the manifest of {reply.url} has the capability {capability!r}, not that of a dump's")
    found = []
    for node in root.iterfind("{*}url"):
        if entry := _entry(node, reply.url, capability):
            told = _md(node)
            found.append((entry, told.get("path", ""), told.get("type", "")))
    return sorted(found, key=lambda it: it[0].address)


def _md(node: _Element) -> Mapping[str, str]:
    found = node.find(f"{_RS}md")
    return {} if found is None else {str(name): str(text) for name, text in found.attrib.items()}


def _entry(node: _Element, base: str, capability: str) -> Entry | None:
    address = join_url(base, " ".join((node.findtext("{*}loc") or "").split()))
    if etree.QName(node).localname not in {"url", "sitemap"} or not is_web(address) or node.find("{*}loc") is None:
        return None
    told = _md(node)
    stamp = told.get("datetime") or " ".join((node.findtext("{*}lastmod") or "").split())
    return Entry(address, stamp, told.get("change", ""), told.get("capability", capability))


def lists(source: Source, fetch: Fetch, wanted: str) -> Iterator[Document]:
    """Give all lists of a capability, such as `resourcelist`, to which the card's url leads, in the order of their addresses."""
    repeats = Repeats(source.name)
    yield from _lists(source, fetch, source.url, wanted, repeats, 0)


def _lists(source: Source, fetch: Fetch, address: str, wanted: str, repeats: Repeats, deep: int) -> Iterator[Document]:
    repeats.token(address, address, "the document")
    if deep > _DEEP:
        raise ParseError(f"{source.name}: {address} lies more than {_DEEP} documents deep; its lists do not end")
    it = ask(source, fetch, address)
    if it.capability == wanted and not it.index:
        yield it
        return
    for entry in sorted(it.entries, key=lambda entry: entry.address):
        if it.capability == wanted or entry.capability in {wanted, "capabilitylist"}:
            yield from _lists(source, fetch, entry.address, wanted, repeats, deep + 1)
