"""Web pages without markup: XPath finds the records of a list, and the pages that they link to.

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

from harvesters.definition_faults import located, option_named
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.html_detection import empty_reason
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record
from harvesters.parsing import join_url, parser_errors
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import RECORD_ERRORS, LoopDetector
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "records": Option(
        str, None, "XPath to the elements that are records, e.g. `//table//tr[td]`.", required=True
    ),
    "key": Option(
        str,
        None,
        "XPath from a record to its key; without it the address found by `details`, else a `digest`.",
    ),
    "digest": Option(
        list,
        None,
        "XPaths from a record to the texts that are hashed into a key, if records have none.",
    ),
    "details": Option(
        str, None, "XPath from a record to the link of its own page, which is then read instead."
    ),
    "next": Option(str, None, "XPath to the link of the next page of the list."),
}

# invisible, and often different each time
_HIDDEN_ELEMENTS = (
    "script",
    "style",
    "noscript",
    "template",
    "iframe",
    "input",
    "link",
)
_CHECKPOINT_RECORDS = 50  # record pages requested between two checkpoints

Item = Record[_Element] | DeletedRecord | InvalidRecord
_Paths = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HtmlListCursor(ListCursorMethods):
    """Position in a list: the page at *url*, after *passed* records; *incomplete_reason* as in
    Page.
    """

    url: str
    passed: int = 0
    incomplete_reason: Reason | None = None


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an invalid XPath, or if no option gives records a key."""
    _compile_paths(source)
    if not any(get_option(source, OPTIONS, name) for name in ("key", "digest", "details")):
        raise SourceDefinitionError(located(source.name, Reason("no_key")))


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[_Element]:
    """Yield the records of a list, of its next pages, and the pages that they link to. Changes
    alone cannot be requested.

    Raises ParseError if a page of the list cannot be read, holds no record, or repeats an earlier
    one.
    """
    paths = _compile_paths(source)
    state = read_cursor(HtmlListCursor, cursor) or HtmlListCursor(source.url)
    loop_detector = LoopDetector(source.name)
    # else a list may be unchanged while other pages are not
    is_alone = not {"details", "next"} & set(paths)
    while True:
        reply = fetch.get(
            state.url,
            accept="text/html, application/xhtml+xml, */*;q=0.5",
            conditional=cursor is None and is_alone,
        )
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        root = _parse_page(reply)
        entries = paths["records"](root)
        if not isinstance(entries, list) or not entries:
            raise ParseError(
                Reason(
                    "no_element",
                    {
                        "source": source.name,
                        "url": reply.url,
                        "xpath": str(get_option(source, OPTIONS, "records")),
                    },
                )
            )
        following = _link(root, paths, "next", reply)
        loop_detector.check_token(reply.url, following, "next_page")
        for page, after in _read_entries(source, fetch, paths, reply, entries, state, following):
            state = after
            yield page
        if following is None:
            return


def _read_entries(
    source: Source,
    fetch: Fetch,
    paths: _Paths,
    reply: Reply,
    entries: list[Any],
    state: HtmlListCursor,
    following: str | None,
) -> Iterator[tuple[Page[_Element], HtmlListCursor]]:
    """Yield a list's page with the cursor after it, in several parts if each record has its own
    page.
    """
    size = _CHECKPOINT_RECORDS if "details" in paths else len(entries)
    left = iter(entries[state.passed :])
    while part := tuple(islice(left, size)):
        items = tuple(_parse_record(source, fetch, paths, reply, item) for item in part)
        lost = next((item.cause for item in items if isinstance(item, InvalidRecord)), None)
        reason = Reason("record_unreadable", {"error": lost}) if lost else None
        state = replace(state, passed=state.passed + len(part)).mark_incomplete(reason)
        ended = state.passed >= len(entries)
        after = (
            HtmlListCursor(following, incomplete_reason=state.incomplete_reason)
            if ended and following
            else state
        )
        yield (
            after.page(items, has_next=bool(following) or not ended, at=reply.at),
            after,
        )


def _compile_paths(source: Source) -> _Paths:
    paths: dict[str, Any] = {}
    for name in ("records", "key", "details", "next"):
        if xpath := get_option(source, OPTIONS, name):
            paths[name] = _compile_xpath(source, name, xpath)
    paths["digest"] = [
        _compile_xpath(source, "digest", xpath)
        for xpath in get_option(source, OPTIONS, "digest") or ()
    ]
    return paths


def _compile_xpath(source: Source, name: str, xpath: str) -> Any:
    try:
        return etree.XPath(xpath, smart_strings=False)
    except etree.XPathSyntaxError as error:
        fault = Reason("not_xpath", {"text": repr(xpath), "error": str(error)})
        raise SourceDefinitionError(
            located(located(source.name, option_named(name)), fault)
        ) from error


def _parse_page(reply: Reply) -> _Element:
    """Parse a page without the elements that readers do not see."""
    if not reply.content.strip():
        raise ParseError(empty_reason(reply.url, "a web page"))
    charset = (
        "utf-8"
        if "charset=utf-8" in reply.headers.get("content-type", "").lower().replace('"', "")
        else None
    )
    with parser_errors(Reason("unreadable_page", {"url": reply.url})):
        root = html.document_fromstring(
            reply.content, parser=html.HTMLParser(encoding=charset, huge_tree=False)
        )
    etree.strip_elements(
        root, *_HIDDEN_ELEMENTS, etree.Comment, etree.ProcessingInstruction, with_tail=False
    )
    return root


def _parse_record(source: Source, fetch: Fetch, paths: _Paths, reply: Reply, entry: Any) -> Item:
    if not isinstance(entry, _Element):
        return InvalidRecord(None, Reason("entry_not_element", {"entry": f"{entry!r:.80}"}))
    node, link = entry, _link(entry, paths, "details", reply)
    if "details" in paths:
        if link is None:
            return InvalidRecord(
                None, Reason("entry_without_link", {"text": repr(_text(entry)[:80])})
            )
        try:
            node = _parse_page(
                fetch.get(link, accept="text/html, application/xhtml+xml, */*;q=0.5")
            )
        except RECORD_ERRORS as error:
            return InvalidRecord(link, error.reason)
    key = _key(paths, node, link)
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    return (
        Record(key, node, raw)
        if key
        else InvalidRecord(None, Reason("entry_without_key", {"text": repr(_text(entry)[:80])}))
    )


def _key(paths: _Paths, node: _Element, link: str | None) -> str:
    if "key" in paths:
        return _xpath_text(paths["key"], node)
    if not paths["digest"]:
        return link or ""
    texts = [_xpath_text(path, node) for path in paths["digest"]]
    return (
        hashlib.blake2b("\x1f".join(texts).encode(), digest_size=8).hexdigest()
        if any(texts)
        else ""
    )


def _xpath_text(path: Any, node: _Element) -> str:
    """Return the text at an XPath, the first if there are several."""
    result = path(node)
    first = result[0] if isinstance(result, list) and result else result
    text = (
        _text(first)
        if isinstance(first, _Element)
        else ""
        if isinstance(first, list)
        else str(first)
    )
    return " ".join(text.split())


def _text(node: _Element) -> str:
    return " ".join("".join(map(str, node.itertext())).split())


def _link(node: _Element, paths: _Paths, name: str, reply: Reply) -> str | None:
    address = _xpath_text(paths[name], node) if name in paths else ""
    link = join_url(reply.url, address) if address else ""
    return link if is_web(link) else None


PROTOCOL = Protocol(collect, Payload.XML, OPTIONS, incremental=False, check=check)
