"""Parse RDF with limited depth and our own exceptions; a broken statement affects one node instead
of the whole document.

Contexts of JSON-LD are here, so that harvested documents cause no requests. They were written for
this project from each vocabulary's documentation; they contain what records of registries need.

Source: https://www.w3.org/TR/rdf12-turtle/#sec-grammar-grammar (tokens),
https://www.w3.org/TR/rdf12-xml/#section-Grammar-productions,
https://pyoxigraph.readthedocs.io/en/stable/io.html
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urldefrag

from lxml import etree
from lxml.etree import _Element
from pyoxigraph import BlankNode, NamedNode, Quad, QuadParser, RdfFormat, Store, parse

from harvesters.errors import ParseError, message, parser_errors
from harvesters.network.reply import doctype_error, parse_xml_bytes
from harvesters.payloads.graph import (
    MEMBERS,
    PREFIXES,
    Graph,
    bounded_description,
    iri_or_text,
    merge_graphs,
)
from harvesters.payloads.value_parsing import join_url
from harvesters.reasons import Reason
from vocab.iris import is_web

# The addresses of a context, without scheme and closing slash, and the file with a copy of it.
_OURS: Mapping[str, str] = {
    "schema.org": "schema",
    "www.schema.org": "schema",
    "schema.org/docs/jsonldcontext.json": "schema",
    "schema.org/docs/jsonldcontext.jsonld": "schema",
    "project-open-data.cio.gov/v1.1/schema/catalog.jsonld": "pod",
    "project-open-data.cio.gov/v1.1/schema/data.jsonld": "pod",
    "www.w3.org/ns/hydra/core": "hydra",
    "www.w3.org/ns/hydra/context.jsonld": "hydra",
}

# A function that returns the context at an address, or raises LookupError.
Find = Callable[[str], Any]


@cache
def _read(name: str) -> Any:
    return json.loads(
        files("harvesters.payloads")
        .joinpath("contexts", f"{name}.jsonld")
        .read_text(encoding="utf-8")
    )["@context"]


def builtin_context(address: str) -> Any:
    """Return the built-in context for *address*. Raise LookupError if there is none.

    >>> builtin_context("https://schema.org/")["@vocab"]
    'http://schema.org/'
    """
    return _read(_OURS[address.partition("://")[2].rstrip("/").lower()])


def inline_contexts(value: Any, find: Find) -> Any:
    """Replace references to contexts by the contexts, anywhere in a document.

    Raises LookupError, with the address, if *find* has none, and ValueError at a context of the
    document that its parser could not process. The document must not be nested deeper than
    Python's recursion limit (1000), which JSON parsed by orjson is not.
    """
    if isinstance(value, list):
        return [inline_contexts(item, find) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _context(element, find) if name == "@context" else inline_contexts(element, find)
        for name, element in value.items()
    }


def _context(value: Any, find: Find) -> Any:
    if isinstance(value, str):
        return find(value)
    if isinstance(value, list):
        return [_context(item, find) for item in value]
    if isinstance(value, dict):
        _check_context(value)
    return value


# Terms of a context of a document; those of vocabularies are built in. pyoxigraph overflows the stack
# if some thousand terms are defined each by the next.
_MAX_TERMS = 1_000


def _check_context(context: Mapping[str, Any]) -> None:
    """Raise ValueError if a context could overflow its parser's stack, or could take far more time
    than a document of its size needs: the context of a term is processed again for each value.
    """
    if len(context) > _MAX_TERMS:
        raise ValueError(f"its context has more than {_MAX_TERMS:,} terms")
    if any(isinstance(term, dict) and "@context" in term for term in context.values()):
        raise ValueError("a term of its context has a context of its own")


# Why a node cannot be read, by its IRI or blank node as in N-Triples; "" where the node is not
# known.
NodeErrors = dict[str, str]

# How deep triple terms may be nested: pyoxigraph overflows the stack at some 20,000; data have 2.
MAX_DEPTH = 100
_MAX_ERRORS = 100  # Broken statements: a document with more is not in this syntax.
_TEXT_FORMATS = frozenset(
    (RdfFormat.TURTLE, RdfFormat.TRIG, RdfFormat.N_TRIPLES, RdfFormat.N_QUADS)
)

# A token at which depth or statement may change, or one that hides such a token, as the lenient
# parser reads them: its strings and IRIs may have line breaks, short ones too, and each string ends
# with its first delimiter. N-Triples has fewer kinds of strings, and fails at the others. Nothing is
# tried twice (*+).
_TOKEN = re.compile(
    rb"(?P<open><<)|(?P<close>>>)|(?P<end>\.(?=[\s#<]|\Z)|[{}])|\\.|\#[^\r\n]*+|<[^>]*+>?+"
    rb'|"""(?:"{0,2}+(?:[^"\\]|\\.))*+(?:""")?+|"(?!"")(?:[^"\\]|\\.)*+"?+'
    rb"|'''(?:'{0,2}+(?:[^'\\]|\\.))*+(?:''')?+|'(?!'')(?:[^'\\]|\\.)*+'?+",
    re.DOTALL,
)
_SUBJECT = re.compile(
    rb"(?:\s|#[^\r\n]*+)*+(?:<(?P<iri>[^<>]*+)>|(?P<blank>_:[^\s<>\"]++)|(?P<prefix>[^\s:<>\"{}\[\]()]*+):(?P<local>[^\s<>\"]++))"
)

# It marks the base of a document that may have empty references, so that they differ from the
# address when it is written in full.
_EMPTY_REFERENCE = "empty-reference"
_STRUCTURES = (
    PREFIXES["hydra"],
    PREFIXES["ldp"],
    "https://w3id.org/tree#",
    "https://w3id.org/ldes#",
)
# Bytes of RDF/XML: a larger document is checked piece by piece, since its tree would be four times
# as large.
LARGE = 32 * 1024 * 1024
_RDF = f"{{{PREFIXES['rdf']}}}"
_DOCTYPE = re.compile(rb"<!doctype", re.IGNORECASE)
# Attributes whose value is an IRI, and an ampersand that begins no entity.
_REFERENCE = re.compile(rb"""((?:about|resource)\s*+=\s*+)("[^"]*+"|'[^']*+')""")
_AMPERSAND = re.compile(rb"&(?!(?:[A-Za-z]\w{0,30}|#\w{1,10});)")


def parse_quads(
    content: bytes,
    syntax: RdfFormat,
    subject: str | Reason,
    base: str | None = None,
    *,
    broken: NodeErrors | None = None,
    rename: bool = False,
) -> Iterator[Quad]:
    """Parse *content* and yield its quads; *subject* begins the messages, *rename* gives blank
    nodes new names. The contexts of JSON-LD are those that ``inline_contexts`` checked.

    With *broken*, invalid statements of Turtle, TriG, N-Triples and N-Quads are skipped, and their
    subjects are added to *broken* with the reason. An empty reference as a value, such as
    ``"license": ""``, is left out: only properties that join pages and members lead to the document
    itself. Raises ParseError at any other invalid content, and at triple terms nested more than 100
    deep.
    """
    address = urldefrag(base).url if base else ""
    if is_web(address) and any(empty in content for empty in (b'""', b"''", b"<>")):
        marked = f"{address}{'&' if '?' in address else '?'}{_EMPTY_REFERENCE}"
        quads = _parse(content, syntax, subject, marked, broken, rename)
        return _without_empty_references(quads, marked, address)
    return _parse(content, syntax, subject, base, broken, rename)


def parse_description(
    content: bytes, syntax: RdfFormat, subject: str, base: str, name: str, steps: int
) -> Graph:
    """Return what the RDF of one record says of the node *name*, an IRI or a blank node's label, and
    of nodes up to *steps* away. Raise ParseError, which *subject* begins if *content* is not in this
    syntax.
    """
    store = Store()
    try:
        node = BlankNode(name[2:]) if name.startswith("_:") else NamedNode(name)
        quads = parse_quads(content, syntax, subject, base)
        store.extend(list(iri_or_text(merge_graphs(quads))))
        return bounded_description(store, node, steps)
    except ValueError as error:
        raise ParseError("a record that cannot be read: %(error)s", error=str(error)) from error


def _without_empty_references(quads: Iterator[Quad], marked: str, base: str) -> Iterator[Quad]:
    """Yield the quads without those whose value is the *marked* base, which is replaced by *base*
    elsewhere.
    """

    def restore(term: Any) -> Any:
        if not (isinstance(term, NamedNode) and term.value.startswith(marked)):
            return term
        try:
            return NamedNode(base + term.value[len(marked) :])
        except ValueError:  # The lenient parser keeps terms that are not IRIs.
            return term

    for quad in quads:
        name, value = quad.predicate.value, quad.object
        is_empty = isinstance(value, NamedNode) and value.value == marked
        if not is_empty or name in MEMBERS or name.startswith(_STRUCTURES):
            yield Quad(*map(restore, (quad.subject, quad.predicate, value, quad.graph_name)))


def _parse(
    content: bytes,
    syntax: RdfFormat,
    subject: str | Reason,
    base: str | None,
    broken: NodeErrors | None,
    rename: bool,
) -> Iterator[Quad]:
    is_nested = content.count(b"<<") > MAX_DEPTH
    if is_nested and syntax in _TEXT_FORMATS:
        _check_depth(content, subject)
    # After an error, the library's tokens may differ from those whose depth was checked.
    errors = None
    if broken is not None and syntax in _TEXT_FORMATS and not is_nested:
        errors = _Statements(content, broken)
    with parser_errors(subject):
        quads = parse(content, syntax, base_iri=base, lenient=True, rename_blank_nodes=rename)
        if errors is None:
            yield from quads
            return
    while True:
        with parser_errors(subject):
            try:
                quad = next(quads, None)
            except SyntaxError as error:
                errors.add(error, quads)
                continue
        if quad is None:
            return
        yield quad


def _check_depth(content: bytes, subject: str | Reason) -> None:
    depth = 0
    for token in _TOKEN.finditer(content):
        if token.lastgroup == "open":
            depth += 1
        elif token.lastgroup == "close" and depth:
            depth -= 1
        if depth > MAX_DEPTH:
            raise ParseError(
                "%(subject)s: triple terms are nested more than %(limit)s deep",
                subject=subject,
                limit=MAX_DEPTH,
            )


class _Statements:
    """The statements of a document up to each error; *broken* receives the subject of each invalid
    one.
    """

    def __init__(self, content: bytes, broken: NodeErrors) -> None:
        self._content, self._broken = content, broken
        self._errors: list[SyntaxError] = []
        tokens = _TOKEN.finditer(content)
        self._ends = (token.end() for token in tokens if token.lastgroup == "end")
        self._begin = self._end = 0  # Offsets of the current statement.
        self._line, self._line_begin = 1, 0

    def add(self, error: SyntaxError, quads: QuadParser) -> None:
        """Record the statement that contains *error*. Raise the first error if there are too many."""
        self._errors.append(error)
        if len(self._errors) > _MAX_ERRORS:
            raise self._errors[0]
        offset = self._offset(error.lineno or 1, error.offset or 1)
        while self._end <= offset:
            self._begin, self._end = self._end, next(self._ends, len(self._content) + 1)
        self._broken.setdefault(self._node(quads.prefixes, quads.base_iri), message(error))

    def _offset(self, line: int, column: int) -> int:
        """Return the byte offset of *column* of *line*, both counted from 1."""
        while self._line < line and (end := self._content.find(b"\n", self._line_begin)) >= 0:
            self._line, self._line_begin = self._line + 1, end + 1
        row = self._content[self._line_begin : self._line_begin + 4 * column]
        return self._line_begin + len(row.decode("utf-8", "replace")[: column - 1].encode())

    def _node(self, prefixes: Mapping[str, str], base: str | None) -> str:
        match = _SUBJECT.match(self._content, self._begin)
        if match is None:
            return ""
        texts = {
            name: text.decode("utf-8", "replace") for name, text in match.groupdict(b"").items()
        }
        if match["blank"]:
            return texts["blank"]
        if match["iri"] is not None:
            node = join_url(base or "", texts["iri"])
            return str(NamedNode(re.sub(f"[?&]{_EMPTY_REFERENCE}(?=#|$)", "", node)))
        if texts["prefix"] not in prefixes:
            return ""
        return str(NamedNode(prefixes[texts["prefix"]] + texts["local"]))


def check_xml(content: bytes, url: str) -> bytes:
    """Return a document of RDF/XML as the parser may read it: unchanged, or serialized again where
    that is safer.

    Raises ParseError if it has a DOCTYPE, is nested more than 256 deep, or is not well-formed XML.
    Markup in the value of rdf:about or rdf:resource is escaped, so that only the record that has it
    is invalid.
    """
    if len(content) > LARGE:
        return _check_large(content, url)
    try:
        root = _parse_xml(content, url)
    except ParseError:
        escaped = _REFERENCE.sub(
            lambda match: match[1] + _AMPERSAND.sub(b"&amp;", match[2]).replace(b"<", b"&lt;"),
            content,
        )
        if escaped == content:
            raise
        content, root = escaped, _parse_xml(escaped, url)
    encoding = (root.getroottree().docinfo.encoding or "utf-8").lower()
    # A comment or CDATA section may look as if it had a DOCTYPE.
    is_plain = encoding in {"utf-8", "utf8", "us-ascii"} and not _DOCTYPE.search(content)
    return content if is_plain else etree.tostring(root)


def _parse_xml(content: bytes, url: str) -> _Element:
    return parse_xml_bytes(content, url, _subject(url))


def _subject(url: str) -> Reason:
    return Reason("%(url)s: cannot be read as %(format)s", url=url, format="RDF/XML")


def _check_large(content: bytes, url: str) -> bytes:
    if _DOCTYPE.search(content):
        raise doctype_error(url)
    file = io.BytesIO(content)
    with parser_errors(_subject(url)):
        for _, node in etree.iterparse(file, resolve_entities=False, no_network=True):
            node.clear(keep_tail=False)
            while node.getprevious() is not None and (parent := node.getparent()) is not None:
                del parent[0]
    return content


# An element of RDF/XML that may only have child elements but has text: the document itself, a node,
# or a property whose value is a node; not an element of a literal. Nodes and properties alternate,
# but for those of parseType="Resource", which is both.
_DEPTH = "count(ancestor::*[not(self::rdf:RDF)]) + count(ancestor::*[@rdf:parseType = 'Resource'])"
_NODE = f"not(self::rdf:RDF) and ({_DEPTH}) mod 2 = 0"
_OF_NODES = "not(@rdf:parseType) or contains('Resource Collection Triple', @rdf:parseType)"
_STRAY: Callable[[_Element], Any] = etree.XPath(
    f"//*[text()[normalize-space()]][not(ancestor::*[not({_OF_NODES})])]"
    f"[self::rdf:RDF or ({_NODE}) or @rdf:parseType = 'Resource' or (* and ({_OF_NODES}))]",
    namespaces=PREFIXES,
)
_OWNER: Callable[[_Element], Any] = etree.XPath(
    f"ancestor-or-self::*[{_NODE}][1]", namespaces=PREFIXES
)


def repair_xml(content: bytes, url: str, broken: NodeErrors) -> bytes:
    """Return a document without text where RDF/XML allows none, and add the nodes that had it to
    *broken*. A node without a name gets one.
    """
    if len(content) > LARGE:
        raise ParseError(
            "%(url)s: its RDF/XML has text between its elements, and is too large to be repaired",
            url=url,
        )
    root = _parse_xml(content, url)
    for element in _STRAY(root):
        texts = [element.text, *(child.tail for child in element)]
        stray = next(text for text in texts if text and text.strip())
        element.text, name = None, ""
        for child in element:
            child.tail = None
        for node in _OWNER(element):
            label = node.get(f"{_RDF}nodeID") or f"unnamed-{len(broken)}"
            about, fragment = node.get(f"{_RDF}about"), node.get(f"{_RDF}ID")
            address = about if about is not None else fragment and f"#{fragment}"
            name = f"_:{label}" if address is None else f"<{join_url(node.base or url, address)}>"
            if address is None:
                node.set(f"{_RDF}nodeID", label)
        fault = f"the text {' '.join(stray.split())[:80]!r} where RDF/XML has none"
        broken.setdefault(name, fault)
    return etree.tostring(root)
