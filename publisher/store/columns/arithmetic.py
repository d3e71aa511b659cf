"""Numbers of SPARQL as SQL: integers, and decimals as whole numbers of 10^-18th parts.

Source: https://www.w3.org/TR/xpath-functions/#op.numeric
"""

from __future__ import annotations

from publisher.store.columns.operands import SCALE, Operand, decimal, decimal_parts, integer
from publisher.store.columns.relations import NotCompiled, fallback
from publisher.store.columns.terms import TermKind


def number_like(like: Operand, sql: str) -> Operand:
    """Return the number *sql* as a decimal or an integer, as *like* is one."""
    return decimal(sql) if like.static is TermKind.DECIMAL else integer(sql)


def floored(value: Operand, sql: str) -> Operand:
    """Return *sql*, a number as *value* is one, without its fraction: the next whole number that is
    not greater.
    """
    return (
        decimal(f"({sql} - ({sql} % {SCALE} + {SCALE}) % {SCALE})")
        if value.static is TermKind.DECIMAL
        else integer(sql)
    )


def scaled(value: Operand) -> str:
    """Return a number as a whole number of 10^-18th parts; a value that is no integer or decimal
    ends the query.
    """
    if value.static is TermKind.DECIMAL:
        return value.whole
    if value.static not in (None, TermKind.INTEGER):
        raise NotCompiled("a decimal compared with a constant that is no number")
    whole = f"{value.whole}::HUGEINT * {SCALE}"
    if value.static is TermKind.INTEGER:
        return f"({whole})"
    parts = decimal_parts(value.lexical)
    return (
        f"(CASE {value.kind} WHEN {TermKind.INTEGER:d} THEN {whole} WHEN {TermKind.DECIMAL:d} THEN {parts} "
        f"ELSE {fallback(f'{value.kind} IS NOT NULL', 'NULL')} END)"
    )


def calculated(operator: str, one: Operand, two: Operand) -> Operand:
    """Return a sum, difference, product or quotient. An overflow ends the query; a division by zero
    is an error.

    Source: https://www.w3.org/TR/xpath-functions/#op.numeric (a quotient of integers is a decimal)
    """
    decimals = TermKind.DECIMAL in (one.static, two.static)
    if operator in ("+", "-"):
        return (
            decimal(f"({scaled(one)} {operator} {scaled(two)})")
            if decimals
            else integer(f"({one.whole} {operator} {two.whole})")
        )
    if two.static is TermKind.DECIMAL and (operator == "/" or one.static is TermKind.DECIMAL):
        raise NotCompiled("a product of decimals, or a quotient by one")
    if operator == "*":
        factors = [f"{item.whole}::HUGEINT" if decimals else item.whole for item in (one, two)]
        return (decimal if decimals else integer)(f"({' * '.join(factors)})")
    return decimal(f"({scaled(one)} // nullif({two.whole}, 0)::HUGEINT)")
