"""Questions about the algebra of a query: its modifiers, its variables, its filters.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rdflib.paths import Path
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import BNode, Variable

from publisher.store.columns.operands import EXISTS, variables_of
from publisher.store.columns.relations import NotCompiled


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


def ignores_doubles(aggregate: CompValue) -> bool:
    """Return whether *aggregate* is the same however often a solution is there."""
    return aggregate.name in ("Aggregate_Min", "Aggregate_Max", "Aggregate_Sample") or bool(
        aggregate.distinct
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


def has_unnamed_nodes(node: object) -> bool:
    """Return whether *node* has a blank node or a path, which match nodes that no variable names."""
    if isinstance(node, Mapping):
        return any(has_unnamed_nodes(value) for key, value in node.items() if key != "_vars")
    if isinstance(node, list | tuple):
        return any(map(has_unnamed_nodes, node))
    return isinstance(node, BNode | Path)


def counts_distinct_solutions(aggregate: CompValue) -> bool:
    """Return whether *aggregate* is ``COUNT(DISTINCT *)``."""
    return bool(aggregate.distinct) and aggregate.vars == "*"


def conjunction(expression: object) -> list[CompValue]:
    """Return the parts of *expression* that are joined by AND."""
    if isinstance(expression, CompValue) and expression.name == "ConditionalAndExpression":
        return [part for item in (expression.expr, *expression.other) for part in conjunction(item)]
    return [expression]  # type: ignore[list-item]  # a term if the filter is not a function


def has_existence(expression: object) -> bool:
    """Return whether EXISTS is anywhere in *expression*."""
    if isinstance(expression, CompValue):
        inside = (value for key, value in expression.items() if key != "_vars")
        return expression.name in EXISTS or any(has_existence(value) for value in inside)
    return isinstance(expression, list | tuple) and any(has_existence(part) for part in expression)


def alternatives(node: CompValue) -> list[CompValue]:
    """Return the sides of a union, else *node* alone. If *node* has no solution, none of them has."""
    if node.name == "Union":
        return [*alternatives(node.p1), *alternatives(node.p2)]
    # a group that begins with a union
    if node.name == "Join" and not (node.p1.get("triples", True)):
        return alternatives(node.p2)
    if node.name == "Filter":
        return [CompValue("Filter", expr=node.expr, p=part) for part in alternatives(node.p)]
    return [node]


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


def replace_parts(expression: object, parts: Mapping[int, Variable]) -> object:
    """Return *expression* with variables in place of its *parts*, by their id()."""
    if id(expression) in parts:
        return parts[id(expression)]
    if isinstance(expression, CompValue):
        values = {
            key: replace_parts(value, parts) for key, value in expression.items() if key != "_vars"
        }
        return CompValue(expression.name, **values)
    if isinstance(expression, list | tuple):
        return [replace_parts(part, parts) for part in expression]
    return expression


def without_optional(node: CompValue) -> CompValue:
    """Return *node* without OPTIONAL at its end, which neither adds nor removes the first solution."""
    while node.name == "LeftJoin":
        node = node.p1
    return node


def is_grouped(node: CompValue) -> bool:
    """Return whether the solutions of *node* are groups."""
    while node.name in ("Extend", "Filter"):
        node = node.p
    return bool(node.name == "AggregateJoin")


def is_substitutable(node: CompValue) -> bool:
    """Return whether *node* can be evaluated alone: its filters use only its own variables."""
    if node.name == "BGP":
        return True
    if node.name in ("Join", "Union"):
        return is_substitutable(node.p1) and is_substitutable(node.p2)
    if node.name == "Filter":
        return (
            is_substitutable(node.p)
            and set(variables_of(node.expr)) <= bound_in(node.p)
            and not has_existence(node.expr)
        )
    return False


def bound_in(node: CompValue) -> set[str]:
    """Return the variables that each solution of a substitutable pattern binds."""
    if node.name == "BGP":
        return {
            str(item) for triple in node.triples for item in triple if isinstance(item, Variable)
        }
    if node.name == "Filter":
        return bound_in(node.p)
    return (
        bound_in(node.p1) & bound_in(node.p2)
        if node.name == "Union"
        else bound_in(node.p1) | bound_in(node.p2)
    )
