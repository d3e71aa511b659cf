"""Which package may import which, so that each can be read, tested and moved alone."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest
from codebase import Codebase

ALL = {"vocab", "shapes", "journal", "languages", "web", "harvesters", "publisher", "demo"}
ALLOWED: Mapping[str, set[str]] = {
    "vocab": set(),
    "shapes": {"vocab"},
    "journal": {"vocab"},
    "languages": {"vocab"},
    "web": {"vocab", "languages"},
    "harvesters": {"vocab", "shapes", "journal", "languages", "web"},
    "publisher": {"vocab", "shapes", "journal", "languages", "web"},
    "command_line": ALL,
    "stocktake": {*ALL, "command_line"},
    # The demo writes OAI-PMH by the specification, not with the code that it tests.
    "demo": {"vocab", "journal"},
}
# From the lowest layer to the highest. A module belongs to the longest listed name: payloads.graph
# is below page_model, the rest of payloads above it.
LAYERS: Mapping[str, tuple[set[str], ...]] = {
    "vocab": (
        {"addresses", "identifiers", "initiative", "iris"},
        {"terms"},
        {"annotations", "provenance", "schemes"},
        {"check", "describe", "field_changes", "lookup"},
        {"curated", "mapping_sets"},
        {"crosswalks", "release"},
    ),
    "shapes": ({"rules"}, {"validate"}, {"reference"}),
    "journal": (
        {"errors", "files", "outage", "processes", "tracing"},
        {"data_format", "entry", "store"}, {"journal"},
    ),
    "web": (
        {"branding", "outbound_client", "respond", "server"},
        {"endpoints", "sessions", "templating"}, {"charts", "middleware"},
    ),
    "harvesters": (
        {"reasons"}, {"errors"}, {"payloads.graph"}, {"options", "page_model"},
        {"source", "archive"}, {"network"},
        {"payloads", "ledger"}, {"protocols", "mappings", "matching"}, {"pipeline"},
        {"runs", "mirror"}, {"inspection"}, {"notifications"}, {"site"}, {"participation"}, {"admin"},
    ),
    "publisher": (
        {"background", "errors", "limits", "logs", "rdf"}, {"data"}, {"store"}, {"middleware", "pages"},
        {"history", "releases"}, {"follower"},
        {"linked_data", "catalog", "feeds"}, {"sparql"}, {"portal", "apis.matching"}, {"apis"}, {"app"}, {"editions"},
    ),
}  # fmt: skip
# Packages of entries, and the name by which a module is recognized as an entry.
REGISTRIES = {"harvesters.protocols": "PROTOCOL", "harvesters.mappings": "MAPPING"}
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "base", "manager", "misc", "lib"}


def _package(module: str) -> str:
    return module.partition(".")[0]


def _unit(module: str) -> str | None:
    names = set().union(*LAYERS.get(_package(module), ()))
    parts = module.split(".")[1:]
    return next(
        (name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in names), None
    )


def _layer(module: str) -> int:
    return next(
        number for number, names in enumerate(LAYERS[_package(module)]) if _unit(module) in names
    )


def test_packages_import_only_those_that_they_may(codebase: Codebase) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in codebase.imports.items()
        for other in others
        if _package(other) != _package(module) and _package(other) not in ALLOWED[_package(module)]
    ]

    assert wrong == []


def test_every_module_is_in_a_layer_and_every_listed_name_exists(codebase: Codebase) -> None:
    modules = [item for item in codebase.imports if "." in item and _package(item) in LAYERS]
    listed = {f"{item}.{name}" for item in LAYERS for name in set().union(*LAYERS[item])}

    unlisted = sorted(module for module in modules if _unit(module) is None)

    assert unlisted == [], "add the package or module to a layer of LAYERS"
    assert listed - set(codebase.imports) == set()


def test_imports_lead_to_lower_layers_only(codebase: Codebase) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in codebase.imports.items()
        for other in others
        if "." in module
        and "." in other
        and _package(module) in LAYERS
        and _package(other) == _package(module)
        and _unit(other) != _unit(module)
        and _layer(other) >= _layer(module)
    ]

    assert wrong == []


def test_no_import_cycle(codebase: Codebase) -> None:
    assert [module for module in codebase.imports if module in codebase.reachable(module)] == []


def test_no_import_inside_a_function(codebase: Codebase) -> None:
    inner = [
        f"{module}:{node.lineno}"
        for module, tree in codebase.trees.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert inner == []


def test_no_module_has_a_vague_name(codebase: Codebase) -> None:
    assert [module for module in codebase.imports if VAGUE & set(module.split("."))] == []


def _names(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {each.id for each in targets if isinstance(each, ast.Name)} | {getattr(node, "name", "")}


@pytest.mark.parametrize("registry", REGISTRIES)
def test_entries_of_a_registry_do_not_import_each_other(codebase: Codebase, registry: str) -> None:
    name = REGISTRIES[registry]
    entries = {
        module
        for module, tree in codebase.trees.items()
        for node in tree.body
        if module.startswith(f"{registry}.") and name in _names(node)
    }

    entangled = {entry: codebase.reachable(entry) & (entries - {entry}) for entry in entries}

    assert entries, f"{registry} has no module with {name}"
    assert {entry: others for entry, others in entangled.items() if others} == {}


def test_every_module_has_a_docstring(codebase: Codebase) -> None:
    missing = [
        module
        for module, tree in codebase.trees.items()
        if not ast.get_docstring(tree) and "migrations" not in module
    ]

    assert missing == []


def _catches_everything(node: ast.ExceptHandler) -> bool:
    broad = node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )
    return broad and not any(
        isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)
    )


def test_the_program_has_at_most_one_broad_except(codebase: Codebase) -> None:
    handlers = [
        (module, node)
        for module, tree in codebase.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
    ]

    broad = [f"{module}:{node.lineno}" for module, node in handlers if _catches_everything(node)]

    assert len(broad) <= 1, broad
