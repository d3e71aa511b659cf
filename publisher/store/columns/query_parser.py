"""Parse queries of SPARQL 1.1 to their algebra, with rdflib's parser.

Queries that differ only in their strings, IRIs, comments and white space are parsed once: the
algebra has placeholders, which are replaced by the constants of each query.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import NamedTuple

from pyparsing import ParserElement
from rdflib.paths import Path
from rdflib.plugins.sparql.algebra import translateQuery
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal, URIRef

from publisher.rdf.sparql_tokens import Token, string_value, tokenize
from publisher.store.columns.relations import NotCompiled

CACHED = 500  # shapes whose algebra is cached
_FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_ABSOLUTE = re.compile(r"<[A-Za-z][A-Za-z0-9+.-]*:[^<>]*>")
# what the placeholder of a string, an IRI or a local name begins with, before its number
_STRING, _IRI, _LOCAL = "\ue000", "urn:x-stocktake-iri-", "stocktake-name-"
_NAMED = re.compile(rf"{_LOCAL}([0-9]+)$")


def _load_grammar() -> ParserElement:
    """Return rdflib's grammar of a query without comments; tabs in strings stay tabs. Looking for a
    comment before each token would take four tenths of the time of parsing.

    The module is loaded a second time, so that rdflib's own queries may have comments.
    """
    spec = importlib.util.find_spec("rdflib.plugins.sparql.parser")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    query: ParserElement = module.Query
    for element in query.visit_all():  # type: ignore[no-untyped-call]
        element.ignoreExprs.clear()
    return query.parse_with_tabs()


# loaded before query workers are forked, so that they share it
_GRAMMAR = _load_grammar()


class ParsedQuery(NamedTuple):
    """The algebra of a query, as rdflib parses it; *variables* are those of the result of a
    SELECT.
    """

    algebra: CompValue
    variables: tuple[str, ...]


class Shape(NamedTuple):
    """The *text* of a query with placeholders for *constants*, its strings, IRIs and the local
    parts of its prefixed names, and without comments.
    """

    text: str
    constants: tuple[str, ...]


@lru_cache(CACHED)
def shape_of(text: str) -> Shape:
    """Return the shape of a query.

    >>> shape_of('ASK { ?s x:y <urn:a> , "b" # a comment\\n }').constants
    ('y', 'urn:a', 'b')
    """
    parts: list[str] = []
    constants: dict[str, int] = {}  # numbers by their tokens: equal ones have one placeholder
    has_constants = False  # after the prologue
    for token in tokenize(text, with_gaps=True):
        has_constants = has_constants or token.word() in _FORMS
        if token.kind == "gap":
            parts.append(" ")
        elif has_constants and _is_constant(token):
            parts.append(_placeholder(token, constants.setdefault(token.text, len(constants))))
        else:
            parts.append(token.text)
    return Shape("".join(parts), tuple(map(_constant_value, constants)))


def _is_constant(token: Token) -> bool:
    return token.kind in ("string", "name") or (
        token.kind == "iri" and _ABSOLUTE.fullmatch(token.text) is not None
    )


def _placeholder(token: Token, number: int) -> str:
    if token.kind == "name":
        return f"{token.text.partition(':')[0]}:{_LOCAL}{number}"
    return f"<{_IRI}{number}>" if token.kind == "iri" else f'"{_STRING}{number}"'


def _constant_value(token: str) -> str:
    if token[0] in "\"'":
        return string_value(token)
    return token[1:-1] if token[0] == "<" else token.partition(":")[2]


def parse(text: str, base: str | None = None) -> ParsedQuery:
    """Parse *text*, whose relative IRIs are resolved by *base*. Raises NotCompiled."""
    if "\\" in text and any("\\" in item.text for item in tokenize(text) if item.kind != "string"):
        raise NotCompiled("an escape in a name, which the two parsers may read differently")
    if any(start in text for start in (_STRING, _IRI, _LOCAL)):
        raise NotCompiled("a name that stands for constants")
    shape = shape_of(text)
    parsed = _parsed(shape.text, base)
    if isinstance(parsed, str):
        raise NotCompiled(parsed)
    algebra = _replaced(parsed, shape.constants)
    assert isinstance(algebra, CompValue)
    return ParsedQuery(algebra, tuple(map(str, algebra.PV or ())))


@lru_cache(CACHED)
def _parsed(shape: str, base: str | None) -> CompValue | str:
    """Return the algebra of a shape, which must not be changed, or why the parser rejects it."""
    try:
        algebra: CompValue = translateQuery(
            _GRAMMAR.parse_string(shape, parse_all=True), base=base
        ).algebra
    except Exception as error:  # the parser raises many kinds of exceptions, even Exception itself
        if isinstance(error, MemoryError):
            raise
        return f"not a query for the parser: {error}"
    return algebra


def _replaced(node: object, constants: Sequence[str]) -> object:
    """Return a copy of the algebra *node* with *constants* in place of their placeholders."""
    if isinstance(node, Literal):
        value = constants[int(node[1:])] if node.startswith(_STRING) else node
        datatype = _replaced(node.datatype, constants)
        assert datatype is None or isinstance(datatype, str)
        return Literal(value, lang=node.language, datatype=datatype, normalize=False)
    if isinstance(node, URIRef):
        if node.startswith(_IRI):
            return URIRef(constants[int(node[len(_IRI) :])])
        if (match := _NAMED.search(node)) is not None:
            return URIRef(node[: match.start()] + constants[int(match[1])])
        return node
    if isinstance(node, CompValue):
        values = {name: _replaced(value, constants) for name, value in node.items()}
        copied = CompValue(node.name, **values)
        for name, value in vars(node).items():  # the translated pattern of EXISTS is an attribute
            if not name.startswith("_"):
                setattr(copied, name, _replaced(value, constants))
        return copied
    if isinstance(node, Path):
        path = copy(node)
        vars(path).update({name: _replaced(value, constants) for name, value in vars(node).items()})
        return path
    if isinstance(node, Mapping):
        return {name: _replaced(value, constants) for name, value in node.items()}
    if isinstance(node, list):
        return [_replaced(part, constants) for part in node]
    if isinstance(node, tuple):
        return tuple(_replaced(part, constants) for part in node)
    return node
