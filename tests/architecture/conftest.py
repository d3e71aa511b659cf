"""The program's modules, read once."""

from __future__ import annotations

import pytest
from codebase import Codebase, read_codebase


@pytest.fixture(scope="session")
def codebase() -> Codebase:
    return read_codebase()
