"""A cursor over the tokens of a query, with the namespaces of its prefixes."""

from __future__ import annotations

from dataclasses import dataclass

from publisher.errors import QuerySyntaxError
from publisher.rdf.sparql_tokens import Token, syntax_error, tokenize

SPACE = "http://jena.apache.org/text#"
PROPERTY = f"{SPACE}query"
MAX_DEPTH = 100  # nested braces and brackets


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


class PatternCursor:
    """A cursor over the tokens of *query*; *calls* are the searches found so far."""

    def __init__(self, query: str) -> None:
        self.query, self.tokens, self.index, self.depth = query, tokenize(query), 0, 0
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

    def expect(self, text: str) -> Token:
        """Consume the bracket or brace *text*. Raises QuerySyntaxError if the next token is another
        one.
        """
        token = self.advance()
        if token.kind != "other" or token.text != text:
            raise self.error(token, f"expected {text}")
        return token

    def error(self, token: Token, reason: str) -> QuerySyntaxError:
        """Return an error that points to *token*."""
        return syntax_error(self.query, token.start, reason)

    def enter_nesting(self, token: Token) -> None:
        """Count an opening brace or bracket. Raises QuerySyntaxError above MAX_DEPTH."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(token, f"a query with text:query may nest at most {MAX_DEPTH} levels")

    def is_search_property(self, token: Token) -> bool:
        """Return whether *token* names the search property."""
        if token.kind == "iri":
            return token.text == f"<{PROPERTY}>"
        prefix, _, local = token.text.partition(":")
        return token.kind == "name" and self.prefixes.get(prefix, "") + local == PROPERTY
