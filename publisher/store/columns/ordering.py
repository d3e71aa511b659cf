"""ORDER BY as SQL.

Source: https://www.w3.org/TR/sparql11-query/#modOrderBy
"""

from __future__ import annotations

from typing import NamedTuple

from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Variable

from publisher.store.columns.algebra import Modifiers, has_existence
from publisher.store.columns.expressions import Expressions
from publisher.store.columns.operands import Condition, decimal_value, variables_of
from publisher.store.columns.relations import (
    ColumnType,
    Names,
    NotCompiled,
    SolutionTable,
    fallback,
    property_columns,
    with_properties,
)
from publisher.store.columns.terms import TermKind

# solutions by several keys up to which all terms of an answer are looked up with those of the keys,
# although LIMIT leaves out some
_MAX_WHOLE = 10_000
# solutions up to which that is done for one key, and the first of several keys is sorted apart
_MAX_FIRST = 1000


def ordered_solutions(
    names: Names, relation: SolutionTable, modifiers: Modifiers, number: float, *, together: bool
) -> SolutionTable:
    """Return *relation* in the order and the part that *modifiers* say, with the properties of the
    terms that were looked up for that. Raises NotCompiled.

    *number* is about how many solutions there are; *together* is that of ``with_properties``.
    """
    used = list(dict.fromkeys(variables_of([condition.expr for condition in modifiers.order])))
    if modifiers.distinct and not set(used) <= set(modifiers.variables):
        raise NotCompiled("ORDER BY a variable that DISTINCT drops")
    columns = relation.columns
    most = _MAX_WHOLE if len(modifiers.order) > 1 else _MAX_FIRST
    is_small = together and (modifiers.length is None or number <= most)
    if not is_small and (first := _first_solutions(names, relation, modifiers)) is not None:
        relation, together, is_small = first, True, True
    # The terms of the answer are looked up with those of the order where nearly all are needed.
    unread = [item for item in modifiers.variables if is_small and item not in used]
    full = with_properties(names, relation, used, together=together, unread=unread)
    keys, kinds = [], []
    for condition in modifiers.order:
        sort_keys = _sort_keys(names, condition.expr, full)
        keys += _directed(sort_keys, condition)
        kinds += sort_keys.kinds
    # so that pages do not overlap
    keys += [f"{names[variable]} ASC NULLS FIRST" for variable in modifiers.variables]
    limit = f" LIMIT {modifiers.length}" if modifiers.length is not None else ""
    offset = f" OFFSET {modifiers.start}" if modifiers.start else ""
    order = f"ORDER BY {', '.join(keys)}{limit}{offset}"
    described = [item for item in modifiers.variables if item in full.described]
    selected = [names[item] for item in modifiers.variables]
    selected += [part for item in described for part in property_columns(names[item])]
    sql = f"WITH solutions AS MATERIALIZED ({full.sql}) SELECT {', '.join(selected) or '1 AS unit'} FROM solutions{_check(kinds)} {order}"
    projected = {item: columns[item] for item in modifiers.variables}
    return SolutionTable(sql, projected, frozenset(described))


def _first_solutions(
    names: Names, relation: SolutionTable, modifiers: Modifiers
) -> SolutionTable | None:
    """Return the solutions of *relation* whose first sort key is among those of the part that
    *modifiers* say, so that the terms of the others are not looked up; None where there is no
    other key, or the part may be large.
    """
    condition, length = modifiers.order[0], modifiers.length
    if length is None or not isinstance(condition.expr, Variable) or len(modifiers.order) == 1:
        return None
    end = modifiers.start + length
    if end > _MAX_FIRST:
        return None
    variable = str(condition.expr)
    name = names[variable]
    values = SolutionTable(
        f"SELECT {name}, count(*) AS number FROM everything GROUP BY {name}",
        {variable: relation.columns[variable]},
    )
    full = with_properties(names, values, [variable])
    sort_keys = _sort_keys(names, condition.expr, full)
    order = f"ORDER BY {', '.join(_directed(sort_keys, condition))}"
    check = _check(sort_keys.kinds)
    return SolutionTable(
        f"WITH everything AS MATERIALIZED ({relation.sql}), solutions AS MATERIALIZED ({full.sql}), "
        f"first_values AS (SELECT * FROM solutions{check} {order} LIMIT {end}), "
        f"numbered AS (SELECT *, sum(number) OVER (ROWS UNBOUNDED PRECEDING) - number AS place FROM first_values) "
        f"SELECT l.* FROM everything l SEMI JOIN (SELECT {name} FROM numbered WHERE place < {end}) r "
        f"ON l.{name} IS NOT DISTINCT FROM r.{name}",
        relation.columns,
    )


class _SortKeys(NamedTuple):
    """What one condition sorts by, as SQL; *kinds* has the kind of the term, if that may differ."""

    parts: list[str]
    kinds: list[str]


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


def _directed(keys: _SortKeys, condition: CompValue) -> list[str]:
    """Return what *condition* sorts by, with its direction."""
    direction = "DESC" if condition.order == "DESC" else "ASC"
    nulls = "NULLS FIRST" if direction == "ASC" else "NULLS LAST"
    return [f"{part} {direction} {nulls}" for part in keys.parts]


def _sort_keys(names: Names, expression: object, relation: SolutionTable) -> _SortKeys:
    if has_existence(expression):
        raise NotCompiled("EXISTS in ORDER BY")
    if isinstance(expression, Variable):
        column, name = relation.columns[str(expression)], names[str(expression)]
        if column.type not in (ColumnType.TERM, ColumnType.COMPUTED):
            return _SortKeys([name], [])
    value = Expressions(names, relation.columns).value(expression)
    if isinstance(value, Condition):
        return _SortKeys([value.sql], [])
    if value.static in (TermKind.INTEGER, TermKind.DECIMAL):
        return _SortKeys([value.whole], [])
    if value.static is TermKind.STRING:
        return _SortKeys([value.lexical], [])
    kind = value.kind
    uncertain = f"{kind} IN ({TermKind.BLANK:d}, {TermKind.OTHER:d})"
    rank = fallback(uncertain, f"CASE WHEN {kind} > 2 THEN 2 ELSE {kind} END")
    decimal = decimal_value(kind, value.lexical)
    # Of two equal texts the store has the one with a language first, by the IRIs of their types.
    type_ = f"-({kind})::TINYINT"
    parts = [rank, value.whole, decimal, value.lexical, type_, value.language]
    return _SortKeys(parts, [kind])


def _sort_class(kind: str) -> str:
    """Return a number that is equal for kinds whose values can be ordered: strings with and without
    language are ordered together, and so are dates and instants. The RDF store orders literals that
    it cannot compare by their lexical forms.
    """
    others = {TermKind.LANGUAGE_STRING: TermKind.STRING, TermKind.INSTANT: TermKind.DATE}
    cases = " ".join(f"WHEN {kind} = {one:d} THEN {two:d}" for one, two in others.items())
    return f"CASE WHEN {kind} <= {TermKind.BLANK:d} THEN NULL {cases} ELSE {kind} END"
