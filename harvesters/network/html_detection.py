"""Detect web pages where data was requested."""

from __future__ import annotations

import codecs
import html
import re

from harvesters.reasons import Reason

# Nothing is tried twice (++, ?>): a body of blanks or comments must not cost more than its length.
_HTML = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?+(?>(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body|title|meta|div|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{0,400})", re.IGNORECASE)
_HEAD_BYTES = 4096  # bytes in which an HTML page shows what it is
_TITLE_BYTES = 64 * 1024  # bytes of a page in which its title is looked for


def is_html(content: bytes) -> bool:
    """Return whether *content* is an HTML page.


    >>> is_html(b"<!DOCTYPE html><title>Maintenance</title>"), is_html(b"<OAI-PMH>")
    (True, False)
    """
    return bool(_HTML.match(content[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)))


def page_title(content: bytes) -> str:
    """Return a page's title on one line, empty if it has none.


    >>> page_title(b"<html><head><title> We are\\nback &amp; soon </title>")
    'We are back & soon'
    """
    match = _TITLE.search(content[:_TITLE_BYTES])
    return (
        " ".join(html.unescape(match.group(1).decode("utf-8", "replace")).split())[:120]
        if match
        else ""
    )


def web_page_reason(url: str, content: bytes, expected: str) -> Reason:
    """Return the reason why the page at *url* is not what was *expected*, such as "JSON" or "a
    table".
    """
    named = Reason(expected)  # which catalogues have, but for an abbreviation such as JSON
    if title := page_title(content):
        return Reason(
            '%(url)s: answered with an HTML page titled "%(title)s" where %(expected)s was '
            "expected; open it in a browser",
            url=url,
            title=title,
            expected=named,
        )
    return Reason(
        "%(url)s: answered with an HTML page where %(expected)s was expected; open it in a browser",
        url=url,
        expected=named,
    )


def empty_reason(url: str, expected: str) -> Reason:
    """Return the reason why the empty body of *url* is not what was *expected*."""
    return Reason(
        "%(url)s: empty response; expected %(expected)s",
        url=url,
        expected=Reason(expected),
    )
