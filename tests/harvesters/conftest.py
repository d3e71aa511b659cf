"""Fixtures of the harvester tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

sys.path.insert(0, str(Path(__file__).parent))  # where `replay` lies


@pytest.fixture
def quick() -> Iterator[None]:
    """Try again without waiting."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield
