"""Recursive property paths (``*``, ``+``, ``?``) as recursive SQL.

Source: https://www.w3.org/TR/sparql11-query/#propertypaths (ArbitraryLengthPath and ZeroLengthPath)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

from rdflib.paths import AlternativePath, InvPath, MulPath, NegatedPath, SequencePath

from publisher.store.columns.relations import Names, NotCompiled, SolutionTable, VariableColumn

Number = Callable[[object], int]


@dataclass(frozen=True, slots=True)
class RecursivePath:
    """Nodes from *start* to *end*, constants' numbers or variables' names, in steps that are pairs
    ``a``, ``b`` of the query *steps*, over the triples of the SQL table *source*.

    *is_zero*: no step is enough; *is_repeated*: there may be more than one.
    """

    start: int | str
    end: int | str
    steps: str
    source: str
    is_zero: bool
    is_repeated: bool

    def inverse(self) -> RecursivePath:
        """Return the path from the end to the start."""
        steps = f"SELECT b AS a, a AS b FROM ({self.steps})"
        return replace(self, start=self.end, end=self.start, steps=steps)

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
    step = path_step(path.path, source, number)
    is_zero = step.is_zero or path.mod in "*?"
    return RecursivePath(start, end, step.pairs, source, is_zero, path.mod in "*+")


class PathStep(NamedTuple):
    """What a path connects: the pairs ``a``, ``b`` of the query *pairs*, and with *is_zero* each
    node with itself, without a step.
    """

    pairs: str
    is_zero: bool = False


def path_step(path: object, source: str, number: Number, depth: int = 0) -> PathStep:
    """Return what *path* connects over the triples of the SQL table *source*. Pairs without a step
    are kept apart, so that a path in a path needs no list of all nodes.

    *depth* is the number of recursive paths around *path*. Raises NotCompiled.
    """
    if isinstance(path, InvPath):
        step = path_step(path.arg, source, number, depth)
        return PathStep(f"SELECT b AS a, a AS b FROM ({step.pairs})", step.is_zero)
    if isinstance(path, AlternativePath):
        steps = [path_step(part, source, number, depth) for part in path.args]
        pairs = " UNION ALL ".join(f"({step.pairs})" for step in steps)
        return PathStep(pairs, any(step.is_zero for step in steps))
    if isinstance(path, SequencePath):
        first, *others = (path_step(part, source, number, depth) for part in path.args)
        for other in others:
            first = _sequence(first, other)
        return first
    if isinstance(path, MulPath):
        step = path_step(path.path, source, number, depth + 1)
        pairs = _closure(step.pairs, depth) if path.mod in "*+" else step.pairs
        return PathStep(pairs, step.is_zero or path.mod in "*?")
    return PathStep(
        f"SELECT s AS a, o AS b FROM {source} t WHERE {predicate_condition(path, number)}"
    )


def _sequence(first: PathStep, then: PathStep) -> PathStep:
    """Return *first* followed by *then*."""
    pairs = f"SELECT f.a, n.b FROM ({first.pairs}) f JOIN ({then.pairs}) n ON f.b = n.a"
    if first.is_zero:
        pairs += f" UNION ALL ({then.pairs})"
    if then.is_zero:
        pairs += f" UNION ALL ({first.pairs})"
    return PathStep(pairs, first.is_zero and then.is_zero)


def _closure(first: str, depth: int) -> str:
    """Return the pairs that one or more of the pairs *first* connect, each once."""
    step, reached = f"step{depth}", f"reached{depth}"
    more = f"SELECT r.a, t.b FROM {reached} r JOIN {step} t ON r.b = t.a"
    pairs = f"SELECT a, b FROM {step} UNION {more}"
    return f"WITH RECURSIVE {step} AS MATERIALIZED ({first}), {reached}(a, b) AS ({pairs}) SELECT a, b FROM {reached}"


def predicate_condition(path: object, number: Number) -> str:
    """Return the SQL condition on the predicate ``p`` of a path of one step. Raises NotCompiled."""
    if isinstance(path, NegatedPath):
        others = ", ".join(f"{number(predicate)}::UBIGINT" for predicate in path.args)
        return f"p NOT IN ({others})"
    return f"p = {number(path)}::UBIGINT"


def predicates(path: object) -> list[object]:
    """Return the predicates in the steps of a path; None stands for all."""
    if isinstance(path, NegatedPath):
        return [None]
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
    without a step connects only nodes, or a constant with itself.
    """
    if not _is_known(path.start, nodes) or (
        isinstance(path.end, int) and not isinstance(path.start, int)
    ):
        path = path.inverse() if _is_known(path.end, nodes) else path
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


def _is_known(term: int | str, nodes: Collection[str]) -> bool:
    """Return whether an end of a path is a constant or one of *nodes*."""
    return isinstance(term, int) or term in nodes


def _reached(names: Names, path: RecursivePath, nodes: Collection[str]) -> str:
    """Return the pairs ``reached(a, b)`` that *path* connects, each once."""
    if isinstance(path.start, int):
        starts = f"SELECT {path.start}::UBIGINT AS a"
    elif path.start in nodes:
        starts = f"SELECT DISTINCT {names[path.start]} AS a FROM solutions"
    elif path.is_zero:  # each node of the graph
        starts = f"SELECT s AS a FROM {path.source} n UNION SELECT o FROM {path.source} n"
    else:
        starts = "SELECT DISTINCT a FROM step"
    none = f"SELECT a, a AS b FROM ({starts}) n"
    one = f"SELECT n.a, t.b FROM step t JOIN ({starts}) n ON n.a = t.a"
    if not path.is_repeated:
        return f"reached(a, b) AS ({none} UNION {one})"
    more = "SELECT n.a, t.b FROM step t JOIN reached n ON n.b = t.a"
    return f"reached(a, b) AS ({none if path.is_zero else f'SELECT DISTINCT * FROM ({one})'} UNION {more})"
