"""Comparisons of SPARQL as SQL: by value where both are of one kind.

Source: https://www.w3.org/TR/sparql11-query/#OperatorMapping
"""

from __future__ import annotations

from publisher.store.columns.arithmetic import scaled
from publisher.store.columns.operands import NUMBERS, STRINGS, Operand
from publisher.store.columns.relations import NotCompiled, fallback
from publisher.store.columns.terms import TermKind

# kinds whose values are ordered, and the property that they are ordered by
_ORDERED_BY = (
    ((TermKind.INTEGER,), "whole"),
    ((TermKind.STRING, TermKind.INSTANT, TermKind.DATE), "lexical"),
)


def _known(value: Operand) -> str:
    return f"{value.kind} IS NOT NULL"


def equal(one: Operand, two: Operand) -> str:
    """Return ``one = two``: by value where both are of one kind; what is not certain ends the
    query.
    """
    if TermKind.DECIMAL in (one.static, two.static):
        return f"({scaled(one)} = {scaled(two)})"
    both = f"{_known(one)} AND {_known(two)}"
    same_id = f"{one.id} = {two.id}" if one.id and two.id else None
    if one.static is not None and one.static is two.static:
        return f"(CASE WHEN {both} THEN {_equal_values(one.static, one, two, same_id)} END)"
    nodes = " OR ".join(
        f"{item.kind} <= {TermKind.BLANK:d}"
        for item in (one, two)
        if item.static is None or item.static <= TermKind.BLANK
    )
    node_equal = same_id or (f"({one.kind} = {two.kind} AND {one.lexical} = {two.lexical})")
    kinds = [item for item in TermKind if item > TermKind.BLANK and item is not TermKind.OTHER]
    static = one.static if one.static is not None else two.static
    kinds = [static] if static in kinds and static is not None else kinds if static is None else []
    cases = "".join(
        f" WHEN {one.kind} = {kind:d} AND {two.kind} = {kind:d} THEN {_equal_values(kind, one, two, same_id)}"
        for kind in kinds
    )
    if static in (None, TermKind.INTEGER):
        cases += _numbers(one, two, "=")
    strings = f" WHEN {one.kind} IN {STRINGS} AND {two.kind} IN {STRINGS} THEN false"
    first = f" WHEN {nodes} THEN {node_equal}" if nodes else ""
    rest = fallback("true", "NULL::BOOLEAN")
    return f"(CASE WHEN NOT ({both}) THEN NULL{first}{cases}{strings} ELSE {rest} END)"


def _numbers(one: Operand, two: Operand, operator: str) -> str:
    """Return the case in which an integer and a decimal, or two decimals, are compared."""
    are_numbers = f"{one.kind} IN {NUMBERS} AND {two.kind} IN {NUMBERS}"
    return f" WHEN {are_numbers} THEN {scaled(one)} {operator} {scaled(two)}"


def _equal_values(kind: TermKind, one: Operand, two: Operand, same_id: str | None) -> str:
    if kind is TermKind.INTEGER:
        return f"{one.whole} = {two.whole}"
    if same_id:
        return same_id
    if kind is TermKind.LANGUAGE_STRING:
        return f"({one.lexical} = {two.lexical} AND {one.language} = {two.language})"
    return f"{one.lexical} = {two.lexical}"


def ordered(one: Operand, two: Operand, operator: str) -> str:
    """Return ``one < two``, or another comparison, for two values of one kind; others end the
    query.
    """
    if operator not in ("<", ">", "<=", ">="):
        raise NotCompiled(f"the operator {operator}")
    if TermKind.DECIMAL in (one.static, two.static):
        return f"({scaled(one)} {operator} {scaled(two)})"
    cases = f"WHEN {one.kind} IS NULL OR {two.kind} IS NULL THEN NULL"
    static = two.static if one.static is None else one.static
    for kinds, field in _ORDERED_BY:
        if static is None or static in kinds:
            compared = f"{getattr(one, field)} {operator} {getattr(two, field)}"
            listed = ", ".join(f"{kind:d}" for kind in kinds)
            is_one_of = f" AND {one.kind} IN ({listed})" if static is None else ""
            cases += f" WHEN {one.kind} = {two.kind}{is_one_of} THEN {compared}"
    if static in (None, TermKind.INTEGER):
        cases += _numbers(one, two, operator)
    return f"(CASE {cases} ELSE {fallback('true', 'NULL::BOOLEAN')} END)"
