"""The structure benchmark counts the packages that there are; no function is long."""

from __future__ import annotations

from pathlib import Path

from benchmarks.structure import functions, line_count, package_arrows, read_modules

LONGEST = 60  # lines of a function, so that it fits a screen


def test_arrows_lead_from_each_subpackage_to_those_that_it_imports() -> None:
    arrows = package_arrows(read_modules(Path(__file__).parents[2]), "publisher")

    assert {"projections", "store"} <= arrows["portal"]
    assert "portal" not in arrows["store"]


def test_no_function_is_longer_than_a_screen() -> None:
    modules = read_modules(Path(__file__).parents[2])

    long = {
        f"{name}: {function.name}": line_count(function)
        for name, module in modules.items()
        for function in functions(module)
        if line_count(function) > LONGEST
    }

    assert len(modules) > 500
    assert long == {}, "split it by meaning: a part with a name of its own"
