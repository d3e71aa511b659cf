"""Parse RDF with limited depth and our own exceptions; a broken statement affects one node instead
of the whole document.

Source: https://www.w3.org/TR/rdf12-turtle/#sec-grammar-grammar (tokens),
https://pyoxigraph.readthedocs.io/en/stable/io.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urldefrag

from pyoxigraph import NamedNode, Quad, QuadParser, RdfFormat, parse

from harvesters.errors import ParseError
from harvesters.parsing import join_url, message, parser_errors
from harvesters.payloads.contexts import check_contexts
from harvesters.payloads.graph import MEMBERS, PREFIXES
from harvesters.reasons import Reason
from vocab.iris import is_web

# why a node cannot be read, by its IRI or blank node as in N-Triples; "" where the node is not
# known
NodeErrors = dict[str, str]

# of triple terms within each other: pyoxigraph overflows the stack at some 20,000, and data have 2
MAX_DEPTH = 100
_MAX_ERRORS = 100  # broken statements of a document; more are no document in this syntax
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

# In the base of a document that may hold empty references, so that they differ from its
# address written in full.
_EMPTY_REFERENCE = "empty-reference"
_STRUCTURES = (
    PREFIXES["hydra"],
    PREFIXES["ldp"],
    "https://w3id.org/tree#",
    "https://w3id.org/ldes#",
)


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
    nodes new names.

    With *broken*, invalid statements of Turtle, TriG, N-Triples and N-Quads are skipped, and their
    subjects are added to *broken* with the reason. An empty reference as a value, such as
    ``"license": ""``, is no value: only properties that join pages and members lead to the document
    itself. Raises ParseError at any other invalid content, at triple terms nested more than 100
    deep, and at the contexts that ``check_contexts`` refuses.
    """
    address = urldefrag(base).url if base else ""
    if is_web(address) and any(empty in content for empty in (b'""', b"''", b"<>")):
        marked = f"{address}{'&' if '?' in address else '?'}{_EMPTY_REFERENCE}"
        quads = _parse(content, syntax, subject, marked, broken, rename)
        return _without_empty_references(quads, marked, address)
    return _parse(content, syntax, subject, base, broken, rename)


def _without_empty_references(quads: Iterator[Quad], marked: str, base: str) -> Iterator[Quad]:
    """Yield the quads without those whose value is the *marked* base, which is replaced by *base*
    elsewhere.
    """

    def restore(term: Any) -> Any:
        if not (isinstance(term, NamedNode) and term.value.startswith(marked)):
            return term
        try:
            return NamedNode(base + term.value[len(marked) :])
        except ValueError:  # the lenient parser keeps what is no IRI
            return term

    for quad in quads:
        name, value = quad.predicate.value, quad.object
        if (
            isinstance(value, NamedNode)
            and value.value == marked
            and not (name in MEMBERS or name.startswith(_STRUCTURES))
        ):
            continue
        yield Quad(
            restore(quad.subject), restore(quad.predicate), restore(value), restore(quad.graph_name)
        )


def _parse(
    content: bytes,
    syntax: RdfFormat,
    subject: str | Reason,
    base: str | None,
    broken: NodeErrors | None,
    rename: bool,
) -> Iterator[Quad]:
    nested = content.count(b"<<") > MAX_DEPTH
    if nested and syntax in _TEXT_FORMATS:
        _check_depth(content, subject)
    if syntax == RdfFormat.JSON_LD:
        with parser_errors(subject):
            check_contexts(content)
    with parser_errors(subject):
        quads = parse(content, syntax, base_iri=base, lenient=True, rename_blank_nodes=rename)
    # Behind a fault, the library's tokens may differ from those whose depth was checked.
    errors = (
        _Statements(content, broken)
        if broken is not None and syntax in _TEXT_FORMATS and not nested
        else None
    )
    while True:
        with parser_errors(subject):
            try:
                quad = next(quads, None)
            except SyntaxError as error:
                if errors is None:
                    raise
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
            raise ParseError(Reason("terms_too_deep", {"subject": subject, "limit": MAX_DEPTH}))


class _Statements:
    """The statements of a document up to each error; *broken* receives the subject of each invalid
    one.
    """

    def __init__(self, content: bytes, broken: NodeErrors) -> None:
        self._content, self._broken = content, broken
        self._errors: list[SyntaxError] = []
        self._tokens = _TOKEN.finditer(content)
        self._begin = 0  # of the present statement
        self._next_begin = 0  # where the statement after it begins
        self._line, self._line_begin = 1, 0

    def add(self, error: SyntaxError, quads: QuadParser) -> None:
        """Record the statement that contains *error*; raises the first error if there are too many."""
        self._errors.append(error)
        if len(self._errors) > _MAX_ERRORS:
            raise self._errors[0]
        offset = self._offset(error.lineno or 1, error.offset or 1)
        while self._next_begin <= offset:
            self._begin = self._next_begin
            self._next_begin = next(
                (token.end() for token in self._tokens if token.lastgroup == "end"),
                len(self._content) + 1,
            )
        self._broken.setdefault(self._node(quads.prefixes, quads.base_iri), message(error))

    def _offset(self, line: int, column: int) -> int:
        """Return the byte offset of *column* of *line*, both counted from 1."""
        while self._line < line and (end := self._content.find(b"\n", self._line_begin)) >= 0:
            self._line, self._line_begin = self._line + 1, end + 1
        text = self._content[self._line_begin : self._line_begin + 4 * column].decode(
            "utf-8", "replace"
        )
        return self._line_begin + len(text[: column - 1].encode())

    def _node(self, prefixes: Mapping[str, str], base: str | None) -> str:
        match = _SUBJECT.match(self._content, self._begin)
        if match is None:
            return ""
        if match["blank"]:
            return match["blank"].decode("utf-8", "replace")
        if match["iri"] is not None:
            node = join_url(base or "", match["iri"].decode("utf-8", "replace"))
            return str(NamedNode(re.sub(f"[?&]{_EMPTY_REFERENCE}(?=#|$)", "", node)))
        prefix = match["prefix"].decode("utf-8", "replace")
        local = match["local"].decode("utf-8", "replace")
        return str(NamedNode(prefixes[prefix] + local)) if prefix in prefixes else ""
