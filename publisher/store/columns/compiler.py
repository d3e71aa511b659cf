"""Compile queries of SPARQL 1.1 to SQL over the columns.

A query whose result might differ from that of the RDF store is not compiled (NotCompiled). If it
depends on a value, the SQL query fails by ``error()`` when it reads such a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rdflib.plugins.sparql.algebra import translateGroupGraphPattern, translatePath, traverse
from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Literal, URIRef, Variable

from publisher.store.columns.aggregates import PROPERTY_READERS, aggregated
from publisher.store.columns.algebra import (
    all_variables,
    alternatives,
    conjunction,
    counts_distinct_solutions,
    existences_of,
    has_existence,
    has_unnamed_nodes,
    ignores_doubles,
    is_grouped,
    is_substitutable,
    modifiers_of,
    replace_parts,
    without_optional,
)
from publisher.store.columns.expressions import Expressions
from publisher.store.columns.operands import (
    EXISTS,
    Condition,
    computed_term,
    constant,
    variables_of,
)
from publisher.store.columns.ordering import ordered_solutions
from publisher.store.columns.patterns import Patterns, QueryGraphs, Statistics
from publisher.store.columns.query_parser import Form, ParsedQuery
from publisher.store.columns.relations import (
    ColumnType,
    Names,
    NotCompiled,
    SolutionTable,
    VariableColumn,
    described,
    exists,
    fallback,
    join,
    left_join,
    minus,
    restrict,
    union,
    with_column,
    with_properties,
    with_unbound,
    without_columns,
)
from publisher.store.columns.result_lines import NO_RESULT, Result, Template, result_of, template_of
from publisher.store.columns.terms import TermKind, TermRow

# patterns in EXISTS that the parser has translated to the algebra
_TRANSLATED = ("BGP", "Join", "Filter", "Union")
_MAX_DEPTH = 40  # levels of the algebra, so that neither Python nor DuckDB reaches its own limit


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """*sql* yields solutions, of which *result* reads the values of *variables*; for ASK, one
    boolean.

    *template* has the triples of a CONSTRUCT. *cost* is about how many triples and solutions are
    visited. *is_blocking*: it sorts, groups or is DISTINCT, so that its first row is known only
    when all rows are.
    """

    sql: str
    variables: tuple[str, ...]
    cost: float
    is_blocking: bool
    form: Form = Form.SELECT
    template: Template = ()
    result: Result = NO_RESULT


def compile_query(
    parsed: ParsedQuery, statistics: Statistics, bindings: Mapping[str, TermRow] | None = None
) -> CompiledQuery:
    """Compile a query for data with *statistics*, in which *bindings* replace variables. Raises
    NotCompiled.

    The RDF store begins with one solution that has the bindings. That is the same where each of
    these variables is bound by a triple pattern in every solution, and is in no MINUS, VALUES or
    subquery: other queries are not compiled.
    """
    return _Compiler(statistics, bindings or {}, parsed.graphs).query(parsed)


class _Compiler:
    """Compiles one query."""

    def __init__(
        self, statistics: Statistics, bindings: Mapping[str, TermRow], graphs: QueryGraphs | None
    ) -> None:
        self._names, self._bindings = Names(), bindings
        self._statistics = statistics
        self._patterns = Patterns(
            self._names, statistics, {name: row.id for name, row in bindings.items()}, graphs
        )
        self._constants = self._patterns.constants
        self._constants.update((row.id, row) for row in bindings.values())
        self._has_aggregate = False
        # what is grouped by, by the variable that stands for it after the grouping
        self._keys: dict[str, str] = {}
        self._marks = 0  # how many columns of EXISTS there are
        self._depth = 0

    def query(self, parsed: ParsedQuery) -> CompiledQuery:
        """Return the whole query as SQL."""
        algebra = parsed.algebra
        template: Template = ()
        if parsed.form is Form.DESCRIBE:
            return self._describe(algebra)
        relation, is_ordered = self._select(algebra.p)
        if parsed.form is Form.ASK:
            self._check_every(relation)
            sql = f"SELECT EXISTS (SELECT 1 FROM ({relation.sql}))"
            return CompiledQuery(sql, (), self._patterns.cost, self._has_aggregate, Form.ASK)
        if parsed.form is Form.CONSTRUCT:
            template = template_of(algebra.template or modifiers_of(algebra.p).pattern.triples)
            used = {part[1:] for triple in template for part in triple if isinstance(part, str)}
            variables = tuple(variable for variable in relation.columns if variable in used)
        else:
            variables = parsed.variables
        if any(name not in variables for name in self._bindings):
            raise NotCompiled("a bound variable that is not selected")
        self._check_every(relation)
        result = result_of(self._names, self._constants, relation, variables)
        is_blocking = (
            is_ordered or self._has_aggregate or "Distinct" in (algebra.p.name, algebra.p.p.name)
        )
        cost = self._patterns.cost
        return CompiledQuery(
            relation.sql, variables, cost, is_blocking, parsed.form, template, result
        )

    def _describe(self, algebra: CompValue) -> CompiledQuery:
        """Return a DESCRIBE of variables: the RDF store describes an IRI beside them only if the
        pattern has a solution, and an IRI alone as fast.
        """
        if self._bindings or not all(isinstance(term, Variable) for term in algebra.PV):
            raise NotCompiled("DESCRIBE of an IRI, or with a bound variable")
        relation, is_ordered = self._select(_without_distinct(algebra.p))
        is_blocking = is_ordered or self._has_aggregate
        triples = described(
            self._names, relation, [str(term) for term in algebra.PV], self._patterns.default_source
        )
        return CompiledQuery(
            triples.sql,
            ("s", "p", "o"),
            self._patterns.cost,
            is_blocking,
            Form.DESCRIBE,
            (("?s", "?p", "?o"),),
            result_of(self._names, self._constants, triples, ("s", "p", "o")),
        )

    def _check_every(self, relation: SolutionTable) -> None:
        """Raise NotCompiled unless the bound variables are in every solution of *relation*."""
        if any(
            name not in relation.columns or relation.columns[name].nullable
            for name in self._bindings
        ):
            raise NotCompiled("a bound variable that is not in every solution")

    def _select(self, node: CompValue, graph: int | None = None) -> tuple[SolutionTable, bool]:
        """Return a SELECT in the graph with a number, None for the default graph, and whether it is
        ordered.
        """
        modifiers = modifiers_of(node)
        before, self._patterns.counts_doubles = (
            self._patterns.counts_doubles,
            not modifiers.distinct,
        )
        is_cut = (modifiers.length is not None or modifiers.start) and not modifiers.order
        used = variables_of([condition.expr for condition in modifiers.order])
        whole = with_unbound(
            self._names, self.pattern(modifiers.pattern, graph), [*modifiers.variables, *used]
        )
        self._patterns.counts_doubles = before
        projected = {variable: whole.columns[variable] for variable in modifiers.variables}
        names = ", ".join(self._names[variable] for variable in modifiers.variables) or "1 AS unit"
        if modifiers.distinct:
            whole = SolutionTable(f"SELECT DISTINCT {names} FROM ({whole.sql})", projected)
        if is_cut and self._patterns.has_named:  # nothing else can answer, so any solutions do
            cut = f" LIMIT {modifiers.length}" if modifiers.length is not None else ""
            sql = f"SELECT {names} FROM ({whole.sql}){cut} OFFSET {modifiers.start}"
            return SolutionTable(sql, projected), False
        if is_cut and (modifiers.start or not is_grouped(modifiers.pattern)):
            raise NotCompiled("LIMIT or OFFSET without ORDER BY")
        if is_cut:
            # Which groups are left out is not defined: the RDF store answers if any is.
            check = fallback(f"(SELECT count(*) FROM solutions) > {modifiers.length}", "true")
            sql = f"WITH solutions AS MATERIALIZED ({whole.sql}) SELECT {names} FROM solutions WHERE {check}"
            return SolutionTable(sql, projected), False
        if not modifiers.order:
            return SolutionTable(f"SELECT {names} FROM ({whole.sql})", projected), False
        patterns = self._patterns
        return ordered_solutions(
            self._names, whole, modifiers, patterns.solutions, together=patterns.are_few
        ), True

    def pattern(self, node: CompValue, graph: int | str | None = None) -> SolutionTable:
        """Return a graph pattern in the graph with a number or a variable's name, None for the
        default graph.
        """
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NotCompiled("the query is nested too deeply")
        try:
            return self._pattern(node, graph)
        finally:
            self._depth -= 1

    def _pattern(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        match node.name:
            case "BGP":
                return self._patterns.compile(node.triples, graph)
            case "Join":
                return self._join(node, graph)
            case "LeftJoin":
                return self._left_join(node, graph)
            case "Union":
                return union(
                    self._names, self.pattern(node.p1, graph), self.pattern(node.p2, graph)
                )
            case "Minus":
                if isinstance(graph, str):
                    raise NotCompiled("MINUS in a graph that is a variable")
                self._refuse_bound(node.p2)
                left, right = self.pattern(node.p1, graph), self.pattern(node.p2, graph)
                self._check_shared(left, right)
                return minus(self._names, left, right)
            case "Filter":
                return self._filter(node, graph)
            case "Graph":
                return self._graph(node, graph)
            case "Extend":
                return self._extend(node, graph)
            case "ToMultiSet":
                if isinstance(graph, str):
                    raise NotCompiled("a subquery or VALUES in a graph that is a variable")
                if not node.p:  # the parser gives an empty list
                    raise NotCompiled("VALUES without values")
                self._refuse_bound(node)
                if node.p.name == "values":
                    return self._values(node.p)
                return self._subquery(node.p, graph)
            case "values":
                self._refuse_bound(node)
                return self._values(node)
            case "AggregateJoin":
                return self._aggregate(node, graph)
        raise NotCompiled(str(node.name))

    def _subquery(self, node: CompValue, graph: int | None) -> SolutionTable:
        """Return a SELECT without the properties of its terms."""
        relation, _ = self._select(node, graph)
        names = ", ".join(self._names[item] for item in relation.columns) or "1 AS unit"
        if not relation.described:
            return relation
        return SolutionTable(f"SELECT {names} FROM ({relation.sql})", relation.columns)

    def _refuse_bound(self, node: CompValue) -> None:
        """Raise NotCompiled if a variable with a binding is in *node*, where the RDF store may not
        see the binding.
        """
        if self._bindings.keys() & set(all_variables(node)):
            raise NotCompiled("a bound variable in MINUS, VALUES or a subquery")

    def _check_shared(self, left: SolutionTable, right: SolutionTable) -> None:
        """Raise NotCompiled if only a binding would be common to both sides of MINUS: the RDF store
        has it in all solutions.
        """
        both = [variable for variable in left.columns if variable in right.columns]
        if self._bindings and not any(
            not left.columns[item].nullable and not right.columns[item].nullable for item in both
        ):
            raise NotCompiled("a binding in a MINUS that shares no variable")

    def _check_bound(self, relation: SolutionTable, expression: object) -> None:
        """Raise NotCompiled unless the bound variables in *expression* are in every solution of
        *relation*.
        """
        for variable in self._bindings.keys() & set(variables_of(expression)):
            if variable not in relation.columns or relation.columns[variable].nullable:
                raise NotCompiled("a bound variable in an expression about solutions without it")

    def _join(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        one, two = node.p1, node.p2
        if one.name == two.name == "BGP":
            return self._patterns.compile([*one.triples, *two.triples], graph)
        left, right = self.pattern(one, graph), self.pattern(two, graph)
        if two.name == "Union" and any(
            right.columns[item].nullable for item in left.columns.keys() & right.columns.keys()
        ):
            # Each side of the union binds other variables: a join with each has equalities for its
            # condition.
            sides = [
                join(self._names, left, self.pattern(side, graph)) for side in (two.p1, two.p2)
            ]
            return union(self._names, *sides)
        return join(self._names, left, right)

    def _graph(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        if graph is not None:
            raise NotCompiled("GRAPH in GRAPH")
        inside = node.term
        if isinstance(inside, URIRef):
            return self.pattern(node.p, constant(inside).id)
        # The variable is joined after the pattern: a filter in it does not see the graph.
        if node.p.name != "BGP" and str(inside) in all_variables(node.p):
            raise NotCompiled("GRAPH of a variable that is used within it")
        return self.pattern(node.p, str(inside))

    def _left_join(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        left = self.pattern(node.p1, graph)
        with self._patterns.after(left.columns):
            right = self.pattern(node.p2, graph)
        if isinstance(node.expr, CompValue) and node.expr.name == "TrueFilter":
            return left_join(self._names, left, right)
        if has_existence(node.expr):
            raise NotCompiled("EXISTS in OPTIONAL")
        self._check_bound(left, node.expr)
        used = set(variables_of(node.expr))
        columns, sides = {**right.columns, **left.columns}, {}
        for variable in used:
            if (
                variable in left.columns
                and variable in right.columns
                and left.columns[variable].nullable
            ):
                raise NotCompiled(f"?{variable} may be bound on both sides of OPTIONAL")
            sides[variable] = "l." if variable in left.columns else "r."
        condition = Expressions(self._names, columns, sides).condition(node.expr)
        left = with_properties(self._names, left, sorted(used & left.columns.keys()))
        right = with_properties(
            self._names, right, sorted(used & right.columns.keys() - left.columns.keys())
        )
        return left_join(self._names, left, right, condition)

    def _filter(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        relation = self.pattern(node.p, graph)
        parts = conjunction(node.expr)
        self._check_bound(relation, node.expr)
        plain: list[object] = [part for part in parts if not has_existence(part)]
        before = relation
        for part in parts:
            if has_existence(part) and not _is_existence(part):
                relation, marked = self._with_existences(relation, part, graph)
                plain.append(marked)
        if plain:
            full = with_properties(
                self._names,
                relation,
                sorted(set(variables_of(plain))),
                together=self._patterns.are_few,
            )
            expressions = Expressions(self._names, relation.columns)
            condition = " AND ".join(expressions.condition(part) for part in plain)
            relation = restrict(self._names, full, condition)
            relation = without_columns(
                self._names, relation, relation.columns.keys() - before.columns.keys()
            )
        for part in parts:
            if _is_existence(part):
                relation = self._exists(relation, part, graph)
        return relation

    def _exists(
        self, relation: SolutionTable, expression: CompValue, graph: int | str | None
    ) -> SolutionTable:
        inner = (
            expression.graph
            if expression.graph.name in _TRANSLATED
            # The parser has not read the paths of one outside WHERE: in a projection, or in HAVING.
            else translateGroupGraphPattern(traverse(expression.graph, visitPost=translatePath))
        )
        inner = without_optional(inner)
        negated = expression.name == "Builtin_NOTEXISTS"
        before, self._patterns.counts_doubles = self._patterns.counts_doubles, False
        with self._patterns.after(relation.columns):
            for part in alternatives(inner) if negated else [inner]:
                relation = self._matching(relation, part, graph, negated=negated)
        self._patterns.counts_doubles = before
        return relation

    def _with_existences(
        self, relation: SolutionTable, expression: object, graph: int | str | None
    ) -> tuple[SolutionTable, object]:
        """Return *relation* with a boolean column for each EXISTS in *expression*, and the
        expression that reads these columns.
        """
        parts: dict[int, Variable] = {}
        for part in existences_of(expression):
            self._marks += 1
            mark, table = Variable(f" exists{self._marks}"), f"marked{self._marks}"
            names = ", ".join(self._names[item] for item in relation.columns) or "1 AS unit"
            whole = SolutionTable(f"SELECT * FROM {table}", relation.columns)
            sides = []
            for is_right, name in zip((True, False), _opposites(part.name), strict=True):
                side = self._exists(whole, CompValue(name, graph=part.graph), graph)
                sides.append(
                    f"SELECT {names}, {is_right} AS {self._names[str(mark)]} FROM ({side.sql})"
                )
            sql = f"WITH {table} AS MATERIALIZED ({relation.sql}) {' UNION ALL '.join(sides)}"
            columns = {**relation.columns, str(mark): VariableColumn(ColumnType.BOOLEAN)}
            relation, parts[id(part)] = SolutionTable(sql, columns), mark
        return relation, replace_parts(expression, parts)

    def _matching(
        self, relation: SolutionTable, inner: CompValue, graph: int | str | None, *, negated: bool
    ) -> SolutionTable:
        """Return the solutions of *relation* with which the pattern *inner* has a solution;
        *negated*, has none.
        """
        if is_substitutable(inner):
            return exists(self._names, relation, self.pattern(inner, graph), negated=negated)
        if inner.name != "Filter" or not is_substitutable(inner.p) or has_existence(inner.expr):
            raise NotCompiled("EXISTS of more than triples and filters")
        right, used = self.pattern(inner.p, graph), set(variables_of(inner.expr))
        sides = {variable: "r." if variable in right.columns else "l." for variable in used}
        condition = Expressions(
            self._names, {**relation.columns, **right.columns}, sides
        ).condition(inner.expr)
        full = with_properties(self._names, relation, sorted(used - right.columns.keys()))
        right = with_properties(self._names, right, sorted(used & right.columns.keys()))
        result = exists(self._names, full, right, negated=negated, condition=condition)
        return restrict(self._names, result, "true")

    def _extend(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        relation, variable = self.pattern(node.p, graph), str(node.var)
        if variable in relation.columns or (
            variable in self._bindings and self._keys.get(str(node.expr)) != variable
        ):
            raise NotCompiled(f"?{variable} is bound twice")
        self._check_bound(relation, node.expr)
        if isinstance(node.expr, Variable):
            relation = with_unbound(self._names, relation, [str(node.expr)])
            column = relation.columns[str(node.expr)]
            return with_column(self._names, relation, variable, column, self._names[str(node.expr)])
        if isinstance(node.expr, URIRef | Literal):
            return with_column(
                self._names,
                relation,
                variable,
                VariableColumn(),
                f"{self._constant(node.expr)}::UBIGINT",
            )
        before, expression = relation, node.expr
        if has_existence(expression):
            relation, expression = self._with_existences(relation, expression, graph)
        if (chosen := self._chosen(relation, expression)) is not None:
            # COALESCE of variables reads no more of terms than their numbers
            is_plain = expression.name == "Builtin_COALESCE" and all(
                isinstance(part, Variable) for part in expression.arg
            )
            read = [] if is_plain else sorted(set(variables_of(expression)))
            whole = SolutionTable(
                with_properties(self._names, relation, read).sql, relation.columns
            )
            relation = with_column(
                self._names, whole, variable, VariableColumn(nullable=True), chosen
            )
        else:
            relation = self._computed(relation, variable, expression)
        return without_columns(
            self._names, relation, relation.columns.keys() - before.columns.keys() - {variable}
        )

    def _chosen(self, relation: SolutionTable, expression: object) -> str | None:
        """Return the number of the term that COALESCE or IF chooses as SQL; None if *expression* is
        another one, or chooses other values than terms.
        """
        if isinstance(expression, Variable):
            column = relation.columns.get(str(expression))
            if column is None:
                return "NULL::UBIGINT"
            return self._names[str(expression)] if column.type is ColumnType.TERM else None
        if not isinstance(expression, CompValue):
            return None
        if expression.name == "Builtin_COALESCE" and isinstance(expression.arg, list):
            values = [self._chosen(relation, part) for part in expression.arg]
            known = [value for value in values if value is not None]
            return f"coalesce({', '.join(known)})" if known and len(known) == len(values) else None
        if expression.name == "Builtin_IF":
            one, two = (self._chosen(relation, part) for part in (expression.arg2, expression.arg3))
            if one is None or two is None:
                return None
            condition = Expressions(self._names, relation.columns).condition(expression.arg1)
            return f"CASE WHEN {condition} THEN {one} WHEN NOT {condition} THEN {two} END"
        return None

    def _computed(
        self, relation: SolutionTable, variable: str, expression: object
    ) -> SolutionTable:
        """Return *relation* with the value of *expression* as *variable*, which is unbound where
        that is an error.
        """
        if has_existence(expression):
            raise NotCompiled("EXISTS in BIND")
        full = with_properties(self._names, relation, sorted(set(variables_of(expression))))
        value = Expressions(self._names, relation.columns).value(expression)
        if isinstance(value, Condition):
            column, sql = VariableColumn(ColumnType.BOOLEAN, True), value.sql
        elif value.static is TermKind.STRING:
            column, sql = VariableColumn(ColumnType.STRING, True), value.lexical
        elif value.static is TermKind.INTEGER:
            column, sql = VariableColumn(ColumnType.INTEGER, True), f"({value.whole})::BIGINT"
        elif value.static is TermKind.DECIMAL:
            column, sql = VariableColumn(ColumnType.DECIMAL, True), f"({value.whole})::HUGEINT"
        else:
            column, sql = VariableColumn(ColumnType.COMPUTED, True), computed_term(value)
        stored = ", ".join(
            [*(self._names[item] for item in relation.columns), f"{sql} AS {self._names[variable]}"]
        )
        return SolutionTable(
            f"SELECT {stored} FROM ({full.sql})", {**relation.columns, variable: column}
        )

    def _constant(self, term: object) -> int:
        row = constant(term)
        self._constants[row.id] = row
        return row.id

    def _values(self, node: CompValue) -> SolutionTable:
        rows: list[Mapping[Variable, object]] = list(node.res)
        variables = list(dict.fromkeys(str(variable) for row in rows for variable in row))
        if not rows or not variables:
            raise NotCompiled("VALUES without values")
        unbound = dict.fromkeys(variables, False)
        lines = []
        for row in rows:
            cells = []
            for variable in variables:
                term = row.get(Variable(variable), "UNDEF")
                is_bound = isinstance(term, URIRef | Literal)
                unbound[variable] |= not is_bound
                cells.append(f"{self._constant(term)}::UBIGINT" if is_bound else "NULL::UBIGINT")
            lines.append(f"({', '.join(cells)})")
        names = ", ".join(self._names[variable] for variable in variables)
        sql = f"SELECT {names} FROM (VALUES {', '.join(lines)}) t({names})"
        return SolutionTable(
            sql, {variable: VariableColumn(nullable=unbound[variable]) for variable in variables}
        )

    def _aggregate(self, node: CompValue, graph: int | str | None) -> SolutionTable:
        self._has_aggregate = True
        group = node.p
        keys = [str(key) for key in group.expr or () if isinstance(key, Variable)]
        if len(keys) != len(group.expr or ()):
            raise NotCompiled("GROUP BY an expression")
        if any(map(counts_distinct_solutions, node.A)) and has_unnamed_nodes(group.p):
            # the RDF store counts them as variables
            raise NotCompiled("COUNT(DISTINCT *) with blank nodes or paths")
        before, self._patterns.counts_doubles = (
            self._patterns.counts_doubles,
            not all(map(ignores_doubles, node.A)),
        )
        relation = with_unbound(self._names, self.pattern(group.p, graph), keys)
        relation, operands = self._operands(relation, node.A)
        self._patterns.counts_doubles = before
        used = [
            operand
            for item, operand in zip(node.A, operands, strict=True)
            if item.name in PROPERTY_READERS
        ]
        full = with_properties(self._names, relation, used)
        sql, columns = [], {}
        for item, operand in zip(node.A, operands, strict=True):
            column, value = self._aggregated(item, operand, relation, keys)
            columns[str(item.res)] = column
            sql.append(f"{value} AS {self._names[str(item.res)]}")
        by = ", ".join(self._names[key] for key in keys)
        text = f"SELECT {', '.join(sql) or '1 AS unit'} FROM ({full.sql})" + (
            f" GROUP BY {by}" if keys else ""
        )
        return SolutionTable(text, columns)

    def _operands(
        self, relation: SolutionTable, aggregates: Sequence[CompValue]
    ) -> tuple[SolutionTable, list[str]]:
        """Return *relation* with a column for what each of *aggregates* reads, and the variables of
        these columns.
        """
        operands = []
        for item in aggregates:
            operand = str(item.vars)
            if isinstance(item.vars, Variable):
                relation = with_unbound(self._names, relation, [operand])
            elif operand != "*":
                self._check_bound(relation, item.vars)
                operand = f" {item.res}"
                if isinstance(item.vars, URIRef | Literal):
                    relation = with_column(
                        self._names,
                        relation,
                        operand,
                        VariableColumn(),
                        f"{self._constant(item.vars)}::UBIGINT",
                    )
                else:
                    relation = self._computed(relation, operand, item.vars)
            operands.append(operand)
        return relation, operands

    def _aggregated(
        self, expression: CompValue, operand: str, relation: SolutionTable, keys: list[str]
    ) -> tuple[VariableColumn, str]:
        if operand == "*":
            names = [self._names[name] for name in relation.columns if not name.startswith(" ")]
            solution = f"({', '.join(names)})" if names else "1"
            counted = f"DISTINCT {solution}" if expression.distinct else "*"
            return VariableColumn(ColumnType.INTEGER), f"count({counted})"
        column, name = relation.columns[operand], self._names[operand]
        if expression.name == "Aggregate_Sample" and operand in keys:
            self._keys[str(expression.res)] = operand
            return column, name
        return aggregated(
            expression,
            column,
            name,
            is_computed=operand.startswith(" "),
            decimals=self._statistics.has_decimals,
        )


def _is_existence(expression: object) -> bool:
    return isinstance(expression, CompValue) and expression.name in EXISTS


def _opposites(name: str) -> tuple[str, str]:
    """Return EXISTS or NOT EXISTS, and the other of the two."""
    one, two = EXISTS
    return (name, two if name == one else one)


def _without_distinct(node: CompValue) -> CompValue:
    """Return the projection of a DESCRIBE without the Distinct that the parser adds: LIMIT counts
    solutions that are there twice.
    """
    if node.name == "Slice":
        return CompValue("Slice", p=_without_distinct(node.p), start=node.start, length=node.length)
    return node.p if node.name == "Distinct" else node
