"""Compile simple JMESPath expressions to Python functions, which is forty times faster than
interpreting them.

Source: https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from harvesters.definition_faults import located
from harvesters.errors import SourceDefinitionError
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

Find: TypeAlias = Callable[[Any], Any]
_Node: TypeAlias = dict[str, Any]


class Functions(functions.Functions):
    """The functions of JMESPath and one of ours, which its library finds by its name."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_without(self, text: str, phrases: list[str]) -> str:
        """Return a text without the phrases that it begins or ends with, in any case of letters."""
        for phrase in phrases:
            if text.lower().startswith(phrase.lower()):
                text = text[len(phrase) :]
            elif text.lower().endswith(phrase.lower()):
                text = text[: -len(phrase)]
        return text.strip(" -:,()")


_OPTIONS = jmespath.Options(custom_functions=Functions())


def compile_jmespath(text: str, where: str | Reason = "") -> Find:
    """Compile *text*; raises SourceDefinitionError, whose message begins with *where*, if it is not
    JMESPath.

    The function returns what JMESPath returns, None if nothing matches. ``without(text, phrases)``
    is a function of ours.


    >>> compile_jmespath("a.b[].c")({"a": {"b": [{"c": 1}, {"d": 2}]}})
    [1]
    >>> compile_jmespath("'nominated'")({}), compile_jmespath("`2015`")({})
    ('nominated', 2015)
    >>> compile_jmespath("without(a, ['Additional Financing for'])")({"a": "Additional financing for Roads"})
    'Roads'
    """
    try:
        whole = jmespath.compile(text)
    except JMESPathError as error:
        fault = Reason("not_jmespath", {"text": repr(text), "error": " ".join(str(error).split())})
        raise SourceDefinitionError(located(where, fault)) from error
    return _compile_node(cast(_Node, whole.parsed)) or _interpreted(text, where)


def _interpreted(text: str, where: str | Reason) -> Find:
    whole = jmespath.compile(text)

    def find(row: Any) -> Any:
        # as where a function is given what it does not take
        with parser_errors(f"{where}: {text!r} does not fit the record"):
            return whole.search(row, _OPTIONS)

    return find


def _compile_node(node: _Node) -> Find | None:
    """Return a function for a node that needs no interpreter, else None."""
    make = _COMPILERS.get(node["type"])
    return make(node) if make else None


def _field(node: _Node) -> Find:
    name = node["value"]
    return lambda row: row.get(name) if isinstance(row, dict) else None


def _literal(node: _Node) -> Find:
    value = node["value"]
    return lambda row: value


def _index(node: _Node) -> Find:
    index = node["value"]
    return lambda row: (
        row[index] if isinstance(row, list) and -len(row) <= index < len(row) else None
    )


def _chain(node: _Node) -> Find | None:
    steps = [_compile_node(child) for child in node["children"]]
    whole = [step for step in steps if step]
    if len(whole) < len(steps):
        return None
    if [child["type"] for child in node["children"]] == ["field", "field"]:
        outer, inner = (child["value"] for child in node["children"])
        return lambda row: (
            table.get(inner)
            if isinstance(row, dict) and isinstance(table := row.get(outer), dict)
            else None
        )
    if len(whole) == 2:
        first, second = whole
        return lambda row: second(first(row))

    def find(row: Any) -> Any:
        for step in whole:
            row = step(row)
        return row

    return find


def _flatten(node: _Node) -> Find | None:
    base = _compile_node(node["children"][0])
    if base is None:
        return None

    def find(row: Any) -> Any:
        items = base(row)
        if not isinstance(items, list):
            return None
        flat: list[Any] = []
        for item in items:
            flat.extend(item) if isinstance(item, list) else flat.append(item)
        return flat

    return find


def _projection(node: _Node) -> Find | None:
    base, each = (_compile_node(child) for child in node["children"])
    if base is None or each is None:
        return None

    def find(row: Any) -> Any:
        items = base(row)
        if not isinstance(items, list):
            return None
        return [value for value in map(each, items) if value is not None]

    return find


def _or(node: _Node) -> Find | None:
    first, second = (_compile_node(child) for child in node["children"])
    if first is None or second is None:
        return None

    def find(row: Any) -> Any:
        result = first(row)
        return second(row) if result in (None, "", [], {}) or result is False else result

    return find


_COMPILERS: dict[str, Callable[[_Node], Find | None]] = {
    "field": _field,
    "literal": _literal,
    "identity": lambda node: lambda row: row,
    "current": lambda node: lambda row: row,
    "index": _index,
    "subexpression": _chain,
    "index_expression": _chain,
    "flatten": _flatten,
    "projection": _projection,
    "or_expression": _or,
}
