"""Relations of SPARQL solutions as SQL, the operations of the algebra on them, and the values of
expressions as SQL. NULL is SPARQL's error.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from pyoxigraph import Literal, NamedNode
from rdflib.term import Literal as ParsedLiteral
from rdflib.term import URIRef

from publisher.store.columns.terms import TermKind, TermRow, term_row
from vocab.terms import XSD

# the message of SQL's error(); the store answers then
FALLBACK = "stocktake: this value is not compiled"
# columns of a term that expressions, orders and answers read
PROPERTIES = ("kind", "lexical", "datatype", "language", "whole", "written")

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_DATE_TIME = URIRef(f"{XSD}dateTime")
STRINGS = f"({TermKind.STRING:d}, {TermKind.LANGUAGE_STRING:d})"  # the kinds, for IN


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
    """Names of SQL columns for variables; SQL ignores the case of names, SPARQL does not.

    *constants* are the texts of the terms that the query itself adds to solutions, by number: they
    may be in no triple.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.constants: dict[int, str] = {}

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

    DuckDB hashes the right side of a join: *relation* is mostly smaller than the term table. Terms
    that are certainly in it are joined without that check: below a join with nothing DuckDB 2.0
    evaluates it for rows that have not been looked up.
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
        is_stored = not (names.constants or relation.columns[variable].nullable)
        kind = f"{table}.kind" if is_stored else fallback(missing, f"{table}.kind")
        columns.append(f"{kind} AS {name}_kind")
        columns += [f"{table}.{item} AS {name}_{item}" for item in PROPERTIES[1:]]
        join_type = "JOIN" if is_stored else "RIGHT JOIN"
        source = f"terms {table} {join_type} {source} ON {table}.id = q.{name}"
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


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as SQL. *kind* is SQL, NULL for an error; *static* is the kind where it is always the
    same. *lexical* is its text, of a boolean its value.

    *id* is None where the value is not known to be a stored term. *whole* is the value of an
    integer.
    """

    kind: str
    lexical: str
    static: TermKind | None = None
    id: str | None = None
    language: str = "''"
    whole: str = "NULL::BIGINT"

    @property
    def sql(self) -> str:
        """Return the value of a computed operand, as a column has it."""
        return f"({self.whole})::BIGINT" if self.static is TermKind.INTEGER else self.lexical


COMPUTED = (
    TermKind.STRING,
    TermKind.INTEGER,
    TermKind.BOOLEAN,
)  # kinds of values that are computed
# a variable that is not in scope
UNBOUND = Operand("NULL::UTINYINT", "NULL::VARCHAR", None, "NULL::UBIGINT", "NULL::VARCHAR")


def quote(text: str) -> str:
    """Write *text* as a string of SQL. Raises NotCompiled if it contains a NUL character."""
    if "\0" in text:
        raise NotCompiled("a NUL character")
    return "'" + text.replace("'", "''") + "'"


def constant(term: object) -> TermRow:
    """Return the row of a constant as rdflib parsed it. Raises NotCompiled if the store may read it
    otherwise.
    """
    if isinstance(term, URIRef):
        text = str(term)
        if not _ABSOLUTE.match(text) or _DOTS.search(text):
            raise NotCompiled(f"the relative IRI {text}")
        try:
            return term_row(NamedNode(text))
        except ValueError as error:
            raise NotCompiled(str(error)) from error
    if not isinstance(term, ParsedLiteral):
        raise NotCompiled(f"the term {term!r}")
    text = str(term)
    if term.language:
        return term_row(Literal(text, language=term.language.lower()))
    if term.datatype == _DATE_TIME:
        text = re.sub(r"\+00:00$", "Z", text)  # the parser has rewritten it
    row = term_row(Literal(text, datatype=NamedNode(str(term.datatype or f"{XSD}string"))))
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {row.text}")
    return row


def constant_operand(row: TermRow) -> Operand:
    """Return a constant term as an operand."""
    whole = "NULL::BIGINT" if row.whole is None else f"{row.whole}::BIGINT"
    lexical, language = quote(row.lexical), quote(row.language)
    return Operand(f"{row.kind:d}", lexical, row.kind, f"{row.id}::UBIGINT", language, whole)


def computed(static: TermKind, sql: str) -> Operand:
    """Return a value that is always of one kind: *sql* is the text of a string, else the value; NULL
    for an error.
    """
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {static:d} END"
    if static is TermKind.INTEGER:
        return Operand(kind, f"({sql})::VARCHAR", static, whole=sql)
    return Operand(kind, sql, static)


string = partial(computed, TermKind.STRING)
integer = partial(computed, TermKind.INTEGER)
boolean = partial(computed, TermKind.BOOLEAN)
