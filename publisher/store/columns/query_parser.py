"""Parse queries of SPARQL 1.1 to their algebra, with rdflib's parser, and find the modifiers,
variables and EXISTS in it.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra

Queries that differ only in their strings, IRIs, comments and white space are parsed once: the
algebra has placeholders, which are replaced by the constants of each query.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

from pyparsing import ParserElement
from rdflib.paths import Path
from rdflib.plugins.sparql.algebra import (
    translateGroupGraphPattern,
    translatePath,
    translateQuery,
    traverse,
)
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal, URIRef, Variable

from publisher.store.columns.algebra import NotCompiled
from publisher.store.workers.query_request import string_value, tokenize

CACHED = 500  # shapes whose algebra is cached
_FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_ABSOLUTE = re.compile(r"<[A-Za-z][A-Za-z0-9+.-]*:[^<>]*>")
# A character that is allowed in strings, IRIs and local names, but is in no query. With a number it
# stands for a constant; in an IRI it follows a scheme.
MARK = "\U000e0000"
_SCHEME = "urn:x-stocktake:"
_PLACEHOLDER = re.compile(rf"(?:{_SCHEME})?{MARK}([0-9]+)$")
EXISTS = ("Builtin_EXISTS", "Builtin_NOTEXISTS")
# Patterns in EXISTS that the parser has translated to the algebra.
_TRANSLATED = ("BGP", "Join", "Filter", "Union")


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


# It is loaded before query workers are forked, so that they share it.
_GRAMMAR = _load_grammar()


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
        is_absolute = token.kind == "iri" and _ABSOLUTE.fullmatch(token.text) is not None
        if token.kind == "gap":
            parts.append(" ")
        elif has_constants and (is_absolute or token.kind in ("string", "name")):
            mark = f"{MARK}{constants.setdefault(token.text, len(constants))}"
            prefix = token.text.partition(":")[0]
            named = f"<{_SCHEME}{mark}>" if is_absolute else f"{prefix}:{mark}"
            parts.append(f'"{mark}"' if token.kind == "string" else named)
        else:
            parts.append(token.text)
    return Shape("".join(parts), tuple(map(_constant_value, constants)))


def _constant_value(token: str) -> str:
    if token[0] in "\"'":
        return string_value(token)
    return token[1:-1] if token[0] == "<" else token.partition(":")[2]


def parse(text: str, base: str | None = None) -> CompValue:
    """Parse *text*, whose relative IRIs are resolved by *base*. Raises NotCompiled."""
    if "\\" in text and any("\\" in item.text for item in tokenize(text) if item.kind != "string"):
        raise NotCompiled("an escape in a name, which the two parsers may read differently")
    if MARK in text:
        raise NotCompiled("a character that stands for constants")
    shape = shape_of(text)
    parsed = _parsed(shape.text, base)
    if isinstance(parsed, str):
        raise NotCompiled(parsed)
    algebra: CompValue = _replaced(parsed, shape.constants)
    return algebra


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


def _replaced(node: Any, constants: Sequence[str]) -> Any:
    """Return a copy of the algebra *node* with *constants* in place of their placeholders."""
    if isinstance(node, Literal):
        datatype = _replaced(node.datatype, constants)
        text = _filled(node, constants)
        return Literal(text, lang=node.language, datatype=datatype, normalize=False)
    if isinstance(node, URIRef):
        return URIRef(_filled(node, constants))
    if isinstance(node, CompValue | Path):
        copied: Any = node.clone() if isinstance(node, CompValue) else copy(node)
        if isinstance(node, CompValue):
            copied.update(_replaced(dict(node), constants))
        # Paths have attributes only, and the translated pattern of EXISTS is an attribute.
        vars(copied).update(_replaced(vars(node), constants))
        return copied
    if isinstance(node, Mapping):
        return {name: _replaced(value, constants) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_replaced(part, constants) for part in node)
    return node


def _filled(text: str, constants: Sequence[str]) -> str:
    match = _PLACEHOLDER.search(text)
    return text[: match.start()] + constants[int(match[1])] if match else text


class Modifiers(NamedTuple):
    """The solution modifiers of a SELECT and the pattern below them."""

    pattern: CompValue
    variables: tuple[str, ...]
    order: tuple[CompValue, ...]
    distinct: bool
    start: int
    length: int | None


def modifiers_of(node: CompValue) -> Modifiers:
    """Return the modifiers of a SELECT. Raises NotCompiled if *node* is not a projection."""
    part = node if node.name == "Slice" else CompValue("Slice", p=node)
    distinct = part.p if part.p.name == "Distinct" else CompValue("All", p=part.p)
    project = distinct.p
    if project.name != "Project":
        raise NotCompiled(project.name)
    order = project.p if project.p.name == "OrderBy" else CompValue("All", p=project.p, expr=())
    return Modifiers(
        order.p,
        tuple(map(str, project.PV)),
        tuple(order.expr),
        distinct.name == "Distinct",
        int(part.start or 0),
        None if part.length is None else int(part.length),
    )


def parts_of(node: object, *, with_exists: bool = False) -> Iterator[object]:
    """Yield *node*, part of the algebra or a path, and all its parts; what is in EXISTS only
    *with_exists*.
    """
    yield node
    children: Iterable[object] = ()
    if isinstance(node, Path):
        children = vars(node).values()
    elif isinstance(node, list | tuple | set):
        children = node
    elif isinstance(node, Mapping):
        is_open = with_exists or not (isinstance(node, CompValue) and node.name in EXISTS)
        items = node.items() if is_open else ()
        # The keys of the rows of VALUES are variables.
        children = (part for item in items if item[0] != "_vars" for part in item)
    for child in children:
        yield from parts_of(child, with_exists=with_exists)


def variables_of(node: object, *, with_exists: bool = False) -> list[str]:
    """Return the names of the variables in *node*, as ``parts_of`` yields them."""
    parts = parts_of(node, with_exists=with_exists)
    return [str(part) for part in parts if isinstance(part, Variable)]


def existences_of(expression: object) -> list[CompValue]:
    parts = parts_of(expression)
    return [part for part in parts if isinstance(part, CompValue) and part.name in EXISTS]


def pattern_of(existence: CompValue) -> CompValue:
    """Return the algebra of the pattern in EXISTS or NOT EXISTS."""
    inner: CompValue = existence.graph
    if inner.name in _TRANSLATED:
        return inner
    # The parser has not read the paths of one outside WHERE: in a projection, or in HAVING.
    translated: CompValue = translateGroupGraphPattern(traverse(inner, visitPost=translatePath))
    return translated
