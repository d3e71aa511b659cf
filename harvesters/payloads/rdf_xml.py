"""Check and repair RDF/XML before it is parsed: no DOCTYPE, limited depth, and stray text that
affects one node only.

Source: https://www.w3.org/TR/rdf12-xml/#section-Grammar-productions
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import count

from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.parsing import join_url, parser_errors
from harvesters.payloads.rdf_parser import NodeErrors
from harvesters.reasons import Reason

# bytes of a document that is checked piece by piece: its tree takes four times as much
LARGE = 32 * 1024 * 1024
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_ROOT = f"{_RDF}RDF"
_ABOUT = f"{_RDF}about"
_ID = f"{_RDF}ID"
_NODE = f"{_RDF}nodeID"
_TYPE = f"{_RDF}parseType"
_BASE = "{http://www.w3.org/XML/1998/namespace}base"
_DOCTYPE = re.compile(rb"<!doctype", re.IGNORECASE)
# attributes whose value is an IRI
_REFERENCE = re.compile(rb"""((?:about|resource)\s*+=\s*+)("[^"]*+"|'[^']*+')""")
_AMPERSAND = re.compile(rb"&(?!(?:[A-Za-z]\w{0,30}|#\w{1,10});)")


def check_document(content: bytes, url: str) -> bytes:
    """Return *content* as the parser may read it: unchanged, or serialized again where that is
    safer.

    Raises ParseError if it has a DOCTYPE, is nested more than 256 deep, or is not well-formed XML.
    Markup in the value of rdf:about or rdf:resource is escaped, so that only the record that has it
    is invalid.
    """
    subject = Reason("not_rdf", {"url": url, "format": "RDF/XML"})
    if len(content) > LARGE:
        return _check_large(content, url, subject)
    try:
        with parser_errors(subject):
            root = etree.fromstring(content, _parser())
    except ParseError:
        escaped = _REFERENCE.sub(
            lambda match: match[1] + _AMPERSAND.sub(b"&amp;", match[2]).replace(b"<", b"&lt;"),
            content,
        )
        if escaped == content:
            raise
        with parser_errors(subject):
            root = etree.fromstring(escaped, _parser())
        content = escaped
    _refuse_doctype(root, url)
    info = root.getroottree().docinfo
    if _DOCTYPE.search(content) or (info.encoding or "utf-8").lower() not in {
        "utf-8",
        "utf8",
        "us-ascii",
    }:
        # which has neither a DOCTYPE nor a comment or CDATA section that only looks as if it had
        # one
        return etree.tostring(root)
    return content


def repair(content: bytes, url: str, broken: NodeErrors) -> bytes:
    """Return a document without text where RDF/XML allows none, and add the nodes that had it to
    *broken*.
    """
    if len(content) > LARGE:
        raise ParseError(Reason("rdf_xml_text", {"url": url}))
    with parser_errors(Reason("not_rdf", {"url": url, "format": "RDF/XML"})):
        root = etree.fromstring(content, _parser())
    number = count(1)
    queue = [(root, url)]
    if root.tag == _ROOT:
        _strip(root, "", broken)
        queue = [(node, join_url(url, root.get(_BASE, ""))) for node in root]
    while queue:
        node, base = queue.pop()
        base = join_url(base, node.get(_BASE, ""))
        name = _name(node, base, number)
        _strip(node, name, broken)
        for arc in node:
            queue += _inner(arc, name, base, broken)
    return etree.tostring(root)


def _inner(arc: _Element, name: str, base: str, broken: NodeErrors) -> list[tuple[_Element, str]]:
    """Return the node elements of a property element of the node *name*, each with its base."""
    kind = arc.get(_TYPE)
    base = join_url(base, arc.get(_BASE, ""))
    if kind == "Resource":
        _strip(arc, name, broken)
        return [inner for child in arc for inner in _inner(child, name, base, broken)]
    if not len(arc) or kind not in {None, "Collection", "Triple"}:
        return []  # a literal
    _strip(arc, name, broken)
    return [(node, base) for node in arc]


def _strip(element: _Element, name: str, broken: NodeErrors) -> None:
    """Remove the text of an element that may only have child elements, and record *name* as broken."""
    texts = [element.text, *(child.tail for child in element)]
    stray = next((text for text in texts if text and text.strip()), None)
    if stray is None:
        return
    element.text = None
    for child in element:
        child.tail = None
    broken.setdefault(name, f"the text {' '.join(stray.split())[:80]!r} where RDF/XML has none")


def _name(node: _Element, base: str, number: Iterator[int]) -> str:
    """Return the IRI or blank node that a node element describes, as in N-Triples; one without a
    name gets one.
    """
    if (about := node.get(_ABOUT)) is not None:
        return f"<{join_url(base, about)}>"
    if (fragment := node.get(_ID)) is not None:
        return f"<{join_url(base, f'#{fragment}')}>"
    if node.get(_NODE) is None:
        node.set(_NODE, f"unnamed-{next(number)}")
    return f"_:{node.get(_NODE)}"


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _refuse_doctype(root: _Element, url: str) -> None:
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError(Reason("doctype", {"url": url}))


def _check_large(content: bytes, url: str, subject: Reason) -> bytes:
    if _DOCTYPE.search(content):
        raise ParseError(Reason("doctype", {"url": url}))
    with parser_errors(subject):
        for _, node in etree.iterparse(
            io.BytesIO(content), events=("end",), resolve_entities=False, no_network=True
        ):
            node.clear(keep_tail=False)
            while node.getprevious() is not None and (parent := node.getparent()) is not None:
                del parent[0]
    return content
