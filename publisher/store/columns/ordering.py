"""ORDER BY and aggregates as SQL: what depends on the order of values.

Source: https://www.w3.org/TR/sparql11-query/#modOrderBy and
https://www.w3.org/TR/sparql11-query/#aggregateAlgebra
"""

from __future__ import annotations

from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Variable

from publisher.store.columns.expressions import Expressions
from publisher.store.columns.query_parser import Modifiers, variables_of
from publisher.store.columns.relations import (
    PROPERTIES,
    Names,
    NotCompiled,
    SolutionTable,
    VariableColumn,
    fallback,
    with_properties,
)
from publisher.store.columns.terms import SCALE, TermKind

_MAX_FIRST = 1000  # solutions up to which the first of several sort keys is sorted apart
_MAX_SUM = 10**18  # sums from here on are left to the RDF store, whose integers have 64 bits


def ordered_solutions(names: Names, relation: SolutionTable, modifiers: Modifiers) -> SolutionTable:
    """Return *relation* in the order and the part that *modifiers* say, with the properties of the
    terms that were looked up for that. Raises NotCompiled.
    """
    used = list(dict.fromkeys(variables_of([item.expr for item in modifiers.order])))
    if modifiers.distinct and not set(used) <= set(modifiers.variables):
        raise NotCompiled("ORDER BY a variable that DISTINCT drops")
    length, end = modifiers.length, modifiers.start + (modifiers.length or 0)
    is_first_variable = isinstance(modifiers.order[0].expr, Variable)
    if is_first_variable and len(modifiers.order) > 1 and length is not None and end <= _MAX_FIRST:
        relation = _first_solutions(names, relation, modifiers.order[0], end)
    full = with_properties(names, relation, used)
    keys, kinds = [], []
    for item in modifiers.order:
        parts, kind = _sort_keys(names, item.expr, full)
        keys += [_directed(part, item) for part in parts]
        kinds += kind
    # so that pages do not overlap
    keys += [f"{names[variable]} ASC NULLS FIRST" for variable in modifiers.variables]
    limit = f" LIMIT {length}" if length is not None else ""
    offset = f" OFFSET {modifiers.start}" if modifiers.start else ""
    described = [item for item in modifiers.variables if item in full.described]
    read = [names[item] for item in modifiers.variables]
    read += [f"{names[item]}_{part}" for item in described for part in PROPERTIES]
    sql = (
        f"WITH solutions AS MATERIALIZED ({full.sql}) SELECT {', '.join(read) or '1 AS unit'} "
        f"FROM solutions{_check(kinds)} ORDER BY {', '.join(keys)}{limit}{offset}"
    )
    columns = {item: relation.columns[item] for item in modifiers.variables}
    return SolutionTable(sql, columns, frozenset(described))


def _first_solutions(
    names: Names, relation: SolutionTable, first: CompValue, end: int
) -> SolutionTable:
    """Return the solutions of *relation* whose *first* sort key, a variable, is among those of the
    first *end*, so that the terms of the others are not looked up.
    """
    variable, name = str(first.expr), names[str(first.expr)]
    counted = f"SELECT {name}, count(*) AS number FROM everything GROUP BY {name}"
    values = SolutionTable(counted, {variable: relation.columns[variable]})
    full = with_properties(names, values, [variable])
    parts, kinds = _sort_keys(names, first.expr, full)
    order = ", ".join(_directed(part, first) for part in parts)
    return SolutionTable(
        f"WITH everything AS MATERIALIZED ({relation.sql}), solutions AS MATERIALIZED ({full.sql}), "
        f"first_values AS (SELECT * FROM solutions{_check(kinds)} ORDER BY {order} LIMIT {end}), "
        f"numbered AS (SELECT *, sum(number) OVER (ROWS UNBOUNDED PRECEDING) - number AS place FROM first_values) "
        f"SELECT l.* FROM everything l SEMI JOIN (SELECT {name} FROM numbered WHERE place < {end}) r "
        f"ON l.{name} IS NOT DISTINCT FROM r.{name}",
        relation.columns,
    )


def _check(kinds: list[str]) -> str:
    """Return the condition that the literals of ``solutions`` with each of the *kinds* can be
    ordered: SPARQL does not define the order of others.
    """
    if not kinds:
        return ""
    mixed = " OR ".join(f"min(c{number}) <> max(c{number})" for number in range(len(kinds)))
    classes = ", ".join(f"{_sort_class(kind)} AS c{number}" for number, kind in enumerate(kinds))
    query = f"(SELECT {mixed} FROM (SELECT {classes} FROM solutions))"
    return f" WHERE {fallback(query, 'true')}"


def _directed(key: str, condition: CompValue) -> str:
    """Return the SQL *key* with the direction of *condition*."""
    return f"{key} DESC NULLS LAST" if condition.order == "DESC" else f"{key} ASC NULLS FIRST"


def _sort_keys(
    names: Names, expression: object, relation: SolutionTable
) -> tuple[list[str], list[str]]:
    """Return what one condition sorts by, as SQL, and the kind of the term, if that may differ."""
    if isinstance(expression, Variable):
        column, name = relation.columns[str(expression)], names[str(expression)]
        if column.kind is not None:
            return [name], []
    value = Expressions(names, relation.columns).value(expression)
    if value.static is not None:
        return [value.whole if value.static is TermKind.INTEGER else value.lexical], []
    kind = value.kind
    uncertain = f"{kind} IN ({TermKind.BLANK:d}, {TermKind.DECIMAL:d}, {TermKind.OTHER:d})"
    rank = fallback(uncertain, f"CASE WHEN {kind} > 2 THEN 2 ELSE {kind} END")
    # Of two equal texts the store has the one with a language first, by the IRIs of their types.
    return [rank, value.whole, value.lexical, f"-({kind})::TINYINT", value.language], [kind]


def _sort_class(kind: str) -> str:
    """Return a number that is equal for kinds whose values can be ordered: strings with and without
    language are ordered together, and so are dates and instants. The RDF store orders literals that
    it cannot compare by their lexical forms.
    """
    others = {TermKind.LANGUAGE_STRING: TermKind.STRING, TermKind.INSTANT: TermKind.DATE}
    cases = " ".join(f"WHEN {kind} = {one:d} THEN {two:d}" for one, two in others.items())
    return f"CASE WHEN {kind} <= {TermKind.BLANK:d} THEN NULL {cases} ELSE {kind} END"


def aggregated(
    expression: CompValue, column: VariableColumn, name: str, *, is_computed: bool
) -> tuple[VariableColumn, str]:
    """Return the column and the SQL of an aggregate of the values *name* of a *column*. Raises
    NotCompiled.

    *is_computed*: they are values of an expression, whose errors are unbound.
    """
    kind = expression.name.removeprefix("Aggregate_")
    distinct = "DISTINCT " if expression.distinct else ""
    missing = f"bool_or({name} IS NULL)" if column.nullable else "false"
    if kind == "Count":
        value = f"count({distinct}{name})"
        value = fallback(missing, value) if is_computed and column.nullable else value
        return VariableColumn(TermKind.INTEGER), value
    computed = column.kind
    if kind in ("Min", "Max"):
        value = _extreme(column, name, kind.lower())
    elif kind == "Sample":  # which value is chosen is not defined
        value = fallback(f"count(DISTINCT {name}) > 1", f"any_value({name})")
    elif kind in ("Sum", "Avg") and computed is TermKind.INTEGER:
        total = f"sum({distinct}{name})"
        inexact = f"coalesce(abs({total}) >= {_MAX_SUM}, false)"
        value = fallback(inexact, f"coalesce({total}, 0)::BIGINT")
        if kind == "Avg":
            computed = TermKind.DECIMAL
            average = f"({total})::HUGEINT * {SCALE} // count({distinct}{name})"
            # the average of nothing is an integer
            value = fallback(f"{inexact} OR count(*) = 0", average)
    else:
        raise NotCompiled(f"{kind} of other values than integers that are counted or computed")
    return VariableColumn(computed, True), fallback(missing, value) if column.nullable else value


def _extreme(column: VariableColumn, name: str, function: str) -> str:
    """Return MIN or MAX of values of one kind; the query fails for terms of several kinds."""
    if column.kind is TermKind.BOOLEAN:
        raise NotCompiled("MIN or MAX of booleans")
    if column.kind is not None:
        return f"{function}({name})"
    kind, kinds = f"{name}_kind", (TermKind.BLANK, TermKind.LANGUAGE_STRING, TermKind.DECIMAL)
    listed = ", ".join(f"{item:d}" for item in (*kinds, TermKind.OTHER))
    mixed = f"min({kind}) <> max({kind}) OR bool_or({kind} IN ({listed}))"
    whole, text = (f"arg_{function}({name}, {name}_{item})" for item in ("whole", "lexical"))
    return fallback(
        mixed, f"CASE min({kind}) WHEN {TermKind.INTEGER:d} THEN {whole} ELSE {text} END"
    )
