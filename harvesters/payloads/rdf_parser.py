"""The parser of RDF: bounded depth, exceptions of ours, and a broken statement that costs one node instead of the file.

Source: https://www.w3.org/TR/rdf12-turtle/#sec-grammar-grammar (tokens), https://pyoxigraph.readthedocs.io/en/stable/io.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pyoxigraph import NamedNode, Quad, QuadParser, RdfFormat, parse

from harvesters.errors import ParseError
from harvesters.parsing import join_url, message, parser_errors

NodeErrors = dict[str, str]  # why a node cannot be read, by its IRI or blank node as in N-Triples; "" where the node is not known

DEPTH = 100  # of triple terms within each other: pyoxigraph overflows the stack at some 20,000, and data have 2
_MOST = 100  # broken statements of a document; more are no document in this syntax
_TERSE = frozenset((RdfFormat.TURTLE, RdfFormat.TRIG, RdfFormat.N_TRIPLES, RdfFormat.N_QUADS))

# A token at which depth or statement may change, or one that hides such a token. Nothing is tried twice (*+).
_TOKEN = re.compile(
    rb"(?P<open><<)|(?P<close>>>)|(?P<end>\.(?=[\s#<]|\Z)|[{}])|\\.|\#[^\r\n]*+|<[^>]*+>?+"
    rb'|"""(?:"{0,2}+(?:[^"\\]|\\.))*+(?:""")?+|"(?!"")(?:[^"\\\r\n]|\\.)*+"?+'
    rb"|'''(?:'{0,2}+(?:[^'\\]|\\.))*+(?:''')?+|'(?!'')(?:[^'\\\r\n]|\\.)*+'?+",
    re.DOTALL,
)
_SUBJECT = re.compile(
    rb"(?:\s|#[^\r\n]*+)*+(?:<(?P<iri>[^<>]*+)>|(?P<blank>_:[^\s<>\"]++)|(?P<prefix>[^\s:<>\"{}\[\]()]*+):(?P<local>[^\s<>\"]++))"
)


def parse_quads(
    content: bytes, syntax: RdfFormat, subject: str, base: str | None = None, *, broken: NodeErrors | None = None, rename: bool = False
) -> Iterator[Quad]:
    """Parse *content* and yield its quads; *subject* begins the messages, *rename* gives blank nodes new names.

    With *broken*, statements of Turtle, TriG, N-Triples and N-Quads that cannot be read are passed over, and the nodes that they
    describe are put there. Raises ParseError at all else that is not *syntax*, and at triple terms nested more than 100 deep.
    """
    nested = content.count(b"<<") > DEPTH
    if nested and syntax in _TERSE:
        _check_depth(content, subject)
    with parser_errors(subject):
        quads = parse(content, syntax, base_iri=base, lenient=True, rename_blank_nodes=rename)
    # Behind a fault, the library's tokens may differ from those whose depth was checked.
    errors = _Statements(content, broken) if broken is not None and syntax in _TERSE and not nested else None
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


def _check_depth(content: bytes, subject: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(content):
        if token.lastgroup == "open":
            depth += 1
        elif token.lastgroup == "close" and depth:
            depth -= 1
        if depth > DEPTH:
            raise ParseError(f"{subject}: triple terms are nested more than {DEPTH} deep")


class _Statements:
    """The statements of a document, read up to each fault; *broken* receives the subject of each that has one."""

    def __init__(self, content: bytes, broken: NodeErrors) -> None:
        self._content, self._broken = content, broken
        self._errors: list[SyntaxError] = []
        self._tokens = _TOKEN.finditer(content)
        self._begin = 0  # of the present statement
        self._ahead = 0  # where the statement after it begins
        self._line, self._line_begin = 1, 0

    def add(self, error: SyntaxError, quads: QuadParser) -> None:
        """Note the statement in which *error* lies; raises the first one where there are too many of them."""
        self._errors.append(error)
        if len(self._errors) > _MOST:
            raise self._errors[0]
        place = self._place(error.lineno or 1, error.offset or 1)
        while self._ahead <= place:
            self._begin = self._ahead
            self._ahead = next((it.end() for it in self._tokens if it.lastgroup == "end"), len(self._content) + 1)
        self._broken.setdefault(self._node(quads.prefixes, quads.base_iri), message(error))

    def _place(self, line: int, column: int) -> int:
        """Return the byte at which *column* of *line* begins, both counted from 1."""
        while self._line < line and (end := self._content.find(b"\n", self._line_begin)) >= 0:
            self._line, self._line_begin = self._line + 1, end + 1
        text = self._content[self._line_begin : self._line_begin + 4 * column].decode("utf-8", "replace")
        return self._line_begin + len(text[: column - 1].encode())

    def _node(self, prefixes: Mapping[str, str], base: str | None) -> str:
        found = _SUBJECT.match(self._content, self._begin)
        if found is None:
            return ""
        if found["blank"]:
            return found["blank"].decode("utf-8", "replace")
        if found["iri"] is not None:
            return str(NamedNode(join_url(base or "", found["iri"].decode("utf-8", "replace"))))
        prefix, local = found["prefix"].decode("utf-8", "replace"), found["local"].decode("utf-8", "replace")
        return str(NamedNode(prefixes[prefix] + local)) if prefix in prefixes else ""
