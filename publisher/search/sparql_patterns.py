"""Sites: where a query asks for texts, found by the grammar of its patterns and no further.

A walk through the tokens that knows groups, statements, lists and expressions. What it does not know for sure it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from publisher.rdf.sparql_tokens import Token
from publisher.search.pattern_cursor import PatternCursor, SearchCall

_TERMS = frozenset({"iri", "variable", "blank", "name", "string", "number"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NEW_PATTERN = frozenset({"OPTIONAL", "MINUS", "UNION", "GRAPH", "SERVICE", "BIND", "VALUES"})


@dataclass(slots=True)
class _Statement:
    """A subject and what is said of it: the places of each part's verb and end, and the semicolons between."""

    subject: tuple[Token, ...]
    parts: list[tuple[Token, tuple[Token, ...], int, bool]] = field(default_factory=list)  # verb, object, end, whether a search
    marks: list[Token] = field(default_factory=list)  # the semicolons behind the part of their number
    after: list[int] = field(default_factory=list)  # how many parts stood before each semicolon


def find_search_calls(query: str) -> tuple[list[SearchCall], dict[str, str]]:
    """Find the searches in *query*, and give its prefixes.

    Raises QuerySyntaxError with the place where a search stands that cannot be put in.
    """
    walk = PatternCursor(query)
    _prologue(walk)
    template = False
    while walk.here.kind != "end":
        token = walk.take()
        if token.word() == "CONSTRUCT":
            template = True
        elif token.text == "{":
            if template:
                _closed(walk, token)
                template = False
            else:
                _group(walk, token)
        elif token.word() == "WHERE" and template:
            _short(walk)
            template = False
        elif token.text in ("(", "["):
            _closed(walk, token)
        elif token.word() == "VALUES":
            _data(walk)
    return walk.found, walk.prefixes


def _prologue(walk: PatternCursor) -> None:
    while walk.here.word() in ("PREFIX", "BASE"):
        if walk.take().word() == "PREFIX":
            name = walk.take()
            walk.prefixes[name.text.partition(":")[0]] = walk.here.text[1:-1]
        walk.take()


def _short(walk: PatternCursor) -> None:
    """Pass the pattern of CONSTRUCT WHERE, which is its template at once."""
    if walk.here.text == "{":
        _closed(walk, walk.take())


def _closed(walk: PatternCursor, opening: Token) -> None:
    """Pass all up to the closing brace or bracket; groups are looked into where EXISTS opens them, searches are refused."""
    walk.deeper(opening)
    before = opening
    while (token := walk.take()).text != _CLOSING[opening.text] or token.kind == "string":
        if token.kind == "end":
            raise walk.refuse(opening, f"{opening.text} is not closed")
        if walk.searches(token):
            raise walk.refuse(token, 'text:query stands where nothing is searched; write ?thing text:query "words" in a pattern')
        if token.kind == "other" and token.text in _CLOSING:
            if token.text == "{" and before.word() == "EXISTS":
                _group(walk, token)
            else:
                _closed(walk, token)
        before = token
    walk.depth -= 1


def _data(walk: PatternCursor) -> None:
    """Pass what follows VALUES."""
    if walk.here.text == "(":
        _closed(walk, walk.take())
    else:
        walk.take()
    if walk.here.text == "{":
        _closed(walk, walk.take())


def _group(walk: PatternCursor, opening: Token) -> None:
    """Walk through a group graph pattern up to its closing brace."""
    walk.deeper(opening)
    if walk.here.word() == "SELECT":
        _select(walk, opening)
        walk.depth -= 1
        return
    start: int | None = None  # where the basic graph pattern began that goes on here
    while (token := walk.here).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise walk.refuse(opening, "{ is not closed")
        if token.kind in _TERMS or token.text in ("(", "[", "-", "+") or token.word() in ("TRUE", "FALSE"):
            start = token.start if start is None else start
            _statement(walk, start)
            continue
        walk.take()
        if token.word() in _NEW_PATTERN or token.text == "{":
            start = None
        _other(walk, token)
    walk.take()
    walk.depth -= 1


def _other(walk: PatternCursor, token: Token) -> None:
    """Pass a part of a group that is no statement."""
    match token.word():
        case "VALUES":
            _data(walk)
        case "GRAPH":
            walk.take()
        case "BIND":
            _closed(walk, walk.opening("("))
        case "FILTER":
            _filter(walk)
        case _ if token.text == "{":
            _group(walk, token)
        case "" if token.text != ".":
            raise walk.refuse(token, f"{token.text} is not understood in a query that asks for texts")


def _filter(walk: PatternCursor) -> None:
    """Pass a constraint: in brackets, a call, or (NOT) EXISTS with its group."""
    token = walk.take()
    if token.word() == "NOT":
        token = walk.take()
    if token.word() == "EXISTS":
        _group(walk, walk.opening("{"))
    elif token.text == "(":
        _closed(walk, token)
    elif walk.here.text == "(":
        _closed(walk, walk.take())


def _select(walk: PatternCursor, opening: Token) -> None:
    """Walk through a subquery up to the brace that closes it."""
    while (token := walk.take()).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise walk.refuse(opening, "{ is not closed")
        if token.word() == "VALUES":
            _data(walk)
        elif token.text == "{" and token.kind == "other":
            _group(walk, token)
        elif token.kind == "other" and token.text in ("(", "["):
            _closed(walk, token)


def _term(walk: PatternCursor) -> tuple[Token, ...]:
    """Take one term: a name, a literal with its tag or type, a list or a blank node's properties."""
    first = walk.here
    if first.text in ("(", "[") and first.kind == "other":
        begin = walk.at
        walk.take()
        _closed(walk, first)
        return tuple(walk.all[begin : walk.at])
    begin = walk.at
    if walk.here.text in ("-", "+"):
        walk.take()
    if walk.here.kind not in _TERMS and walk.here.word() not in ("TRUE", "FALSE"):
        raise walk.refuse(walk.here, "a term is expected")
    walk.take()
    if walk.here.kind == "tag":
        walk.take()
    elif walk.here.text == "^^":
        walk.take()
        walk.take()
    return tuple(walk.all[begin : walk.at])


def _statement(walk: PatternCursor, start: int) -> None:
    """Walk through a subject with its properties and objects; *start* is where its basic graph pattern begins."""
    it = _Statement(_term(walk))
    while True:
        while walk.here.text == ";":
            it.marks.append(walk.take())
            it.after.append(len(it.parts))
        if not _verb_follows(walk.here):
            break
        _part(walk, it)
        if walk.here.text != ";":
            break
    end = walk.all[walk.at - 1].end
    if walk.here.text == "." and walk.here.kind == "other":
        end = walk.take().end
    walk.found += _found(walk, it, start, end)


def _verb_follows(token: Token) -> bool:
    return token.kind in ("iri", "name", "variable") or token.text in ("^", "!", "(") or token.text == "a"


def _part(walk: PatternCursor, it: _Statement) -> None:
    """Take a property or a path, and its objects."""
    verb, path = walk.here, _path(walk)
    search = path == 1 and walk.searches(verb)
    begin = walk.at
    _term(walk)
    while walk.here.text == ",":
        if search:
            raise walk.refuse(walk.here, "text:query takes one search; write it again for another")
        walk.take()
        _term(walk)
    it.parts.append((verb, tuple(walk.all[begin : walk.at]), walk.all[walk.at - 1].end, search))


def _path(walk: PatternCursor) -> int:
    """Take a property path; give the number of its tokens."""
    begin = walk.at
    while True:
        while walk.here.text in ("^", "!"):
            walk.take()
        token = walk.take()
        if token.text == "(":
            _closed(walk, token)
        while walk.here.kind == "other" and walk.here.text in ("*", "+", "?"):
            walk.take()
        if walk.here.text not in ("/", "|"):
            break
        walk.take()
    if walk.at - begin > 1 and any(walk.searches(token) for token in walk.all[begin : walk.at]):
        raise walk.refuse(walk.all[begin], "text:query is no part of a path")
    return walk.at - begin


def _found(walk: PatternCursor, it: _Statement, start: int, end: int) -> Iterator[SearchCall]:
    """Give the searches of a statement, each with what is to be taken out for it."""
    wanted = [place for place, part in enumerate(it.parts) if part[3]]
    if not wanted:
        return
    whole = len(wanted) == len(it.parts)
    first = next((place for place, part in enumerate(it.parts) if not part[3]), 0)
    early = [(mark.start, mark.end) for mark, after in zip(it.marks, it.after, strict=True) if after <= first]
    for place in wanted:
        verb, asked, last, _ = it.parts[place]
        if not whole and len(it.subject) > 1:
            raise walk.refuse(it.subject[0], "a list with a score has no property but text:query; write the others apart")
        gaps = ((it.subject[0].start, end),) if whole else ((verb.start, last), *early)
        yield SearchCall(it.subject, asked, verb, start, gaps)
