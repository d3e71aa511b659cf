"""The option that renews the golden files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The folders of `golden` and of the small world of the publisher's tests.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "publisher")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew", action="store_true", help="write the golden files again, and show what changed"
    )
