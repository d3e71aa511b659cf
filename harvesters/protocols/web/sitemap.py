"""Sitemaps: which pages a site has, and when each changed.

Source: https://www.sitemaps.org/protocol.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.network.encoding import decode_content
from harvesters.network.fetch import Reply
from harvesters.network.response_parsing import decode_text, parse_xml
from harvesters.parsing import join_url
from harvesters.protocols.datestamps import read_stamp
from vocab.iris import is_web

ACCEPT = "application/xml, text/xml;q=0.9, text/html;q=0.8, */*;q=0.5"
_LARGEST = 64 * 1024 * 1024  # bytes of a sitemap when unpacked; the protocol allows 50 MB
_MOST = 50_000  # entries: as the protocol says


@dataclass(frozen=True, slots=True)
class Entry:
    """A page or a further sitemap: its *address*, and its lastmod as it stands, empty where that is not told."""

    address: str
    modified: str = ""

    def since(self, moment: datetime | None) -> bool:
        """Tell whether it may have changed since *moment*."""
        stamp = read_stamp(self.modified)
        return moment is None or stamp is None or stamp >= moment


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap holds, each in the order of addresses: *pages*, and further *maps*; *left* names what is no web address."""

    pages: tuple[Entry, ...]
    maps: tuple[Entry, ...]
    left: int = 0


def read_sitemap(reply: Reply) -> Sitemap:
    """Read a sitemap, an index of sitemaps, a list of addresses, one a line, or a robots.txt that names sitemaps.

    Raises ParseError where it is none of these, or has more entries than the protocol allows.
    """
    reply = _unpacked(reply)
    if not reply.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _lines(reply)
    root = parse_xml(reply)
    kind = etree.QName(root).localname
    if kind not in {"urlset", "sitemapindex"}:
        raise ParseError(f"{reply.url}: is no sitemap but <{kind}>; give the address of the sitemap, of robots.txt or of a page")
    entries = [
        (_text(node, "loc"), _text(node, "lastmod")) for node in root.iterfind("{*}*") if etree.QName(node).localname in {"url", "sitemap"}
    ]
    found = _sorted(reply, ((join_url(reply.url, address), stamp) for address, stamp in entries if address))
    left = len(entries) - len(found)
    return Sitemap(found, (), left) if kind == "urlset" else Sitemap((), found, left)


def _unpacked(reply: Reply) -> Reply:
    """Unpack a sitemap that is kept as a gzip file, in bounded memory."""
    if not reply.content.startswith(b"\x1f\x8b"):
        return reply
    content = bytearray()
    try:
        for part in decode_content([reply.content], "gzip"):
            content += part
            if len(content) > _LARGEST:
                raise ParseError(f"{reply.url}: its sitemap has more than {_LARGEST} bytes when unpacked")
    except ValueError as error:
        raise ParseError(f"{reply.url}: its gzip cannot be unpacked: {error}") from error
    return replace(reply, content=bytes(content))


def _lines(reply: Reply) -> Sitemap:
    lines = [line.strip() for line in decode_text(reply).splitlines()]
    maps = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("sitemap:")]
    if maps:
        return Sitemap((), _sorted(reply, ((address, "") for address in maps)))
    pages = _sorted(reply, ((line, "") for line in lines))
    if not pages:
        raise ParseError(f"{reply.url}: is no sitemap: it holds neither XML nor web addresses, one a line")
    return Sitemap(pages, (), sum(map(bool, lines)) - len(pages))


def _sorted(reply: Reply, entries: Iterable[tuple[str, str]]) -> tuple[Entry, ...]:
    found = {address: Entry(address, moment) for address, moment in entries if is_web(address)}
    if len(found) > _MOST:
        raise ParseError(f"{reply.url}: has {len(found)} entries, more than the {_MOST} that a sitemap may have")
    return tuple(found[address] for address in sorted(found))


def _text(node: _Element, name: str) -> str:
    return " ".join((node.findtext(f"{{*}}{name}") or "").split())
