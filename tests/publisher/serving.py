"""A real server over a data folder, on a free port of loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE = 180  # seconds: a start takes three on an idle machine, and tests run side by side


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def served(data: Path, settings: Mapping[str, str] = {}) -> Iterator[str]:
    """Run ``stocktake serve`` and give its address, without a slash at the end."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    server = subprocess.Popen(line, env={**os.environ, "STOCKTAKE_DATA": str(data), **settings}, cwd=ROOT)
    try:
        wait_for(f"{url}/health", server)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until *url* answers 200; raises TimeoutError, at once where *process* has ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(url)
