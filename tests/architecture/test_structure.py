"""The structure benchmark counts the packages that there are; no function is long."""

from __future__ import annotations

from pathlib import Path

import pytest
from codebase import without_gc

from benchmarks.structure import Module, functions, line_count, package_arrows, read_modules

LONGEST = 45  # lines of a function, so that it fits a screen


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    """Return the modules as the benchmark reads them."""
    with without_gc():
        return read_modules(Path(__file__).parents[2])


def test_arrows_lead_from_each_subpackage_to_those_that_it_imports(
    modules: dict[str, Module],
) -> None:
    arrows = package_arrows(modules, "publisher")

    assert {"projections", "store"} <= arrows["portal"]
    assert "portal" not in arrows["store"]


def test_no_function_is_longer_than_a_screen(modules: dict[str, Module]) -> None:
    long = {
        f"{name}: {function.name}": line_count(function)
        for name, module in modules.items()
        for function in functions(module)
        if line_count(function) > LONGEST
    }

    assert len(modules) > 500
    assert long == {}, "split it by meaning: a part with a name of its own"
