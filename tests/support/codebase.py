"""The program's modules and their imports, read from the source without running it."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "demo", "command_line", "stocktake",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Codebase:
    """*trees* is the syntax tree of each module, *imports* the modules of the program that it
    imports; both by dotted name.
    """

    root: Path
    trees: Mapping[str, ast.Module]
    imports: Mapping[str, frozenset[str]]

    def reachable(self, module: str) -> frozenset[str]:
        """Return all modules that *module* imports, directly or not; itself only if it is part of a
        cycle.
        """
        seen: set[str] = set()
        queue = [*self.imports[module]]
        while queue:
            if (name := queue.pop()) not in seen:
                seen.add(name)
                queue.extend(self.imports[name])
        return frozenset(seen)


@contextmanager
def without_gc() -> Iterator[None]:
    """Disable the garbage collector: Python 3.11's parser fails if a collected object writes a
    warning, because that parses too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@cache
def parse_file(file: Path) -> ast.Module:
    """Return the syntax tree of a file, which is parsed once for all tests of a process.

    The tree stays until the end, so its nodes are frozen: the garbage collector need not visit
    them.
    """
    with without_gc():
        tree = ast.parse(file.read_bytes(), str(file))
        gc.freeze()
    return tree


def list_files(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        # The folders named `static` have the built documentation.
        yield from (
            file for file in sorted((root / package).rglob("*.py")) if "static" not in file.parts
        )
    yield from root.glob("stocktake.py")


def module_name(root: Path, file: Path) -> str:
    """Return the dotted name of the module in *file*."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield what *tree* imports, each name also as if it were a module: ``from a.b import c``
    yields a.b.c and a.b.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import: write the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield str(node.module)


def _our_imports(tree: ast.AST, module: str, known: frozenset[str]) -> frozenset[str]:
    names = {name for name in _imported(tree, module) if name in known} - {module}
    # Every import of a module names its package too; the package counts only if something is
    # imported from the package itself.
    return frozenset(
        name for name in names if not any(other.startswith(f"{name}.") for other in names)
    )


def read_codebase(root: Path = ROOT) -> Codebase:
    """Return the modules of the program below *root*."""
    trees = {module_name(root, file): parse_file(file) for file in list_files(root)}
    known = frozenset(trees)
    return Codebase(
        root, trees, {name: _our_imports(tree, name, known) for name, tree in trees.items()}
    )
