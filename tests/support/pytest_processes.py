"""A plugin of pytest: a run leaves no process behind, and a failure shows the output of the servers
of its tests.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import processes
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG  # httpx has no public way to change it
from waiting import WITHIN


def pytest_configure(config: pytest.Config) -> None:
    for part in ("connect", "read", "write", "pool"):  # a busy machine takes longer than 5 seconds
        setattr(DEFAULT_TIMEOUT_CONFIG, part, WITHIN)
    if hasattr(config, "workerinput"):  # a worker of xdist
        processes.end_with_parent()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"Output of {title}", output) for title, output in processes.outputs()]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    processes.stop_all()
    # Python 3.11's parser fails if a warning of the garbage collector interrupts it, and other
    # plugins import modules at the end.
    gc.collect()
