"""No function and no file is long."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import patterns
import pytest
from codebase import Codebase, parse_file, without_gc
from jinja2 import Environment, nodes
from rows import each
from starlette.datastructures import QueryParams

from benchmarks.structure import Module, functions, line_count, read_modules

FUNCTION = 80  # lines; 60 are better for readers
FILE = 800  # lines; 400 are better for readers


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    with without_gc():
        return read_modules(Path(__file__).parents[2])


def test_no_function_and_no_file_is_too_long_to_read(modules: dict[str, Module]) -> None:
    long = {
        f"{name}: {function.name}": line_count(function)
        for name, module in modules.items()
        for function in functions(module)
        if line_count(function) > FUNCTION
    }

    assert len(modules) > 300
    assert long == {}, "split it by meaning: a part with a name of its own"
    assert [name for name, module in modules.items() if len(module.lines) > FILE] == []


ROOT = Path(__file__).parents[2]
PACKAGES = (
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "command_line", "demo", "benchmarks", "tests",
)  # fmt: skip


def repeated_classes(package: str) -> set[str]:
    count = Counter(
        node.name
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(parse_file(file))
        if isinstance(node, ast.ClassDef)
    )
    return {name for name, number in count.items() if number > 1}


@each("package", PACKAGES)
def test_class_name_is_defined_once_in_a_package(package: str) -> None:
    assert repeated_classes(package) == set()


# Patterns that are known only when the program runs, and where they come from.
DYNAMIC = {
    "harvesters.options": "the operator's, from a source definition",
    "harvesters.protocols.files": "the operator's, from a source definition",
    "harvesters.protocols.resourcesync": "the operator's, from a source definition",
    "harvesters.protocols.web": "the operator's, from a source definition",
    "harvesters.network.reply": "a table of our own",
    "vocab.check": "an escaped name at the start of a line, which repeats nothing",
    "vocab.identifiers": "a table of our own, on at most 200 characters",
    "publisher.store.search.searcher": "an escaped word, which repeats nothing",
    "publisher.store.external.client": "a table of our own, on an error of the operator's store",
    "harvesters.reasons": "a text of our own, on a notice of our own",
    "publisher.portal.feed_samples": "a table of our own, which is pumped with the others",
    "harvesters.runs.status_file": "an escaped folder, which repeats nothing",
}


@pytest.fixture(scope="module")
def all_patterns(codebase: Codebase) -> tuple[list[patterns.Pattern], list[str]]:
    matches, unknown = patterns.patterns(codebase.trees)
    tables = tomllib.loads((ROOT / "publisher/portal/feed_samples.toml").read_text("utf-8"))
    texts = [*(row["pattern"] for row in tables["sniff"]), *tables["values"].values()]
    samples = (patterns.Pattern(f"sample {text}", text, False, 0, ("search",)) for text in texts)
    return [*matches, *samples], unknown


def test_every_pattern_of_the_program_is_linear_on_pumped_strings(
    all_patterns: tuple[list[patterns.Pattern], list[str]],
) -> None:
    matches, _ = all_patterns
    lines = "".join(json.dumps(asdict(pattern)) + "\n" for pattern in matches)

    completed = subprocess.run(
        [sys.executable, patterns.__file__], input=lines, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    answers = dict(json.loads(line) for line in completed.stdout.splitlines())

    assert completed.returncode == 0, completed.stderr
    assert len(answers) == len({pattern.place for pattern in matches})
    assert {position: slow for position, slow in answers.items() if slow} == {}


def test_every_pattern_of_the_program_is_found(
    all_patterns: tuple[list[patterns.Pattern], list[str]],
) -> None:
    matches, unknown = all_patterns

    assert len(matches) > 100
    assert {position.rpartition(":")[0] for position in unknown} <= set(DYNAMIC)


TRAPS = (
    r"(?m)^\s*(?:GRAPH\s+)?(?:<[^<>\s]*>|_:\w+|\w*:\w*)?\s*\{\s*$",
    r"[ \t\xa0]*\n\s*",
    r"<([^>]*)>\s*;[^<]*\brel",
    r"(a+)+b",
)


def test_backtracking_traps_are_caught() -> None:
    traps = [patterns.Pattern(text, text, False, 0, ("search",)) for text in TRAPS]

    completed = subprocess.run(
        [sys.executable, patterns.__file__], input="".join(json.dumps(asdict(trap)) + "\n" for trap in traps),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    answers = dict(json.loads(line) for line in completed.stdout.splitlines())
    assert {text for text in TRAPS if answers[text]} == {*TRAPS}


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
