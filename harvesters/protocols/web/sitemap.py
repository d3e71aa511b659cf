"""Parse sitemaps: the pages of a site and when each changed.

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
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import decode_text, parse_xml
from harvesters.parsing import join_url
from harvesters.protocols.datestamps import parse_timestamp
from harvesters.reasons import Reason
from vocab.iris import is_web

ACCEPT = "application/xml, text/xml;q=0.9, text/html;q=0.8, */*;q=0.5"
_MAX_BYTES = 64 * 1024 * 1024  # bytes of a decompressed sitemap; the protocol allows 50 MB
_MAX_ENTRIES = 50_000  # entries, the protocol's limit


@dataclass(frozen=True, slots=True)
class SitemapEntry:
    """A page or another sitemap: its *address*, and its lastmod as written (empty: unknown)."""

    address: str
    modified: str = ""

    def changed_since(self, moment: datetime | None) -> bool:
        """Return whether it may have changed since *moment*."""
        stamp = parse_timestamp(self.modified)
        return moment is None or stamp is None or stamp >= moment


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The *pages* and further *maps* of a sitemap, sorted by address; *ignored* counts entries that
    are not web addresses.
    """

    pages: tuple[SitemapEntry, ...]
    maps: tuple[SitemapEntry, ...]
    ignored: int = 0


def parse_sitemap(reply: Reply) -> Sitemap:
    """Parse a sitemap, an index of sitemaps, a list of addresses (one per line), or a robots.txt
    that names sitemaps.

    Raises ParseError if it is none of these, or has more entries than the protocol allows.
    """
    reply = _decompress(reply)
    if not reply.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _parse_lines(reply)
    root = parse_xml(reply)
    kind = etree.QName(root).localname
    if kind not in {"urlset", "sitemapindex"}:
        raise ParseError(Reason("not_sitemap", {"url": reply.url, "element": kind}))
    entries = [
        (_text(node, "loc"), _text(node, "lastmod"))
        for node in root.iterfind("{*}*")
        if etree.QName(node).localname in {"url", "sitemap"}
    ]
    listed = _sort_entries(
        reply, ((join_url(reply.url, address), stamp) for address, stamp in entries if address)
    )
    ignored = len(entries) - len(listed)
    return Sitemap(listed, (), ignored) if kind == "urlset" else Sitemap((), listed, ignored)


def _decompress(reply: Reply) -> Reply:
    """Decompress a sitemap in a gzip file, in bounded memory."""
    if not reply.content.startswith(b"\x1f\x8b"):
        return reply
    content = bytearray()
    try:
        for part in decode_content([reply.content], "gzip"):
            content += part
            if len(content) > _MAX_BYTES:
                raise ParseError(
                    Reason("sitemap_too_large", {"url": reply.url, "limit": _MAX_BYTES})
                )
    except ValueError as error:
        raise ParseError(Reason("not_gzip", {"url": reply.url, "error": str(error)})) from error
    return replace(reply, content=bytes(content))


def _parse_lines(reply: Reply) -> Sitemap:
    lines = [line.strip() for line in decode_text(reply).splitlines()]
    maps = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("sitemap:")]
    if maps:
        return Sitemap((), _sort_entries(reply, ((address, "") for address in maps)))
    pages = _sort_entries(reply, ((line, "") for line in lines))
    if not pages:
        raise ParseError(Reason("not_sitemap_text", {"url": reply.url}))
    return Sitemap(pages, (), sum(map(bool, lines)) - len(pages))


def _sort_entries(reply: Reply, entries: Iterable[tuple[str, str]]) -> tuple[SitemapEntry, ...]:
    by_address = {
        address: SitemapEntry(address, moment) for address, moment in entries if is_web(address)
    }
    if len(by_address) > _MAX_ENTRIES:
        raise ParseError(
            Reason(
                "sitemap_too_long",
                {"url": reply.url, "count": len(by_address), "limit": _MAX_ENTRIES},
            )
        )
    return tuple(by_address[address] for address in sorted(by_address))


def _text(node: _Element, name: str) -> str:
    return " ".join((node.findtext(f"{{*}}{name}") or "").split())
