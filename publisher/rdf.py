"""Terms: of SPARQL results in JSON, in N-Triples, and as the engine's nodes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pyoxigraph import Literal, NamedNode, RdfFormat, parse

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
