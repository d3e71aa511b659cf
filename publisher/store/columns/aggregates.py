"""Aggregates of SPARQL as SQL.

A group in which a value is unbound or an error is left to the RDF store, except where SPARQL
ignores such values. Source: https://www.w3.org/TR/sparql11-query/#aggregates
"""

from __future__ import annotations

from rdflib.plugins.sparql.parserutils import CompValue

from publisher.store.columns.operands import SCALE, quote
from publisher.store.columns.relations import ColumnType, NotCompiled, VariableColumn, fallback
from publisher.store.columns.terms import TermKind

# they read typed values
PROPERTY_READERS = tuple(
    f"Aggregate_{name}" for name in ("Min", "Max", "Sum", "Avg", "GroupConcat")
)
_NUMERIC = (ColumnType.INTEGER, ColumnType.DECIMAL)
_MAX_SUM = 10**18  # sums from here on are left to the RDF store, whose integers have 64 bits

Aggregated = tuple[VariableColumn, str]


def aggregated(
    expression: CompValue, column: VariableColumn, name: str, *, is_computed: bool
) -> Aggregated:
    """Return the column and the SQL of an aggregate of the values *name* of a *column*. Raises
    NotCompiled.

    *is_computed*: they are values of an expression, whose errors are unbound.
    """
    kind = expression.name.removeprefix("Aggregate_")
    distinct = "DISTINCT " if expression.distinct else ""
    missing = f"bool_or({name} IS NULL)" if column.nullable else "false"
    if kind == "Count":
        count = f"count({distinct}{name})"
        return VariableColumn(ColumnType.INTEGER), fallback(
            missing, count
        ) if is_computed and column.nullable else count
    match kind:
        case "Min" | "Max":
            result, value = _extreme(column, name, kind.lower())
        case "Sum":
            result, value = _sum(column, name, distinct)
        case "Avg":
            result, value = _average(column, name, distinct)
        case "GroupConcat":
            separator = " " if expression.separator is None else str(expression.separator)
            result, value = _concatenated(column, name, distinct, separator)
        case "Sample":  # which value is chosen is not defined
            result = column.type
            value = fallback(f"count(DISTINCT {name}) > 1", f"any_value({name})")
        case _:
            raise NotCompiled(kind)
    return VariableColumn(result, True), fallback(missing, value) if column.nullable else value


def _extreme(column: VariableColumn, name: str, function: str) -> tuple[ColumnType, str]:
    """Return MIN or MAX of values of one kind; the query fails for terms of several kinds."""
    if column.type is not ColumnType.TERM:
        if column.type in (ColumnType.BOOLEAN, ColumnType.COMPUTED):
            raise NotCompiled("MIN or MAX of booleans or of terms that are computed")
        return column.type, f"{function}({name})"
    kind = f"{name}_kind"
    mixed = f"min({kind}) <> max({kind}) OR bool_or({kind} IN ({TermKind.BLANK:d}, {TermKind.LANGUAGE_STRING:d}, {TermKind.OTHER:d}))"
    whole = f"arg_{function}({name}, {name}_whole)"
    lexical = f"arg_{function}({name}, {name}_lexical)"
    return column.type, fallback(
        mixed, f"CASE WHEN min({kind}) = {TermKind.INTEGER:d} THEN {whole} ELSE {lexical} END"
    )


def _numbers(column: VariableColumn, name: str, distinct: str) -> tuple[str, str]:
    """Return the sum, NULL of no numbers, and the condition that it is not exact."""
    if column.type is ColumnType.TERM:
        total = f"sum({distinct}{name}_whole)"
        inexact = f"bool_or({name}_kind <> {TermKind.INTEGER:d}) OR abs({total}) >= {_MAX_SUM}"
    elif column.type in _NUMERIC:
        total = f"sum({distinct}{name})"
        inexact = f"abs({total}) >= {_MAX_SUM}" if column.type is ColumnType.INTEGER else "false"
    else:
        raise NotCompiled("a sum of other values than numbers")
    return total, f"coalesce({inexact}, false)"


def _sum(column: VariableColumn, name: str, distinct: str) -> tuple[ColumnType, str]:
    total, inexact = _numbers(column, name, distinct)
    if column.type is ColumnType.DECIMAL:  # the sum of nothing is an integer
        return ColumnType.DECIMAL, fallback("count(*) = 0", f"({total})::HUGEINT")
    return ColumnType.INTEGER, fallback(inexact, f"coalesce({total}, 0)::BIGINT")


def _average(column: VariableColumn, name: str, distinct: str) -> tuple[ColumnType, str]:
    total, inexact = _numbers(column, name, distinct)
    scaled = (
        f"({total})::HUGEINT"
        if column.type is ColumnType.DECIMAL
        else f"({total})::HUGEINT * {SCALE}"
    )
    quotient = f"({scaled}) // count({distinct}{name})"
    # the average of nothing is an integer
    return ColumnType.DECIMAL, fallback(f"{inexact} OR count(*) = 0", quotient)


def _concatenated(
    column: VariableColumn, name: str, distinct: str, separator: str
) -> tuple[ColumnType, str]:
    """Return GROUP_CONCAT of strings without language, in the order of their characters: SPARQL
    defines no order.
    """
    if column.type is ColumnType.TERM:
        text = f"{name}_lexical"
        other = f"coalesce(bool_or({name}_kind <> {TermKind.STRING:d}), false)"
    elif column.type is ColumnType.STRING:
        text, other = name, "false"
    else:
        raise NotCompiled("GROUP_CONCAT of other values than strings")
    return ColumnType.STRING, fallback(
        other, f"coalesce(string_agg({distinct}{text}, {quote(separator)} ORDER BY {text}), '')"
    )
