from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from codebase import parse_file
from jinja2 import Environment, nodes
from rows import each
from starlette.datastructures import QueryParams

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "languages/templates", "publisher/templates", "harvesters/admin/templates", "publisher/portal/report",
)  # fmt: skip
TEMPLATES = sorted(
    file
    for folder in FOLDERS
    for file in (ROOT / folder).rglob("*")
    if file.suffix in (".html", ".xml")
)
LOOP = {"last", "first", "index", "index0", "length"}
BUILT_IN = {
    name for kind in (str, dict, list, tuple, int, datetime, QueryParams) for name in dir(kind)
} | LOOP


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that code defines: functions, fields, keyword arguments, attributes that are
    set, and keys of dictionaries.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            fields = (item.target for item in node.body if isinstance(item, ast.AnnAssign))
            constants = (
                target
                for item in node.body
                if isinstance(item, ast.Assign)
                for target in item.targets
            )
            yield from (
                target.id for target in (*fields, *constants) if isinstance(target, ast.Name)
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.isidentifier()
        ):
            yield node.value


@pytest.fixture(scope="module")
def defined() -> set[str]:
    packages = ("publisher", "harvesters", "languages", "web", "vocab", "shapes", "journal")
    files = (file for package in packages for file in (ROOT / package).rglob("*.py"))
    return {name for file in files for name in _defined(parse_file(file))} | BUILT_IN


@each("file", TEMPLATES)
def test_every_attribute_in_a_template_is_defined_in_code(file: Path, defined: set[str]) -> None:
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(file.read_text(encoding="utf-8"))

    assert {node.attr for node in tree.find_all(nodes.Getattr)} - defined == set()
