"""A plugin of pytest: the run fails if a conformance suite is missing, and its report says how many
cases of which set of each suite ran.

``@pytest.mark.suite("w3c-shacl")`` marks the tests whose cases come from a suite.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from suites import SHARED, SUITES, missing, origin

PROPERTY = "suite"
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def check(shared: Path) -> None:
    """Raise UsageError if *shared* exists and a suite in it does not."""
    if names := missing(shared):
        raise pytest.UsageError(
            f"conformance suites are missing in {shared / 'suites'}: {', '.join(names)}"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "suite(name): the case comes from this conformance suite")
    check(SHARED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if marker := item.get_closest_marker("suite"):
            item.user_properties.append((PROPERTY, marker.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, Counter[str]] = {}
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            for name, suite in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    counts.setdefault(suite, Counter())[outcome] += 1
    if not counts:
        return
    terminalreporter.section("conformance suites")
    for suite in SUITES:
        result = counts.get(suite, Counter())
        ran = result.total() - result["skipped"]
        rest = ", ".join(f"{result[outcome]} {outcome}" for outcome in OUTCOMES if result[outcome])
        cases = f"{ran} cases ran ({rest})" if rest else "0 cases ran"
        terminalreporter.write_line(f"{suite} ({origin(suite)}): {cases}")
