"""Relations of SPARQL solutions as SQL, and the operations of the algebra on them.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from publisher.store.columns.terms import TermKind

# the message of SQL's error(); the store answers then
FALLBACK = "stocktake: this value is not compiled"
# columns of a term that expressions, orders and answers read
PROPERTIES = ("kind", "lexical", "datatype", "language", "whole", "written")


class NotCompiled(Exception):
    """The query, or a value that it meets, is not certain to be answered exactly; the RDF store
    answers instead.
    """


@dataclass(frozen=True, slots=True)
class VariableColumn:
    """The values of one variable: numbers of terms, or if *kind* is set the values of computed terms
    of that kind: strings, integers, booleans or decimals.

    A decimal is stored as the whole number of its 10^-18th parts, as many as the RDF store computes
    with. SQL's NULL is unbound, which is possible only if the column is *nullable*.
    """

    kind: TermKind | None = None
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class SolutionTable:
    """Solutions: *sql* is a SELECT statement with a column for each variable, and with the
    properties of the terms of the variables *described*.
    """

    sql: str
    columns: Mapping[str, VariableColumn] = field(default_factory=dict)
    described: frozenset[str] = frozenset()


EMPTY_SOLUTION = SolutionTable("SELECT 1 AS unit")  # one solution that binds nothing


class Names:
    """Names of SQL columns for variables; SQL ignores the case of names, SPARQL does not."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __getitem__(self, variable: str) -> str:
        return self._names.setdefault(variable, f"v{len(self._names)}")

    def columns(self, variables: Collection[str]) -> str:
        """Return the columns of *variables* as a list of SQL, which is not empty."""
        return ", ".join(self[variable] for variable in variables) or "1 AS unit"


def fallback(condition: str, otherwise: str) -> str:
    """Return SQL that ends the query where *condition* holds, and is *otherwise* elsewhere."""
    return f"CASE WHEN {condition} THEN error('{FALLBACK}') ELSE {otherwise} END"


def compatible(names: Names, left: SolutionTable, right: SolutionTable) -> str:
    """Return the condition that a solution of ``l`` and one of ``r`` agree on what both bind."""
    conditions = []
    for variable in (item for item in left.columns if item in right.columns):
        one, two, name = left.columns[variable], right.columns[variable], names[variable]
        if one.kind is not two.kind:
            raise NotCompiled(f"?{variable} is joined with values of another kind")
        parts = [f"l.{name} = r.{name}"]
        parts += [f"l.{name} IS NULL"] if one.nullable else []
        parts += [f"r.{name} IS NULL"] if two.nullable else []
        conditions.append(f"({' OR '.join(parts)})")
    return " AND ".join(conditions) or "true"


def join(
    names: Names, left: SolutionTable, right: SolutionTable, optional: str = ""
) -> SolutionTable:
    """Return Join(left, right), or LeftJoin(left, right, condition) with the SQL condition *optional*
    over ``l`` and ``r``.
    """
    if EMPTY_SOLUTION in (left, right) and not optional:
        return right if left is EMPTY_SOLUTION else left
    columns: dict[str, VariableColumn] = {}
    read = []
    for variable in dict.fromkeys((*left.columns, *right.columns)):
        name = names[variable]
        one, two = left.columns.get(variable), right.columns.get(variable)
        if one and two:
            nullable = one.nullable and (bool(optional) or two.nullable)
            value = f"coalesce(l.{name}, r.{name})" if one.nullable else f"l.{name}"
        else:
            nullable = one.nullable if one else bool(optional) or (two is not None and two.nullable)
            value = f"l.{name}" if one else f"r.{name}"
        stored = one or two
        assert stored
        columns[variable] = VariableColumn(stored.kind, nullable)
        read.append(f"{value} AS {name}")
    condition = compatible(names, left, right) + (f" AND ({optional})" if optional else "")
    kind = "LEFT JOIN" if optional else "JOIN"
    source = f"({left.sql}) l {kind} ({right.sql}) r ON {condition}"
    return SolutionTable(f"SELECT {', '.join(read) or '1 AS unit'} FROM {source}", columns)


def union(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    """Return Union(left, right)."""
    columns: dict[str, VariableColumn] = {}
    for variable in dict.fromkeys((*left.columns, *right.columns)):
        sides = [side.columns.get(variable) for side in (left, right)]
        kinds = {side.kind for side in sides if side}
        if len(kinds) > 1:
            raise NotCompiled(f"?{variable} has values of two kinds in a UNION")
        is_nullable = any(side is None or side.nullable for side in sides)
        columns[variable] = VariableColumn(kinds.pop(), is_nullable)
    one, two = (f"SELECT {names.columns(side.columns)} FROM ({side.sql})" for side in (left, right))
    return SolutionTable(f"{one} UNION ALL BY NAME {two}", columns)


def with_properties(
    names: Names, relation: SolutionTable, variables: Collection[str]
) -> SolutionTable:
    """Return *relation* with the properties of the terms of *variables*, such as ``v0_kind``, as
    further SQL columns. The query ends where a term is not in the term table, as a constant of the
    query may be.

    DuckDB hashes the right side of a join: *relation* is mostly smaller than the term table.
    """
    terms = [
        item
        for item in dict.fromkeys(variables)
        if item in relation.columns and relation.columns[item].kind is None
    ]
    if not terms:
        return relation
    columns, source = ["q.*"], f"({relation.sql}) q"
    for number, variable in enumerate(terms):
        name, table = names[variable], f"t{number}"
        missing = f"{table}.kind IS NULL AND q.{name} IS NOT NULL"
        columns.append(f"{fallback(missing, f'{table}.kind')} AS {name}_kind")
        columns += [f"{table}.{item} AS {name}_{item}" for item in PROPERTIES[1:]]
        source = f"terms {table} RIGHT JOIN {source} ON {table}.id = q.{name}"
    sql = f"SELECT {', '.join(columns)} FROM {source}"
    return SolutionTable(sql, relation.columns, frozenset(terms))


def with_unbound(
    names: Names, relation: SolutionTable, variables: Collection[str]
) -> SolutionTable:
    """Return *relation* with a column for each of *variables*."""
    missing = [item for item in dict.fromkeys(variables) if item not in relation.columns]
    if not missing:
        return relation
    unbound = ", ".join(f"NULL::UBIGINT AS {names[item]}" for item in missing)
    columns = {**relation.columns, **dict.fromkeys(missing, VariableColumn(nullable=True))}
    return SolutionTable(f"SELECT *, {unbound} FROM ({relation.sql})", columns)


def with_column(
    names: Names, relation: SolutionTable, variable: str, column: VariableColumn, sql: str
) -> SolutionTable:
    """Return *relation* with one more column, whose value is *sql*, without the properties of terms."""
    read = "".join(f"{names[item]}, " for item in relation.columns)
    columns = {**relation.columns, variable: column}
    return SolutionTable(
        f"SELECT {read}{sql} AS {names[variable]} FROM ({relation.sql}) l", columns
    )
