"""The house: its files, and who imports whom, read from the source without running it."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("vocab", "shapes", "journal", "harvesters", "publisher", "demo", "stocktake")


@dataclass(frozen=True, slots=True)
class House:
    """*trees* has each module's syntax, *imports* the modules of ours that it imports, both by dotted name."""

    root: Path
    trees: Mapping[str, ast.Module]
    imports: Mapping[str, frozenset[str]]

    def reach(self, module: str) -> frozenset[str]:
        """Follow the imports of *module* to their ends; it is among them only if a circle leads back."""
        seen: set[str] = set()
        ahead = [*self.imports[module]]
        while ahead:
            if (name := ahead.pop()) not in seen:
                seen.add(name)
                ahead.extend(self.imports[name])
        return frozenset(seen)


@contextmanager
def calm() -> Iterator[None]:
    """Keep the garbage collector still: Python 3.11's parser fails where a collected thing's warning is written, which parses too."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _files(root: Path) -> Iterator[Path]:
    for room in ROOMS:
        yield from (file for file in sorted((root / room).rglob("*.py")) if "static" not in file.parts)  # the built documentation
    yield from root.glob("stocktake.py")


def _name(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Give what *tree* imports, each name also as if it were a module: ``from a.b import c`` gives a.b.c and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)


def _ours(tree: ast.AST, module: str, known: frozenset[str]) -> frozenset[str]:
    found = {name for name in _imported(tree, module) if name in known} - {module}
    # A package is named by every import of its modules; it counts where something is taken from itself.
    return frozenset(name for name in found if not any(other.startswith(f"{name}.") for other in found))


@pytest.fixture(scope="session")
def house() -> House:
    with calm():
        trees = {_name(ROOT, file): ast.parse(file.read_bytes(), str(file)) for file in _files(ROOT)}
    known = frozenset(trees)
    return House(ROOT, trees, {name: _ours(tree, name, known) for name, tree in trees.items()})
