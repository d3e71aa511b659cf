"""A plugin of pytest: which tests run by day, which by night, and in which part of the night.

A test that starts a program (a command, a server, a browser, a database) runs by night: a test
whose code, or that of a fixture it uses, reaches `subprocess`, `multiprocessing`, `os.fork` or the
helpers of `tests/support/processes.py`, that queries a store elsewhere, or that opens a store of
its own, for which readers are started. By day one test of each kind runs, which has the mark
`smoke`. The mark `nightly` moves a test that starts nothing to the night.
"""

from __future__ import annotations

import inspect
import multiprocessing.process
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from multiprocessing.context import BaseContext
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
from processes import ELSEWHERE

ROOT = Path(__file__).parents[2]
TOOLS = (str(ROOT / "tests"), str(ROOT / "benchmarks"))  # functions in these are followed
PARTS = {"1": {"publisher"}, "2": {"runs", "workers", "harvesters"}}  # folders by part
OPENERS = {"QueryService"}  # classes of the program that start readers
STARTERS = (subprocess.Popen, multiprocessing.process.BaseProcess)


def runs_by_night(item: pytest.Item) -> bool:
    """Return whether `make test` leaves *item* to `make nightly`."""
    if item.get_closest_marker("nightly"):
        return True
    if not isinstance(item, pytest.Function) or _is_smoke(item):
        return False
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    fixtures = [definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values()]
    own = [item.function, *(fixture.func for fixture in fixtures if fixture.scope == "function")]
    return (
        any(value in ELSEWHERE for value in parameters if isinstance(value, str))
        or any(map(starts, [item.function, *(fixture.func for fixture in fixtures)]))
        or any(map(opens_store, own))
    )


def _is_smoke(item: pytest.Function) -> bool:
    """Return whether *item* has the mark `smoke`, which may name the cases that have it."""
    marker = item.get_closest_marker("smoke")
    if marker is None or not marker.args:
        return marker is not None
    return hasattr(item, "callspec") and item.callspec.id in marker.args


@cache
def starts(function: Callable[..., object]) -> bool:
    """Return whether *function*, or a function or class of the tests that it names, starts a
    program.
    """
    return any(map(_is_starter, _reached(function)))


@cache
def opens_store(function: Callable[..., object]) -> bool:
    """Return whether *function*, or a function or class of the tests that it names, opens a store."""
    things = _reached(function)
    return not OPENERS.isdisjoint(thing.__name__ for thing in things if isinstance(thing, type))


def _is_starter(thing: object) -> bool:
    return (
        thing is subprocess
        or thing is os.fork
        or isinstance(thing, BaseContext)
        or (isinstance(thing, type) and issubclass(thing, STARTERS))
    )


def _reached(start: object) -> Iterator[object]:
    """Yield *start* and all that it names, directly or through functions and classes of the tests."""
    seen, ahead = set[int](), [start]
    while ahead:
        thing = _unwrapped(ahead.pop())
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield thing
        ahead.extend(_named(thing))


def _unwrapped(thing: object) -> object:
    """Return the function inside a method, property, partial, cached or decorated function."""
    if isinstance(thing, partial | cached_property):
        return _unwrapped(thing.func)
    if isinstance(thing, property):
        return thing.fget
    inner = getattr(thing, "__func__", None) or thing
    return inspect.unwrap(inner) if callable(inner) else inner


def _named(thing: object) -> Iterator[object]:
    """Yield what the code of *thing* names, if it is a function or a class of the tests."""
    if isinstance(thing, type):
        if _is_tool(getattr(inspect.getmodule(thing), "__file__", None)):
            yield from vars(thing).values()
    elif isinstance(thing, FunctionType) and _is_tool(thing.__code__.co_filename):
        names = set(_names(thing.__code__))
        for value in (thing.__globals__[name] for name in names & thing.__globals__.keys()):
            yield value
            if value is os or (
                isinstance(value, ModuleType) and _is_tool(getattr(value, "__file__", None))
            ):
                yield from (vars(value)[name] for name in names & vars(value).keys())


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_tool(file: str | None) -> bool:
    return bool(file and file.startswith(TOOLS))


def part_of(item: pytest.Item) -> str:
    """Return the part of the night in which *item* runs: 1 has the tests of the publisher, 2 those
    of runs, workers and harvesters, 3 all others.
    """
    folders = {*item.path.relative_to(ROOT).parts}
    return next((part for part, its_folders in PARTS.items() if folders & its_folders), "3")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="123", help="parts of the night whose tests run, e.g. 12")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    parts = config.getoption("--part")
    for item in items:
        if runs_by_night(item):
            item.add_marker("nightly")
    others = [item for item in items if part_of(item) not in parts]
    items[:] = [item for item in items if part_of(item) in parts]
    config.hook.pytest_deselected(items=others)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the reasons for which tests were skipped, so that none is skipped silently."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count}: {reason}")
