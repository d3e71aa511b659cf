"""Solutions of SPARQL's algebra as SQL: basic graph patterns, whose joins are ordered by the numbers of
triples that their predicates have, the operations on relations, and values. NULL is SPARQL's error.

Source: https://www.w3.org/TR/sparql11-query/#sparqlAlgebra
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, Protocol

from pyoxigraph import Literal, NamedNode
from rdflib.paths import AlternativePath, InvPath, MulPath, SequencePath
from rdflib.term import BNode, URIRef, Variable
from rdflib.term import Literal as ParsedLiteral

from publisher.rdf import DEFAULT_GRAPH, TermKind, TermRow, term_row
from vocab.terms import XSD

Triple = tuple[object, object, object]
_TRIPLES_OF_A_SUBJECT = 20
_VISITS_OF_A_PATH = 5  # triples that the RDF store visits to follow a recursive path from one node
_FILTERED = 4  # of so many triples a filter keeps one, about
_MAX_STEPS = 50_000  # triples of a predicate up to which all pairs that they connect are listed


class PredicateCount(NamedTuple):
    """How many triples, subjects and objects a predicate has."""

    triples: int
    subjects: int
    objects: int


class Statistics(Protocol):
    """Counts of the triples in the default graph."""

    @property
    def triples(self) -> int:
        """Return the number of triples."""

    @property
    def predicates(self) -> Mapping[int, PredicateCount]:
        """Return the counts by predicate."""

    @property
    def kinds(self) -> Mapping[int, frozenset[TermKind]]:
        """Return the kinds of terms that the objects of each predicate may have, and those of
        subjects and graphs as DEFAULT_GRAPH.
        """

    def with_object(self, predicate: int, value: int) -> int:
        """Count the triples of *predicate* with the object *value*."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A triple pattern on the table *source*.

    *terms* are its constants' numbers and its variables' names by column, *kinds* those that the
    objects may have. *count* is of all triples with its predicate, *rows* is about how many of these
    match.
    """

    source: str
    terms: Mapping[str, int | str]
    kinds: frozenset[TermKind]
    count: PredicateCount
    rows: float

    def variables(self) -> set[str]:
        return {term for term in self.terms.values() if isinstance(term, str)}

    def matches(self, bound: set[str]) -> float:
        """Return about how many triples match for one solution that binds *bound*."""
        ends = (("s", self.count.subjects), ("o", self.count.objects))
        fanouts = [
            self.count.triples / max(1, number)
            for column, number in ends
            if self.terms.get(column) in bound
        ]
        return min([self.rows, *fanouts])


def _steps(triple: Triple, fresh: Iterator[int]) -> Iterator[Triple]:
    """Yield a triple pattern, or the steps of its path, between new variables with the numbers
    *fresh*. A step and a repeated step after it are one tuple.
    """
    subject, predicate, value = triple
    if isinstance(predicate, SequencePath):
        parts: list[object] = list(predicate.args)
        if isinstance(parts[-1], MulPath) and parts[-1].mod == "*":
            parts[-2:] = [tuple(parts[-2:])]
        for number, part in enumerate(parts, 1):
            end = value if number == len(parts) else Variable(f" step{next(fresh)}")
            yield from _steps((subject, part, end), fresh)
            subject = end
    elif isinstance(predicate, InvPath):
        yield from _steps((value, predicate.arg, subject), fresh)
    else:
        yield triple


class ValueFilter(NamedTuple):
    """A filter of the values of one *variable*; *compile* returns solutions with the properties that
    its condition reads, to be named ``l``, and the condition.
    """

    variable: str
    expression: object
    compile: Callable[[SolutionTable], tuple[SolutionTable, str]]


class JoinPlanner:
    """Compiles basic graph patterns by *statistics*."""

    def __init__(self, names: Names, statistics: Statistics) -> None:
        self._names, self._statistics = names, statistics
        self._fresh = itertools.count()
        self.has_named = False  # whether it asks for named graphs, which only the columns have
        self.cost = 0.0  # about how many triples and solutions the RDF store visits
        self._solutions = 1.0  # about how many solutions the last pattern has
        self._before: tuple[frozenset[str], float] = (frozenset(), 1.0)

    def compile(
        self, triples: Sequence[Triple], graph: int | str | None, filters: list[ValueFilter]
    ) -> SolutionTable:
        """Return the solutions of *triples* in the graph with a number or a variable's name, None
        for the default graph.

        Those of *filters* that are evaluated for fewer triples than solutions are removed from the
        list: the solutions are only those that they keep.
        """
        if not triples:
            if graph is not None:
                raise NotCompiled("an empty GRAPH")
            self._solutions = self._before[1]
            return EMPTY_SOLUTION
        patterns = [
            self._pattern(step, graph) for triple in triples for step in _steps(triple, self._fresh)
        ]
        outer, solutions = self._before
        seen = set(outer)
        for pattern in _in_order(patterns, outer):
            solutions *= pattern.matches(seen)
            self.cost += solutions
            seen |= pattern.variables()
        self._solutions = solutions
        for item in list(filters):
            ends = [pattern for pattern in patterns if pattern.terms.get("o") == item.variable]
            smallest = min(ends, key=lambda pattern: pattern.rows, default=None)
            if smallest is None or smallest.rows >= solutions:
                continue
            if filtered := self._filtered(smallest, item):
                patterns[patterns.index(smallest)] = filtered
                filters.remove(item)
        return self._joined(list(_in_order(patterns)))

    def _filtered(self, pattern: _Pattern, item: ValueFilter) -> _Pattern | None:
        """Return *pattern* with the objects that a filter keeps; None if that may end the query."""
        others = ", ".join(column for column in pattern.terms if column != "o")
        name = self._names[item.variable]
        matches = [
            f"{column} = {term}::UBIGINT"
            for column, term in pattern.terms.items()
            if isinstance(term, int)
        ]
        sql = f"SELECT {others}, o AS {name} FROM {pattern.source} WHERE {' AND '.join(matches) or 'true'}"
        columns = {item.variable: VariableColumn(terms=pattern.kinds)}
        full, condition = item.compile(SolutionTable(sql, columns))
        if FALLBACK in condition:
            return None
        source = f"(SELECT {others}, {name} AS o FROM ({full.sql}) l WHERE {condition})"
        count = pattern.count._replace(triples=pattern.count.triples // _FILTERED)
        return replace(pattern, source=source, count=count, rows=pattern.rows / _FILTERED)

    @contextmanager
    def after(self, bound: Collection[str]) -> Iterator[None]:
        """Estimate what follows as visited once for each solution of the last pattern, which binds
        *bound*: this is how the RDF store evaluates OPTIONAL and EXISTS.

        Afterwards the number of solutions is that of before.
        """
        before, self._before = self._before, (self._before[0] | frozenset(bound), self._solutions)
        yield
        self._solutions, self._before = self._before[1], before

    def _path(
        self,
        subject: object,
        path: AlternativePath | MulPath | tuple[object, MulPath],
        value: object,
        graph: int | str | None,
    ) -> _Pattern:
        """Return what a path connects as a table: one of several predicates, one or more steps of one
        predicate, or a step of a predicate and then any number of steps of another one. The RDF
        store yields each pair of such alternatives or steps once.
        """
        terms, source = self._ends({"s": _term(subject), "o": _term(value)}, graph)
        if isinstance(path, AlternativePath):
            condition, total = self._one_of(path.args)
            pairs = f"SELECT DISTINCT {', '.join(terms)} FROM {source} WHERE {condition}"
            kinds = self._kinds(path.args)
            return _Pattern(f"({pairs})", terms, kinds, total, self._matching(terms, total))
        first, repeated = path if isinstance(path, tuple) else (None, path)
        condition, total = self._one_of([repeated.path])
        is_listed = repeated.mod == ("*" if first else "+") and total.triples <= _MAX_STEPS
        if graph is not None or not is_listed:
            raise NotCompiled(f"the path {path}")
        pairs = (
            f"WITH RECURSIVE step AS MATERIALIZED (SELECT s, o FROM triples WHERE {condition}), "
            "reached(s, o) AS (FROM step UNION SELECT r.s, t.o FROM reached r JOIN step t ON r.o = t.s) "
        )
        if first:
            condition, total = self._one_of([first])
            more = "SELECT t.s, r.o FROM reached r JOIN begun t ON t.o = r.s WHERE r.s <> r.o"
            begun = f"begun AS MATERIALIZED (SELECT s, o FROM triples WHERE {condition})"
            pairs += f", {begun} FROM begun UNION ALL {more}"
        else:
            pairs += "FROM reached"
        kinds = self._kinds([first, repeated.path] if first else [repeated.path])
        total = total._replace(triples=_VISITS_OF_A_PATH * total.triples)
        return _Pattern(f"({pairs})", terms, kinds, total, self._matching(terms, total))

    def _kinds(self, predicates: Sequence[object]) -> frozenset[TermKind]:
        """Return the kinds that the objects of *predicates* may have, all if one is a variable."""
        kinds = self._statistics.kinds
        sets = [
            frozenset(TermKind) if isinstance(item, Variable) else kinds.get(constant(item).id)
            for item in predicates
        ]
        return frozenset().union(*(kinds or () for kinds in sets))

    def _one_of(self, predicates: Sequence[object]) -> tuple[str, PredicateCount]:
        """Return the condition that a triple has one of *predicates*, and the count of such triples."""
        if not all(isinstance(predicate, URIRef) for predicate in predicates):
            raise NotCompiled(f"the path {predicates}")
        numbers = [constant(predicate).id for predicate in predicates]
        total = PredicateCount(*map(sum, zip(*map(self._count, numbers), strict=True)))
        return f"p IN ({', '.join(f'{number}::UBIGINT' for number in numbers)})", total

    def _ends(
        self, terms: Mapping[str, int | str], graph: int | str | None
    ) -> tuple[dict[str, int | str], str]:
        """Return *terms* with the graph, and the table to read."""
        if graph is None:
            return dict(terms), "triples"
        self.has_named = True
        return {**terms, "g": graph}, "quads" if isinstance(graph, int) else "named_quads"

    def _pattern(self, triple: Triple, graph: int | str | None) -> _Pattern:
        subject, predicate, value = triple
        if isinstance(predicate, AlternativePath | MulPath | tuple):
            return self._path(subject, predicate, value, graph)
        terms, source = self._ends(dict(zip("spo", map(_term, triple), strict=True)), graph)
        number, end = terms["p"], terms["o"]
        count = self._count(number)
        rows = self._matching(terms, count)
        if isinstance(end, int) and isinstance(number, int):
            rows = min(rows, self._statistics.with_object(number, end))
        return _Pattern(source, terms, self._kinds([predicate]), count, rows)

    def _matching(self, terms: Mapping[str, int | str], count: PredicateCount) -> float:
        """Return about how many triples with the predicate of *count* match *terms*."""
        rows = float(count.triples)
        if isinstance(terms["s"], int):
            rows /= max(1, count.subjects)
        if isinstance(terms["o"], int) and not isinstance(terms.get("p"), int):
            rows = min(rows, count.triples / max(1, count.objects))
        return rows

    def _count(self, predicate: int | str) -> PredicateCount:
        if isinstance(predicate, int):
            return self._statistics.predicates.get(predicate, PredicateCount(0, 1, 1))
        triples = self._statistics.triples
        # An object that other patterns bind is more likely a frequent one.
        counts = self._statistics.predicates.values()
        pairs = sum(count.triples**2 // max(1, count.objects) for count in counts)
        objects = 1 + triples**2 // max(1, pairs)
        return PredicateCount(triples, 1 + triples // _TRIPLES_OF_A_SUBJECT, objects)

    def _joined(self, patterns: Sequence[_Pattern]) -> SolutionTable:
        """Return the join of *patterns* in their order. Its columns are the variables."""
        places: dict[str, str] = {}
        kinds: dict[str, frozenset[TermKind]] = {}
        nodes = self._statistics.kinds[DEFAULT_GRAPH]
        tables, joins, first = [], [], "true"
        for number, pattern in enumerate(patterns):
            conditions = []
            for column, term in pattern.terms.items():
                place = f"p{number}.{column}"
                if isinstance(term, int):
                    conditions.append(f"{place} = {term}::UBIGINT")
                    continue
                if term in places:
                    conditions.append(f"{place} = {places[term]}")
                places.setdefault(term, place)
                of_place = pattern.kinds if column == "o" else nodes
                kinds[term] = kinds.get(term, of_place) & of_place
            condition = " AND ".join(conditions) or "true"
            tables.append(f"{pattern.source} p{number}")
            if number:
                joins.append(f"ON {condition}")
            else:
                first = condition
        visible = {term: place for term, place in places.items() if not term.startswith(" ")}
        columns = ", ".join(f"{place} AS {self._names[term]}" for term, place in visible.items())
        # DuckDB hashes the right side of a join, so earlier results are on that side: p2 JOIN p1
        # JOIN p0 ON ... ON ...
        source = " ".join([" JOIN ".join(reversed(tables)), *joins])
        sql = f"SELECT {columns or '1 AS unit'} FROM {source} WHERE {first}"
        return SolutionTable(sql, {term: VariableColumn(terms=kinds[term]) for term in visible})


def _in_order(patterns: list[_Pattern], before: Collection[str] = ()) -> Iterator[_Pattern]:
    """Yield first the pattern with the fewest triples, then always the one that multiplies
    solutions the least.

    The variables *before* are bound already.
    """
    rest, bound = list(patterns), set(before)
    while rest:
        connected = [pattern for pattern in rest if pattern.variables() & bound] or rest
        best = min(connected, key=lambda pattern: (pattern.matches(bound), pattern.rows))
        rest.remove(best)
        bound |= best.variables()
        yield best


def _term(term: object) -> int | str:
    """Return the number of a constant, or the name of a variable; that of a blank node begins with
    a space.
    """
    if isinstance(term, Variable):
        return str(term)
    return f" {term}" if isinstance(term, BNode) else constant(term).id


# The message of SQL's error(), after which the RDF store answers.
FALLBACK = "stocktake: this value is not compiled"
# The columns of the term table that expressions, orders and answers read.
_PROPERTIES = ("kind", "lexical", "datatype", "language", "whole", "written")
# Only terms of these kinds have these properties.
_OWN = {
    "datatype": TermKind.OTHER,
    "language": TermKind.LANGUAGE_STRING,
    "whole": TermKind.INTEGER,
}
_UNLIKE = {TermKind.BLANK, TermKind.BOOLEAN, TermKind.DECIMAL, TermKind.OTHER}

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
    with. SQL's NULL is unbound, which is possible only if the column is *nullable*. *terms* are the
    kinds that the terms may have; *is_added* if they may be constants of the query that are not
    stored.
    """

    kind: TermKind | None = None
    nullable: bool = False
    terms: frozenset[TermKind] = frozenset(TermKind)
    is_added: bool = False

    @property
    def static(self) -> TermKind | None:
        """Return the kind of all the terms; None if they may be of several kinds, or are of a kind
        whose values are not compared by their texts.
        """
        (kind,) = self.terms if len(self.terms) == 1 else (None,)
        return None if kind in _UNLIKE else kind

    @property
    def properties(self) -> Collection[str]:
        """Return the columns of the term table that describe the terms."""
        absent = {item for item, kind in _OWN.items() if kind not in self.terms}
        absent |= set() if self.static is None else {"kind"}
        return [item for item in _PROPERTIES if item not in absent]


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

    *constants* are the terms that the query itself adds to solutions, by number: they may be in no
    triple.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self.constants: dict[int, TermRow] = {}

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
            stored = _either(one, two) if one.nullable else one
            if not (one.nullable or two.nullable or optional):
                is_added = one.is_added and two.is_added
                stored = replace(one, terms=one.terms & two.terms, is_added=is_added)
        else:
            stored = one or two or VariableColumn()
            nullable = stored.nullable or (one is None and bool(optional))
            value = f"l.{name}" if one else f"r.{name}"
        columns[variable] = replace(stored, nullable=nullable)
        read.append(f"{value} AS {name}")
    condition = compatible(names, left, right) + (f" AND ({optional})" if optional else "")
    kind = "LEFT JOIN" if optional else "JOIN"
    source = f"({left.sql}) l {kind} ({right.sql}) r ON {condition}"
    return SolutionTable(f"SELECT {', '.join(read) or '1 AS unit'} FROM {source}", columns)


def _either(one: VariableColumn, two: VariableColumn) -> VariableColumn:
    """Return a column whose values are of *one* or of *two*."""
    return VariableColumn(
        one.kind, one.nullable or two.nullable, one.terms | two.terms, one.is_added or two.is_added
    )


def minus(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    shared = [names[item] for item in left.columns if item in right.columns]
    bound = " OR ".join(f"l.{name} = r.{name}" for name in shared) or "false"
    condition = f"{compatible(names, left, right)} AND ({bound})"
    sql = f"SELECT * FROM ({left.sql}) l ANTI JOIN ({right.sql}) r ON {condition}"
    return SolutionTable(sql, left.columns)


def union(names: Names, left: SolutionTable, right: SolutionTable) -> SolutionTable:
    columns: dict[str, VariableColumn] = {}
    for variable in dict.fromkeys((*left.columns, *right.columns)):
        one, two = left.columns.get(variable), right.columns.get(variable)
        if one and two and one.kind is not two.kind:
            raise NotCompiled(f"?{variable} has values of two kinds in a UNION")
        if one and two:
            columns[variable] = _either(one, two)
        else:
            columns[variable] = replace(one or two or VariableColumn(), nullable=True)
    parts = (f"SELECT {names.columns(side.columns)} FROM ({side.sql})" for side in (left, right))
    return SolutionTable(" UNION ALL BY NAME ".join(parts), columns)


def with_properties(
    names: Names, relation: SolutionTable, variables: Collection[str]
) -> SolutionTable:
    """Return *relation* with the properties of the terms of *variables*, such as ``v0_kind``, as
    further SQL columns.

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
        name, column, table = names[variable], relation.columns[variable], f"t{number}"
        columns += [f"{table}.{item} AS {name}_{item}" for item in column.properties]
        join_type = "RIGHT JOIN" if column.nullable else "JOIN"
        terms_table = _with_constants(names) if column.is_added else "terms"
        source = f"{terms_table} {table} {join_type} {source} ON {table}.id = q.{name}"
    sql = f"SELECT {', '.join(columns)} FROM {source}"
    return SolutionTable(sql, relation.columns, frozenset(terms))


def _with_constants(names: Names) -> str:
    """Return the term table with the constants of the query, which may not be stored."""
    rows = [
        f"({row.id}::UBIGINT, {row.kind:d}, {quote(row.lexical)}, {quote(row.datatype)}, "
        f"{quote(row.language)}, {'NULL' if row.whole is None else row.whole}, {quote(row.text)})"
        for row in names.constants.values()
    ]
    listed = ", ".join(("id", *_PROPERTIES))
    numbers = ", ".join(f"{number}::UBIGINT" for number in names.constants)
    return (
        f"(SELECT {listed} FROM terms WHERE id NOT IN ({numbers}) "
        f"UNION ALL SELECT * FROM (VALUES {', '.join(rows)}) c({listed}))"
    )


def with_unbound(
    names: Names, relation: SolutionTable, variables: Collection[str]
) -> SolutionTable:
    """Return *relation* with a column for each of *variables*."""
    missing = [item for item in dict.fromkeys(variables) if item not in relation.columns]
    if not missing:
        return relation
    unbound = ", ".join(f"NULL::UBIGINT AS {names[item]}" for item in missing)
    nothing = VariableColumn(nullable=True, terms=frozenset())
    columns = {**relation.columns, **dict.fromkeys(missing, nothing)}
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
    same, *kinds* are those that it may have. *lexical* is its text, of a boolean its value.

    *id* is None where the value is not known to be a stored term. *whole* is the value of an
    integer.
    """

    kind: str
    lexical: str
    static: TermKind | None = None
    id: str | None = None
    language: str = "''"
    whole: str = "NULL::BIGINT"
    kinds: frozenset[TermKind] = frozenset(TermKind)

    @property
    def sql(self) -> str:
        """Return the value of a computed operand, as a column has it."""
        return f"({self.whole})::BIGINT" if self.static is TermKind.INTEGER else self.lexical


COMPUTED = (
    TermKind.STRING,
    TermKind.INTEGER,
    TermKind.BOOLEAN,
)  # kinds of values that are computed
# The value of a variable that is not in scope.
UNBOUND = Operand("NULL::UTINYINT", "NULL::VARCHAR", None, "NULL::UBIGINT", "NULL::VARCHAR")


def quote(text: str) -> str:
    """Write *text* as a string of SQL. Raises NotCompiled if it contains a NUL character."""
    if "\0" in text:
        raise NotCompiled("a NUL character")
    return "'" + text.replace("'", "''") + "'"


def constant(term: object) -> TermRow:
    """Return the row of a constant as rdflib parsed it. Raises NotCompiled if the store may read it
    differently.
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
        text = re.sub(r"\+00:00$", "Z", text)  # the parser has rewritten Z
    row = term_row(Literal(text, datatype=NamedNode(str(term.datatype or f"{XSD}string"))))
    if row.kind is TermKind.OTHER:
        raise NotCompiled(f"the literal {row.text}")
    return row


def constant_operand(row: TermRow) -> Operand:
    whole = "NULL::BIGINT" if row.whole is None else f"{row.whole}::BIGINT"
    lexical, language = quote(row.lexical), quote(row.language)
    return Operand(
        f"{row.kind:d}",
        lexical,
        row.kind,
        f"{row.id}::UBIGINT",
        language,
        whole,
        frozenset([row.kind]),
    )


def computed(static: TermKind, sql: str) -> Operand:
    """Return a value that is always of one kind: *sql* is the text of a string, else the value; NULL
    for an error.
    """
    kind = f"CASE WHEN {sql} IS NOT NULL THEN {static:d} END"
    if static is TermKind.INTEGER:
        return Operand(kind, f"({sql})::VARCHAR", static, whole=sql, kinds=frozenset([static]))
    return Operand(kind, sql, static, kinds=frozenset([static]))


string = partial(computed, TermKind.STRING)
integer = partial(computed, TermKind.INTEGER)
boolean = partial(computed, TermKind.BOOLEAN)
