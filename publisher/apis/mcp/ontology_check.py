"""Check the properties and classes of a SPARQL query against those that are defined or in use.

A misspelt property matches nothing, and an empty result looks like an answer. The scanner is linear
in the length of the query. It knows triples, paths, lists and blank nodes
(https://www.w3.org/TR/sparql11-query/#sparqlGrammar), and skips expressions, data and templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from publisher.errors import QueryError
from publisher.rdf.sparql_tokens import Token, line_and_column, tokenize
from publisher.sparql.examples import examples
from publisher.sparql.rewriting import PROPERTY
from publisher.store.descriptions import namespaces
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.terms import RDF

NEAREST = 3  # suggestions for an unknown term
_NEAR = 0.6  # similarity by difflib's measure
_TERMS = frozenset({"iri", "variable", "blank", "name", "string", "number"})
_CLOSING = ("}", ")", "]")
_BUILT_IN = frozenset({PROPERTY, f"{RDF}type", f"{RDF}first", f"{RDF}rest"})


class UnknownTerm(QueryError):
    """The query uses a property or class that is not defined and not in use; the message names the
    nearest ones.
    """


@dataclass(frozen=True, slots=True)
class UsedTerms:
    """The IRIs that a query uses as *properties* and as *classes*, each with its first token."""

    properties: Mapping[str, Token]
    classes: Mapping[str, Token]


@dataclass(slots=True)
class _Level:
    """A pair of braces or brackets: *kind* is ``group``, ``node`` (a blank node's properties) or
    ``skip``; *state* what comes next.
    """

    kind: str
    state: str = "subject"
    is_type: bool = False
    skip_next: bool = False  # the next opening bracket or brace encloses no pattern


@dataclass(slots=True)
class _Scanner:
    tokens: list[Token]
    base: str
    prefixes: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Token] = field(default_factory=dict)
    classes: dict[str, Token] = field(default_factory=dict)
    levels: list[_Level] = field(default_factory=lambda: [_Level("skip")])
    index: int = 0

    def scan(self) -> UsedTerms:
        while self.index < len(self.tokens):
            token = self.tokens[self.index]
            level = self.levels[-1]
            if token.kind == "other" and token.text in ("{", "(", "[", *_CLOSING):
                self._bracket(token, level)
            elif token.word() in ("PREFIX", "BASE"):
                self._declaration(token)
            elif level.kind == "skip":
                self._outside(token, level)
            else:
                self._inside(token, level)
            self.index += 1
        return UsedTerms(self.properties, self.classes)

    def _bracket(self, token: Token, level: _Level) -> None:
        if token.text in _CLOSING:
            self._close()
        elif level.kind != "skip" and level.state == "verb" and token.text == "(":
            self._path(level)
        elif token.text == "{":
            self.levels.append(_Level("skip" if level.skip_next else "group"))
            level.skip_next = False
        elif token.text == "[" and level.kind != "skip":
            self.levels.append(_Level("node", "verb"))
        else:
            self.levels.append(_Level("skip"))

    def _close(self) -> None:
        if len(self.levels) > 1:
            closed = self.levels.pop()
            level = self.levels[-1]
            if closed.kind == "group" or level.skip_next:
                level.state, level.skip_next = "subject", False
            elif level.kind != "skip" and self.tokens[self.index].text != "}":
                level.state = "verb" if level.state == "subject" else "after"

    def _declaration(self, token: Token) -> None:
        following = self.tokens[self.index + 1 : self.index + 3]
        if token.word() == "BASE" and following:
            self.base, self.index = following[0].text[1:-1], self.index + 1
        elif len(following) == 2:
            self.prefixes[following[0].text.partition(":")[0]] = following[1].text[1:-1]
            self.index += 2

    def _outside(self, token: Token, level: _Level) -> None:
        """Pass a token of a SELECT clause, of an expression or of data; braces after CONSTRUCT and
        VALUES enclose no pattern.
        """
        if token.word() in ("CONSTRUCT", "VALUES"):
            level.skip_next = True
        elif token.word() == "WHERE":
            level.skip_next = False

    def _inside(self, token: Token, level: _Level) -> None:
        word = token.word()
        if word == "SELECT":
            level.kind = "skip"
        elif word in ("FILTER", "BIND"):
            self._expression(level)
        elif word == "VALUES":
            self._data()
        elif word in ("GRAPH", "SERVICE"):
            level.state = "subject"
            self.index = self.index + (2 if self._word(1) == "SILENT" else 1)
        elif token.text == "." and token.kind == "other":
            level.state = "subject"
        elif token.text == ";":
            level.state = "verb"
        elif token.text == ",":
            level.state = "object"
        elif level.state == "verb":
            self._path(level)
        elif token.kind in _TERMS or word in ("TRUE", "FALSE"):
            self._term(token, level)

    def _word(self, distance: int) -> str:
        index = self.index + distance
        return self.tokens[index].word() if index < len(self.tokens) else ""

    def _expression(self, level: _Level) -> None:
        """Skip a constraint up to its bracket; the group of EXISTS is a pattern."""
        level.state = "subject"
        if self._word(1) in ("NOT", "EXISTS"):
            self.index += 2 if self._word(1) == "NOT" else 1
            return
        while self.index + 1 < len(self.tokens) and self.tokens[self.index + 1].text not in (
            "(",
            "{",
            "}",
        ):
            self.index += 1
        level.skip_next = True  # until its bracket is closed

    def _data(self) -> None:
        """Skip the variables of VALUES and its rows."""
        while self.index + 1 < len(self.tokens) and (
            self.tokens[self.index].text != "}" or self.tokens[self.index].kind == "string"
        ):
            self.index += 1
        self.levels[-1].state = "subject"

    def _path(self, level: _Level) -> None:
        """Read a property or a path, and record its properties."""
        depth, level.is_type = 0, self.tokens[self.index].text == "a"
        while self.index < len(self.tokens):
            token = self.tokens[self.index]
            if token.kind == "other" and token.text in ("(", ")"):
                depth += 1 if token.text == "(" else -1
            elif token.kind in ("iri", "name"):
                iri = self._expand(token)
                self.properties.setdefault(iri, token)
                level.is_type = iri == f"{RDF}type"
            if not self._path_continues(token, depth):
                break
            self.index += 1
        level.state = "object"

    def _path_continues(self, token: Token, depth: int) -> bool:
        following = self.tokens[self.index + 1].text if self.index + 1 < len(self.tokens) else "}"
        return following != "}" and (
            depth > 0
            or token.text in ("^", "!", "/", "|")
            or following in ("/", "|", "*", "+", "?")
        )

    def _term(self, token: Token, level: _Level) -> None:
        if level.state == "subject":
            level.state = "verb"
        elif level.state == "object":
            if level.is_type and token.kind in ("iri", "name"):
                self.classes.setdefault(self._expand(token), token)
            level.state = "after"

    def _expand(self, token: Token) -> str:
        if token.kind == "iri":
            iri = token.text[1:-1]
            return iri if ":" in iri else self.base + iri
        prefix, _, local = token.text.partition(":")
        return self.prefixes.get(prefix, f"{prefix}:") + local.replace("\\", "")


def used_terms(text: str, base: str) -> UsedTerms:
    """Return the properties and classes of the query *text*, whose relative IRIs are resolved
    against *base*.

    >>> terms = used_terms("PREFIX x: <http://x/> SELECT * { ?s a x:C ; x:p/^x:q [ x:r ?o ] FILTER EXISTS { ?o <http://x/t> 1 } }", "")
    >>> sorted(terms.properties), sorted(terms.classes)
    (['http://x/p', 'http://x/q', 'http://x/r', 'http://x/t'], ['http://x/C'])
    """
    return _Scanner(tokenize(text), base).scan()


async def check_terms(service: QueryService, text: str) -> UsedTerms:
    """Return the terms of the query *text*. Raises UnknownTerm if a property or class is not
    defined, not in use and in no example.
    """
    terms = used_terms(text, service.iris.base)
    known: dict[str, set[str]] = {"properties": set(_BUILT_IN), "classes": set()}
    for row in await service.rows(query("completions")):
        known.setdefault(row["kind"].value, set()).add(row["iri"].value)
    if not (
        terms.properties.keys() <= known["properties"] and terms.classes.keys() <= known["classes"]
    ):
        # which may be about what no registry has yet, such as prizes
        for example in examples(service.iris):
            terms_of_example = used_terms(example.text, service.iris.base)
            known["properties"] |= terms_of_example.properties.keys()
            known["classes"] |= terms_of_example.classes.keys()
    spaces = namespaces(service.iris)
    for kind, used in (("property", terms.properties), ("class", terms.classes)):
        candidates = known["properties" if kind == "property" else "classes"]
        for iri, token in used.items():
            if iri not in candidates:
                line, column = line_and_column(text, token.start)
                raise UnknownTerm(
                    f"unknown {kind} {token.text} (line {line}, column {column}); nearest: {', '.join(_nearest(iri, candidates, spaces))}"
                )
    return terms


def _nearest(iri: str, candidates: Iterable[str], spaces: Mapping[str, str]) -> list[str]:
    """Return the names of the candidates that are spelt most like *iri*, by their local names
    first.
    """
    by_name: dict[str, list[str]] = {}
    for candidate in sorted(candidates):
        by_name.setdefault(_local(candidate).casefold(), []).append(candidate)
    names = get_close_matches(_local(iri).casefold(), by_name, NEAREST, _NEAR)
    near = [candidate for name in names for candidate in by_name[name]][:NEAREST]
    near = near or get_close_matches(iri, sorted(candidates), NEAREST, 0.0)
    return [_short(candidate, spaces) for candidate in near]


def _local(iri: str) -> str:
    return iri.rstrip("/#").rpartition("#")[2].rpartition("/")[2].rpartition(":")[2]


def _short(iri: str, spaces: Mapping[str, str]) -> str:
    names = (
        f"{prefix}:{iri.removeprefix(space)} <{iri}>"
        for prefix, space in spaces.items()
        if iri.startswith(space)
    )
    return next(names, f"<{iri}>")
