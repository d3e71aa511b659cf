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
    semicolons: list[Token] = field(default_factory=list)  # the semicolons behind the part of their number
    parts_before: list[int] = field(default_factory=list)  # how many parts stood before each semicolon


def find_search_calls(query: str) -> tuple[list[SearchCall], dict[str, str]]:
    """Find the searches in *query*, and give its prefixes.

    Raises QuerySyntaxError with the position of a search that cannot be evaluated.
    """
    walk = PatternCursor(query)
    _parse_prologue(walk)
    template = False
    while walk.current.kind != "end":
        token = walk.advance()
        if token.word() == "CONSTRUCT":
            template = True
        elif token.text == "{":
            if template:
                _skip_balanced(walk, token)
                template = False
            else:
                _parse_group(walk, token)
        elif token.word() == "WHERE" and template:
            _skip_template(walk)
            template = False
        elif token.text in ("(", "["):
            _skip_balanced(walk, token)
        elif token.word() == "VALUES":
            _skip_values(walk)
    return walk.calls, walk.prefixes


def _parse_prologue(walk: PatternCursor) -> None:
    while walk.current.word() in ("PREFIX", "BASE"):
        if walk.advance().word() == "PREFIX":
            name = walk.advance()
            walk.prefixes[name.text.partition(":")[0]] = walk.current.text[1:-1]
        walk.advance()


def _skip_template(walk: PatternCursor) -> None:
    """Pass the pattern of CONSTRUCT WHERE, which is its template at once."""
    if walk.current.text == "{":
        _skip_balanced(walk, walk.advance())


def _skip_balanced(walk: PatternCursor, opening: Token) -> None:
    """Pass all up to the closing brace or bracket; groups are looked into where EXISTS opens them, searches are refused."""
    walk.enter_nesting(opening)
    before = opening
    while (token := walk.advance()).text != _CLOSING[opening.text] or token.kind == "string":
        if token.kind == "end":
            raise walk.error(opening, f"{opening.text} is not closed")
        if walk.is_search_property(token):
            raise walk.error(token, 'text:query is used where nothing can be searched; write ?thing text:query "words" in a pattern')
        if token.kind == "other" and token.text in _CLOSING:
            if token.text == "{" and before.word() == "EXISTS":
                _parse_group(walk, token)
            else:
                _skip_balanced(walk, token)
        before = token
    walk.depth -= 1


def _skip_values(walk: PatternCursor) -> None:
    """Pass what follows VALUES."""
    if walk.current.text == "(":
        _skip_balanced(walk, walk.advance())
    else:
        walk.advance()
    if walk.current.text == "{":
        _skip_balanced(walk, walk.advance())


def _parse_group(walk: PatternCursor, opening: Token) -> None:
    """Walk through a group graph pattern up to its closing brace."""
    walk.enter_nesting(opening)
    if walk.current.word() == "SELECT":
        _parse_select(walk, opening)
        walk.depth -= 1
        return
    start: int | None = None  # where the basic graph pattern began that goes on here
    while (token := walk.current).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise walk.error(opening, "{ is not closed")
        if token.kind in _TERMS or token.text in ("(", "[", "-", "+") or token.word() in ("TRUE", "FALSE"):
            start = token.start if start is None else start
            _parse_statement(walk, start)
            continue
        walk.advance()
        if token.word() in _NEW_PATTERN or token.text == "{":
            start = None
        _parse_other(walk, token)
    walk.advance()
    walk.depth -= 1


def _parse_other(walk: PatternCursor, token: Token) -> None:
    """Pass a part of a group that is no statement."""
    match token.word():
        case "VALUES":
            _skip_values(walk)
        case "GRAPH":
            walk.advance()
        case "BIND":
            _skip_balanced(walk, walk.expect("("))
        case "FILTER":
            _parse_filter(walk)
        case _ if token.text == "{":
            _parse_group(walk, token)
        case "" if token.text != ".":
            raise walk.error(token, f"{token.text} is not understood in a query that asks for texts")


def _parse_filter(walk: PatternCursor) -> None:
    """Pass a constraint: in brackets, a call, or (NOT) EXISTS with its group."""
    token = walk.advance()
    if token.word() == "NOT":
        token = walk.advance()
    if token.word() == "EXISTS":
        _parse_group(walk, walk.expect("{"))
    elif token.text == "(":
        _skip_balanced(walk, token)
    elif walk.current.text == "(":
        _skip_balanced(walk, walk.advance())


def _parse_select(walk: PatternCursor, opening: Token) -> None:
    """Walk through a subquery up to the brace that closes it."""
    while (token := walk.advance()).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise walk.error(opening, "{ is not closed")
        if token.word() == "VALUES":
            _skip_values(walk)
        elif token.text == "{" and token.kind == "other":
            _parse_group(walk, token)
        elif token.kind == "other" and token.text in ("(", "["):
            _skip_balanced(walk, token)


def _parse_term(walk: PatternCursor) -> tuple[Token, ...]:
    """Take one term: a name, a literal with its tag or type, a list or a blank node's properties."""
    first = walk.current
    if first.text in ("(", "[") and first.kind == "other":
        begin = walk.index
        walk.advance()
        _skip_balanced(walk, first)
        return tuple(walk.tokens[begin : walk.index])
    begin = walk.index
    if walk.current.text in ("-", "+"):
        walk.advance()
    if walk.current.kind not in _TERMS and walk.current.word() not in ("TRUE", "FALSE"):
        raise walk.error(walk.current, "a term is expected")
    walk.advance()
    if walk.current.kind == "tag":
        walk.advance()
    elif walk.current.text == "^^":
        walk.advance()
        walk.advance()
    return tuple(walk.tokens[begin : walk.index])


def _parse_statement(walk: PatternCursor, start: int) -> None:
    """Walk through a subject with its properties and objects; *start* is where its basic graph pattern begins."""
    statement = _Statement(_parse_term(walk))
    while True:
        while walk.current.text == ";":
            statement.semicolons.append(walk.advance())
            statement.parts_before.append(len(statement.parts))
        if not _verb_follows(walk.current):
            break
        _parse_part(walk, statement)
        if walk.current.text != ";":
            break
    end = walk.tokens[walk.index - 1].end
    if walk.current.text == "." and walk.current.kind == "other":
        end = walk.advance().end
    walk.calls += _search_calls(walk, statement, start, end)


def _verb_follows(token: Token) -> bool:
    return token.kind in ("iri", "name", "variable") or token.text in ("^", "!", "(") or token.text == "a"


def _parse_part(walk: PatternCursor, statement: _Statement) -> None:
    """Take a property or a path, and its objects."""
    verb, path = walk.current, _parse_path(walk)
    search = path == 1 and walk.is_search_property(verb)
    begin = walk.index
    _parse_term(walk)
    while walk.current.text == ",":
        if search:
            raise walk.error(walk.current, "text:query takes one search; write it again for another")
        walk.advance()
        _parse_term(walk)
    statement.parts.append((verb, tuple(walk.tokens[begin : walk.index]), walk.tokens[walk.index - 1].end, search))


def _parse_path(walk: PatternCursor) -> int:
    """Take a property path; return the number of its tokens."""
    begin = walk.index
    while True:
        while walk.current.text in ("^", "!"):
            walk.advance()
        token = walk.advance()
        if token.text == "(":
            _skip_balanced(walk, token)
        while walk.current.kind == "other" and walk.current.text in ("*", "+", "?"):
            walk.advance()
        if walk.current.text not in ("/", "|"):
            break
        walk.advance()
    if walk.index - begin > 1 and any(walk.is_search_property(token) for token in walk.tokens[begin : walk.index]):
        raise walk.error(walk.tokens[begin], "text:query is no part of a path")
    return walk.index - begin


def _search_calls(walk: PatternCursor, statement: _Statement, start: int, end: int) -> Iterator[SearchCall]:
    """Yield the searches of a statement, each with what is to be taken out for it."""
    wanted = [place for place, part in enumerate(statement.parts) if part[3]]
    if not wanted:
        return
    whole = len(wanted) == len(statement.parts)
    first = next((place for place, part in enumerate(statement.parts) if not part[3]), 0)
    early = [(mark.start, mark.end) for mark, after in zip(statement.semicolons, statement.parts_before, strict=True) if after <= first]
    for place in wanted:
        verb, asked, last, _ = statement.parts[place]
        if not whole and len(statement.subject) > 1:
            raise walk.error(statement.subject[0], "a list with a score has no property but text:query; write the others apart")
        gaps = ((statement.subject[0].start, end),) if whole else ((verb.start, last), *early)
        yield SearchCall(statement.subject, asked, verb, start, gaps)
