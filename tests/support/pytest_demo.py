"""A plugin of pytest: one demo, as a process, for all tests that need one with all its data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from processes import Process, free_port
from waiting import wait_until

SEEN = 5  # front pages requested before it is complete: each takes processor time from the demo
PATIENCE = 400  # seconds until the demo must be complete: it takes 30 on an idle machine


@dataclass(frozen=True)
class RunningDemo:
    """A demo's process and folder, its host with its port, and the front pages that were seen
    before it was complete.
    """

    process: Process
    home: Path
    host: str
    seen: list[httpx.Response] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://{self.host}"

    @property
    def data(self) -> Path:
        """Return the data directory of the demo, inside the folder that the command received."""
        return self.home / "demo"

    def is_complete(self) -> bool:
        """Return whether all its data, its first release and its report are there."""
        assert self.process.poll() is None, self.process.output()
        is_ready = "Ctrl-C ends the demo" in self.process.text()
        if len(self.seen) >= SEEN and not is_ready:
            return False
        with suppress(httpx.TransportError):
            self.seen.append(self._get("/"))
            health = self._get("/health")
            is_started = health.status_code == 200 and "start" not in health.json()
            return is_started and is_ready
        return False

    def _get(self, path: str) -> httpx.Response:
        return httpx.get(
            self.base + path,
            headers={"Accept": "text/html" if path == "/" else "*/*"},
            trust_env=False,
            verify=False,  # reading certificates for each request takes processor time
            timeout=99,
            follow_redirects=True,
        )


def start(home: Path) -> RunningDemo:
    """Start a small demo in *home* and return it when it is complete."""
    host = f"127.0.0.1:{free_port()}"
    options = ["--size", "200", "--port", host.rpartition(":")[2], "--registries-port", "0"]
    command = [sys.executable, "-m", "stocktake", "--data", str(home), "demo", *options]
    demo = RunningDemo(Process(command, cwd=home), home, host)
    wait_until(demo.is_complete, "all data of the demo", PATIENCE, demo.process.output, pause=0.5)
    return demo


@pytest.fixture(scope="session")
def _demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], RunningDemo]]:
    demos: list[RunningDemo] = []

    def current() -> RunningDemo:
        if not demos or demos[-1].process.poll() is not None:
            demos.append(start(tmp_path_factory.mktemp("demo")))
        return demos[-1]

    yield current
    for demo in demos:
        demo.process.discard()


@pytest.fixture
def running_demo(_demos: Callable[[], RunningDemo]) -> RunningDemo:
    """Return the demo, which is started if there is none, or if a test has ended it."""
    return _demos()
