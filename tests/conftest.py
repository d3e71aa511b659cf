"""Options of the whole suite, its order, and the packages from npm that it uses."""

from __future__ import annotations

import gc
import re
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import npm
import pytest
from processes import ELSEWHERE
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from harvesters.inspection.findings import traced_fields
from harvesters.participation.tables import read_lines
from harvesters.participation.uploads import encode_webp, parse_members
from harvesters.pipeline.processes import preload
from harvesters.runs.collect import run_child

pytest_plugins = (
    "pytest_changed", "pytest_demo", "pytest_parts", "pytest_processes", "pytest_suites",
)  # fmt: skip
# jsonschema would import this package, which takes seconds to compile its grammars.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
# Without this, the process of each bounded call would import these modules.
preload(run_child, traced_fields, parse_members, encode_webp, read_lines)
CLIENTS = Path(__file__).parent / "clients"
STORE = "store"  # the parameter of tests that names the store
ARCHITECTURE = "tests/architecture/"
PUBLISHERS = "tests/publisher/"
FEEDS = f"{PUBLISHERS}feeds/"
SMOKE = 9  # seconds of a test that starts a program, where they are not known
DEMO = ("tests/snippets/test_snippets.py", "tests/runs/test_demo_command.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=8,
        help="points of a seed at which it is killed (tests/runs/test_kill_anywhere.py)",
    )
    parser.addoption("--kill-seed", type=int, default=1, help="what these points are chosen by")
    parser.addoption(
        "--by-store",
        action="store_true",
        help="report at the end how many tests of each route module passed over each store",
    )


class _ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Return the unit of a test, whose tests run in one process: its file, with four exceptions.

    All tests over one store elsewhere are a unit, so that the store is started once; all tests of
    the architecture, so that each file is parsed once; all tests of feeds, so that their world is
    served once; and all tests of the demo, so that it is started once.
    """
    file, _, rest = nodeid.partition("::")
    if file.startswith(ARCHITECTURE):
        return ARCHITECTURE
    if file in DEMO:
        return DEMO[0]
    shared = FEEDS if file.startswith(FEEDS) else file
    return next((part for part in re.split(r"[][-]", rest) if part in ELSEWHERE), shared)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ByUnit(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Disable the garbage collector, since the objects of thousands of tests stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the tests, and note the store of each in its report.

    The tests of the publisher come first and together, since their worlds end with the last of
    them. Units that took longest in the last whole run come first, so that all processes end at
    the same time.
    """
    durations = config.pluginmanager.getplugin("pytest_changed").DURATIONS
    known = config.cache.get(durations, {}) if config.cache else {}
    took = Counter[str]()
    for item in items:
        unknown = SMOKE if item.get_closest_marker("smoke") else 0
        took[unit_of(item.nodeid)] += known.get(item.nodeid, unknown)
        if store := _store(item):
            item.user_properties.append((STORE, store))
    items.sort(
        key=lambda item: (not item.nodeid.startswith(PUBLISHERS), -took[unit_of(item.nodeid)])
    )


def _store(item: pytest.Item) -> str | None:
    store = (
        item.callspec.params.get(STORE)
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )
    return str(store) if store else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Report by file and store how many tests passed, and of how many."""
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
    stores = sorted({store for _, store in all_}, key=["own", *ELSEWHERE].index)
    terminalreporter.section("passed, by route module and store")
    terminalreporter.write_line(" | ".join(["route module", *stores]))
    for module in sorted({module for module, _ in all_}):
        counts = [f"{passed[module, store]} of {all_[module, store]}" for store in stores]
        terminalreporter.write_line(" | ".join([module, *counts]))


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return the folder of the packages from npm that tests use, installed once for each lock into
    a permanent folder.
    """
    return npm.install(CLIENTS) / "node_modules"
