"""Find the full-text searches at the top level of a query, by the grammar of its triples.

The parser knows triples, lists and paths, and skips what is in brackets. It rejects everything that
it does not know for sure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from publisher.errors import QuerySyntaxError
from publisher.rdf.sparql_tokens import Token, syntax_error, tokenize

SPACE = "http://jena.apache.org/text#"
PROPERTY = f"{SPACE}query"
_TERMS = frozenset({"iri", "variable", "blank", "name", "string", "number"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NESTED = (
    "text:query is answered only at the top level of the query's pattern, not within braces or brackets;"
    ' write ?thing text:query "words" there and join the rest by ?thing;'
    " OR and - within the words take the place of UNION and MINUS"
)


@dataclass(frozen=True, slots=True)
class SearchCall:
    """A full-text search in a query.

    *subject* and *argument* are its tokens left and right of the property *verb*. *offset* is where
    its bindings are inserted, and *removals* are the spans (start, end) to remove from the text.
    """

    subject: tuple[Token, ...]
    argument: tuple[Token, ...]
    verb: Token
    offset: int
    removals: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Statement:
    """A subject with its parts (a verb and its objects), and the semicolons between them."""

    subject: tuple[Token, ...]
    # verb, object, end, whether a search
    parts: list[tuple[Token, tuple[Token, ...], int, bool]] = field(default_factory=list)
    semicolons: list[Token] = field(default_factory=list)  # in text order
    parts_before: list[int] = field(default_factory=list)  # number of parts before each semicolon


class _Cursor:
    """A cursor over the tokens of *query*; *calls* are the searches found so far."""

    def __init__(self, query: str) -> None:
        self.query, self.tokens, self.index = query, tokenize(query), 0
        self.prefixes: dict[str, str] = {}
        self.calls: list[SearchCall] = []

    @property
    def current(self) -> Token:
        """Return the next token without consuming it; after the last there is one of the kind
        ``end``.
        """
        return (
            self.tokens[self.index]
            if self.index < len(self.tokens)
            else Token("end", "", len(self.query))
        )

    def advance(self) -> Token:
        """Consume and return the next token."""
        token = self.current
        self.index += 1
        return token

    def error(self, token: Token, reason: str) -> QuerySyntaxError:
        """Return an error that points to *token*."""
        return syntax_error(self.query, token.start, reason)

    def is_search_property(self, token: Token) -> bool:
        """Return whether *token* names the search property."""
        if token.kind == "iri":
            return token.text == f"<{PROPERTY}>"
        prefix, _, local = token.text.partition(":")
        return token.kind == "name" and self.prefixes.get(prefix, "") + local == PROPERTY


def find_search_calls(query: str) -> tuple[list[SearchCall], dict[str, str]]:
    """Return the searches in *query*, and its prefixes.

    Raises QuerySyntaxError with the position of a search that cannot be evaluated.
    """
    cursor = _Cursor(query)
    _parse_prologue(cursor)
    template = parsed = False
    while (token := cursor.advance()).kind != "end":
        if token.word() == "CONSTRUCT":
            template = True  # the pattern of CONSTRUCT WHERE is its template, too
        elif token.text == "{" and not (template or parsed):
            _parse_pattern(cursor, token)
            parsed = True
        elif token.text in _CLOSING:
            _skip(cursor, token)
            template = template and token.text != "{"
    return cursor.calls, cursor.prefixes


def _parse_prologue(cursor: _Cursor) -> None:
    while cursor.current.word() in ("PREFIX", "BASE"):
        if cursor.advance().word() == "PREFIX":
            name = cursor.advance()
            cursor.prefixes[name.text.partition(":")[0]] = cursor.current.text[1:-1]
        cursor.advance()


def _skip(cursor: _Cursor, opening: Token) -> None:
    """Skip up to the bracket that closes *opening*. Raises QuerySyntaxError at a search."""
    closing = [_CLOSING[opening.text]]
    while closing:
        token = cursor.advance()
        if token.kind == "end":
            raise cursor.error(opening, f"{opening.text} is not closed")
        if cursor.is_search_property(token):
            raise cursor.error(token, _NESTED)
        if token.text in _CLOSING:
            closing.append(_CLOSING[token.text])
        elif token.text == closing[-1]:
            closing.pop()


def _parse_pattern(cursor: _Cursor, opening: Token) -> None:
    """Parse the pattern of the query up to its closing brace."""
    if cursor.current.word() == "SELECT":
        _skip(cursor, opening)
        return
    start: int | None = None  # start of the current basic graph pattern
    while (token := cursor.current).text != "}":
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
        if token.text != ".":
            start = start if token.word() == "FILTER" else None
            _skip_part(cursor, token)
    cursor.advance()


def _skip_part(cursor: _Cursor, first: Token) -> None:
    """Skip a part of the pattern that is no triple: a keyword with what follows it, or a group."""
    last = ("(", "{") if first.word() in ("FILTER", "BIND") else ("{",)
    token = first
    while token.text not in last:
        if token.kind == "end" or not (first.word() or token.text in _CLOSING):
            raise cursor.error(first, f"{first.text} is not supported in a query with text:query")
        if token.text in _CLOSING:
            _skip(cursor, token)
        token = cursor.advance()
    _skip(cursor, token)


def _parse_term(cursor: _Cursor) -> tuple[Token, ...]:
    """Consume one term: a name, a literal with its tag or type, a list or the properties of a blank
    node.
    """
    first = cursor.current
    if first.text in ("(", "["):
        first_index = cursor.index
        cursor.advance()
        _skip(cursor, first)
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


def _parse_statement(cursor: _Cursor, start: int) -> None:
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
    if cursor.current.text == ".":
        end = cursor.advance().end
    cursor.calls += _search_calls(cursor, statement, start, end)


def _verb_follows(token: Token) -> bool:
    return (
        token.kind in ("iri", "name", "variable")
        or token.text in ("^", "!", "(")
        or token.text == "a"
    )


def _parse_part(cursor: _Cursor, statement: _Statement) -> None:
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


def _parse_path(cursor: _Cursor) -> int:
    """Consume a property path; return the number of its tokens."""
    first_index = cursor.index
    while True:
        while cursor.current.text in ("^", "!"):
            cursor.advance()
        token = cursor.advance()
        if token.text == "(":
            _skip(cursor, token)
        while cursor.current.text in ("*", "+", "?"):
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
    cursor: _Cursor, statement: _Statement, start: int, end: int
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
