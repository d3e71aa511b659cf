from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from codebase import parse_file
from rows import each

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
