"""Check the properties and classes of a SPARQL query against those that are defined or in use.

A misspelt property matches nothing, and an empty result looks like an answer. The scanner is linear
in the length of the query. It knows triples, paths, lists and blank nodes
(https://www.w3.org/TR/sparql11-query/#sparqlGrammar), and skips expressions, data and templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from publisher.data.properties import namespaces
from publisher.errors import QueryError
from publisher.sparql.examples import examples
from publisher.sparql.rewriting import PROPERTY
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import Token, line_and_column, tokenize
from vocab.terms import RDF

NEAREST = 3  # suggestions for an unknown term
_NEAR = 0.6  # similarity by difflib's measure
_TERMS = frozenset({"iri", "variable", "blank", "name", "string", "number"})
_BUILT_IN = frozenset({PROPERTY, f"{RDF}type", f"{RDF}first", f"{RDF}rest"})
# What comes after a keyword: in an expression or in data no brace or bracket encloses terms of
# triples, except the group of EXISTS; the name of a graph is no subject.
_AFTER = {
    "FILTER": "expression",
    "BIND": "expression",
    "VALUES": "data",
    "CONSTRUCT": "data",
    "WHERE": "subject",
    "GRAPH": "name",
    "SERVICE": "name",
}
_MARKS = {".": "subject", ";": "verb", ",": "object"}
# What comes after a term, or after a list or a blank node in its place.
_NEXT = {"name": "subject", "subject": "verb", "object": "after"}


class UnknownTerm(QueryError):
    """The query uses a property or class that is not defined and not in use; the message names the
    nearest ones.
    """


class UsedTerms(NamedTuple):
    """The IRIs that a query uses as *properties* and as *classes*, each with its first token."""

    properties: Mapping[str, Token]
    classes: Mapping[str, Token]


@dataclass(slots=True)
class _Level:
    """A pair of braces or brackets, in which triples may stand if it *is_pattern*; *state* is what
    comes next.
    """

    is_pattern: bool
    state: str = "subject"
    is_type: bool = False


def used_terms(text: str, base: str) -> UsedTerms:
    """Return the properties and classes of the query *text*, whose relative IRIs are resolved
    against *base*.

    >>> terms = used_terms("PREFIX x: <http://x/> SELECT * { ?s a x:C ; x:p/^x:q [ x:r ?o ] FILTER EXISTS { ?o <http://x/t> 1 } }", "")
    >>> sorted(terms.properties), sorted(terms.classes)
    (['http://x/p', 'http://x/q', 'http://x/r', 'http://x/t'], ['http://x/C'])
    """
    tokens, end = tokenize(text), Token("other", "", len(text))
    prefixes, properties, classes = dict[str, str](), dict[str, Token](), dict[str, Token]()
    levels = [_Level(False)]

    def expand(token: Token) -> str:
        if token.kind == "iri":
            iri = token.text[1:-1]
            return iri if ":" in iri else base + iri
        prefix, _, local = token.text.partition(":")
        return prefixes.get(prefix, f"{prefix}:") + local.replace("\\", "")

    for token, second, third in zip(
        tokens, [*tokens[1:], end], [*tokens[2:], end, end], strict=False
    ):
        level, word = levels[-1], token.word()
        sign = token.text if token.kind == "other" else ""
        in_path = level.is_pattern and level.state == "verb"
        if word == "PREFIX":
            prefixes[second.text.partition(":")[0]] = third.text[1:-1]
        elif word == "BASE":
            base = second.text[1:-1]
        elif sign == "{":
            levels.append(_Level(level.state != "data"))
        elif sign == "[":
            levels.append(_Level(level.is_pattern and level.state in _NEXT, "verb"))
        elif sign == "(" and not in_path:
            levels.append(_Level(False))
        elif (sign in ("}", "]") or (sign == ")" and not in_path)) and len(levels) > 1:
            levels.pop()
            outer = levels[-1]
            is_group = sign == "}" or outer.state == "expression"
            outer.state = "subject" if is_group else _NEXT.get(outer.state, outer.state)
        elif word == "SELECT":
            level.is_pattern = False
        elif word in _AFTER:
            level.state = _AFTER[word]
        elif not level.is_pattern or level.state in ("data", "expression"):
            continue
        elif sign in _MARKS:
            level.state = _MARKS[sign]
        elif in_path:
            is_name = token.kind in ("iri", "name")
            if is_name:
                properties.setdefault(expand(token), token)
            level.is_type = word == "A" or (is_name and expand(token) == f"{RDF}type")
            if sign not in ("^", "!", "/", "|", "(") and second.text not in (
                "/",
                "|",
                "*",
                "+",
                "?",
                ")",
            ):
                level.state = "object"
        elif token.kind in _TERMS or word in ("TRUE", "FALSE"):
            if level.state == "object" and level.is_type and token.kind in ("iri", "name"):
                classes.setdefault(expand(token), token)
            level.state = _NEXT.get(level.state, level.state)
    return UsedTerms(properties, classes)


async def check_terms(service: QueryService, text: str) -> UsedTerms:
    """Return the terms of the query *text*. Raises UnknownTerm if a property or class is not
    defined, not in use and in no example.
    """
    terms = used_terms(text, service.iris.base)
    known: dict[str, set[str]] = {"properties": set(_BUILT_IN), "classes": set()}
    for row in await service.rows(query("completions")):
        known.setdefault(row["kind"].value, set()).add(row["iri"].value)
    if any(used.keys() - known[name] for name, used in terms._asdict().items()):
        # which may be about what no registry has yet, such as prizes
        for example in examples(service.iris):
            for name, used in used_terms(example.text, service.iris.base)._asdict().items():
                known[name] |= used.keys()
    spaces = namespaces(service.iris)
    for name, kind in (("properties", "property"), ("classes", "class")):
        candidates = known[name]
        for iri, token in getattr(terms, name).items():
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
