"""Find SERVICE in a query and LOAD in an update, so that they are refused before anything is asked of another host.

The engine's grammar knows no word boundaries: it takes ``1service<x>{``, and ``servicex:y{`` or even ``service:y{``
where no triple can stand. So a clause is looked for in the raw text, strings and comments included: the letters
*service*, an address, a brace. What is found is let pass only where the text can be cut into tokens without doubt
and the find lies in a comment, a string or a name. Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar
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

_SURE = re.compile(r"<https?://", re.IGNORECASE)
_LOAD = re.compile(r"load", re.IGNORECASE)
_OPERAND = re.compile(rf"<|(?=[^\s:]*:){_NAME}")
_BEFORE_GRAPH = frozenset({"prefix", "with", "using", "named", "graph", "into", "to", "copy", "move", "add", "silent"})
_BEFORE_NAME = frozenset({"graph", "from", "named", "describe"})


class _Gaps:
    """The gaps of a text: where white space and comments that begin at a place end; each comment is read once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start, self._line_end = 0, -1  # the line that was looked at last
        self._after_line: dict[int, int] = {}

    def end(self, place: int) -> int:
        """Return the place of the first character after *place* that is neither white space nor in a comment."""
        passed = []
        place = self._space(place)
        while self._text.startswith("#", place):
            line_end = self._end_of_line(place)
            if line_end in self._after_line:
                place = self._after_line[line_end]
                break
            passed.append(line_end)
            place = self._space(line_end)
        self._after_line.update(dict.fromkeys(passed, place))
        return place

    def _space(self, place: int) -> int:
        match = _SPACE.match(self._text, place)
        return match.end() if match else place

    def _end_of_line(self, place: int) -> int:
        if not self._start <= place <= self._line_end:
            match = _LINE.search(self._text, place)
            self._start, self._line_end = place, match.start() if match else len(self._text)
        return self._line_end


def _candidates(query: str) -> list[int]:
    gaps = _Gaps(query)
    return [match.start() for match in _WORD.finditer(query) if _opens(query, gaps, match)]


def _opens(query: str, gaps: _Gaps, word: re.Match[str]) -> bool:
    """Return whether an address and a brace follow the letters *service*."""
    place = gaps.end(word.end())
    if ":" in word["rest"] and query.startswith("{", place):
        return True
    if silent := _SILENT.match(query, place):
        beyond = gaps.end(silent.end())
        if _braced(query, gaps, beyond):
            return True
    return _braced(query, gaps, place)


def _braced(query: str, gaps: _Gaps, place: int) -> bool:
    target = _TARGET.match(query, place)
    return target is not None and query.startswith("{", gaps.end(target.end()))


def _doubtful(tokens: list[Token]) -> bool:
    """Return whether some ``<`` may be an operator as well as the start of an IRI, which would shift all that follows."""
    return any(token.kind == "iri" and not _SURE.match(token.text) for token in tokens)


def _harmless(place: int, tokens: list[Token]) -> bool:
    index = bisect_right(tokens, place, key=lambda token: token.start) - 1
    token = tokens[index]
    if token.kind in {"gap", "string", "iri", "variable", "tag", "blank"}:
        return True
    if token.kind != "name":
        return False
    if ":" in token.text[: place - token.start]:
        return True
    before = next((t for t in reversed(tokens[:index]) if t.kind != "gap"), None)
    return before is not None and before.kind == "word" and before.text.lower() in _BEFORE_NAME


def uses_service(query: str) -> bool:
    """Return whether *query* may hold a SERVICE clause; in doubt, yes.

    >>> uses_service("SELECT * { SERVICE <http://example.org/> { ?s ?p ?o } }")
    True
    >>> uses_service("SELECT * { ?service a <http://example.org/SERVICE> } # SERVICE <x> {")
    False
    """
    places = _candidates(query)
    if not places:
        return False
    tokens = tokenize(query, with_gaps=True)
    return _doubtful(tokens) or not all(_harmless(place, tokens) for place in places)


def has_load(update: str) -> bool:
    """Return whether *update* may hold a LOAD operation; in doubt, True.

    The engine takes ``LOAD<x>``, ``LOADSILENT<x>`` and ``LOAD:x`` too. Source: https://www.w3.org/TR/sparql11-update/#load

    >>> has_load("CLEAR ALL; LOAD SILENT <http://example.org/> INTO GRAPH <http://example.org/g>")
    True
    >>> has_load("INSERT DATA { <urn:s> <urn:p> '; LOAD <urn:x>' } # LOAD <urn:x>")
    False
    """
    gaps = _Gaps(update)
    places = {match.start() for match in _LOAD.finditer(update) if _may_load(update, gaps, match.start())}
    if not places:
        return False
    tokens = tokenize(update, with_gaps=True)
    if any(item.kind == "iri" and not _SURE.match(item.text) and ("'" in item.text or "#" in item.text) for item in tokens):
        return True  # it may be the operator <, and what follows is then cut wrongly
    return _begins_operation(places, tokens)


def _may_load(update: str, gaps: _Gaps, place: int) -> bool:
    """Return whether an operation may begin at the letters *load*, and an operand follows them."""
    before = place
    while before and update[before - 1].isspace() and update[before - 1] not in "\r\n":
        before -= 1
    if before and update[before - 1] not in ";>\r\n":
        return False
    after = gaps.end(place + len("load"))
    if _OPERAND.match(update, after):
        return True
    silent = _SILENT.match(update, after)
    return silent is not None and _OPERAND.match(update, gaps.end(silent.end())) is not None


def _begins_operation(places: set[int], tokens: list[Token]) -> bool:
    """Return whether a word or name outside of braces begins at one of *places* and is not a graph's name or a prefix."""
    depth, before = 0, ""
    for token in tokens:
        if token.kind == "other":
            depth += {"{": 1, "}": -1}.get(token.text, 0)
        named = token.kind == "name" and before in _BEFORE_GRAPH
        if token.start in places and depth <= 0 and token.kind in {"word", "name"} and not named:
            return True
        if token.kind != "gap":
            before = token.text.lower()
    return False
