"""A real server over a data folder, on a free port of loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from processes import free_port, started, wait_for_url
from waiting import WITHIN

ROOT = Path(__file__).parents[2]
PATIENCE = WITHIN  # seconds


@contextmanager
def served(data: Path, settings: Mapping[str, str] = {}) -> Iterator[str]:
    """Run ``stocktake serve`` and return its address, without a slash at the end."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    with started(
        line, env={**os.environ, "STOCKTAKE_DATA": str(data), **settings}, cwd=ROOT
    ) as server:
        wait_for_url(f"{url}/health", server)
        yield url
