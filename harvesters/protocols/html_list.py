"""Web pages without markup: XPath finds the records of a list, and the pages that they link to.

Source: https://www.w3.org/TR/xpath-10/ and https://lxml.de/lxmlhtml.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lxml import etree, html
from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_check import empty_reason
from harvesters.options import Options, located, option_named
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record
from harvesters.parsing import join_url, parser_errors
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import RECORD_ERRORS, LoopDetector
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web


class HtmlOptions(Options):
    """The options of a list on web pages."""

    records: str = Field(
        description="XPath to the elements that are records, e.g. `//table//tr[td]`."
    )
    key: str | None = Field(
        None,
        description="XPath from a record to its key; without it the address found by `details`, else a `digest`.",
    )
    digest: list[str] = Field(
        [],
        description="XPaths from a record to the texts that are hashed into a key, if records have none.",
    )
    details: str | None = Field(
        None,
        description="XPath from a record to the link of its own page, which is then read instead.",
    )
    next: str | None = Field(None, description="XPath to the link of the next page of the list.")


# Invisible, and often different each time.
_HIDDEN_ELEMENTS = ("script", "style", "noscript", "template", "iframe", "input", "link")
_ACCEPT = "text/html, application/xhtml+xml, */*;q=0.5"
_CHECKPOINT_RECORDS = 50  # record pages requested between two checkpoints

Item = Record[_Element] | DeletedRecord | InvalidRecord
_Paths = Mapping[str, list[etree.XPath]]


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
    paths = _compile_paths(source)
    if not paths["key"] and not paths["digest"] and not paths["details"]:
        raise SourceDefinitionError(
            located(
                source.name,
                Reason("records have no key; set the option 'key', 'digest' or 'details'"),
            )
        )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[_Element]:
    """Yield the records of a list, of its next pages, and the pages that they link to. Changes
    alone cannot be requested.

    Raises ParseError if a page of the list cannot be read, holds no record, or repeats an earlier
    one.
    """
    paths, options = _compile_paths(source), HtmlOptions.of(source)
    state = read_cursor(HtmlListCursor, cursor) or HtmlListCursor(source.url)
    loop_detector, has_next = LoopDetector(source.name), True
    # A list may be unchanged while the pages that it links to are not.
    conditional = cursor is None and not options.details and not options.next
    while has_next:
        reply = fetch.get(state.url, accept=_ACCEPT, conditional=conditional)
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        root = _parse_page(reply)
        (records,) = paths["records"]
        entries = records(root)
        if not isinstance(entries, list) or not entries:
            raise ParseError(
                Reason(
                    "%(source)s: %(url)s holds no record at '%(xpath)s' (the option 'records')",
                    source=source.name,
                    url=reply.url,
                    xpath=options.records,
                )
            )
        following = _link(root, paths["next"], reply)
        loop_detector.check_token(reply.url, following, "the next page")
        size = _CHECKPOINT_RECORDS if options.details else len(entries)
        for start in range(state.passed, len(entries), size):
            part = entries[start : start + size]
            items = tuple(_parse_record(fetch, paths, reply, entry) for entry in part)
            lost = next((item.cause for item in items if isinstance(item, InvalidRecord)), None)
            state = replace(state, passed=start + len(part))
            if lost:
                state = state.mark_incomplete(
                    Reason("a record cannot be read (%(error)s)", error=lost)
                )
            has_next = state.passed < len(entries) or following is not None
            if following and state.passed >= len(entries):
                state = replace(state, url=following, passed=0)
            yield state.page(items, has_next=has_next, at=reply.at)
        has_next = following is not None


def _compile_paths(source: Source) -> _Paths:
    """Return the XPaths of each option. Raise SourceDefinitionError for what is none."""
    options, paths = HtmlOptions.of(source), dict[str, list[etree.XPath]]()
    for name in ("records", "key", "digest", "details", "next"):
        value, paths[name] = getattr(options, name), []
        for xpath in [value] if isinstance(value, str) else value or ():
            try:
                paths[name].append(etree.XPath(xpath, smart_strings=False))
            except etree.XPathSyntaxError as error:
                fault = Reason(
                    "%(text)s is not an XPath: %(error)s", text=repr(xpath), error=str(error)
                )
                where = located(source.name, option_named(name))
                raise SourceDefinitionError(located(where, fault)) from error
    return paths


def _parse_page(reply: Reply) -> _Element:
    """Parse a page without the elements that readers do not see."""
    if not reply.content.strip():
        raise ParseError(empty_reason(reply.url, "a web page"))
    declared = reply.headers.get("content-type", "").lower().replace('"', "")
    charset = "utf-8" if "charset=utf-8" in declared else None
    with parser_errors(Reason("%(url)s: the web page cannot be parsed", url=reply.url)):
        parser = html.HTMLParser(encoding=charset, huge_tree=False)
        root = html.document_fromstring(reply.content, parser=parser)
    hidden = (*_HIDDEN_ELEMENTS, etree.Comment, etree.ProcessingInstruction)
    etree.strip_elements(root, *hidden, with_tail=False)
    return root


def _parse_record(fetch: Fetch, paths: _Paths, reply: Reply, entry: Any) -> Item:
    if not isinstance(entry, _Element):
        return InvalidRecord(
            None,
            Reason(
                "%(entry)s is not an element; the option 'records' must select elements",
                entry=f"{entry!r:.80}",
            ),
        )
    node, link, text = entry, _link(entry, paths["details"], reply), repr(_text(entry)[:80])
    if paths["details"]:
        if link is None:
            return InvalidRecord(
                None, Reason("an entry without a link to its page: %(text)s", text=text)
            )
        try:
            node = _parse_page(fetch.get(link, accept=_ACCEPT))
        except RECORD_ERRORS as error:
            return InvalidRecord(link, error.reason)
    key = link or ""
    if paths["key"]:
        key = _text_at(paths["key"], node)
    elif paths["digest"]:
        texts = [_text_at([path], node) for path in paths["digest"]]
        digest = hashlib.blake2b("\x1f".join(texts).encode(), digest_size=8)
        key = digest.hexdigest() if any(texts) else ""
    if not key:
        return InvalidRecord(None, Reason("an entry without a key: %(text)s", text=text))
    return Record(key, node, etree.tostring(node, encoding="utf-8", with_tail=False))


def _text_at(paths: list[etree.XPath], node: _Element) -> str:
    """Return the text at an XPath, the first if there are several; empty without one."""
    result: Any = paths[0](node) if paths else []
    if isinstance(result, list):
        result = result[0] if result else ""
    return _text(result) if isinstance(result, _Element) else " ".join(str(result).split())


def _text(node: _Element) -> str:
    return " ".join("".join(map(str, node.itertext())).split())


def _link(node: _Element, paths: list[etree.XPath], reply: Reply) -> str | None:
    address = _text_at(paths, node)
    link = join_url(reply.url, address) if address else ""
    return link if is_web(link) else None


PROTOCOL = Protocol(collect, Payload.XML, HtmlOptions, incremental=False, check=check)
