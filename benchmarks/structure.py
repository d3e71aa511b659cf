"""Count statements, and bytes of SQL, TOML, templates and scripts, by package, and files and lines:
``python -m benchmarks structure [FOLDER ...]``, one column for each checkout.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

CODE = (
    *("harvesters", "publisher", "vocab", "shapes", "journal", "demo", "languages", "web"),
    *("command_line", "benchmarks", "stocktake.py"),
)
DECLARED = {".sql": "SQL", ".toml": "TOML", ".js": "scripts"}
BUILT = ("static/query/", "static/docs/")  # built from packages of npm, and from docs
_UNCOUNTED = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_SQL = re.compile(
    r"\s*(?:SELECT|INSERT INTO|DELETE FROM|UPDATE|CREATE|WITH|DROP|PRAGMA|SET|BEGIN|FROM)\b"
)


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: its dotted name, its lines, and its syntax tree."""

    name: str
    lines: tuple[str, ...]
    tree: ast.Module


def read_modules(root: Path) -> dict[str, Module]:
    """Parse every source file below *root*, except migrations, by dotted name."""
    files = [
        file
        for part in CODE
        for file in (sorted((root / part).rglob("*.py")) if part in CODE[:-1] else [root / part])
    ]
    modules = {}
    for file in files:
        if not {"migrations", "static"} & {*file.parts}:
            parts = file.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = file.read_text()
            modules[name] = Module(name, tuple(text.splitlines()), ast.parse(text))
    return modules


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions of *module*, nested ones too."""
    return (
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def statement_count(tree: ast.Module) -> int:
    """Return the number of statements that are no import, function, class or docstring."""
    return sum(
        isinstance(node, ast.stmt)
        and not isinstance(node, _UNCOUNTED)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in ast.walk(tree)
    )


def sql_bytes(tree: ast.Module) -> int:
    """Return the bytes of the texts that begin with a keyword of SQL."""
    return sum(
        len(node.value.encode())
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value)
    )


def _package(parts: tuple[str, ...]) -> str:
    return ".".join(parts[:2]) if parts[0] in CODE[:2] and len(parts) > 2 else parts[0]


def measure(root: Path) -> dict[str, int]:
    """Return the measures of the checkout at *root* by name."""
    modules = read_modules(root)
    counts = Counter[str]()
    for module in modules.values():
        package, statements = _package(tuple(module.name.split("."))), statement_count(module.tree)
        counts[f"{package}: statements"] += statements
        counts["statements"] += statements
        counts["bytes of SQL"] += sql_bytes(module.tree)
    for folder in CODE[:-1]:
        for file in (root / folder).rglob("*"):
            name = file.relative_to(root).as_posix()
            if file.is_file() and not any(built in name for built in BUILT):
                kind = "templates" if "/templates/" in name else DECLARED.get(file.suffix)
                counts[f"bytes of {kind}"] += file.stat().st_size if kind else 0
    del counts["bytes of None"]
    lengths = [line_count(node) for module in modules.values() for node in functions(module)]
    counts["files"] = len(modules)
    counts["lines"] = sum(len(module.lines) for module in modules.values())
    counts["lines of the longest function"] = max(lengths)
    return dict(sorted(counts.items()))


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of *function*, without its decorators."""
    return (function.end_lineno or 0) - function.lineno + 1


def main(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Checkouts to compare; this one if none is named.")
    ] = None,
) -> None:
    """Print the measures of each checkout in *folders* beside each other."""
    tables = [measure(root) for root in folders or [Path(__file__).parents[1]]]
    names = sorted({name for table in tables for name in table})
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}", *(f"{table.get(name, 0):>10,}" for table in tables))


if __name__ == "__main__":
    typer.run(main)
