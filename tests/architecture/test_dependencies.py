from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from codebase import Codebase, parse_file
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "demo", "command_line", "stocktake", "benchmarks",
}  # fmt: skip
# Packages that another one installs and documents as a part of itself.
BUNDLED = {
    "pydantic_core": "pydantic", "click": "typer", "markupsafe": "jinja2", "boto3": "moto", "opentelemetry": "opentelemetry-sdk",
}  # fmt: skip
# Never imported by name: uvicorn and starlette import them.
IMPLICIT = {"uvloop", "httptools", "python-multipart"}


def _declared(texts: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in texts}


EXTRAS = [
    text
    for name, texts in PROJECT["optional-dependencies"].items()
    if name != "dev"
    for text in texts
]

_LATE_IMPORT = re.compile(r"\bimport_module\('([\w.]+)'\)")


def _imported(trees: Iterable[ast.Module]) -> set[str]:
    trees = list(trees)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    names |= {match[1] for tree in trees for match in _LATE_IMPORT.finditer(ast.unparse(tree))}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def _distributions(modules: set[str]) -> set[str]:
    known = packages_distributions()
    return {
        BUNDLED.get(module) or canonicalize_name(known.get(module, [module])[0])
        for module in modules
    }


@pytest.fixture(scope="module")
def imported(codebase: Codebase) -> set[str]:
    return _distributions(_imported(codebase.trees.values()) - OURS)


def test_what_the_program_imports_is_declared(imported: set[str]) -> None:
    assert imported - _declared([*PROJECT["dependencies"], *EXTRAS]) == set()


def test_what_is_declared_for_the_program_is_imported(imported: set[str]) -> None:
    assert _declared(PROJECT["dependencies"]) - imported - IMPLICIT == set()


def test_what_the_tests_import_is_declared() -> None:
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    beside = {file.stem for file in (*files, *(ROOT / "docs").glob("*.py"))}
    imported = _distributions(_imported(parse_file(file) for file in files) - OURS - beside)

    assert (
        imported
        - _declared([*PROJECT["dependencies"], *EXTRAS, *PROJECT["optional-dependencies"]["dev"]])
        == set()
    )
