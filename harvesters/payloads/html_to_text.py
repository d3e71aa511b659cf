"""Convert HTML to text."""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5

from lxml import etree, html

from harvesters.errors import ParseError
from harvesters.parsing import parser_errors

_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
))  # fmt: skip
_MUTE = ("script", "style", "iframe", "object", "embed", "noscript", "template", "svg", "form")
_INLINE = (
    "abbr", "acronym", "audio", "big", "body", "button", "caption", "center", "cite", "code", "col", "colgroup", "del", "dfn", "dir", "em",
    "font", "head", "html", "img", "input", "ins", "kbd", "label", "link", "map", "mark", "meta", "picture", "small", "source", "span",
    "strike", "strong", "sub", "sup", "tbody", "tfoot", "thead", "title", "tt", "var", "video", "wbr",
)  # fmt: skip
_NAMES = {*_BLOCKS, *_MUTE, *_INLINE}
_TAG = re.compile(
    r"""<(?P<end>/?)(?P<name>[a-z][\w:.-]*+)(?P<rest>(?:"[^"<]*+"|'[^'<]*+'|[^"'<>])*+)>
    | <[a-z][\w:.-]*+\s++[\w:.-]++\s*+=[^<>]*+\Z
    | <!--(?:(?!<!--).)*?--> | <!doctype\b[^<>]*+>""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""\s++[\w:.-]++\s*+=\s*+["'\w#/]""")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_STRAY = re.compile(f"&(?!{_ENTITY.pattern[1:]})")
_LARGEST = 2_000_000  # Characters: nobody reads a longer text.
_TIMES = 4  # How often a text may be escaped: registries escape texts that others have escaped.


def html_to_text(text: str) -> str:
    r"""Return the visible text of *text*, with its paragraphs, also if it is escaped several times;
    a text without markup is returned unchanged.

    >>> html_to_text("<p>One &amp; <b>two</b></p><script>x()</script><p>Three</p>"), html_to_text("a < b")
    ('One & two\n\nThree', 'a < b')
    >>> html_to_text("&amp;lt;p&amp;gt;One &amp;amp;amp; two, a &amp;amp;lt; b&amp;lt;/p&amp;gt;")
    'One & two, a < b'
    """
    if len(text) > _LARGEST:
        return text.strip()
    for _ in range(_TIMES):
        before = text
        if tags := _tags(text):
            text = _visible_text(text, tags)
        elif "&" in text:
            text = _ENTITY.sub(_character, text)
        if text == before:
            break
    return text.strip()


def _tags(text: str) -> list[tuple[int, int]]:
    """Return the positions of the tags in *text*.

    A tag is an end tag or ended by one, has an attribute or a prefix, or is HTML's; or it is a
    comment, or a tag that the end of the text cuts off.

    So "a < b", "x<y and z>3" and "<name>" have no tags, and neither has "a<b>c", since nothing ends
    the <b>.
    """
    if "<" not in text:
        return []
    matches = list(_TAG.finditer(text))
    ended = {tag["name"].lower() for tag in matches if tag["end"]}
    return [tag.span() for tag in matches if _is_tag(tag, ended)]


def _is_tag(tag: re.Match[str], ended: set[str]) -> bool:
    name, rest = (tag["name"] or "").lower(), (tag["rest"] or "").rstrip(" /")
    return bool(
        not name
        or name in ended
        or (name in _NAMES and not rest.strip())
        or (":" in name and not rest.strip())
        or _ATTRIBUTE.match(rest)
    )


def _character(entity: re.Match[str]) -> str:
    """Return the character of an entity; a name that HTML does not have, such as AT&T;, stays."""
    name = entity[0][1:]
    if name[0] != "#":
        return html5.get(name, entity[0]).replace("\xa0", " ")
    return unescape(entity[0]).replace("\xa0", " ")


def _visible_text(text: str, tags: list[tuple[int, int]]) -> str:
    """Return the text of markup with these *tags*; any other < and & need not be escaped."""
    end, parts = 0, list[str]()
    for start, stop in [*tags, (len(text), len(text))]:
        parts += (_STRAY.sub("&amp;", text[end:start]).replace("<", "&lt;"), text[start:stop])
        end = stop
    try:
        with parser_errors("markup"):
            root = html.fragment_fromstring("".join(parts), create_parent="div")
    except ParseError:
        return text
    etree.strip_elements(root, *_MUTE, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    parts = []
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
