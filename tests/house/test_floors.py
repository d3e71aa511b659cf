"""The floors: who may import whom, so that every room can be read, tested and moved alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

BELOW: Mapping[str, set[str]] = {
    "vocab": set(),
    "shapes": {"vocab"},
    "journal": {"vocab"},
    "harvesters": {"vocab", "shapes", "journal"},
    "publisher": {"vocab", "shapes", "journal"},
    "demo": {"vocab"},  # it writes OAI-PMH by the specification, not with the code that it is to test
    "stocktake": {"vocab", "shapes", "journal", "harvesters", "publisher", "demo"},
}
# From the lowest step to the highest. What stands on no step may stand anywhere, but leads no import upward.
STAIRS = {
    "harvesters": (
        {"errors"},
        {"source"},
        {"page_model", "network", "ledger", "archive"},
        {"protocols", "mappings"},
        {"pipeline"},
        {"runs.plan"},
        {"runs.harvest"},
        {"runs.scheduler"},
        {"admin"},
        {"cli"},
    ),
    "publisher": (
        {"errors", "formats", "limits", "logs", "openapi"},
        {"languages", "rdf"},
        {"search"},
        {"facets"},
        {"store"},
        {"http"},
        {"pages", "history", "releases"},
        {"sparql", "linked_data", "feeds", "catalog"},
        {"portal"},
        {"routes"},
        {"app"},
        {"cli"},
    ),
    "vocab": ({"iris"}, {"terms"}, {"schemes"}, {"crosswalks"}),
}
ROWS = {"harvesters.protocols": "collect", "harvesters.mappings": "build_mapper"}  # and their doors' one deed
SHAPELESS = {"utils", "util", "common", "core", "helpers", "helper", "base", "manager", "misc", "lib"}


def _room(module: str) -> str:
    return module.partition(".")[0]


def _step(module: str) -> int | None:
    room, _, rest = module.partition(".")
    names = {rest.partition(".")[0], rest}
    return next((number for number, step in enumerate(STAIRS.get(room, ())) if names & step), None)


def _inner(tree: ast.Module) -> Iterator[ast.stmt]:
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
    return (node for function in functions for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom))


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_room_imports_from_above_or_beside(house):
    wrong = [
        f"{module} imports {other}"
        for module, others in house.imports.items()
        for other in others
        if _room(other) != _room(module) and _room(other) not in BELOW[_room(module)]
    ]

    assert wrong == []


def test_inside_a_room_no_import_leads_up_the_stairs(house):
    wrong = [
        f"{module} reaches {other}"
        for module in house.imports
        if (own := _step(module)) is not None
        for other in house.reach(module)
        if _room(other) == _room(module) and (step := _step(other)) is not None and step > own
    ]

    assert wrong == []


def test_every_package_of_the_publisher_has_a_layer_and_imports_only_from_lower_ones(house):
    layers = {package: number for number, layer in enumerate(STAIRS["publisher"]) for package in layer}
    packages = {module: module.split(".")[1] for module in house.imports if module.startswith("publisher.")}

    unlisted = {package for package in packages.values() if package not in layers}
    upward = [
        f"{module} imports {other}"
        for module, package in packages.items()
        for other in house.imports[module]
        if other in packages and packages[other] != package and layers[packages[other]] >= layers[package]
    ]

    assert (unlisted, upward) == (set(), [])


def test_no_circle_of_files(house):
    circles = [module for module in house.imports if module in house.reach(module)]

    assert circles == []


def test_no_import_inside_a_function(house):
    inner = [f"{module}:{node.lineno}" for module, tree in house.trees.items() for node in _inner(tree)]

    assert inner == []


def test_no_module_is_named_for_no_trade(house):
    shapeless = [module for module in house.imports if SHAPELESS & set(module.split("."))]

    assert shapeless == []


@pytest.mark.parametrize("row", ROWS)
def test_doors_of_one_row_do_not_import_each_other(house, row):
    doors = {module for module, tree in house.trees.items() if module.startswith(f"{row}.") and ROWS[row] in _functions(tree)}

    entangled = [f"{door} reaches {other}" for door in sorted(doors) for other in sorted(house.reach(door) & (doors - {door}))]

    assert doors, f"{row} has no doors"
    assert entangled == []


def test_every_module_says_its_trade_in_its_first_line(house):
    silent = [module for module, tree in house.trees.items() if not ast.get_docstring(tree) and "migrations" not in module]

    assert silent == []


def _swallows(node: ast.AST) -> bool:
    """Tell whether *node* catches everything and has no bare ``raise`` by which it lets go what it does not know."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
    return broad and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))


def test_one_broad_except_at_most_in_the_whole_program(house):
    broad = [f"{module}:{node.lineno}" for module, tree in house.trees.items() for node in ast.walk(tree) if _swallows(node)]

    assert len(broad) <= 1, broad
