"""Questions about the algebra of a query: its modifiers, its variables, its filters.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rdflib.plugins.sparql.algebra import translateGroupGraphPattern, translatePath, traverse
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Variable

from publisher.store.columns.operands import EXISTS
from publisher.store.columns.relations import NotCompiled

# patterns in EXISTS that the parser has translated to the algebra
_TRANSLATED = ("BGP", "Join", "Filter", "Union")


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
    start, length, distinct, order = 0, None, False, ()
    if node.name == "Slice":
        start, length, node = int(node.start or 0), node.length, node.p
    if node.name == "Distinct":
        distinct, node = True, node.p
    if node.name != "Project":
        raise NotCompiled(node.name)
    variables, node = tuple(str(variable) for variable in node.PV), node.p
    if node.name == "OrderBy":
        order, node = tuple(node.expr), node.p
    return Modifiers(
        node, variables, order, distinct, start, None if length is None else int(length)
    )


def all_variables(node: object) -> Iterator[str]:
    """Yield every variable in the algebra *node*."""
    if isinstance(node, Variable):
        yield str(node)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key != "_vars":
                yield from all_variables(key)
                yield from all_variables(value)
    elif isinstance(node, list | tuple | set):
        for part in node:
            yield from all_variables(part)


def conjunction(expression: object) -> list[CompValue]:
    """Return the parts of *expression* that are joined by AND."""
    if isinstance(expression, CompValue) and expression.name == "ConditionalAndExpression":
        return [part for item in (expression.expr, *expression.other) for part in conjunction(item)]
    return [expression]  # type: ignore[list-item]  # a term if the filter is not a function


def existences_of(expression: object) -> Iterator[CompValue]:
    """Yield each EXISTS and NOT EXISTS in *expression*."""
    if isinstance(expression, CompValue):
        if expression.name in EXISTS:
            yield expression
        else:
            for key, value in expression.items():
                if key != "_vars":
                    yield from existences_of(value)
    elif isinstance(expression, list | tuple):
        for part in expression:
            yield from existences_of(part)


def pattern_of(existence: CompValue) -> CompValue:
    """Return the algebra of the pattern in EXISTS or NOT EXISTS."""
    inner: CompValue = existence.graph
    if inner.name in _TRANSLATED:
        return inner
    # The parser has not read the paths of one outside WHERE: in a projection, or in HAVING.
    translated: CompValue = translateGroupGraphPattern(traverse(inner, visitPost=translatePath))
    return translated
