"""Rewrite a page of the portal for an edition: relative links, no scripts, no forms that need a
server.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lxml import etree, html

from languages.translations import gettext as _
from publisher.editions.addresses import NEEDS_SERVER, QUERY, SEARCH, Addresses, Target, relative

_LINKS = ("href", "src", "action")
_DROPPED = "//script[not(@type='application/ld+json')] | //details[contains(@class, 'embed')] | //meta[@http-equiv='refresh'] | //iframe"
# elements whose text is not searched
_UNREAD = ["script", "style", "nav", "form", "details", "button"]
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W_]+")  # a character of a script without spaces, or a word
_WORDS = 400  # different words of a page that are searched
_KEEP_QUERY = (SEARCH, QUERY)  # pages that read the parameters of their address in the browser


@dataclass(slots=True)
class EditionPage:
    """A page of an edition: its bytes, the files that it links to, and its title and words for the
    search.
    """

    content: bytes
    targets: set[Target] = field(default_factory=set)
    title: str = ""
    words: list[str] = field(default_factory=list)


def rewrite(
    content: bytes, addresses: Addresses, page: Target, *, read: bool = False
) -> EditionPage:
    """Return *content*, the answer to the request of *page*, for the edition. With *read*, its
    title and words are returned too.
    """
    root = html.document_fromstring(content.decode(), parser=html.HTMLParser(encoding="utf-8"))
    for element in _select(root, _DROPPED):
        if isinstance(element, html.HtmlElement):
            _remove(element)
    result = EditionPage(b"")
    for element in list(root.iter(etree.Element)):
        if element.tag == "form":
            _rewrite_form(element, addresses, page)
        for name in _LINKS:
            if element.get(name) is not None and element.tag != "form":
                _rewrite_link(element, name, addresses, page, result.targets)
    if read:
        result.title, result.words = _read(root)
    result.content = html.tostring(root, doctype="<!doctype html>", encoding="utf-8")
    return result


def _rewrite_link(
    element: html.HtmlElement, name: str, addresses: Addresses, page: Target, targets: set[Target]
) -> None:
    value = element.get(name, "")
    target = addresses.resolve(value, page.request.partition("?")[0], page.language)
    if isinstance(target, str):
        return
    if target is None:
        if element.tag != "a":
            _remove(element)
            return
        element.set(
            name, relative(f"{page.language or addresses.languages[0]}/{NEEDS_SERVER}", page.file)
        )
        element.set("rel", "nofollow")
        return
    targets.add(target)
    url = urlsplit(value)
    query = f"?{url.query}" if url.query and target.file.endswith(_KEEP_QUERY) else ""
    element.set(
        name,
        relative(target.file, page.file) + query + (f"#{url.fragment}" if url.fragment else ""),
    )


def _rewrite_form(form: html.HtmlElement, addresses: Addresses, page: Target) -> None:
    """Let a form that searches or queries lead to the page that does; replace any other by a link
    to the page that says why.
    """
    target = addresses.resolve(form.get("action") or "", page.request, page.language)
    if isinstance(target, Target) and target.file.endswith(_KEEP_QUERY):
        form.set("action", relative(target.file, page.file))
        return
    if form.getparent() is None:
        return
    note = html.Element("p")
    link = etree.SubElement(
        note,
        "a",
        href=relative(f"{page.language or addresses.languages[0]}/{NEEDS_SERVER}", page.file),
    )
    link.text, note.tail = _("This form needs a server."), form.tail
    form.getparent().replace(form, note)


def _remove(element: html.HtmlElement) -> None:
    if element.getparent() is not None:
        element.drop_tree()


def _read(root: html.HtmlElement) -> tuple[str, list[str]]:
    """Return the heading of a page and the words of its content."""
    heading = root.find(".//h1")
    main = root.find(".//main")
    title = " ".join(heading.text_content().split()) if heading is not None else ""
    if main is None:
        return title, []
    texts = _select(main, f".//text()[not({' or '.join(f'ancestor::{name}' for name in _UNREAD)})]")
    return title, list(dict.fromkeys(fold(" ".join(map(str, texts)))))[:_WORDS]


def _select(root: html.HtmlElement, path: str) -> list[object]:
    """Return the nodes that an XPath expression selects."""
    nodes = root.xpath(path)
    return list(nodes) if isinstance(nodes, list) else []


def fold(text: str) -> list[str]:
    """Return the words of a text in lower case without accents; the search page does the same.

    >>> fold("Télémédecine, 数据")
    ['telemedecine', '数', '据']
    """
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text.lower())
        if not unicodedata.combining(letter)
    )
    return _WORD.findall(plain)
