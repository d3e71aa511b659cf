"""Options of the whole suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

STORE = "store"  # the parameter that names what the shelf lies in


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=52, help="points at which the program is killed (tests/walk/test_kill_anywhere.py)")
    parser.addoption("--kill-seed", type=int, default=1, help="what these points are chosen by")
    parser.addoption("--by-store", action="store_true", help="tell at the end how many tests of each outlet passed over each store")


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and those over a store elsewhere, so that each store is started once."""
    for item in items:
        store = _store(item)
        item.add_marker(pytest.mark.xdist_group(store if store not in (None, "own") else item.nodeid.partition("::")[0]))
        if store:
            item.user_properties.append((STORE, store))


def _store(item: pytest.Item) -> str | None:
    found = item.callspec.params.get(STORE) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    return str(found) if found else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell by file and store how many tests passed, and of how many."""
    if not config.getoption("--by-store"):
        return
    passed, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, store in getattr(report, "user_properties", ()):
                if name == STORE:
                    key = (Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_"), store)
                    all_[key] += 1
                    passed[key] += outcome == "passed"
    stores = sorted({store for _, store in all_}, key=["own", "oxigraph", "virtuoso"].index)
    terminalreporter.section("passed, by outlet and store")
    terminalreporter.write_line(" | ".join(["outlet", *stores]))
    for outlet in sorted({outlet for outlet, _ in all_}):
        terminalreporter.write_line(" | ".join([outlet, *(f"{passed[outlet, it]} of {all_[outlet, it]}" for it in stores)]))
