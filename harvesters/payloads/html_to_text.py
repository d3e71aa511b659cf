"""Convert HTML to text."""

from __future__ import annotations

import re

from lxml import etree, html

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors

_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
))  # fmt: skip
_MUTE = ("script", "style", "iframe", "object", "embed", "noscript", "template", "svg", "form")
_MARKUP = re.compile(r"</?[A-Za-z!]|&[#\w]+;")
_LARGEST = 2_000_000  # characters: longer ones are no text for readers


def html_to_text(text: str) -> str:
    r"""Return the visible text of *text*, with its paragraphs; a text without markup is returned
    unchanged.


    >>> html_to_text("<p>One &amp; <b>two</b></p><script>x()</script><p>Three</p>"), html_to_text("a < b")
    ('One & two\n\nThree', 'a < b')
    """
    if not _MARKUP.search(text) or len(text) > _LARGEST:
        return text.strip()
    try:
        with parser_errors("markup"):
            root = html.fragment_fromstring(text, create_parent="div")
    except ParseError:
        return text.strip()
    etree.strip_elements(root, *_MUTE, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    parts: list[str] = []
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if node.tag in _BLOCKS and node is not root:
            parts.append("\n\n")
        if event == "start":
            parts.append(node.text or "")
        elif node is not root:
            parts.append(node.tail or "")
    return "\n\n".join(
        " ".join(line.split()) for line in "".join(parts).split("\n") if line.strip()
    )
