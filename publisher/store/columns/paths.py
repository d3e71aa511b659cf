"""Recursive property paths (``*``, ``+``, ``?``) as recursive SQL.

Source: https://www.w3.org/TR/sparql11-query/#propertypaths (ArbitraryLengthPath and ZeroLengthPath)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from rdflib.paths import AlternativePath, InvPath, MulPath, SequencePath

from publisher.store.columns.relations import Names, NotCompiled, SolutionTable, VariableColumn

Number = Callable[[object], int]


@dataclass(frozen=True, slots=True)
class RecursivePath:
    """Nodes from *start* to *end*, constants' numbers or variables' names, in steps that are pairs
    ``a``, ``b`` of the query *steps*.

    *is_zero*: no step is enough; *is_repeated*: there may be more than one.
    """

    start: int | str
    end: int | str
    steps: str
    is_zero: bool
    is_repeated: bool

    def inverse(self) -> RecursivePath:
        """Return the path from the end to the start."""
        steps = f"SELECT b AS a, a AS b FROM ({self.steps})"
        return RecursivePath(self.end, self.start, steps, self.is_zero, self.is_repeated)

    def variables(self) -> set[str]:
        """Return the names of the variables at its ends."""
        return {term for term in (self.start, self.end) if isinstance(term, str)}


def recursive_path(
    start: int | str, path: MulPath, end: int | str, source: str, number: Number
) -> RecursivePath:
    """Return *path* over the triples of the SQL table *source*; *number* returns the number of a
    predicate. Raises NotCompiled.
    """
    if path.mod not in ("*", "+", "?"):
        raise NotCompiled(f"the path {path}")
    return RecursivePath(
        start, end, _steps(path.path, source, number), path.mod in "*?", path.mod in "*+"
    )


def _steps(path: object, source: str, number: Number) -> str:
    """Return the pairs of nodes that one step of a path connects."""
    if isinstance(path, InvPath):
        return f"SELECT b AS a, a AS b FROM ({_steps(path.arg, source, number)})"
    if isinstance(path, AlternativePath):
        return " UNION ALL ".join(f"({_steps(part, source, number)})" for part in path.args)
    if isinstance(path, SequencePath):
        first, *others = (_steps(part, source, number) for part in path.args)
        for other in others:
            first = f"SELECT f.a, n.b FROM ({first}) f JOIN ({other}) n ON f.b = n.a"
        return first
    return f"SELECT s AS a, o AS b FROM {source} t WHERE p = {number(path)}::UBIGINT"


def predicates(path: object) -> list[object]:
    """Return the predicates in the steps of a path."""
    if isinstance(path, MulPath):
        return predicates(path.path)
    if isinstance(path, InvPath):
        return predicates(path.arg)
    if isinstance(path, AlternativePath | SequencePath):
        return [predicate for part in path.args for predicate in predicates(part)]
    return [path]


def join_path(
    names: Names, table: SolutionTable | None, path: RecursivePath, nodes: Collection[str]
) -> SolutionTable:
    """Return the solutions of *table* joined with *path*, None if there is no table.

    *nodes* are the variables of *table* whose values are certainly nodes of the graph: a path
    without a step connects only nodes, or a constant with itself. Raises NotCompiled where all
    nodes of the graph would be needed.
    """
    if not isinstance(path.start, int) and (isinstance(path.end, int) or path.start not in nodes):
        if isinstance(path.end, int) or path.end in nodes:
            path = path.inverse()
        elif path.is_zero:
            raise NotCompiled("a path of no length between unknown nodes")
    solutions = table or SolutionTable("SELECT 1 AS unit")
    tables = {"solutions": solutions.sql, "step": path.steps}
    query = ", ".join(
        [
            *(f"{name} AS MATERIALIZED ({sql})" for name, sql in tables.items()),
            _reached(names, path, nodes),
        ]
    )
    columns, conditions = dict(solutions.columns), []
    read = [f"q.{names[variable]}" for variable in columns]
    for column, term in (("a", path.start), ("b", path.end)):
        if isinstance(term, int):
            conditions.append(f"r.{column} = {term}::UBIGINT")
        elif term in solutions.columns:
            conditions.append(f"r.{column} = q.{names[term]}")
        elif term in columns:  # both ends are one variable
            conditions.append("r.a = r.b")
        else:
            columns[term] = VariableColumn()
            read.append(f"r.{column} AS {names[term]}")
    condition = " AND ".join(conditions) or "true"
    sql = f"WITH RECURSIVE {query} SELECT {', '.join(read) or '1 AS unit'} FROM reached r JOIN solutions q ON {condition}"
    return SolutionTable(sql, columns)


def _reached(names: Names, path: RecursivePath, nodes: Collection[str]) -> str:
    """Return the pairs ``reached(a, b)`` that *path* connects, each once."""
    if isinstance(path.start, int):
        starts = f"SELECT {path.start}::UBIGINT AS a"
    elif path.start in nodes:
        starts = f"SELECT DISTINCT {names[path.start]} AS a FROM solutions"
    else:
        starts = "SELECT DISTINCT a FROM step"
    none = f"SELECT a, a AS b FROM ({starts}) n"
    one = f"SELECT n.a, t.b FROM step t JOIN ({starts}) n ON n.a = t.a"
    if not path.is_repeated:
        return f"reached(a, b) AS ({none} UNION {one})"
    more = "SELECT n.a, t.b FROM step t JOIN reached n ON n.b = t.a"
    return f"reached(a, b) AS ({none if path.is_zero else f'SELECT DISTINCT * FROM ({one})'} UNION {more})"
