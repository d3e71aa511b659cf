"""Find the full-text searches in a query by the grammar of its graph patterns.

The parser knows groups, triples, lists and expressions. It rejects everything that it does not know
for sure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from publisher.projections.search.pattern_cursor import PatternCursor, SearchCall
from publisher.rdf.sparql_tokens import Token

_TERMS = frozenset({"iri", "variable", "blank", "name", "string", "number"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NEW_PATTERN = frozenset({"OPTIONAL", "MINUS", "UNION", "GRAPH", "SERVICE", "BIND", "VALUES"})


@dataclass(slots=True)
class _Statement:
    """A subject with its parts (a verb and its objects), and the semicolons between them."""

    subject: tuple[Token, ...]
    # verb, object, end, whether a search
    parts: list[tuple[Token, tuple[Token, ...], int, bool]] = field(default_factory=list)
    semicolons: list[Token] = field(default_factory=list)  # in text order
    parts_before: list[int] = field(default_factory=list)  # number of parts before each semicolon


def find_search_calls(query: str) -> tuple[list[SearchCall], dict[str, str]]:
    """Return the searches in *query*, and its prefixes.

    Raises QuerySyntaxError with the position of a search that cannot be evaluated.
    """
    cursor = PatternCursor(query)
    _parse_prologue(cursor)
    template = False
    while cursor.current.kind != "end":
        token = cursor.advance()
        if token.word() == "CONSTRUCT":
            template = True
        elif token.text == "{":
            if template:
                _skip_balanced(cursor, token)
                template = False
            else:
                _parse_group(cursor, token)
        elif token.word() == "WHERE" and template:
            _skip_template(cursor)
            template = False
        elif token.text in ("(", "["):
            _skip_balanced(cursor, token)
        elif token.word() == "VALUES":
            _skip_values(cursor)
    return cursor.calls, cursor.prefixes


def _parse_prologue(cursor: PatternCursor) -> None:
    while cursor.current.word() in ("PREFIX", "BASE"):
        if cursor.advance().word() == "PREFIX":
            name = cursor.advance()
            cursor.prefixes[name.text.partition(":")[0]] = cursor.current.text[1:-1]
        cursor.advance()


def _skip_template(cursor: PatternCursor) -> None:
    """Skip the pattern of CONSTRUCT WHERE, which is also its template."""
    if cursor.current.text == "{":
        _skip_balanced(cursor, cursor.advance())


def _skip_balanced(cursor: PatternCursor, opening: Token) -> None:
    """Skip everything up to the closing brace or bracket, but parse groups of EXISTS. Raises
    QuerySyntaxError at a search.
    """
    cursor.enter_nesting(opening)
    before = opening
    while (token := cursor.advance()).text != _CLOSING[opening.text] or token.kind == "string":
        if token.kind == "end":
            raise cursor.error(opening, f"{opening.text} is not closed")
        if cursor.is_search_property(token):
            raise cursor.error(
                token,
                'text:query is not allowed here; write ?thing text:query "words" in a pattern',
            )
        if token.kind == "other" and token.text in _CLOSING:
            if token.text == "{" and before.word() == "EXISTS":
                _parse_group(cursor, token)
            else:
                _skip_balanced(cursor, token)
        before = token
    cursor.depth -= 1


def _skip_values(cursor: PatternCursor) -> None:
    """Skip the data of VALUES."""
    if cursor.current.text == "(":
        _skip_balanced(cursor, cursor.advance())
    else:
        cursor.advance()
    if cursor.current.text == "{":
        _skip_balanced(cursor, cursor.advance())


def _parse_group(cursor: PatternCursor, opening: Token) -> None:
    """Parse a group graph pattern up to its closing brace."""
    cursor.enter_nesting(opening)
    if cursor.current.word() == "SELECT":
        _parse_select(cursor, opening)
        cursor.depth -= 1
        return
    start: int | None = None  # start of the current basic graph pattern
    while (token := cursor.current).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise cursor.error(opening, "{ is not closed")
        if (
            token.kind in _TERMS
            or token.text in ("(", "[", "-", "+")
            or token.word() in ("TRUE", "FALSE")
        ):
            start = token.start if start is None else start
            _parse_statement(cursor, start)
            continue
        cursor.advance()
        if token.word() in _NEW_PATTERN or token.text == "{":
            start = None
        _parse_other(cursor, token)
    cursor.advance()
    cursor.depth -= 1


def _parse_other(cursor: PatternCursor, token: Token) -> None:
    """Skip a part of a group that is not a triple."""
    match token.word():
        case "VALUES":
            _skip_values(cursor)
        case "GRAPH":
            cursor.advance()
        case "BIND":
            _skip_balanced(cursor, cursor.expect("("))
        case "FILTER":
            _parse_filter(cursor)
        case _ if token.text == "{":
            _parse_group(cursor, token)
        case "" if token.text != ".":
            raise cursor.error(token, f"{token.text} is not supported in a query with text:query")


def _parse_filter(cursor: PatternCursor) -> None:
    """Skip a constraint: in brackets, a function call, or (NOT) EXISTS with its group."""
    token = cursor.advance()
    if token.word() == "NOT":
        token = cursor.advance()
    if token.word() == "EXISTS":
        _parse_group(cursor, cursor.expect("{"))
    elif token.text == "(":
        _skip_balanced(cursor, token)
    elif cursor.current.text == "(":
        _skip_balanced(cursor, cursor.advance())


def _parse_select(cursor: PatternCursor, opening: Token) -> None:
    """Parse a subquery up to its closing brace."""
    while (token := cursor.advance()).text != "}" or token.kind == "string":
        if token.kind == "end":
            raise cursor.error(opening, "{ is not closed")
        if token.word() == "VALUES":
            _skip_values(cursor)
        elif token.text == "{" and token.kind == "other":
            _parse_group(cursor, token)
        elif token.kind == "other" and token.text in ("(", "["):
            _skip_balanced(cursor, token)


def _parse_term(cursor: PatternCursor) -> tuple[Token, ...]:
    """Consume one term: a name, a literal with its tag or type, a list or the properties of a blank
    node.
    """
    first = cursor.current
    if first.text in ("(", "[") and first.kind == "other":
        first_index = cursor.index
        cursor.advance()
        _skip_balanced(cursor, first)
        return tuple(cursor.tokens[first_index : cursor.index])
    first_index = cursor.index
    if cursor.current.text in ("-", "+"):
        cursor.advance()
    if cursor.current.kind not in _TERMS and cursor.current.word() not in ("TRUE", "FALSE"):
        raise cursor.error(cursor.current, "expected a term")
    cursor.advance()
    if cursor.current.kind == "tag":
        cursor.advance()
    elif cursor.current.text == "^^":
        cursor.advance()
        cursor.advance()
    return tuple(cursor.tokens[first_index : cursor.index])


def _parse_statement(cursor: PatternCursor, start: int) -> None:
    """Parse a subject with its properties and objects; *start* is the start of its basic graph
    pattern.
    """
    statement = _Statement(_parse_term(cursor))
    while True:
        while cursor.current.text == ";":
            statement.semicolons.append(cursor.advance())
            statement.parts_before.append(len(statement.parts))
        if not _verb_follows(cursor.current):
            break
        _parse_part(cursor, statement)
        if cursor.current.text != ";":
            break
    end = cursor.tokens[cursor.index - 1].end
    if cursor.current.text == "." and cursor.current.kind == "other":
        end = cursor.advance().end
    cursor.calls += _search_calls(cursor, statement, start, end)


def _verb_follows(token: Token) -> bool:
    return (
        token.kind in ("iri", "name", "variable")
        or token.text in ("^", "!", "(")
        or token.text == "a"
    )


def _parse_part(cursor: PatternCursor, statement: _Statement) -> None:
    """Consume a property or a path, and its objects."""
    verb, path = cursor.current, _parse_path(cursor)
    search = path == 1 and cursor.is_search_property(verb)
    first_index = cursor.index
    _parse_term(cursor)
    while cursor.current.text == ",":
        if search:
            raise cursor.error(
                cursor.current, "text:query takes one search; repeat the property for another"
            )
        cursor.advance()
        _parse_term(cursor)
    statement.parts.append(
        (
            verb,
            tuple(cursor.tokens[first_index : cursor.index]),
            cursor.tokens[cursor.index - 1].end,
            search,
        )
    )


def _parse_path(cursor: PatternCursor) -> int:
    """Consume a property path; return the number of its tokens."""
    first_index = cursor.index
    while True:
        while cursor.current.text in ("^", "!"):
            cursor.advance()
        token = cursor.advance()
        if token.text == "(":
            _skip_balanced(cursor, token)
        while cursor.current.kind == "other" and cursor.current.text in ("*", "+", "?"):
            cursor.advance()
        if cursor.current.text not in ("/", "|"):
            break
        cursor.advance()
    if cursor.index - first_index > 1 and any(
        cursor.is_search_property(token) for token in cursor.tokens[first_index : cursor.index]
    ):
        raise cursor.error(cursor.tokens[first_index], "text:query cannot be part of a path")
    return cursor.index - first_index


def _search_calls(
    cursor: PatternCursor, statement: _Statement, start: int, end: int
) -> Iterator[SearchCall]:
    """Yield the searches of a statement, each with the spans to remove from the text."""
    searches = [index for index, part in enumerate(statement.parts) if part[3]]
    if not searches:
        return
    has_only_searches = len(searches) == len(statement.parts)
    first = next((index for index, part in enumerate(statement.parts) if not part[3]), 0)
    marks = zip(statement.semicolons, statement.parts_before, strict=True)
    semicolons = [(semicolon.start, semicolon.end) for semicolon, count in marks if count <= first]
    for index in searches:
        verb, argument, last, _ = statement.parts[index]
        if not has_only_searches and len(statement.subject) > 1:
            raise cursor.error(
                statement.subject[0],
                "a list with a score takes no property but text:query; write the others apart",
            )
        removals = (
            ((statement.subject[0].start, end),)
            if has_only_searches
            else ((verb.start, last), *semicolons)
        )
        yield SearchCall(statement.subject, argument, verb, start, removals)
