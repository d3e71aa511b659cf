"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=52, help="points at which the program is killed (tests/walk/test_kill_anywhere.py)")
    parser.addoption("--kill-seed", type=int, default=1, help="what these points are chosen by")
