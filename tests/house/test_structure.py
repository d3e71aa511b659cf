"""The structure benchmark counts the packages that there are."""

from __future__ import annotations

from pathlib import Path

from benchmarks.structure import package_arrows, read_modules


def test_arrows_lead_from_each_subpackage_to_those_that_it_imports() -> None:
    arrows = package_arrows(read_modules(Path(__file__).parents[2]), "publisher")

    assert {"facets", "store"} <= arrows["portal"]
    assert "portal" not in arrows["store"]
