"""Terms: of SPARQL results in JSON, in N-Triples, as the engine's nodes, and as numbers and typed
values in the columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Store, Triple, parse

from vocab.iris import Iris
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    DQV,
    FOAF,
    GEO,
    ORG,
    OWL,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SH,
    SIOC,
    SKOS,
    SPDX,
    SSSOM,
    VCARD,
    VIVO,
    WGS,
    XSD,
)

_STRING = f"{XSD}string"
NAMESPACES = {
    "adms": ADMS,
    "dcat": DCAT,
    "dct": DCT,
    "dqv": DQV,
    "foaf": FOAF,
    "geo": GEO,
    "org": ORG,
    "owl": OWL,
    "prov": PROV,
    "rdf": RDF,
    "rdfs": RDFS,
    "schema": SCHEMA,
    "sh": SH,
    "sioc": SIOC,
    "skos": SKOS,
    "spdx": SPDX,
    "sssom": SSSOM,
    "vcard": VCARD,
    "vivo": VIVO,
    "void": "http://rdfs.org/ns/void#",
    "wgs": WGS,
}
# The prefixes of results in Turtle and RDF/XML.
PREFIXES = {
    name: NAMESPACES[name] for name in ("dct", "dcat", "foaf", "prov", "rdfs", "schema", "skos")
} | {"xsd": XSD}


def namespaces(iris: Iris) -> dict[str, str]:
    """Return the namespaces that pages use by prefix, our own first."""
    return {"wsis": iris.ns, "ops": iris.operations, **NAMESPACES}


@dataclass(frozen=True, slots=True)
class Term:
    """An IRI, a literal or a blank node; *kind* is ``uri``, ``literal`` or ``bnode``."""

    value: str
    kind: str = "uri"
    language: str | None = None
    datatype: str | None = None

    def __str__(self) -> str:
        return self.value

    @property
    def is_iri(self) -> bool:
        return self.kind == "uri"


def text_term(value: str, language: str | None = None) -> Term:
    return Term(value, "literal", language)


def typed_term(value: object, name: str) -> Term:
    """Return the literal of *value* with the datatype *name* of XML Schema."""
    return Term(str(value), "literal", None, XSD + name)


Row = dict[str, Term]


def parse_rows(data: bytes) -> list[Row]:
    """Read SPARQL results in JSON; a variable without a value is left out of its row.

    Source: https://www.w3.org/TR/sparql11-results-json/
    """
    return [
        {name: _term(cell) for name, cell in row.items()}
        for row in json.loads(data)["results"]["bindings"]
    ]


def _term(cell: dict[str, str]) -> Term:
    return Term(cell["value"], cell["type"], cell.get("xml:lang"), cell.get("datatype"))


def is_iri(text: str) -> bool:
    """Return whether *text* is an absolute IRI, of whatever scheme, that can name a graph.

    >>> is_iri("urn:x:y"), is_iri("record/demo/1"), is_iri("http://a b/")
    (True, False, False)
    """
    try:
        NamedNode(text)
    except ValueError:
        return False
    return True


def iri(value: str) -> str:
    """Write an IRI as an N-Triples term; characters that are not allowed in one are escaped.

    >>> iri("http://x/a b")
    '<http://x/a%20b>'
    """
    return f"<{''.join(f'%{ord(char):02X}' if char in _ILLEGAL else char for char in value)}>"


_ILLEGAL = frozenset('<>"{}|^`\\') | {chr(code) for code in range(0x21)}


def to_node(term: Term) -> NamedNode | Literal:
    """Return *term*, an IRI or a literal, as the engine's node."""
    if term.is_iri:
        return NamedNode(term.value)
    return Literal(
        term.value,
        language=term.language,
        datatype=NamedNode(term.datatype) if term.datatype and not term.language else None,
    )


def parse_node(text: str) -> NamedNode | Literal:
    """Parse an IRI or a literal in N-Triples."""
    (quad,) = parse(f"<x:s> <x:p> {text} .", RdfFormat.N_TRIPLES, lenient=True)
    node: NamedNode | Literal = quad.object
    return node


def from_node(node: object) -> Term:
    """Return the engine's *node* as a term; published data have no blank nodes."""
    if isinstance(node, Literal):
        datatype = (
            node.datatype.value if not node.language and node.datatype.value != _STRING else None
        )
        return Term(node.value, "literal", node.language, datatype)
    assert isinstance(node, NamedNode)
    return Term(node.value)


_CONTROL_BYTES = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_NOT_IN_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_REPLACEMENT = "\ufffd".encode()


def replace_invalid_characters(text: bytes) -> bytes:
    """Replace the characters of *text*, UTF-8, that XML does not allow.

    >>> replace_invalid_characters(b"bell\\x07").decode()
    'bell\ufffd'
    """
    # This test is thirty times faster than the regular expression.
    if b"\xef\xbf" not in text and len(text.translate(None, _CONTROL_BYTES)) == len(text):
        return text
    return _NOT_IN_XML.sub(_REPLACEMENT, text)


DEFAULT_GRAPH = 0  # number of the default graph; no term has it

_AREAS = {b"": 0x40, b"@": 0x80, b"^": 0xC0}  # by how a literal goes on after its text
_BYTES = [bytes([number]) for number in range(256)]
_DAY_BYTES = rb"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
_UNCHANGED = re.compile(  # terms that the RDF store does not normalize
    rb'"[^"\\\x00-\x1f\x7f]*"(?:@[a-z0-9-]+|\^\^<https?://(?!www\.w3\.org/)[^\\]*>)?'
    rb'|"%b(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"\^\^<%bdateTime>|"\^\^<%bdate>)'
    rb'|"-?(?:0|[1-9][0-9]{0,8})\.[0-9]{0,8}[1-9]"\^\^<%bdecimal>'
    % (_DAY_BYTES, *[re.escape(XSD.encode())] * 3)
)


class TermKind(IntEnum):
    """The kinds of terms. Values of one kind above BLANK are compared with each other; those of
    OTHER are not.

    DATE has no time zone; INSTANT is in UTC, in whole seconds: both are in the order of their
    lexical forms.
    """

    IRI = 0
    BLANK = 1
    STRING = 2
    LANGUAGE_STRING = 3
    INTEGER = 4
    INSTANT = 5
    DATE = 6
    BOOLEAN = 7
    DECIMAL = 8
    OTHER = 9


SCALE = 10**18  # a computed decimal is stored as a whole number of 1/SCALE
_TEXT = re.compile(r"[^\0]*")
# The kinds of literals by datatype, with the form of their texts.
_KINDS = {
    f"{XSD}string": (TermKind.STRING, _TEXT),
    f"{RDF}langString": (TermKind.LANGUAGE_STRING, _TEXT),
    f"{XSD}integer": (TermKind.INTEGER, re.compile(r"0|-?[1-9][0-9]{0,17}")),
    # The RDF store writes decimals with up to 18 digits of a fraction.
    f"{XSD}decimal": (
        TermKind.DECIMAL,
        re.compile(r"(?:0|-?[1-9][0-9]{0,17})|-?(?:0|[1-9][0-9]{0,17})\.[0-9]{0,17}[1-9]"),
    ),
    f"{XSD}boolean": (TermKind.BOOLEAN, re.compile("true|false")),
    f"{XSD}date": (TermKind.DATE, re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})")),
    f"{XSD}dateTime": (
        TermKind.INSTANT,
        re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"),
    ),
}


def text_sql(start: str, kinds: Iterable[TermKind] = TermKind) -> str:
    """Return the N-Triples form of a term of one of the *kinds* as SQL; NULL if there is none. The
    names of the columns with its properties begin with *start*, as ``t.`` of a row of the term table.
    """
    lexical = f"{start}lexical"
    forms = {
        TermKind.IRI: f"'<' || {lexical} || '>'",
        TermKind.BLANK: f"'_:' || {lexical}",
        TermKind.STRING: f"""'"' || {lexical} || '"'""",
        TermKind.LANGUAGE_STRING: f"""'"' || {lexical} || '"@' || {start}language""",
    }
    for datatype, (kind, _) in _KINDS.items():
        forms.setdefault(kind, f"""'"' || {lexical} || '"^^<{datatype}>'""")
    forms[TermKind.OTHER] = f"""'"' || {lexical} || '"^^<' || {start}datatype || '>'"""
    written = {kind: forms[kind] for kind in kinds}
    if len(written) == 1:
        return f"coalesce({start}written, {written.popitem()[1]})"
    cases = " ".join(f"WHEN {kind:d} THEN {form}" for kind, form in written.items())
    return f"coalesce({start}written, CASE {start}kind {cases} END)" if cases else "NULL::VARCHAR"


TERM_TEXT = text_sql("t.")  # of a row ``t`` of the term table


class TermRow(NamedTuple):
    """A row of the term table: *text* is its N-Triples form, *whole* the value of an INTEGER."""

    id: int
    kind: TermKind
    text: str
    lexical: str
    datatype: str
    language: str
    whole: int | None


def digest(text: bytes) -> bytes:
    """Return 12 bytes for an N-Triples form: 8 are the number of the term, 4 reveal collisions.

    The highest byte of the number has two bits for the kind of the term (IRI or blank node, plain
    string, string with a language, other literal) and six for the namespace of an IRI, or the
    datatype or language of a literal: what is looked up together lies together in a table that is
    sorted by number. The other bytes are a hash.
    """
    value = blake2b(text, digest_size=12).digest()
    if text[:1] == b'"':
        family = text[text.rindex(b'"') + 1 :]
        area = _AREAS.get(family[:1], 0)
    else:
        family, area = text[: max(text.rfind(b"/"), text.rfind(b"#"), 0) + 1], 0
    return value[:7] + _BYTES[area | crc32(family) & 0x3F] + value[8:]


@lru_cache(20_000)
def term_id(text: str) -> int:
    """Return the number of the term whose N-Triples form is *text*."""
    return int.from_bytes(digest(text.encode())[:8], "little")


def term_row(term: NamedNode | BlankNode | Literal | Triple) -> TermRow:
    """Return the row of *term*. Raises ValueError if it is a triple.

    >>> term_row(Literal(5)).whole
    5
    """
    text = str(term)
    if isinstance(term, Triple):
        raise ValueError(f"a quoted triple has no column: {text}")
    if not isinstance(term, Literal):
        kind = TermKind.IRI if isinstance(term, NamedNode) else TermKind.BLANK
        return TermRow(term_id(text), kind, text, term.value, "", "", None)
    kind = _literal_kind(term)
    whole = int(term.value) if kind is TermKind.INTEGER else None
    language = term.language or ""
    return TermRow(term_id(text), kind, text, term.value, term.datatype.value, language, whole)


def _literal_kind(term: Literal) -> TermKind:
    kind, pattern = _KINDS.get(term.datatype.value, (TermKind.OTHER, _TEXT))
    match = pattern.fullmatch(term.value)
    is_valid = match is not None and (match.lastindex is None or _is_day(match[1]))
    return kind if is_valid else TermKind.OTHER


def computed_text(kind: TermKind, value: str | bool | int) -> str:
    """Return the N-Triples form of a computed string, boolean, integer or decimal, as the RDF store
    writes it; *value* is what a column has, of a decimal the digits.

    >>> computed_text(TermKind.DECIMAL, str(5 * SCALE // 2))
    '"2.5"^^<http://www.w3.org/2001/XMLSchema#decimal>'
    """
    if kind is TermKind.STRING:
        return str(Literal(value))
    text = str(value).lower()
    if kind is TermKind.DECIMAL:
        whole, fraction = divmod(abs(int(value)), SCALE)
        text = f"{'-' if text[0] == '-' else ''}{whole}.{fraction:018d}".rstrip("0").rstrip(".")
    return f'"{text}"^^<{XSD}{kind.name.lower()}>'


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_unchanged(text: bytes) -> bool:
    """Return whether the RDF store certainly writes an N-Triples term unchanged and without
    escapes.

    The store normalizes numbers, times and booleans: ``"01"^^xsd:integer`` becomes ``1``.
    """
    if text[:1] == b"<":
        return b"\\" not in text and text[:2] != b"<<"  # the start of a quoted triple
    return _UNCHANGED.fullmatch(text) is not None


def stored_rows(texts: Collection[bytes]) -> list[TermRow]:
    """Return the rows of N-Triples terms as the RDF store normalizes them. Raises ValueError if one
    is a triple or not a term.
    """
    lines = b"".join(b"<urn:s> <urn:%d> %s .\n" % pair for pair in enumerate(texts))
    store = Store()
    try:
        store.extend(parse(lines, RdfFormat.N_QUADS, lenient=True))
    except SyntaxError as error:
        raise ValueError(str(error)) from error
    objects = {
        quad.predicate.value: quad.object
        for quad in store.quads_for_pattern(None, None, None, None)
    }
    return [term_row(objects[f"urn:{number}"]) for number in range(len(texts))]
