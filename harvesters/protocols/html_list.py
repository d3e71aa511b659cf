"""Web pages without markup: XPath finds the records of a list, and the pages that they link to.

Source: https://www.w3.org/TR/xpath-10/ and https://lxml.de/lxmlhtml.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from lxml import etree, html
from lxml.etree import _Element
from pydantic import AfterValidator, Field, model_validator

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, empty_reason
from harvesters.options import Options, located
from harvesters.page_model import InvalidRecord, Item, Payload, Record
from harvesters.payloads.value_parsing import as_list, join_url
from harvesters.protocols.lists import RECORD_ERRORS, Batch, ListCursor, PagedProtocol
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from vocab.iris import is_web


def _check_xpath(value: str) -> str:
    try:
        etree.XPath(value)
    except etree.XPathSyntaxError as error:
        fault = Reason("%(text)s is not an XPath: %(error)s", text=repr(value), error=str(error))
        raise ValueError(lambda key: located(key, fault)) from error
    return value


XPath = Annotated[str, AfterValidator(_check_xpath)]


class HtmlOptions(Options):
    """The options of a list on web pages."""

    records: XPath = Field(
        description="XPath to the elements that are records, e.g. `//table//tr[td]`."
    )
    key: XPath | None = Field(
        None,
        description="XPath from a record to its key; without it the key is the hash of `digest`, or the address to which `details` leads.",
    )
    digest: list[XPath] = Field(
        [],
        description="XPaths from a record to the texts that are hashed into a key, if records have none.",
    )
    details: XPath | None = Field(
        None,
        description="XPath from a record to the link of its own page, which is then read instead.",
    )
    next: XPath | None = Field(None, description="XPath to the link of the next page of the list.")

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if not (self.key or self.digest or self.details):
            raise ValueError(
                Reason("records have no key; set the option 'key', 'digest' or 'details'")
            )
        return self


# Elements that readers do not see, and that often differ from one request to the next.
_HIDDEN_ELEMENTS = ("script", "style", "noscript", "template", "iframe", "input", "link")
_ACCEPT = "text/html, application/xhtml+xml, */*;q=0.5"

_Paths = Mapping[str, list[etree.XPath]]


class HtmlList(PagedProtocol[_Element]):
    """The records of a list, of its next pages, and the pages that they link to. Changes alone
    cannot be requested. The position is the address of a page of the list.
    """

    is_linked = True
    moves = False

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = HtmlOptions.of(source)
        self.paths: _Paths = {
            name: [etree.XPath(path, smart_strings=False) for path in as_list(value)]
            for name, value in self.options
        }

    def request(self, cursor: ListCursor, size: int) -> Batch:
        # A list may be unchanged while the pages that it links to are not.
        is_alone = cursor.is_first and not (self.options.next or self.options.details)
        url = cursor.position or self.source.url
        reply = self.fetch.get(url, accept=_ACCEPT, conditional=is_alone)
        if reply.not_modified:
            return Batch(reply, ())
        root = _parse_page(reply)
        (records,) = self.paths["records"]
        entries = records(root)
        if not isinstance(entries, list) or not entries:
            raise ParseError(
                "%(source)s: %(url)s has no record at '%(xpath)s' (the option 'records')",
                source=self.source.name,
                url=reply.url,
                xpath=self.options.records,
            )
        items = [self._parse_record(reply, entry) for entry in entries]
        lost = next((item.cause for item in items if isinstance(item, InvalidRecord)), None)
        doubt = Reason("a record cannot be read (%(error)s)", error=lost) if lost else None
        return Batch(reply, items, next=_link(self.paths["next"], root, reply), doubt=doubt)

    def _parse_record(self, reply: Reply, node: Any) -> Item[_Element]:
        if not isinstance(node, _Element):
            text = "%(entry)s is not an element; the option 'records' must select elements"
            return InvalidRecord(None, Reason(text, entry=f"{node!r:.80}"))
        paths, content = self.paths, repr(_text(node)[:80])
        key = _link(paths["details"], node, reply)
        if key:
            try:
                node = _parse_page(self.fetch.get(key, accept=_ACCEPT))
            except RECORD_ERRORS as error:
                return InvalidRecord(key, error.reason)
        elif paths["details"]:
            text = "an entry without a link to its page: %(text)s"
            return InvalidRecord(None, Reason(text, text=content))
        texts = [_text_at([path], node) for path in paths["digest"]]
        if paths["key"]:
            key = _text_at(paths["key"], node)
        elif any(texts):
            key = hashlib.blake2b("\x1f".join(texts).encode(), digest_size=8).hexdigest()
        if not key:
            return InvalidRecord(None, Reason("an entry without a key: %(text)s", text=content))
        return Record(key, node, etree.tostring(node, encoding="utf-8", with_tail=False))


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


def _text_at(paths: list[etree.XPath], node: _Element) -> str:
    """Return the text at an XPath, the first if there are several; "" without a path or a match."""
    result: Any = paths[0](node) if paths else []
    if isinstance(result, list):
        result = result[0] if result else ""
    return _text(result) if isinstance(result, _Element) else " ".join(str(result).split())


def _link(paths: list[etree.XPath], node: _Element, reply: Reply) -> str:
    """Return the web address to which an XPath leads, "" if it leads to none."""
    address = _text_at(paths, node)
    link = join_url(reply.url, address) if address else ""
    return link if is_web(link) else ""


def _text(node: _Element) -> str:
    return " ".join("".join(map(str, node.itertext())).split())


PROTOCOL = Protocol(HtmlList.collect, Payload.XML, HtmlOptions, incremental=False)
