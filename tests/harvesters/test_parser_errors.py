from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rows import each

from harvesters.errors import CharsetError, ParseError, parser_errors

ROOT = Path(__file__).parents[2] / "harvesters"
READERS = ("payloads", "protocols", "mappings")
# Parsing libraries are called by names with these last two parts.
CALLS = {
    "etree.fromstring", "etree.iterparse", "html.fromstring", "html.document_fromstring", "html.fragment_fromstring", "orjson.loads",
    "json.loads", "feedparser.parse", "Calendar.from_ical", "recurring_ical_events.of", "CalamineWorkbook.from_filelike", "zipfile.ZipFile",
    "base64.b64decode", "charset_normalizer.from_bytes", "pyoxigraph.parse", "parse",
}  # fmt: skip
# These functions parse bytes of our own: a file of the program, a cursor, and a row or an element that
# was serialized just before.
OWN = {
    "payloads/paths.py:_element_view",
    "payloads/rdf_parser.py:_read", "protocols/protocol.py:read_cursor",
    "protocols/table_rows.py:_group_rows",
}  # fmt: skip


class PanicException(BaseException):
    """A panic of a Rust library, which is no Exception in pyo3 either."""


PanicException.__module__ = "pyo3_runtime"


def unwrapped(
    tree: ast.AST, function: str = "", inside: bool = False
) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a parsing library outside ``parser_errors``, with its function."""
    for node in ast.iter_child_nodes(tree):
        within, name = inside, function
        if isinstance(node, ast.With):
            within = inside or any(
                ast.unparse(item.context_expr).startswith("parser_errors(") for item in node.items
            )
        elif isinstance(node, ast.FunctionDef):
            within, name = False, node.name
        if (
            isinstance(node, ast.Call)
            and not within
            and ".".join(ast.unparse(node.func).split(".")[-2:]) in CALLS
        ):
            yield name, node
        yield from unwrapped(node, name, within)


def test_every_call_of_a_parsing_library_turns_its_exceptions_into_ours() -> None:
    files = [file for reader in READERS for file in (ROOT / reader).rglob("*.py")] + [
        ROOT / "network" / "reply.py"
    ]
    results = [
        f"{file.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call.func)}"
        for file in files
        for function, call in unwrapped(ast.parse(file.read_text(encoding="utf-8")))
        if f"{file.relative_to(ROOT)}:{function}" not in OWN
    ]

    assert results == []


@each(
    "error",
    [RecursionError("deep"), TypeError("None"), KeyError("a"), MemoryError(), UnicodeError("x"), PanicException("overflow")],
)  # fmt: skip
def test_whatever_a_library_raises_becomes_a_parse_error(error: Any) -> None:
    with (
        pytest.raises(ParseError, match=r"\Aa\.json: not JSON: \S") as caught,
        parser_errors("a.json: not JSON"),
    ):
        raise error

    assert caught.value.__cause__ is error


@each("error", [KeyboardInterrupt(), SystemExit(2), GeneratorExit(), CharsetError("ours")])
def test_what_is_no_fault_of_a_library_passes(error: Any) -> None:
    with pytest.raises(type(error)) as caught, parser_errors("a.json"):
        raise error

    assert caught.value is error
