"""No function and no file is long."""

from __future__ import annotations

from pathlib import Path

import pytest
from codebase import without_gc

from benchmarks.structure import Module, functions, line_count, package_arrows, read_modules

FUNCTION = 80  # lines of one story; readers are served by 60
FILE = 800  # lines; readers are served by 400


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    with without_gc():
        return read_modules(Path(__file__).parents[2])


def test_arrows_lead_from_each_subpackage_to_those_that_it_imports(
    modules: dict[str, Module],
) -> None:
    arrows = package_arrows(modules, "publisher")

    assert {"projections", "store"} <= arrows["portal"]
    assert "portal" not in arrows["store"]


def test_no_function_and_no_file_is_too_long_to_read(modules: dict[str, Module]) -> None:
    long = {
        f"{name}: {function.name}": line_count(function)
        for name, module in modules.items()
        for function in functions(module)
        if line_count(function) > FUNCTION
    }

    assert len(modules) > 400
    assert long == {}, "split it by meaning: a part with a name of its own"
    assert [name for name, module in modules.items() if len(module.lines) > FILE] == []
