"""Balanced: several publishers of one journal, each in its own way, behind a balancer that gives
each connection to the next of them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from live_server import ROOT
from processes import children, free_port, started, wait_for_url

_PIECE = 1 << 16  # bytes


@dataclass(frozen=True)
class Publishers:
    """Where each publisher answers, by how it follows the journal, and where they answer in turn."""

    folder: str
    store: str
    mirror: str
    balancer: str
    data: Path
    follower: int  # the process that writes the store of the one that follows the store

    @property
    def each(self) -> tuple[str, str, str]:
        return self.folder, self.store, self.mirror

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Let the publisher that follows the store show nothing new."""
        os.kill(self.follower, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.follower, signal.SIGCONT)


@contextmanager
def running(settings: dict[str, str], *words: str) -> Iterator[tuple[str, int]]:
    """Run a command that serves; return its address and its process id."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [sys.executable, "-m", "stocktake", *words, "--port", str(port)]
    results = {"STOCKTAKE_QUERY_LIMITS": "budget=0, each=0", "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1"}
    with started(line, env={**os.environ, **results, **settings}, cwd=ROOT) as process:
        wait_for_url(f"{url}/health", process)
        yield url, process.pid


def child(parent: int, name: str) -> int:
    """Find the process below *parent*, at any depth, that the system lists by *name*."""
    return next(
        pid for pid in children(parent) if Path(f"/proc/{pid}/comm").read_text().strip() == name
    )


@contextmanager
def balanced(port: int, *urls: str) -> Iterator[str]:
    """Yield the address of a balancer on *port* before *urls*; it passes bytes on and knows nothing
    of what they say.
    """
    turns = cycle((part.hostname, part.port) for part in map(urlsplit, urls))

    class BalancerHandler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(next(turns)) as there:
                ends = {self.request: there, there: self.request}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        data = ready.recv(_PIECE)
                        if not data:
                            return
                        ends[ready].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True

    with Server(("127.0.0.1", port), BalancerHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def get(url: str, params: dict[str, str] | None = None, **headers: str) -> httpx.Response:
    """Ask by a connection of its own, which the balancer gives to the next publisher."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.get(url, params=params, headers=named, trust_env=False, verify=False, timeout=60)


def patient(url: str, params: dict[str, str] | None = None, **headers: str) -> httpx.Response:
    """Ask as a harvester does: one that is sent away with 503 and Retry-After comes again, and
    meets the next publisher.
    """
    for _ in range(12):
        if (answer := get(url, params, **headers)).status_code != 503:
            return answer
        assert answer.headers["retry-after"]
    raise AssertionError(f"{url} says no again and again: {answer.text}")
