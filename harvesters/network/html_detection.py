"""Detect web pages where data was requested."""

from __future__ import annotations

import codecs
import html
import re

# Nothing is tried twice (++, ?>): a body of blanks or comments must not cost more than its length.
_HTML = re.compile(
    rb"\s*+(?:<\?xml[^>]*+>\s*+)?+(?>(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html|head|body|title|meta|div|p)\b", re.IGNORECASE | re.DOTALL
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
    return " ".join(html.unescape(match.group(1).decode("utf-8", "replace")).split())[:120] if match else ""


def describe_page(content: bytes) -> str:
    """Return a phrase that names the page, to follow "answered with"."""
    name = page_title(content)
    return f'an HTML page titled "{name}"' if name else "an HTML page"
