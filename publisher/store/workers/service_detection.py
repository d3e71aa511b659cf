"""Detect SERVICE in a query, so that it is rejected before any request to another host.

The engine's grammar has no word boundaries: it accepts ``1service<x>{``, and ``servicex:y{`` or
even ``service:y{`` where no triple is allowed. So the raw text is searched, including strings and
comments, for the letters *service*, an address and a brace. A match is accepted only if the text
can be tokenized unambiguously and the match is in a comment, a string or a name. Source:
https://www.w3.org/TR/sparql11-query/#sparqlGrammar
"""

from __future__ import annotations

import re
from bisect import bisect_right

from publisher.rdf.sparql_tokens import Token, tokenize

_NAME = r"(?:\\.|[^\s{}()<>\"'#?$;,\\])*+"
_WORD = re.compile(rf"service(?P<rest>{_NAME})", re.IGNORECASE)
_SILENT = re.compile(r"silent", re.IGNORECASE)
_TARGET = re.compile(rf"<[^<>{{}}\"\s]*+>|[?$][^\s{{}}<>\"'#?$.]++|{_NAME}")
_SPACE = re.compile(r"\s*+")
_LINE = re.compile(r"[\r\n]|\Z")

_ABSOLUTE_IRI = re.compile(r"<https?://", re.IGNORECASE)
_BEFORE_NAME = frozenset({"graph", "from", "named", "describe"})


class _Gaps:
    """Skips white space and comments in a text; each comment is scanned once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start, self._line_end = 0, -1  # the line that was scanned last
        self._after_line: dict[int, int] = {}

    def end(self, position: int) -> int:
        """Return the position of the first character from *position* on that is neither white space
        nor in a comment.
        """
        comment_ends = []
        position = self._skip_space(position)
        while self._text.startswith("#", position):
            line_end = self._end_of_line(position)
            if line_end in self._after_line:
                position = self._after_line[line_end]
                break
            comment_ends.append(line_end)
            position = self._skip_space(line_end)
        self._after_line.update(dict.fromkeys(comment_ends, position))
        return position

    def _skip_space(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _end_of_line(self, position: int) -> int:
        if not self._start <= position <= self._line_end:
            match = _LINE.search(self._text, position)
            self._start, self._line_end = position, match.start() if match else len(self._text)
        return self._line_end


def _candidates(query: str) -> list[int]:
    gaps = _Gaps(query)
    return [match.start() for match in _WORD.finditer(query) if _opens(query, gaps, match)]


def _opens(query: str, gaps: _Gaps, word: re.Match[str]) -> bool:
    """Return whether an address and a brace follow the letters *service*."""
    position = gaps.end(word.end())
    if ":" in word["rest"] and query.startswith("{", position):
        return True
    if silent := _SILENT.match(query, position):
        end = gaps.end(silent.end())
        if _has_operand_and_brace(query, gaps, end):
            return True
    return _has_operand_and_brace(query, gaps, position)


def _has_operand_and_brace(query: str, gaps: _Gaps, position: int) -> bool:
    target = _TARGET.match(query, position)
    return target is not None and query.startswith("{", gaps.end(target.end()))


def _is_ambiguous(tokens: list[Token]) -> bool:
    """Return whether some ``<`` is ambiguous: an operator or the start of an IRI. The tokens after
    it would then be wrong.
    """
    return any(token.kind == "iri" and not _ABSOLUTE_IRI.match(token.text) for token in tokens)


def _is_harmless(position: int, tokens: list[Token]) -> bool:
    index = bisect_right(tokens, position, key=lambda token: token.start) - 1
    token = tokens[index]
    if token.kind in {"gap", "string", "iri", "variable", "tag", "blank"}:
        return True
    if token.kind != "name":
        return False
    if ":" in token.text[: position - token.start]:
        return True
    before = next((t for t in reversed(tokens[:index]) if t.kind != "gap"), None)
    return before is not None and before.kind == "word" and before.text.lower() in _BEFORE_NAME


def uses_service(query: str) -> bool:
    """Return whether *query* may contain a SERVICE clause; True if in doubt.

    >>> uses_service("SELECT * { SERVICE <http://example.org/> { ?s ?p ?o } }")
    True
    >>> uses_service("SELECT * { ?service a <http://example.org/SERVICE> } # SERVICE <x> {")
    False
    """
    positions = _candidates(query)
    if not positions:
        return False
    tokens = tokenize(query, with_gaps=True)
    return _is_ambiguous(tokens) or not all(
        _is_harmless(position, tokens) for position in positions
    )
