"""A plugin of pytest: with ``--changed`` only the fast tests that import a changed file, directly
or not, and the architecture tests run (`make check`).

A file is changed if it differs from the merge base with main, or is not committed. A test is fast
if it took less than FAST seconds in the last whole run, with its share of the time for the set-up
of its file; the cache of pytest has these durations.
"""

from __future__ import annotations

import ast
import subprocess
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from codebase import ROOT, parse_file

ARCHITECTURE = ROOT / "tests" / "architecture"
DURATIONS = "stocktake/durations"  # in the cache of pytest: seconds by the id of the test
FAST = 0.1  # seconds; all that are faster take two minutes of a processor
UPSTREAM = ("main", "origin/main")
Graph = Mapping[Path, set[Path]]
REACHING = pytest.StashKey[frozenset[Path]]()
_calls, _setups = defaultdict[str, float](float), defaultdict[str, float](float)  # of this run


def changed_files() -> set[Path]:
    """Return the files that differ from the merge base with main, or are not committed."""
    bases = (_git("merge-base", "HEAD", name) for name in UPSTREAM)
    base = next(filter(None, bases), ["HEAD"])[0]
    new = _git("ls-files", "--others", "--exclude-standard")
    return {ROOT / name for name in (*_git("diff", "--name-only", base), *new)}


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def python_files() -> set[Path]:
    names = _git("ls-files", "--cached", "--others", "--exclude-standard", "*.py")
    return {file for name in names if (file := ROOT / name).is_file()}


def read_imports(files: Collection[Path]) -> Graph:
    """Return which of *files* each of them imports; a test imports the conftest files above it too."""
    named = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    beside = defaultdict[str, list[Path]](list)  # modules that tests import by their last name
    for file in files:
        if file.is_relative_to(ROOT / "tests"):
            beside[file.stem].append(file)
    return {
        file: {
            *(named[name] for name in _names(file) if name in named),
            *(module for name in _names(file) for module in _nearest(beside.get(name, []), file)),
            *(part for above in file.parents if (part := above / "conftest.py") in files),
        }
        for file in files
    }


def _names(file: Path) -> Iterator[str]:
    """Yield what may be the name of a module that *file* imports: strings too, since commands,
    protocols and plugins are imported by name.
    """
    is_conftest = file.name == "conftest.py"
    for node in ast.walk(parse_file(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and (is_conftest or "." in str(node.value)):
            yield str(node.value)


def _nearest(files: Iterable[Path], importer: Path) -> list[Path]:
    """Return the one of *files* in the folder of *importer*, else all of them."""
    return [file for file in files if file.parent == importer.parent] or [*files]


def reaching(changed: set[Path], imports: Graph) -> frozenset[Path]:
    """Return the Python files of *changed*, and those that import one of them, directly or not.

    A file of another kind counts as the modules beside it, or in the next folder above that has
    some; at the top of the project it counts as none.
    """
    importers = defaultdict[Path, set[Path]](set)
    modules = defaultdict[Path, set[Path]](set)
    for file, imported in imports.items():
        modules[file.parent].add(file)
        for module in imported:
            importers[module].add(file)
    ahead = [file for path in changed for file in _modules_of(path, imports, modules)]
    reached = set[Path]()
    while ahead:
        if (file := ahead.pop()) not in reached:
            reached.add(file)
            ahead.extend(importers[file])
    return frozenset(reached)


def _modules_of(path: Path, imports: Graph, modules: Mapping[Path, set[Path]]) -> set[Path]:
    if path in imports or path.suffix == ".py":
        return {path}
    above = (folder for folder in path.parents if folder != ROOT and folder.is_relative_to(ROOT))
    return next((modules[folder] for folder in above if modules.get(folder)), set())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--changed",
        action="store_true",
        help="run the fast tests that reach a changed file, and the architecture tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--changed"):
        sent: list[str] | None = getattr(config, "workerinput", {}).get("reaching")
        files = (
            reaching(changed_files(), read_imports(python_files()))
            if sent is None
            else map(Path, sent)
        )
        config.stash[REACHING] = frozenset(files)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the files to a worker, so that it need not read the imports again."""
    if (files := node.config.stash.get(REACHING, None)) is not None:
        node.workerinput["reaching"] = sorted(map(str, files))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Prevent pytest from importing the modules of tests that are left out."""
    files = config.stash.get(REACHING, None)
    is_left_out = (
        files is not None
        and collection_path.suffix == ".py"
        and collection_path not in files
        and ARCHITECTURE not in collection_path.parents
        and collection_path.name != "conftest.py"
    )
    return True if is_left_out else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash.get(REACHING, None) is None or not config.cache:
        return
    known = config.cache.get(DURATIONS, {})
    slow = [
        item
        for item in items
        if ARCHITECTURE not in item.path.parents and known.get(item.nodeid, FAST) >= FAST
    ]
    items[:] = [item for item in items if item not in {*slow}]
    config.hook.pytest_deselected(items=slow)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _calls[report.nodeid] += report.duration if report.when == "call" else 0
    if report.when == "setup":  # the set-up of one test has all that the file shares
        _setups[report.nodeid.partition("::")[0]] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Store the durations of a whole run that was not interrupted."""
    config, ended = session.config, (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if session.exitstatus not in ended or hasattr(config, "workerinput"):
        return
    if config.cache and _calls and _is_whole(config):
        config.cache.set(DURATIONS, durations())


def durations() -> dict[str, float]:
    files = {name: name.partition("::")[0] for name in _calls}
    counts = Counter(files.values())
    return {
        name: round(took + _setups[file] / counts[file], 3)
        for (name, took), file in zip(_calls.items(), files.values(), strict=True)
    }


def _is_whole(config: pytest.Config) -> bool:
    """Return whether the run is that of `make test`."""
    return (
        config.args == config.getini("testpaths")
        and not config.getoption("keyword")
        and not config.getoption("--changed")
        and config.getoption("markexpr") == "not nightly"
    )
