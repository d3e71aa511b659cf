"""Split a SPARQL query into the tokens of its grammar; strings, comments and IRIs are single
tokens.

Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    """A token: *kind* is a group of the pattern, *start* its offset in the query."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Return the offset after the token."""
        return self.start + len(self.text)

    def word(self) -> str:
        """Return a keyword in capitals, "" for other tokens."""
        return self.text.upper() if self.kind == "word" else ""


def tokenize(query: str, with_gaps: bool = False) -> list[Token]:
    """Return the tokens of *query*; with *with_gaps* also white space and comments, as tokens of
    the kind ``gap``.
    """
    tokens, offset = [], 0
    while match := _TOKEN.match(query, offset):
        kind, text = match.lastgroup or "other", match.group()
        if kind in ("name", "blank"):
            text = _without_final_dots(text)
        if with_gaps or kind != "gap":
            tokens.append(Token(kind, text, offset))
        offset += len(text)
    return tokens


def _without_final_dots(name: str) -> str:
    """Return a name without the dots at its end, which are tokens of their own unless they are
    escaped.
    """
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


def line_and_column(query: str, offset: int) -> tuple[int, int]:
    """Return line and column of *offset* in *query*; both count from 1."""
    before = query[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def syntax_error(query: str, offset: int, message: str) -> QuerySyntaxError:
    """Return the error that points to *offset* in *query*."""
    return QuerySyntaxError(message, *line_and_column(query, offset))


def original_column(line: int, column: int, inserted: Iterable[Sequence[int]]) -> int:
    """Return the column of the query as it was written for one of the query as it was rewritten.

    *inserted* are line, column and width of what was put in, in the order of the text.

    >>> original_column(1, 50, [(1, 10, 30)]), original_column(1, 5, [(1, 10, 30)]), original_column(1, 20, [(1, 10, 30)])
    (20, 5, 10)
    """
    shift = 0
    for index, start, width in inserted:
        if index == line and column >= start + shift:
            if column < start + shift + width:
                return start
            shift += width
    return column - shift
