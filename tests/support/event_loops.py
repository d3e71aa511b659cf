"""Marks of tests that choose their event loop."""

from __future__ import annotations

import pytest

# of tests that ask the fixture `service`, which is opened in this loop
session_loop = pytest.mark.asyncio(loop_scope="session")
