"""Split a SPARQL query into the tokens of its grammar; strings, comments and IRIs are single tokens.

Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar
"""

from __future__ import annotations

import re
from typing import NamedTuple

from publisher.errors import QuerySyntaxError

_LOCAL = r"(?:[\w:.·-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])"
_TOKEN = re.compile(
    rf"""(?P<gap>(?:\s|\#[^\r\n]*+)++)
    |(?P<iri><[^<>"{{}}|^`\\\x00-\x20]*+>)
    |(?P<string>'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\"|'(?:[^'\\\r\n]|\\.)*+'|"(?:[^"\\\r\n]|\\.)*+")
    |(?P<variable>[?$]\w++)
    |(?P<tag>@[A-Za-z]++(?:-[A-Za-z0-9]++)*+)
    |(?P<blank>_:[\w.·-]++)
    |(?P<name>(?:[^\W\d_](?:[\w.·-]*+)?)?:{_LOCAL}*+)
    |(?P<number>(?:\d++(?:\.\d++)?|\.\d++)(?:[eE][+-]?\d++)?)
    |(?P<word>\w++)
    |(?P<other>\^\^|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_CHARS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


class Token(NamedTuple):
    """A piece of a query: *kind* is a group of the pattern, *start* its place."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Return the offset after the token."""
        return self.start + len(self.text)

    def word(self) -> str:
        """Return a keyword in capitals, "" of all else."""
        return self.text.upper() if self.kind == "word" else ""


def tokenize(query: str) -> list[Token]:
    """Return the tokens of *query* without white space and comments."""
    found, place = [], 0
    while match := _TOKEN.match(query, place):
        kind, text = match.lastgroup or "other", match.group()
        if kind in ("name", "blank"):
            text = _undotted(text)
        if kind != "gap":
            found.append(Token(kind, text, place))
        place += len(text)
    return found


def _undotted(name: str) -> str:
    """Leave to the grammar the dots at the end of a name, unless they are escaped."""
    bare = name.rstrip(".")
    return name[: len(bare) + 1] if bare.endswith("\\") and len(bare) < len(name) else bare


def string_value(string: str) -> str:
    """Return the value of a string token.

    >>> string_value(r'"a\\tb\\u0041"')
    'a\\tbA'
    """
    quotes = 3 if string[:3] in ("'''", '"""') and len(string) >= 6 else 1
    return _ESCAPE.sub(_unescaped, string[quotes:-quotes])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _CHARS.get(match[3], match[3])


def line_and_column(query: str, place: int) -> tuple[int, int]:
    """Return line and column of *place* in *query*; both count from 1."""
    before = query[:place]
    return before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1


def syntax_error(query: str, place: int, message: str) -> QuerySyntaxError:
    """Make the error that points to *place* in *query*."""
    return QuerySyntaxError(message, *line_and_column(query, place))
