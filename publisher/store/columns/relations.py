"""Relations of SPARQL solutions as SQL, and the operations of the algebra on them.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from publisher.store.columns.terms import TermKind

# the message of SQL's error(); the store answers then
FALLBACK = "stocktake: this value is not compiled"
# columns of a term that expressions, orders and answers read
PROPERTIES = ("kind", "lexical", "datatype", "language", "whole", "written")


class NotCompiled(Exception):
    """The query, or a value that it meets, is not certain to be answered exactly; the RDF store
    answers instead.
    """


class ColumnType(Enum):
    """What a column of a relation holds: numbers of terms, strings (xsd:string), integers
    (xsd:integer), booleans, decimals, or computed terms of several kinds.

    A decimal (xsd:decimal) is stored as the whole number of its 10^-18th parts, as many as the RDF
    store computes with.
    """

    TERM = "UBIGINT"
    STRING = "VARCHAR"
    INTEGER = "BIGINT"
    BOOLEAN = "BOOLEAN"
    DECIMAL = "HUGEINT"
    COMPUTED = "STRUCT(kind UTINYINT, lexical VARCHAR, language VARCHAR, whole BIGINT)"


@dataclass(frozen=True, slots=True)
class VariableColumn:
    """The values of one variable; SQL's NULL is unbound, which is possible only if the column is
    *nullable*.
    """

    type: ColumnType = ColumnType.TERM
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


def fallback(condition: str, otherwise: str) -> str:
    """Return SQL that ends the query where *condition* holds, and is *otherwise* elsewhere."""
    return f"CASE WHEN {condition} THEN error('{FALLBACK}') ELSE {otherwise} END"


def _select(columns: Collection[str], source: str) -> str:
    return f"SELECT {', '.join(columns) or '1 AS unit'} FROM {source}"


def _compatible(
    names: Names, left: SolutionTable, right: SolutionTable, shared: Collection[str]
) -> str:
    """Return the condition that a solution of ``l`` and one of ``r`` agree on the *shared*
    variables.
    """
    conditions = []
    for variable in shared:
        one, two = left.columns[variable], right.columns[variable]
        if one.type is not two.type:
            raise NotCompiled(f"?{variable} is joined with values of another type")
        name = names[variable]
        parts = [f"l.{name} = r.{name}"]
        parts += [f"l.{name} IS NULL"] if one.nullable else []
        parts += [f"r.{name} IS NULL"] if two.nullable else []
        conditions.append(f"({' OR '.join(parts)})")
    return " AND ".join(conditions) or "true"


def _merged(
    names: Names, left: SolutionTable, right: SolutionTable, *, optional: bool
) -> tuple[list[str], dict[str, VariableColumn]]:
    """Return the SQL and the columns of the solutions of both; *optional* if the right side may be
    missing.
    """
    columns: dict[str, VariableColumn] = {}
    sql = []
    for variable in dict.fromkeys((*left.columns, *right.columns)):
        name = names[variable]
        one, two = left.columns.get(variable), right.columns.get(variable)
        if one and two:
            nullable = one.nullable and (optional or two.nullable)
            value = f"coalesce(l.{name}, r.{name})" if one.nullable else f"l.{name}"
        else:
            nullable = one.nullable if one else optional or (two is not None and two.nullable)
            value = f"l.{name}" if one else f"r.{name}"
        stored = one or two
        assert stored
        columns[variable] = VariableColumn(stored.type, nullable)
        sql.append(f"{value} AS {name}")
    return sql, columns


def _shared(left: SolutionTable, right: SolutionTable) -> list[str]:
    return [variable for variable in left.columns if variable in right.columns]


def join(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    """Return Join(left, right)."""
    if left is EMPTY_SOLUTION:
        return right
    if right is EMPTY_SOLUTION:
        return left
    condition = _compatible(names, left, right, _shared(left, right))
    sql, columns = _merged(names, left, right, optional=False)
    return SolutionTable(
        _select(sql, f"({left.sql}) l JOIN ({right.sql}) r ON {condition}"), columns
    )


def left_join(
    names: Names, left: SolutionTable, right: SolutionTable, condition: str = "true"
) -> SolutionTable:
    """Return LeftJoin(left, right, condition); *condition* is SQL over ``l`` and ``r``."""
    compatible = _compatible(names, left, right, _shared(left, right))
    sql, columns = _merged(names, left, right, optional=True)
    source = f"({left.sql}) l LEFT JOIN ({right.sql}) r ON {compatible} AND ({condition})"
    return SolutionTable(_select(sql, source), columns)


def union(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    """Return Union(left, right)."""
    columns: dict[str, VariableColumn] = {}
    sql: tuple[list[str], list[str]] = ([], [])
    for variable in dict.fromkeys((*left.columns, *right.columns)):
        sides = [side.columns.get(variable) for side in (left, right)]
        types = {side.type for side in sides if side}
        if len(types) > 1:
            raise NotCompiled(f"?{variable} has values of two types in a UNION")
        stored = types.pop()
        columns[variable] = VariableColumn(
            stored, any(side is None or side.nullable for side in sides)
        )
        for side, expressions in zip(sides, sql, strict=True):
            expressions.append(
                names[variable] if side else f"NULL::{stored.value} AS {names[variable]}"
            )
    one, two = _select(sql[0], f"({left.sql})"), _select(sql[1], f"({right.sql})")
    return SolutionTable(f"{one} UNION ALL {two}", columns)


def minus(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    """Return Minus(left, right)."""
    shared = _shared(left, right)
    if not shared:
        return left
    condition = _compatible(names, left, right, shared)
    if all(left.columns[item].nullable or right.columns[item].nullable for item in shared):
        condition += (
            f" AND ({' OR '.join(f'l.{names[item]} = r.{names[item]}' for item in shared)})"
        )
    return without(left, right, condition)


def without(left: SolutionTable, right: SolutionTable, condition: str) -> SolutionTable:
    """Return the solutions ``l`` of *left* for which no ``r`` of *right* meets *condition*."""
    return SolutionTable(
        f"SELECT l.* FROM ({left.sql}) l ANTI JOIN ({right.sql}) r ON {condition}", left.columns
    )


def exists(
    names: Names,
    left: SolutionTable,
    right: SolutionTable,
    *,
    negated: bool,
    condition: str = "true",
) -> SolutionTable:
    """Return the solutions of *left* with which *right* has a compatible solution that meets
    *condition*; *negated*, has none.
    """
    condition = f"{_compatible(names, left, right, _shared(left, right))} AND ({condition})"
    if negated:
        return without(left, right, condition)
    return SolutionTable(
        f"SELECT l.* FROM ({left.sql}) l SEMI JOIN ({right.sql}) r ON {condition}", left.columns
    )


def with_properties(
    names: Names,
    relation: SolutionTable,
    variables: Collection[str],
    *,
    together: bool = False,
    unread: Collection[str] = (),
) -> SolutionTable:
    """Return *relation* with the properties of the terms of *variables*, such as ``v0_kind``, as
    further SQL columns.

    Each look-up reads all terms. *together*: the terms of all variables are looked up at once,
    which is faster where *relation* has few solutions.

    The query ends where a term is not in the term table, as a constant of the query may be, but not
    for the variables *unread*, whose properties are then NULL.
    """
    terms = [
        item
        for item in dict.fromkeys((*variables, *unread))
        if item in relation.columns and relation.columns[item].type is ColumnType.TERM
    ]
    if not terms:
        return relation
    columns, source, start = ["q.*"], f"({relation.sql}) q", ""
    if together and len(terms) > 1:
        read = ", ".join(f"t.{item}" for item in PROPERTIES)
        known_texts = term_rows(names, terms, "unknown", read)
        start = f"WITH unknown AS MATERIALIZED ({relation.sql}), known_texts AS MATERIALIZED ({known_texts}) "
        source = "unknown q"
    for number, variable in enumerate(terms):
        name, table = names[variable], f"t{number}"
        missing = f"{table}.kind IS NULL AND q.{name} IS NOT NULL"
        kind = f"{table}.kind"
        columns.append(
            f"{fallback(missing, kind) if variable in variables else kind} AS {name}_kind"
        )
        columns += [f"{table}.{item} AS {name}_{item}" for item in PROPERTIES[1:]]
        source = (
            f"{source} LEFT JOIN known_texts {table} ON {table}.id = q.{name}"
            if start
            else with_term(source, table, f"q.{name}")
        )
    sql = f"{start}SELECT {', '.join(columns)} FROM {source}"
    return SolutionTable(sql, relation.columns, frozenset(terms))


def property_columns(name: str) -> list[str]:
    """Return the SQL columns of the properties of the terms in the SQL column *name*."""
    return [f"{name}_{item}" for item in PROPERTIES]


def with_term(source: str, table: str, number: str) -> str:
    """Return the rows of *source* with the row *table* of the term table whose id is *number*, if
    there is one.

    DuckDB hashes the right side of a join: *source* is mostly smaller than the term table.
    """
    return f"terms {table} RIGHT JOIN {source} ON {table}.id = {number}"


def term_rows(names: Names, variables: Sequence[str], table: str, read: str) -> str:
    """Return the ``id`` and the columns *read* of the rows ``t`` of the term table, each once, whose
    numbers *variables* have in an SQL table.

    The terms that are not common ones are looked up variable by variable: the numbers of one
    variable lie near each other, so that DuckDB skips the other parts of the table.
    """
    wanted = " UNION ALL ".join(
        f"SELECT DISTINCT {names[item]} AS id, {number} AS variable FROM {table}"
        for number, item in enumerate(variables)
    )
    if len(variables) > 1:
        wanted = f"SELECT id, min(variable) AS variable FROM ({wanted}) GROUP BY id"
    rare = "".join(
        f" UNION ALL SELECT t.id, {read} FROM terms t"
        f" JOIN (SELECT id FROM rare WHERE variable = {number}) n ON t.id = n.id"
        for number in range(len(variables))
    )
    return (
        f"WITH wanted AS MATERIALIZED ({wanted}), common AS MATERIALIZED "
        "(SELECT t.* FROM common_terms t JOIN wanted n ON t.id = n.id), "
        "rare AS MATERIALIZED (SELECT * FROM wanted ANTI JOIN common USING (id)"
        f" WHERE id IS NOT NULL) SELECT t.id, {read} FROM common t{rare}"
    )


def restrict(names: Names, relation: SolutionTable, condition: str) -> SolutionTable:
    """Return the solutions of *relation* for which *condition* is true, without the properties of
    terms.
    """
    columns = [names[variable] for variable in relation.columns]
    return SolutionTable(
        f"{_select(columns, f'({relation.sql})')} WHERE {condition}", relation.columns
    )


def with_unbound(names: Names, relation: SolutionTable, variables: list[str]) -> SolutionTable:
    """Return *relation* with a column for each of *variables*."""
    missing = [
        variable for variable in dict.fromkeys(variables) if variable not in relation.columns
    ]
    if not missing:
        return relation
    unbound = ", ".join(f"NULL::UBIGINT AS {names[variable]}" for variable in missing)
    columns = {
        **relation.columns,
        **{variable: VariableColumn(nullable=True) for variable in missing},
    }
    return SolutionTable(f"SELECT *, {unbound} FROM ({relation.sql})", columns)


def without_columns(
    names: Names, relation: SolutionTable, variables: Collection[str]
) -> SolutionTable:
    """Return *relation* without the columns of *variables*."""
    rest = {name: column for name, column in relation.columns.items() if name not in variables}
    if len(rest) == len(relation.columns):
        return relation
    return SolutionTable(_select([names[variable] for variable in rest], f"({relation.sql})"), rest)


def described(
    names: Names, relation: SolutionTable, variables: Collection[str], source: str
) -> SolutionTable:
    """Return the triples ``s``, ``p``, ``o`` of the SQL table *source* that describe the terms of
    *variables*: those of which a term is the subject, and those of the blank nodes in them, as the
    RDF store describes.
    """
    if any(column.type is ColumnType.COMPUTED for column in relation.columns.values()):
        raise NotCompiled("DESCRIBE of a term that is computed")
    terms = [
        f"SELECT {names[variable]} FROM solutions"
        for variable in variables
        if variable in relation.columns and relation.columns[variable].type is ColumnType.TERM
    ]
    nodes = f"SELECT t.o FROM described d JOIN {source} t ON t.s = d.id JOIN terms k ON k.id = t.o AND k.kind = {TermKind.BLANK:d}"
    first = " UNION ".join(terms) or "SELECT NULL::UBIGINT AS id"
    columns = ", ".join(f"t.{column} AS {names[column]}" for column in "spo")
    sql = (
        f"WITH RECURSIVE solutions AS MATERIALIZED ({relation.sql}), "
        f"described(id) AS (SELECT * FROM ({first}) UNION {nodes}) "
        f"SELECT {columns} FROM {source} t JOIN described d ON t.s = d.id"
    )
    return SolutionTable(sql, {column: VariableColumn() for column in "spo"})


def with_column(
    names: Names, relation: SolutionTable, variable: str, column: VariableColumn, sql: str
) -> SolutionTable:
    """Return *relation* with one more column, whose value is *sql*."""
    stored = ", ".join([*(names[item] for item in relation.columns), f"{sql} AS {names[variable]}"])
    return SolutionTable(
        f"SELECT {stored} FROM ({relation.sql})", {**relation.columns, variable: column}
    )
