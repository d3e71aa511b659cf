"""Graphs: statements taken apart, and compared with what another program wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_STATEMENT = re.compile(
    r'<([^>]*)> <([^>]*)> (?:<([^>]*)>|"((?:[^"\\]|\\.)*)"(?:@(\S+)|\^\^<([^>]*)>)?)\Z', re.DOTALL
)
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Parts(NamedTuple):
    """A statement's parts as plain texts: *iri* or else *text* with a language or a datatype."""

    subject: str
    predicate: str
    iri: str | None
    text: str
    language: str | None
    datatype: str | None


def parts(statement: str) -> Parts:
    """Take a statement of ``vocab.statements.describe`` apart."""
    match = _STATEMENT.match(statement)
    if match is None:
        raise ValueError(f"no statement: {statement}")
    subject, predicate, iri, text, language, datatype = match.groups()
    return Parts(subject, predicate, iri, _ESCAPED.sub(_unescaped, text or ""), language, datatype)


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _NAMED.get(match[2], match[2])


def same(statements: Sequence[str], written: str) -> bool:
    """Return whether *written*, N-Triples by any writer, says just what *statements* say; a time in
    UTC may end in +00:00.
    """
    lines = written.replace('+00:00"^^', 'Z"^^').splitlines()
    theirs = {parts(line.rstrip().removesuffix(".").rstrip()) for line in lines if line.strip()}
    return {parts(statement) for statement in statements} == theirs
