"""Aggregates of SPARQL as SQL.

A group in which a value is unbound or an error is left to the RDF store, except where SPARQL
ignores such values. Source: https://www.w3.org/TR/sparql11-query/#aggregates
"""

from __future__ import annotations

from rdflib.plugins.sparql.parserutils import CompValue

from publisher.store.columns.operands import NUMBERS, SCALE, decimal_text, decimal_value, quote
from publisher.store.columns.relations import ColumnType, NotCompiled, VariableColumn, fallback
from publisher.store.columns.terms import TermKind

# they read typed values
PROPERTY_READERS = tuple(
    f"Aggregate_{name}" for name in ("Min", "Max", "Sum", "Avg", "GroupConcat")
)
_TERMS = (ColumnType.TERM, ColumnType.COMPUTED)  # they have a kind for each value
_NUMERIC = (ColumnType.INTEGER, ColumnType.DECIMAL)
_MAX_SUM = 10**18  # sums from here on are left to the RDF store, whose integers have 64 bits

Aggregated = tuple[VariableColumn, str]


def aggregated(
    expression: CompValue, column: VariableColumn, name: str, *, is_computed: bool, decimals: bool
) -> Aggregated:
    """Return the column and the SQL of an aggregate of the values *name* of a *column*. Raises
    NotCompiled.

    *is_computed*: they are values of an expression, whose errors are unbound. *decimals*: there are
    decimals among the terms.
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
            is_mixed = column.type is ColumnType.COMPUTED or (
                decimals and column.type is ColumnType.TERM
            )
            result, value = (_sum_of_terms if is_mixed else _sum)(column, name, distinct)
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


def _part(column: VariableColumn, name: str) -> str:
    """Return what the names of the properties of a term begin with."""
    return f"{name}_" if column.type is ColumnType.TERM else f"{name}."


def _extreme(column: VariableColumn, name: str, function: str) -> tuple[ColumnType, str]:
    """Return MIN or MAX of values of one kind; the query fails for terms of several kinds."""
    if column.type is ColumnType.BOOLEAN:
        raise NotCompiled("MIN or MAX of booleans")
    if column.type not in _TERMS:
        return column.type, f"{function}({name})"
    part = _part(column, name)
    kind = f"{part}kind"
    mixed = f"min({kind}) <> max({kind}) OR bool_or({kind} IN ({TermKind.BLANK:d}, {TermKind.LANGUAGE_STRING:d}, {TermKind.OTHER:d}))"
    integers = f"arg_{function}({name}, {part}whole)"
    decimals = f"arg_{function}({name}, {decimal_value(kind, f'{part}lexical')})"
    texts = f"arg_{function}({name}, {part}lexical)"
    return column.type, fallback(
        mixed,
        f"CASE min({kind}) WHEN {TermKind.INTEGER:d} THEN {integers} "
        f"WHEN {TermKind.DECIMAL:d} THEN {decimals} ELSE {texts} END",
    )


def _numbers(column: VariableColumn, name: str, distinct: str) -> tuple[str, str]:
    """Return the sum, NULL of no numbers, and the condition that it is not exact."""
    if column.type in _TERMS:
        part = _part(column, name)
        total = f"sum({distinct}{part}whole)"
        inexact = f"bool_or({part}kind <> {TermKind.INTEGER:d}) OR abs({total}) >= {_MAX_SUM}"
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


def _total(part: str, distinct: str) -> tuple[str, str]:
    """Return the sum of integers and decimals in 10^-18th parts, and the condition that it is not
    exact: a decimal is another term than the integer that it is equal to.
    """
    whole = f"{part}whole::HUGEINT * {SCALE}"
    total = f"sum({distinct}coalesce({whole}, {decimal_value(f'{part}kind', f'{part}lexical')}))"
    inexact = f"bool_or({part}kind NOT IN {NUMBERS})"
    if distinct:
        inexact += f" OR min({part}kind) <> max({part}kind)"
    return total, f"coalesce({inexact}, false)"


def _sum_of_terms(column: VariableColumn, name: str, distinct: str) -> tuple[ColumnType, str]:
    """Return SUM of terms among which there may be decimals: a decimal if one of them is."""
    part = _part(column, name)
    total, inexact = _total(part, distinct)
    whole, too_large = _numbers(column, name, distinct)
    is_decimal = f"bool_or({part}kind = {TermKind.DECIMAL:d})"
    is_inexact = f"CASE WHEN {is_decimal} THEN {inexact} ELSE {too_large} END"
    number = f"coalesce({whole}, 0)::BIGINT"

    def either(one: str, two: str) -> str:
        return f"CASE WHEN {is_decimal} THEN {one} ELSE {two} END"

    kind = either(f"{TermKind.DECIMAL:d}", f"{TermKind.INTEGER:d}")
    lexical = either(decimal_text(total), f"{number}::VARCHAR")
    fields = (
        f"kind := {kind}, lexical := {lexical}, language := '', whole := {either('NULL', number)}"
    )
    return ColumnType.COMPUTED, fallback(
        is_inexact, f"struct_pack({fields})::{ColumnType.COMPUTED.value}"
    )


def _average(column: VariableColumn, name: str, distinct: str) -> tuple[ColumnType, str]:
    if column.type in _TERMS:
        total, inexact = _total(_part(column, name), distinct)
    else:
        total, inexact = _numbers(column, name, distinct)
    scaled = f"({total})::HUGEINT"
    if column.type is ColumnType.INTEGER:
        scaled += f" * {SCALE}"
    quotient = f"({scaled}) // count({distinct}{name})"
    # the average of nothing is an integer
    return ColumnType.DECIMAL, fallback(f"{inexact} OR count(*) = 0", quotient)


def _concatenated(
    column: VariableColumn, name: str, distinct: str, separator: str
) -> tuple[ColumnType, str]:
    """Return GROUP_CONCAT of strings without language, in the order of their characters: SPARQL
    defines no order.
    """
    if column.type in _TERMS:
        part = _part(column, name)
        text = f"{part}lexical"
        other = f"coalesce(bool_or({part}kind <> {TermKind.STRING:d}), false)"
    elif column.type is ColumnType.STRING:
        text, other = name, "false"
    else:
        raise NotCompiled("GROUP_CONCAT of other values than strings")
    return ColumnType.STRING, fallback(
        other, f"coalesce(string_agg({distinct}{text}, {quote(separator)} ORDER BY {text}), '')"
    )
