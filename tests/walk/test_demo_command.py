"""The demo as a newcomer has it: one command, then pages, an endpoint and a dump; Ctrl-C ends all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

PATIENCE = 120  # seconds until the demo must be up: it takes 15 on an idle machine


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def healthy(base: str) -> bool:
    try:
        return httpx.get(f"{base}/health", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port, home = free_port(), tmp_path_factory.mktemp("demo")
    words = ["--data", str(home / "data"), "demo", "--size", "200", "--port", str(port), "--registries-port", "0"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "stocktake", *words], cwd=home, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.DEVNULL
    )
    base, until = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
    while not healthy(base):
        with pytest.raises(subprocess.TimeoutExpired):  # it goes on
            process.wait(0.2)
        assert time.monotonic() < until, "the demo did not come up"
    yield base, process
    if process.poll() is None:
        process.kill()
    process.wait()


def ask(base: str, path: str, accept: str = "text/html", **parameters: str) -> httpx.Response:
    return httpx.get(base + path, params=parameters or None, headers={"Accept": accept}, trust_env=False, timeout=30, follow_redirects=True)


def test_the_endpoint_answers_with_what_was_harvested(demo: tuple[str, subprocess.Popen[bytes]]) -> None:
    counted = "SELECT (COUNT(?i) AS ?n) { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"

    answer = ask(demo[0], "/sparql", "text/csv", query=counted)

    assert answer.status_code == 200
    assert int(answer.text.split()[1]) > 150


def test_home_names_the_registries(demo: tuple[str, subprocess.Popen[bytes]]) -> None:
    page = ask(demo[0], "/")

    assert page.status_code == 200
    assert "Demo portal (CKAN)" in page.text


def test_a_dump_is_there(demo: tuple[str, subprocess.Popen[bytes]]) -> None:
    page = ask(demo[0], "/dumps/")

    assert ".nq.gz" in page.text
    assert ".ttl.gz" in page.text


def test_an_interrupt_ends_all_processes(demo: tuple[str, subprocess.Popen[bytes]]) -> None:
    base, process = demo

    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 0
    with pytest.raises(httpx.TransportError):
        ask(base, "/health")
