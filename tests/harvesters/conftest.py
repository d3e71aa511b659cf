from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

# The tests of this folder import `replay` and its neighbours by their names.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def quick() -> Iterator[None]:
    """Retry without waiting, in two attempts at most."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield
