"""Count packages, layers, arrows, statements, bytes of SQL, files and lines:
``python -m benchmarks.structure [FOLDER ...]``, one column for each checkout.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

PACKAGES = ("harvesters", "publisher")
CODE = (
    *PACKAGES,
    "vocab",
    "shapes",
    "journal",
    "demo",
    "languages",
    "web",
    "command_line",
    "stocktake.py",
)
COLUMNS = 100
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


def imported_modules(module: Module, known: Iterable[str]) -> set[str]:
    """Return the names among *known* that *module* imports."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(known)


def package_arrows(modules: dict[str, Module], package: str) -> dict[str, set[str]]:
    """Return for each subpackage of *package* the subpackages that it imports; a module at the top
    counts as one.
    """
    arrows: dict[str, set[str]] = {}
    for module in modules.values():
        if module.name.startswith(f"{package}."):
            subpackage = module.name.split(".")[1]
            others = {
                name.split(".")[1]
                for name in imported_modules(module, modules)
                if name.startswith(f"{package}.")
            }
            arrows.setdefault(subpackage, set()).update(others - {subpackage})
    return arrows


def components(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components, packages that import each other in a circle, in
    order of dependency (Tarjan 1972).
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            cut = stack.index(node)
            result.append(set(stack[cut:]))
            del stack[cut:]

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return result


def layer_count(arrows: dict[str, set[str]]) -> int:
    """Return the length of the longest chain of imports; packages in a circle count as one."""
    depth: dict[str, int] = {}
    for group in components(arrows):
        below = {other for node in group for other in arrows.get(node, ())} - group
        depth |= dict.fromkeys(group, 1 + max((depth[other] for other in below), default=0))
    return max(depth.values(), default=0)


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
    """Return the bytes of the texts that begin as SQL does."""
    return sum(
        len(node.value.encode())
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value)
    )


def sizes(root: Path, modules: dict[str, Module]) -> Iterator[tuple[str, str]]:
    """Yield the statements, and the bytes of SQL in modules and files, of each package."""
    statements, sql = Counter[str](), Counter[str]()
    for module in modules.values():
        parts = module.name.split(".")
        name = ".".join(parts[:2]) if parts[0] in PACKAGES and len(parts) > 2 else parts[0]
        statements[name] += statement_count(module.tree)
        sql[name] += sql_bytes(module.tree)
    for file in root.glob("publisher/*/**/*.sql"):
        sql[".".join(file.relative_to(root).parts[:2])] += file.stat().st_size
    for name, count in sorted(statements.items()):
        yield f"{name}: statements", str(count)
        if sql[name]:
            yield f"{name}: bytes of SQL", str(sql[name])
    yield "statements", str(statements.total())
    yield "bytes of SQL", str(sql.total())


def line_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of *function*, without its decorators."""
    return (function.end_lineno or 0) - function.lineno + 1


def measure(root: Path) -> dict[str, str]:
    """Return the measures of the checkout at *root*, as text by name."""
    modules = read_modules(root)
    table: dict[str, str] = {}
    for package in PACKAGES:
        arrows = package_arrows(modules, package)
        packages = {
            name
            for name in arrows
            if any(other.startswith(f"{package}.{name}.") for other in modules)
        }
        inner = {name: others & packages for name, others in arrows.items() if name in packages}
        circles = [group for group in components(inner) if len(group) > 1]
        table[f"{package}: packages"] = str(len(packages))
        table[f"{package}: layers"] = str(layer_count(inner))
        table[f"{package}: arrows between packages"] = str(sum(map(len, inner.values())))
        table[f"{package}: packages that import each other in a circle"] = str(
            sum(map(len, circles))
        )
    lines = [line for module in modules.values() for line in module.lines]
    imports = [line for line in lines if line.lstrip().startswith(("import ", "from "))]
    lengths = [line_count(node) for module in modules.values() for node in functions(module)]
    table |= dict(sizes(root, modules))
    table["source files"] = str(len(modules))
    table["source lines"] = str(len(lines))
    table["import lines"] = f"{len(imports) / len(lines):.1%}"
    table[f"lines over {COLUMNS} columns"] = (
        f"{sum(len(line) > COLUMNS for line in lines) / len(lines):.1%}"
    )
    table["longest function, lines"] = str(max(lengths))
    return table


def main(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Checkouts to compare; this one where none is named."),
    ] = None,
) -> None:
    """Print the measures of each checkout in *folders* beside each other."""
    roots = folders or [Path(__file__).parents[1]]
    tables = [measure(root) for root in roots]
    names = list(dict.fromkeys(name for table in tables for name in table))
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}", *(f"{table.get(name, '-'):>10}" for table in tables))


if __name__ == "__main__":
    typer.run(main)
