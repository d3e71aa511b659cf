"""Web pages without markup: lists whose entries, and the pages that these lead to, are found by XPath.

Source: https://www.w3.org/TR/xpath-10/ and https://lxml.de/lxmlhtml.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from lxml import etree, html
from lxml.etree import _Element

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Record
from harvesters.parsing import join_url, parser_errors
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, Repeats
from harvesters.source import Source
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "records": Option(str, None, "XPath to the elements that are records, e.g. `//table//tr[td]`.", required=True),
    "key": Option(str, None, "XPath from a record to its key; without it the page that `details` leads to, else a `digest`."),
    "digest": Option(list, None, "XPaths from a record to the texts of which a key is made where there is none."),
    "details": Option(str, None, "XPath from a record to the link of its own page, which is then read in the record's place."),
    "next": Option(str, None, "XPath to the link of the next page of the list."),
}

_MUTE = ("script", "style", "noscript", "template", "iframe", "input", "link")  # of no reader, and often another each time
_DETAILS = 50  # pages of records that are asked for between two checkpoints

Item = Record[_Element] | DeletedRecord | InvalidRecord
_Paths = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a walk stands: the list's page at *url*, *passed* records in; *doubt* as on a page."""

    url: str
    passed: int = 0
    doubt: str | None = None


def check(source: Source) -> None:
    """Refuse an XPath that is none, and a card by which no record has a key; raises SourceDefinitionError."""
    _compiled(source)
    if not any(get_option(source, OPTIONS, name) for name in ("key", "digest", "details")):
        raise SourceDefinitionError(f"{source.name}: nothing tells records apart; give the option 'key', 'digest' or 'details'")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[_Element]:
    """Collect the records of a list, of its next pages, and the pages that they lead to; *since* cannot be asked for.

    Raises ParseError where a page of the list cannot be read, holds no record, or repeats an earlier one.
    """
    paths = _compiled(source)
    spot = read(_Spot, cursor) or _Spot(source.url)
    repeats = Repeats(source.name)
    first = cursor is None
    while True:
        reply = fetch.get(spot.url, accept="text/html, application/xhtml+xml, */*;q=0.5", conditional=first)
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        root = _parsed(reply)
        found = paths["records"](root)
        if not isinstance(found, list) or not found:
            raise ParseError(
                f"{source.name}: {reply.url} holds no record at {get_option(source, OPTIONS, 'records')!r} (the option 'records')"
            )
        following = _link(root, paths, "next", reply)
        repeats.token(reply.url, following, "the next page")
        for page, after in _pages(source, fetch, paths, reply, found, spot, following):
            spot = after
            yield page
        if following is None:
            return
        first = False


def _pages(
    source: Source, fetch: Fetch, paths: _Paths, reply: Reply, found: list[Any], spot: _Spot, following: str | None
) -> Iterator[tuple[Page[_Element], _Spot]]:
    """Give a list's page, in parts where each record has a page of its own, with where the walk stands after each."""
    size = _DETAILS if "details" in paths else len(found)
    left = iter(found[spot.passed :])
    while part := tuple(islice(left, size)):
        items = tuple(_item(source, fetch, paths, reply, it) for it in part)
        lost = next((it.reason for it in items if isinstance(it, InvalidRecord)), None)
        spot = replace(spot, passed=spot.passed + len(part), doubt=spot.doubt or (f"a record cannot be read ({lost})" if lost else None))
        ended = spot.passed >= len(found)
        after = _Spot(following, doubt=spot.doubt) if ended and following else spot
        yield Page(items, write(after) if following or not ended else None, None, reply.at, doubt=spot.doubt), after


def _compiled(source: Source) -> _Paths:
    paths: dict[str, Any] = {}
    for name in ("records", "key", "details", "next"):
        if told := get_option(source, OPTIONS, name):
            paths[name] = _path(source, name, told)
    paths["digest"] = [_path(source, "digest", told) for told in get_option(source, OPTIONS, "digest") or ()]
    return paths


def _path(source: Source, name: str, told: str) -> Any:
    try:
        return etree.XPath(told, smart_strings=False)
    except etree.XPathSyntaxError as error:
        raise SourceDefinitionError(f"{source.name}: option {name!r}: {told!r} is no XPath: {error}") from error


def _parsed(reply: Reply) -> _Element:
    """Read a page, without what its readers do not see."""
    if not reply.content.strip():
        raise ParseError(f"{reply.url}: empty response; expected a web page")
    charset = "utf-8" if "charset=utf-8" in reply.headers.get("content-type", "").lower().replace('"', "") else None
    with parser_errors(f"{reply.url}: no web page that can be read"):
        root = html.document_fromstring(reply.content, parser=html.HTMLParser(encoding=charset, huge_tree=False))
    etree.strip_elements(root, *_MUTE, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    return root


def _item(source: Source, fetch: Fetch, paths: _Paths, reply: Reply, entry: Any) -> Item:
    if not isinstance(entry, _Element):
        return InvalidRecord(None, f"{entry!r:.80} is no element; let the option 'records' lead to elements")
    node, link = entry, _link(entry, paths, "details", reply)
    if "details" in paths:
        if link is None:
            return InvalidRecord(None, f"an entry without a link to its page: {_text(entry)[:80]!r}")
        try:
            node = _parsed(fetch.get(link, accept="text/html, application/xhtml+xml, */*;q=0.5"))
        except UNREAD as error:
            return InvalidRecord(link, str(error))
    key = _key(paths, node, link)
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    return Record(key, node, raw) if key else InvalidRecord(None, f"an entry without a key: {_text(entry)[:80]!r}")


def _key(paths: _Paths, node: _Element, link: str | None) -> str:
    if "key" in paths:
        return _told(paths["key"], node)
    if not paths["digest"]:
        return link or ""
    texts = [_told(path, node) for path in paths["digest"]]
    return hashlib.blake2b("\x1f".join(texts).encode(), digest_size=8).hexdigest() if any(texts) else ""


def _told(path: Any, node: _Element) -> str:
    """Give the text that an XPath leads to, the first where there are several."""
    found = path(node)
    first = found[0] if isinstance(found, list) and found else found
    text = _text(first) if isinstance(first, _Element) else "" if isinstance(first, list) else str(first)
    return " ".join(text.split())


def _text(node: _Element) -> str:
    return " ".join("".join(map(str, node.itertext())).split())


def _link(node: _Element, paths: _Paths, name: str, reply: Reply) -> str | None:
    told = _told(paths[name], node) if name in paths else ""
    link = join_url(reply.url, told) if told else ""
    return link if is_web(link) else None
