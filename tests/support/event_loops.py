"""Marks of tests that choose their event loop."""

from __future__ import annotations

import pytest

# Tests with the fixture `service` need this mark, since the fixture is opened in this loop.
session_loop = pytest.mark.asyncio(loop_scope="session")
