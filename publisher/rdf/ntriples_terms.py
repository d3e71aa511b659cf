"""Split terms of canonical N-Triples without a parser, fast enough for releases of millions of
them.

Source: https://www.w3.org/TR/n-triples/#canonical-ntriples
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

# Escapes that JSON lacks; canonical N-Triples has none. A backslash before U may itself be escaped.
_ODD = re.compile(rb"\\[U']|[\x00-\x1f]")
_ESCAPE = re.compile(rb"\\(?:U([0-9A-Fa-f]{8})|(.))|([\x00-\x1f])")


class Value(NamedTuple):
    """An object: *text* is an IRI where *iri* says so, else a literal's text; *datatype* is None of
    plain and tagged texts.
    """

    text: str
    iri: bool = False
    language: str | None = None
    datatype: str | None = None


def split_literal(term: bytes) -> tuple[bytes, bytes]:
    """Split a literal into its text as a JSON string and what follows the text.

    The escapes of canonical N-Triples are all JSON's too
    (https://www.rfc-editor.org/rfc/rfc8259#section-7).

    >>> split_literal(b'"a \\\\n b"@en')
    (b'"a \\\\n b"', b'@en')
    """
    end = term.rindex(b'"') + 1
    text = term[:end]
    return (_ESCAPE.sub(_unescape, text) if _ODD.search(text) else text), term[end:]


def _unescape(match: re.Match[bytes]) -> bytes:
    code, other, control = match.groups()
    if other:
        return b"'" if other == b"'" else match.group()
    return orjson.dumps(chr(int(code, 16)) if code else control.decode())[1:-1]


def parse_term(term: bytes) -> Value:
    """Read a term.

    >>> parse_term(b'<https://x.org/>'), parse_term(b'"caf\\\\u0065"@fr').text
    (Value(text='https://x.org/', iri=True, language=None, datatype=None), 'cafe')
    """
    if term.startswith(b"<"):
        return Value(term[1:-1].decode(), True)
    text, rest = split_literal(term)
    read = orjson.loads(text) if b"\\" in text else text[1:-1].decode()
    if rest.startswith(b"@"):
        return Value(read, False, rest[1:].decode())
    return Value(read, False, None, rest[3:-1].decode() if rest else None)
