"""A position in the tokens of a query, with the namespaces of its prefixes."""

from __future__ import annotations

from dataclasses import dataclass

from publisher.errors import QuerySyntaxError
from publisher.rdf.sparql_tokens import Token, syntax_error, tokenize

SPACE = "http://jena.apache.org/text#"
PROPERTY = f"{SPACE}query"
DEEPEST = 100  # braces and brackets within one another


@dataclass(frozen=True, slots=True)
class SearchCall:
    """One search in a query.

    *subject* and *asked* are its tokens left and right of the property, *place* is where bindings are to be put, and *gaps* are
    the places (start, end) of what is to be taken out.
    """

    subject: tuple[Token, ...]
    argument: tuple[Token, ...]
    verb: Token
    offset: int
    removals: tuple[tuple[int, int], ...]


class PatternCursor:
    """A place in the tokens of a query."""

    def __init__(self, query: str) -> None:
        self.query, self.tokens, self.index, self.depth = query, tokenize(query), 0, 0
        self.prefixes: dict[str, str] = {}
        self.calls: list[SearchCall] = []

    @property
    def current(self) -> Token:
        """Return the next token; behind the last there is one of the kind ``end``."""
        return self.tokens[self.index] if self.index < len(self.tokens) else Token("end", "", len(self.query))

    def advance(self) -> Token:
        """Return the next token and go on."""
        token = self.current
        self.index += 1
        return token

    def expect(self, text: str) -> Token:
        """Take the bracket or brace *text*; raise QuerySyntaxError if there is another token."""
        token = self.advance()
        if token.kind != "other" or token.text != text:
            raise self.error(token, f"{text} is expected")
        return token

    def error(self, token: Token, why: str) -> QuerySyntaxError:
        """Make the error that points to *token*."""
        return syntax_error(self.query, token.start, why)

    def enter_nesting(self, token: Token) -> None:
        """Count one more brace or bracket that is open."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(token, f"a query that asks for texts nests at most {DEEPEST} deep")

    def is_search_property(self, token: Token) -> bool:
        """Return whether *token* names the property that searches."""
        if token.kind == "iri":
            return token.text == f"<{PROPERTY}>"
        prefix, _, local = token.text.partition(":")
        return token.kind == "name" and self.prefixes.get(prefix, "") + local == PROPERTY
