"""Compile queries of SPARQL 1.1 to SQL over the columns.

A query whose result might differ from that of the RDF store is not compiled (NotCompiled). If it
depends on a value, the SQL query fails by ``error()`` when it reads such a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from rdflib.paths import Path
from rdflib.plugins.sparql.algebra import translateGroupGraphPattern, translatePath, traverse
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal, URIRef, Variable

from publisher.rdf import SCALE, TermKind, text_sql
from publisher.store.columns.algebra import (
    COMPUTED,
    JoinPlanner,
    Names,
    NotCompiled,
    SolutionTable,
    Statistics,
    Triple,
    ValueFilter,
    VariableColumn,
    compatible,
    constant,
    fallback,
    join,
    minus,
    quote,
    union,
    with_column,
    with_properties,
    with_unbound,
)
from publisher.store.columns.expressions import Expressions

EXISTS = ("Builtin_EXISTS", "Builtin_NOTEXISTS")
# Patterns in EXISTS that the parser has translated to the algebra.
_TRANSLATED = ("BGP", "Join", "Filter", "Union")
# Pairs of kinds that are ordered together.
_LIKE = (
    (TermKind.LANGUAGE_STRING, TermKind.STRING),
    (TermKind.INSTANT, TermKind.DATE),
)
_UNORDERED = frozenset([TermKind.BLANK, TermKind.DECIMAL, TermKind.OTHER])
# The first of several sort keys is sorted apart for at most so many solutions, of at least so many
# triples and solutions that are visited: the second sort costs a millisecond.
_MAX_FIRST, MANY = 1000, 50_000
_MAX_SUM = 10**18  # sums from here on are left to the RDF store, whose integers have 64 bits


class Modifiers(NamedTuple):
    """The solution modifiers of a SELECT and the pattern below them."""

    pattern: CompValue
    variables: tuple[str, ...]
    order: tuple[CompValue, ...]
    distinct: bool
    start: int
    length: int | None


def modifiers_of(node: CompValue) -> Modifiers:
    """Return the modifiers of a SELECT. Raises NotCompiled if *node* is not a projection."""
    part = node if node.name == "Slice" else CompValue("Slice", p=node)
    distinct = part.p if part.p.name == "Distinct" else CompValue("All", p=part.p)
    project = distinct.p
    if project.name != "Project":
        raise NotCompiled(project.name)
    order = project.p if project.p.name == "OrderBy" else CompValue("All", p=project.p, expr=())
    return Modifiers(
        order.p,
        tuple(map(str, project.PV)),
        tuple(order.expr),
        distinct.name == "Distinct",
        int(part.start or 0),
        None if part.length is None else int(part.length),
    )


def children_of(node: object) -> Iterable[object]:
    """Return what is directly in *node*, part of the algebra or a path."""
    if isinstance(node, Path):
        return vars(node).values()
    if isinstance(node, Mapping):  # the keys of the rows of VALUES are variables
        return [part for item in node.items() if item[0] != "_vars" for part in item]
    return node if isinstance(node, list | tuple | set) else ()


def parts_of(node: object, *, with_exists: bool = False) -> Iterator[object]:
    """Yield *node* and all its parts; what is in EXISTS only *with_exists*."""
    yield node
    if with_exists or not (isinstance(node, CompValue) and node.name in EXISTS):
        for child in children_of(node):
            yield from parts_of(child, with_exists=with_exists)


def variables_of(node: object, *, with_exists: bool = False) -> list[str]:
    """Return the names of the variables in *node*, as ``parts_of`` yields them."""
    parts = parts_of(node, with_exists=with_exists)
    return [str(part) for part in parts if isinstance(part, Variable)]


def existences_of(expression: object) -> list[CompValue]:
    parts = parts_of(expression)
    return [part for part in parts if isinstance(part, CompValue) and part.name in EXISTS]


def pattern_of(existence: CompValue) -> CompValue:
    """Return the algebra of the pattern in EXISTS or NOT EXISTS."""
    inner: CompValue = existence.graph
    if inner.name in _TRANSLATED:
        return inner
    # The parser has not read the paths of one outside WHERE: in a projection, or in HAVING.
    translated: CompValue = translateGroupGraphPattern(traverse(inner, visitPost=translatePath))
    return translated


def ordered_solutions(
    names: Names, relation: SolutionTable, modifiers: Modifiers, cost: float
) -> SolutionTable:
    """Return the part of *relation* that *modifiers* select, in their order, with the properties of
    the terms that were looked up for that. *cost* is that of ``CompiledQuery``. Raises NotCompiled.
    """
    used = list(dict.fromkeys(variables_of([item.expr for item in modifiers.order])))
    if modifiers.distinct and not set(used) <= set(modifiers.variables):
        raise NotCompiled("ORDER BY a variable that DISTINCT drops")
    length, end = modifiers.length, modifiers.start + (modifiers.length or 0)
    has_more = isinstance(modifiers.order[0].expr, Variable) and len(modifiers.order) > 1
    if has_more and length is not None and end <= _MAX_FIRST and cost >= MANY:
        relation = _first_solutions(names, relation, modifiers.order[0], end)
    full = with_properties(names, relation, used)
    keys, kinds = [], []
    for item in modifiers.order:
        parts, kind = _sort_keys(names, item.expr, full)
        keys += [_directed(part, item) for part in parts]
        kinds += kind
    # All variables are keys too, so that pages do not overlap.
    keys += [f"{names[variable]} ASC NULLS FIRST" for variable in modifiers.variables]
    limit = f" LIMIT {length}" if length is not None else ""
    offset = f" OFFSET {modifiers.start}" if modifiers.start else ""
    columns = {item: relation.columns[item] for item in modifiers.variables}
    described = [item for item in modifiers.variables if item in full.described]
    read = [names[item] for item in modifiers.variables]
    read += [f"{names[item]}_{part}" for item in described for part in columns[item].properties]
    sql = (
        f"{_solutions(full, kinds, ', '.join(read) or '1 AS unit')} "
        f"ORDER BY {', '.join(keys)}{limit}{offset}"
    )
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
        f"WITH everything AS MATERIALIZED ({relation.sql}), "
        f"first_values AS ({_solutions(full, kinds, '*')} ORDER BY {order} LIMIT {end}), "
        f"numbered AS (SELECT *, sum(number) OVER (ROWS UNBOUNDED PRECEDING) - number AS place FROM first_values) "
        f"SELECT l.* FROM everything l SEMI JOIN (SELECT {name} FROM numbered WHERE place < {end}) r "
        f"ON l.{name} IS NOT DISTINCT FROM r.{name}",
        relation.columns,
    )


def _solutions(relation: SolutionTable, kinds: list[str], read: str) -> str:
    """Return the query of the columns *read* of *relation*, which fails unless the literals with
    each of the *kinds* can be ordered: SPARQL does not define the order of others.
    """
    if not kinds:
        return f"SELECT {read} FROM ({relation.sql})"
    mixed = " OR ".join(f"min(c{number}) <> max(c{number})" for number in range(len(kinds)))
    classes = ", ".join(f"{_sort_class(kind)} AS c{number}" for number, kind in enumerate(kinds))
    query = f"(SELECT {mixed} FROM (SELECT {classes} FROM solutions))"
    solutions = f"WITH solutions AS MATERIALIZED ({relation.sql})"
    return f"{solutions} SELECT {read} FROM solutions WHERE {fallback(query, 'true')}"


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
    kind, own = value.kind, [value.language] * (value.language != "''")
    ordered = value.kinds - _UNORDERED
    text = value.whole if ordered == {TermKind.INTEGER} else value.lexical
    if ordered != value.kinds:
        text = fallback(f"{kind} IN ({', '.join(f'{item:d}' for item in _UNORDERED)})", text)
    if len(ordered) == 1:
        return [text, *own], []
    # Of two equal texts the store has the one with a language first, by the IRIs of their types.
    if isinstance(expression, Variable) and any(ordered <= {*pair} for pair in _LIKE):
        return [text, f"-({kind})::TINYINT", *own], []
    rank = f"CASE WHEN {kind} > 2 THEN 2 ELSE {kind} END"
    return [rank, value.whole, text, f"-({kind})::TINYINT", *own], [kind]


def _sort_class(kind: str) -> str:
    """Return a number that is equal for kinds whose values can be ordered: strings with and without
    language are ordered together, and so are dates and instants. The RDF store orders literals that
    it cannot compare by their lexical forms.
    """
    cases = " ".join(f"WHEN {kind} = {one:d} THEN {two:d}" for one, two in _LIKE)
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
    elif kind == "GroupConcat" and computed in (None, TermKind.STRING):  # in no defined order
        text = name if computed else f"{name}_lexical"
        separator = quote(" " if expression.separator is None else str(expression.separator))
        value = f"coalesce(string_agg({distinct}{text}, {separator} ORDER BY {text}), '')"
        if not computed and column.static is not TermKind.STRING:
            other = f"coalesce(bool_or({_kind(column, name)} <> {TermKind.STRING:d}), false)"
            value = fallback(other, value)
        computed = TermKind.STRING
    elif kind in ("Sum", "Avg") and computed is TermKind.INTEGER:
        total = f"sum({distinct}{name})"
        inexact = f"coalesce(abs({total}) >= {_MAX_SUM}, false)"
        value = fallback(inexact, f"coalesce({total}, 0)::BIGINT")
        if kind == "Avg":
            computed = TermKind.DECIMAL
            average = f"({total})::HUGEINT * {SCALE} // count({distinct}{name})"
            # The average of nothing is an integer.
            value = fallback(f"{inexact} OR count(*) = 0", average)
    else:
        raise NotCompiled(f"{kind} of other values than integers that are counted or computed")
    result = replace(column, kind=computed, nullable=True)
    return result, fallback(missing, value) if column.nullable else value


def _kind(column: VariableColumn, name: str) -> str:
    return f"{name}_kind" if column.static is None else f"{column.static:d}"


def _extreme(column: VariableColumn, name: str, function: str) -> str:
    """Return MIN or MAX of values of one kind; the query fails for terms of several kinds."""
    if column.kind is TermKind.BOOLEAN:
        raise NotCompiled("MIN or MAX of booleans")
    if column.kind is not None:
        return f"{function}({name})"
    whole, text = (f"arg_{function}({name}, {name}_{item})" for item in ("whole", "lexical"))
    if column.static not in (None, TermKind.LANGUAGE_STRING):
        return whole if column.static is TermKind.INTEGER else text
    kind = _kind(column, name)
    kinds = (TermKind.BLANK, TermKind.LANGUAGE_STRING, TermKind.DECIMAL, TermKind.OTHER)
    listed = ", ".join(f"{item:d}" for item in kinds)
    mixed = f"min({kind}) <> max({kind}) OR bool_or({kind} IN ({listed}))"
    if TermKind.INTEGER not in column.terms:
        return fallback(mixed, text)
    return fallback(
        mixed, f"CASE min({kind}) WHEN {TermKind.INTEGER:d} THEN {whole} ELSE {text} END"
    )


_MAX_DEPTH = 40  # levels of the algebra, so that neither Python nor DuckDB reaches its own limit


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """*sql* yields the cells of the solutions for *variables*: where *kinds* has None, texts in the
    form of N-Triples, or the numbers of terms, whose texts are in the term table or among
    *constants*; else computed values of that kind.

    *cost* is about how many triples and solutions are visited. *is_blocking*: it sorts, groups or
    is DISTINCT, so that its first row is known only when all rows are. *template* is that of CONSTRUCT.
    """

    sql: str
    variables: tuple[str, ...]
    kinds: tuple[TermKind | None, ...]
    cost: float
    is_blocking: bool
    constants: Mapping[int, str]
    template: Sequence[Triple] | None


def compile_query(
    algebra: CompValue, variables: tuple[str, ...], statistics: Statistics
) -> CompiledQuery:
    """Compile the query *algebra*, whose solutions have *variables*, for data with *statistics*.
    Raises NotCompiled.
    """
    if algebra.datasetClause:
        raise NotCompiled("FROM")
    return _Compiler(statistics).query(algebra, variables)


class _Compiler:
    def __init__(self, statistics: Statistics) -> None:
        self._names = Names()
        self._planner = JoinPlanner(self._names, statistics)
        self._filters: dict[
            int, list[ValueFilter]
        ] = {}  # by the identity of the pattern that they filter
        self._is_blocking = False
        self._depth = 0

    def query(self, algebra: CompValue, variables: tuple[str, ...]) -> CompiledQuery:
        relation = with_unbound(self._names, self._select(algebra.p), variables)
        cells = []
        for number, variable in enumerate(variables):
            name, kinds = f"q.{self._names[variable]}", relation.columns[variable].terms
            cell = text_sql(f"{name}_", kinds) if variable in relation.described else name
            # numpy has no integers of 128 bits.
            is_wide = relation.columns[variable].kind is TermKind.DECIMAL
            cells.append(f"{cell}{'::VARCHAR' * is_wide} AS c{number}")
        return CompiledQuery(
            f"SELECT {', '.join(cells) or '0 AS c0'} FROM ({relation.sql}) q",
            variables,
            tuple(relation.columns[variable].kind for variable in variables),
            self._planner.cost,
            self._is_blocking,
            {number: row.text for number, row in self._names.constants.items()},
            algebra.template,
        )

    def _select(self, node: CompValue, graph: int | None = None) -> SolutionTable:
        """Return a SELECT in the graph with a number, None for the default graph."""
        modifiers, names = modifiers_of(node), self._names
        self._is_blocking |= bool(modifiers.order or modifiers.distinct)
        used = variables_of([item.expr for item in modifiers.order])
        relation = self.pattern(modifiers.pattern, graph)
        relation = with_unbound(names, relation, [*modifiers.variables, *used])
        columns = {variable: relation.columns[variable] for variable in modifiers.variables}
        distinct = "DISTINCT " if modifiers.distinct else ""
        if distinct or not modifiers.order:
            sql = f"SELECT {distinct}{names.columns(columns)} FROM ({relation.sql})"
            relation = SolutionTable(sql, columns)
        if modifiers.order:
            return ordered_solutions(names, relation, modifiers, self._planner.cost)
        if modifiers.length is None and not modifiers.start:
            return relation
        if not self._planner.has_named:  # only the columns have named graphs: any solutions do
            raise NotCompiled("LIMIT or OFFSET without ORDER BY")
        length = "" if modifiers.length is None else f" LIMIT {modifiers.length}"
        return SolutionTable(f"{relation.sql}{length} OFFSET {modifiers.start}", columns)

    def pattern(self, node: CompValue, graph: int | str | None = None) -> SolutionTable:
        """Return a graph pattern in the graph with a number or a variable's name, None for the
        default graph.
        """
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NotCompiled("the query is nested too deeply")
        relation = self._pattern(node, graph)
        self._depth -= 1
        return relation

    def _pattern(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        match node.name:
            case "BGP":
                return self._planner.compile(node.triples, graph, self._filters.pop(id(node), []))
            case "Join" if node.p1.name == node.p2.name == "BGP":
                return self._planner.compile([*node.p1.triples, *node.p2.triples], graph, [])
            case "Join":
                return join(self._names, self.pattern(node.p1, graph), self.pattern(node.p2, graph))
            case "LeftJoin":
                return self._left_join(node, graph)
            case "Union":
                return union(
                    self._names, self.pattern(node.p1, graph), self.pattern(node.p2, graph)
                )
            # In the graph of a variable, pyoxigraph compares that variable too.
            case "Minus" if not isinstance(graph, str):
                right, left = self.pattern(node.p2, graph), self.pattern(node.p1, graph)
                return minus(self._names, left, right)
            case "Filter":
                return self._filter(node, graph)
            case "Graph":
                return self._graph(node, graph)
            case "Extend" if item := _aggregate_of(node):
                item["res"] = node.var
                return self.pattern(node.p, graph)
            case "Extend":
                relation, variable = self.pattern(node.p, graph), str(node.var)
                if variable in relation.columns:
                    raise NotCompiled(f"?{variable} is bound twice")
                return self._bound(relation, variable, node.expr, graph)
            case "values":
                return self._values(node)
            case "ToMultiSet" if node.p and not isinstance(graph, str):
                if node.p.name == "values":
                    return self._values(node.p)
                relation = self._select(node.p, graph)  # without the properties of its terms
                sql = f"SELECT {self._names.columns(relation.columns)} FROM ({relation.sql})"
                return SolutionTable(sql, relation.columns)
            case "AggregateJoin":
                return self._aggregate(node, graph)
        raise NotCompiled(str(node.name))

    def _filter(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        is_and = node.expr.name == "ConditionalAndExpression"
        parts = [node.expr.expr, *node.expr.other] if is_and else [node.expr]
        inner, filters = node.p, list[ValueFilter]()
        while inner.name in ("LeftJoin", "Extend"):
            inner = inner.p1 if inner.name == "LeftJoin" else inner.p
        if inner.name == "BGP":
            used = [{*variables_of(part, with_exists=True)} for part in parts]
            filters += [
                ValueFilter(one.pop(), part, partial(self._filtered, part, graph))
                for part, one in zip(parts, used, strict=True)
                if len(one) == 1 and not existences_of(part)
            ]
            self._filters[id(inner)] = filters
        tried = list(filters)
        relation = self.pattern(node.p, graph)
        done = [item.expression for item in tried if item not in filters]
        rest = [part for part in parts if not any(part is item for item in done)]
        if not rest:
            return relation
        full, expressions = self._expressions(relation, rest, graph)
        condition = " AND ".join(map(expressions.condition, rest))
        sql = (
            f"SELECT {self._names.columns(relation.columns)} FROM ({full.sql}) l WHERE {condition}"
        )
        return SolutionTable(sql, relation.columns)

    def _filtered(
        self, expression: object, graph: int | str | None, relation: SolutionTable
    ) -> tuple[SolutionTable, str]:
        full, expressions = self._expressions(relation, expression, graph)
        return full, expressions.condition(expression)

    def _graph(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        if graph is not None:
            raise NotCompiled("GRAPH in GRAPH")
        inside = node.term
        if isinstance(inside, URIRef):
            return self.pattern(node.p, constant(inside).id)
        # The variable is joined after the pattern: a filter in it does not see the graph.
        if node.p.name != "BGP" and str(inside) in variables_of(node.p, with_exists=True):
            raise NotCompiled("GRAPH of a variable that is used within it")
        return self.pattern(node.p, str(inside))

    def _left_join(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        left = self.pattern(node.p1, graph)
        with self._planner.after(left.columns):
            right = self.pattern(node.p2, graph)
        condition = "true"
        if not isinstance(node.expr, CompValue) or node.expr.name != "TrueFilter":
            condition = self._related(left, right, node.expr)
            left, right = (
                with_properties(self._names, side, sorted({*variables_of(node.expr)} - without))
                for side, without in ((left, set()), (right, {*left.columns}))
            )
        return join(self._names, left, right, condition)

    def _related(self, left: SolutionTable, right: SolutionTable, expression: object) -> str:
        """Return *expression* over the solutions ``l`` of *left* and ``r`` of *right*, which have the
        properties of the terms of its variables.
        """
        used = set(variables_of(expression))
        if any(
            left.columns[item].nullable
            for item in used & left.columns.keys() & right.columns.keys()
        ):
            raise NotCompiled("a variable that may be bound on both sides of OPTIONAL or EXISTS")
        sides = {variable: "l." if variable in left.columns else "r." for variable in used}
        columns = {**right.columns, **left.columns}
        return Expressions(self._names, columns, sides).condition(expression)

    def _expressions(
        self, relation: SolutionTable, expression: object, graph: int | str | None
    ) -> tuple[SolutionTable, Expressions]:
        """Return *relation*, to be named ``l``, with the properties that *expression* reads, and the
        compiler of that.
        """
        used = set(variables_of(expression))
        for part in existences_of(expression):
            used |= {*variables_of(_inside(part)[1])}
        full = with_properties(self._names, relation, sorted(used))
        return full, Expressions(
            self._names,
            relation.columns,
            existence=lambda part: self._existence(relation, part, graph),
        )

    def _existence(
        self, relation: SolutionTable, expression: CompValue, graph: int | str | None
    ) -> str:
        """Return EXISTS or NOT EXISTS of triples, which a filter may compare with the solution ``l``
        of *relation*.
        """
        inner, compared = _inside(expression)
        sides = (inner.p1, inner.p2) if inner.name == "Join" else (inner,)
        if any(side.name != "BGP" for side in sides):
            raise NotCompiled("EXISTS of more than triples and a filter")
        with self._planner.after(relation.columns):
            right = self.pattern(inner, graph)
        negation = "NOT " if expression.name == "Builtin_NOTEXISTS" else ""
        shared = [item for item in right.columns if item in relation.columns]
        if len(shared) == 1 and compared is None and not relation.columns[shared[0]].nullable:
            # DuckDB joins with IN without reading the solutions twice
            name = self._names[shared[0]]
            return f"({negation}l.{name} IN (SELECT {name} FROM ({right.sql})))"
        condition = compatible(self._names, relation, right)
        if compared is not None:
            condition += f" AND {self._related(relation, right, compared)}"
            own = {*variables_of(compared)} - relation.columns.keys()
            right = with_properties(self._names, right, sorted(own))
        return f"({negation}EXISTS (SELECT 1 FROM ({right.sql}) r WHERE {condition}))"

    def _bound(
        self, relation: SolutionTable, variable: str, expression: object, graph: int | str | None
    ) -> SolutionTable:
        """Return *relation* with the value of *expression* as *variable*, which is unbound where
        that is an error.
        """
        if isinstance(expression, Variable):
            relation = with_unbound(self._names, relation, [str(expression)])
            column, name = relation.columns[str(expression)], self._names[str(expression)]
            return with_column(self._names, relation, variable, column, name)
        if isinstance(expression, URIRef | Literal):
            cell, kinds = self._cell(expression), frozenset([constant(expression).kind])
            column = VariableColumn(terms=kinds, is_added=True)
            return with_column(self._names, relation, variable, column, cell)
        read = None if _is_first_of_variables(expression) else expression
        full, expressions = self._expressions(relation, read, graph)
        value = expressions.value(expression)
        if value.static in COMPUTED:
            return with_column(
                self._names, full, variable, VariableColumn(value.static, True), value.sql
            )
        if value.id is None:
            raise NotCompiled("a computed term that may be of several kinds")
        return with_column(self._names, full, variable, VariableColumn(nullable=True), value.id)

    def _cell(self, term: object) -> str:
        """Return the number of a constant as SQL, NULL for UNDEF."""
        if not isinstance(term, URIRef | Literal):
            return "NULL::UBIGINT"
        row = constant(term)
        self._names.constants[row.id] = row
        return f"{row.id}::UBIGINT"

    def _values(self, node: CompValue) -> SolutionTable:
        rows: list[Mapping[Variable, object]] = list(node.res)
        variables = list(dict.fromkeys(str(variable) for row in rows for variable in row))
        if not rows or not variables:
            raise NotCompiled("VALUES without values")
        cells = [[self._cell(row.get(Variable(item))) for item in variables] for row in rows]
        kinds = {f"{number}::UBIGINT": row.kind for number, row in self._names.constants.items()}
        columns = {
            item: VariableColumn(
                nullable="NULL::UBIGINT" in column,
                terms=frozenset(kinds[cell] for cell in column if cell in kinds),
                is_added=True,
            )
            for item, column in zip(variables, zip(*cells, strict=True), strict=True)
        }
        names = self._names.columns(columns)
        listed = ", ".join(f"({', '.join(row)})" for row in cells)
        return SolutionTable(f"SELECT {names} FROM (VALUES {listed}) t({names})", columns)

    def _aggregate(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        self._is_blocking = True
        group = node.p
        keys = [str(key) for key in group.expr or () if isinstance(key, Variable)]
        if len(keys) != len(group.expr or ()):
            raise NotCompiled("GROUP BY an expression")
        relation = with_unbound(self._names, self.pattern(group.p, graph), keys)
        operands = []
        for item in node.A:
            operand = str(item.vars)
            if isinstance(item.vars, Variable):
                relation = with_unbound(self._names, relation, [operand])
            elif operand != "*":
                operand = f" {item.res}"
                relation = self._bound(relation, operand, item.vars, graph)
            operands.append(operand)
        pairs = list(zip(node.A, operands, strict=True))
        readers = ("Aggregate_Min", "Aggregate_Max", "Aggregate_GroupConcat")  # of values of terms
        full = with_properties(
            self._names, relation, [operand for item, operand in pairs if item.name in readers]
        )
        read, columns = [], {}
        for item, operand in pairs:
            columns[str(item.res)], value = self._aggregated(item, operand, relation, keys)
            read.append(f"{value} AS {self._names[str(item.res)]}")
        by = f" GROUP BY {self._names.columns(keys)}" if keys else ""
        return SolutionTable(
            f"SELECT {', '.join(read) or '1 AS unit'} FROM ({full.sql}){by}", columns
        )

    def _aggregated(
        self, expression: CompValue, operand: str, relation: SolutionTable, keys: list[str]
    ) -> tuple[VariableColumn, str]:
        if operand == "*":
            if expression.distinct:
                raise NotCompiled("COUNT(DISTINCT *)")
            return VariableColumn(TermKind.INTEGER), "count(*)"
        column, name = relation.columns[operand], self._names[operand]
        if expression.name == "Aggregate_Sample" and operand in keys:
            return column, name
        if "distinct" not in expression:  # the parser added this SAMPLE
            raise NotCompiled("a variable that is neither grouped nor aggregated")
        return aggregated(expression, column, name, is_computed=operand.startswith(" "))


def _aggregate_of(extend: CompValue) -> CompValue | None:
    """Return the aggregate whose value *extend* names, None if it is another expression."""
    inner = extend.p
    while inner.name in ("Extend", "Filter"):
        inner = inner.p
    return next((item for item in inner.A or () if item.res == extend.expr), None)


def _inside(expression: CompValue) -> tuple[CompValue, object]:
    """Return the pattern in EXISTS and its filter, None if there is none."""
    inner = pattern_of(expression)
    return (inner.p, inner.expr) if inner.name == "Filter" else (inner, None)


def _is_first_of_variables(expression: object) -> bool:
    """Return whether *expression* is COALESCE of variables, for which their numbers suffice."""
    return (
        isinstance(expression, CompValue)
        and expression.name == "Builtin_COALESCE"
        and all(isinstance(part, Variable) for part in expression.arg)
    )
