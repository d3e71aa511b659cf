"""Describe how a query is evaluated: its algebra, its SQL, and the estimated and real rows of each
step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import duckdb
from rdflib.plugins.sparql.parserutils import CompValue

_HIDDEN = ("_vars", "lazy")  # what rdflib notes beside the algebra
_WRAPPERS = ("RESULT_COLLECTOR", "EXPLAIN_ANALYZE")  # steps of the explanation, not of the query

Step = dict[str, object]


def algebra_text(node: object, depth: int = 0) -> str:
    """Return the algebra *node* of rdflib as an indented tree, one operator a line."""
    return "\n".join(_lines(node, depth))


def _lines(node: object, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not isinstance(node, CompValue):
        yield indent + _term(node)
        return
    yield indent + str(node.name)
    for name, value in node.items():
        if name in _HIDDEN:
            continue
        if isinstance(value, CompValue):
            yield f"{indent}  {name}:"
            yield from _lines(value, depth + 2)
        elif name == "triples":
            for triple in value:
                yield f"{indent}  {' '.join(map(_term, triple))}"
        elif isinstance(value, list) and any(isinstance(part, CompValue) for part in value):
            yield f"{indent}  {name}:"
            for part in value:
                yield from _lines(part, depth + 2)
        else:
            yield f"{indent}  {name}: {_term(value)}"


def _term(value: object) -> str:
    if isinstance(value, list | tuple | set):
        return ", ".join(map(_term, value))
    write = getattr(value, "n3", None)
    return str(write()) if callable(write) else str(value)


def explain_sql(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Step]:
    """Run *sql*; return its steps from the last to the first, with their ``depth`` in the tree,
    ``estimated`` and real ``rows``.
    """
    ((_, text),) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}").fetchall()
    return [step for operator in json.loads(text)["operator"] for step in _steps(operator, 0)]


def _steps(operator: Mapping[str, object], depth: int) -> Iterator[Step]:
    name, about, children = operator["type"], operator["extra_info"], operator.get("children", ())
    assert isinstance(about, dict)
    assert isinstance(children, list | tuple)
    is_step = name not in _WRAPPERS
    if is_step:
        estimated = str(about.get("Estimated Cardinality", ""))
        step: Step = {
            "depth": depth,
            "step": name,
            "estimated": int(estimated) if estimated.isdecimal() else None,
        }
        yield step | {
            "rows": operator.get("intermediate_rows"),
            "table": about.get("Table"),
            "condition": about.get("Conditions"),
        }
    for child in children:
        yield from _steps(child, depth + is_step)
