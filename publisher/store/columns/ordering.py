"""ORDER BY as SQL.

Source: https://www.w3.org/TR/sparql11-query/#modOrderBy
"""

from __future__ import annotations

from rdflib.term import Variable

from publisher.store.columns.algebra import Modifiers, has_existence
from publisher.store.columns.expressions import Expressions
from publisher.store.columns.operands import Condition, variables_of
from publisher.store.columns.relations import (
    ColumnType,
    Names,
    NotCompiled,
    SolutionTable,
    fallback,
    with_properties,
)
from publisher.store.columns.terms import TermKind


def ordered_solutions(
    names: Names,
    relation: SolutionTable,
    modifiers: Modifiers,
    selected: str,
    *,
    together: bool = False,
) -> str:
    """Return a query of the columns *selected* of *relation*, in the order and the part that
    *modifiers* say. Raises NotCompiled.

    *together* is that of ``with_properties``.
    """
    used = list(dict.fromkeys(variables_of([condition.expr for condition in modifiers.order])))
    if modifiers.distinct and not set(used) <= set(modifiers.variables):
        raise NotCompiled("ORDER BY a variable that DISTINCT drops")
    full = with_properties(names, relation, used, together=together)
    keys, checks = [], []
    for condition in modifiers.order:
        direction = "DESC" if condition.order == "DESC" else "ASC"
        parts = _keys(names, condition.expr, full)
        nulls = "NULLS FIRST" if direction == "ASC" else "NULLS LAST"
        keys += [f"{part} {direction} {nulls}" for part in parts]
        if len(parts) > 1:
            checks.append(names[str(condition.expr)])
    # so that pages do not overlap
    keys += [f"{names[variable]} ASC NULLS FIRST" for variable in modifiers.variables]
    limit = f" LIMIT {modifiers.length}" if modifiers.length is not None else ""
    offset = f" OFFSET {modifiers.start}" if modifiers.start else ""
    # Literals of one column must be of one kind: SPARQL does not define the order of others.
    mixed = " OR ".join(f"min({_sort_class(name)}) <> max({_sort_class(name)})" for name in checks)
    check = f" WHERE {fallback(f'(SELECT {mixed} FROM solutions)', 'true')}" if mixed else ""
    order = f"ORDER BY {', '.join(keys)}{limit}{offset}"
    return f"WITH solutions AS MATERIALIZED ({full.sql}) SELECT {selected} FROM solutions{check} {order}"


def _keys(names: Names, expression: object, relation: SolutionTable) -> list[str]:
    if not isinstance(expression, Variable):
        return [_value(names, expression, relation)]
    column, name = relation.columns[str(expression)], names[str(expression)]
    if column.type is not ColumnType.TERM:
        return [name]
    uncertain = f"{name}_kind IN ({TermKind.BLANK:d}, {TermKind.OTHER:d})"
    rank = fallback(uncertain, f"CASE WHEN {name}_kind > 2 THEN 2 ELSE {name}_kind END")
    # Of two equal texts the store has the one with a language first, by the IRIs of their types.
    type_ = f"-{name}_kind::TINYINT"
    return [rank, f"{name}_whole", f"{name}_lexical", type_, f"{name}_language"]


def _value(names: Names, expression: object, relation: SolutionTable) -> str:
    if has_existence(expression):
        raise NotCompiled("EXISTS in ORDER BY")
    value = Expressions(names, relation.columns).value(expression)
    if isinstance(value, Condition):
        return value.sql
    if value.static in (TermKind.INTEGER, TermKind.DECIMAL):
        return value.whole
    if value.static is TermKind.STRING:
        return value.lexical
    raise NotCompiled("ORDER BY a term that is computed")


def _sort_class(name: str) -> str:
    """Return a number that is equal for values that can be ordered: strings with and without
    language are ordered together, and so are dates and instants. The RDF store orders literals that
    it cannot compare by their lexical forms.
    """
    others = {TermKind.LANGUAGE_STRING: TermKind.STRING, TermKind.INSTANT: TermKind.DATE}
    cases = " ".join(f"WHEN {name}_kind = {one:d} THEN {two:d}" for one, two in others.items())
    return f"CASE WHEN {name}_kind <= {TermKind.BLANK:d} THEN NULL {cases} ELSE {name}_kind END"
