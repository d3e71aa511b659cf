"""A class name has one meaning in each top-level package.

REPEATED lists the names that still have several. It may only shrink: a name that has one meaning must leave it.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPEATED: dict[str, set[str]] = {
    "vocab": set(),
    "shapes": set(),
    "journal": set(),
    "languages": set(),
    "harvesters": set(),
    "command_line": set(),
    "demo": set(),
    "publisher": {
        "Checkpoint",
        "Column",
        "Dataset",
        "Kind",
        "ListItem",
        "Prize",
        "Registry",
        "Settings",
        "Writer",
    },
}


def repeated_classes(package: str) -> set[str]:
    """Return the class names that are defined more than once in a package."""
    count = Counter(
        node.name
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    return {name for name, number in count.items() if number > 1}


@pytest.mark.parametrize("package", REPEATED)
def test_class_name_is_defined_once_in_a_package(package: str) -> None:
    assert repeated_classes(package) == REPEATED[package]
