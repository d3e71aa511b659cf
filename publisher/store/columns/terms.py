"""Numbers and typed values of RDF terms."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import date
from enum import IntEnum
from hashlib import blake2b
from typing import NamedTuple

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Store, Triple, parse

from vocab.terms import RDF, XSD

DEFAULT_GRAPH = 0  # number of the default graph, which no term has

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})")
_INSTANT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z")
_UNCHANGED = re.compile(rb'<[^\\]*|"[^"\\\x00-\x1f\x7f]*"(?:@[a-z0-9-]+)?')  # the engine writes it alike


class TermKind(IntEnum):
    """The kinds of terms. Values of one kind above BLANK are compared with each other; those of OTHER are not.

    DATE has no time zone; INSTANT is in UTC, in whole seconds: both are in the order of their lexical forms.
    """

    IRI = 0
    BLANK = 1
    STRING = 2
    LANGUAGE_STRING = 3
    INTEGER = 4
    INSTANT = 5
    DATE = 6
    BOOLEAN = 7
    OTHER = 9


class TermRow(NamedTuple):
    """A row of the term table: *text* is its N-Triples form, *whole* the value of an INTEGER."""

    id: int
    kind: TermKind
    text: str
    lexical: str
    datatype: str
    language: str
    whole: int | None


def term_id(text: str) -> int:
    """Return the number of the term whose N-Triples form is *text*: 64 bits of its hash."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def term_row(term: NamedNode | BlankNode | Literal | Triple) -> TermRow:
    """Return the row of *term*. Raises ValueError if it is a triple.

    >>> term_row(Literal(5)).whole
    5
    """
    text = str(term)
    if isinstance(term, NamedNode):
        return TermRow(term_id(text), TermKind.IRI, text, term.value, "", "", None)
    if isinstance(term, BlankNode):
        return TermRow(term_id(text), TermKind.BLANK, text, term.value, "", "", None)
    if isinstance(term, Triple):
        raise ValueError(f"a quoted triple has no column: {text}")
    kind = _literal_kind(term)
    whole = int(term.value) if kind is TermKind.INTEGER else None
    language = term.language or ""
    return TermRow(term_id(text), kind, text, term.value, term.datatype.value, language, whole)


def _literal_kind(term: Literal) -> TermKind:
    value, datatype = term.value, term.datatype.value
    if "\0" in value:
        return TermKind.OTHER
    if datatype == f"{XSD}string":
        return TermKind.STRING
    if datatype == f"{RDF}langString":
        return TermKind.LANGUAGE_STRING
    if datatype == f"{XSD}integer" and _INTEGER.fullmatch(value):
        return TermKind.INTEGER
    if datatype == f"{XSD}boolean" and value in ("true", "false"):
        return TermKind.BOOLEAN
    if datatype == f"{XSD}date" and (match := _DATE.fullmatch(value)) and _is_day(match[1]):
        return TermKind.DATE
    if datatype == f"{XSD}dateTime" and (match := _INSTANT.fullmatch(value)) and _is_day(match[1]):
        return TermKind.INSTANT
    return TermKind.OTHER


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def stored_terms(texts: Collection[bytes]) -> Iterator[tuple[bytes, TermRow]]:
    """Yield each N-Triples term with the row of the term that the RDF store makes of it.

    The store keeps numbers, times and booleans by their values: ``"01"^^xsd:integer`` is ``1`` in it.
    """
    special = []
    for text in texts:
        if _UNCHANGED.fullmatch(text):
            yield text, _plain_row(text.decode())
        else:
            special.append(text)
    if special:
        yield from zip(special, _through_store(special), strict=True)


def _plain_row(text: str) -> TermRow:
    if text[0] == "<":
        return TermRow(term_id(text), TermKind.IRI, text, text[1:-1], "", "", None)
    value, _, language = text[1:].rpartition('"')
    if language:
        row = (TermKind.LANGUAGE_STRING, text, value, f"{RDF}langString", language[1:])
    else:
        row = (TermKind.STRING, text, value, f"{XSD}string", "")
    return TermRow(term_id(text), *row, None)


def _through_store(texts: Collection[bytes]) -> Iterator[TermRow]:
    lines = b"".join(b"<urn:s> <urn:%d> %s .\n" % pair for pair in enumerate(texts))
    store = Store()
    store.extend(parse(lines, RdfFormat.N_QUADS, lenient=True))
    found = {quad.predicate.value: quad.object for quad in store.quads_for_pattern(None, None, None, None)}
    return (term_row(found[f"urn:{number}"]) for number in range(len(texts)))
