"""A mirror in one command, with real processes: it answers as its origin does, and says that it is a mirror."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from harvesters.network.robots import read as read_robots

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds until both must show all: it takes 6 on an idle machine
ALL = "SELECT * { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g ?s ?p ?o"


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)


@contextmanager
def running(data: Path, *words: str) -> Iterator[None]:
    told = {"STOCKTAKE_DATA": str(data), "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "stocktake", *words]
    with subprocess.Popen(line, cwd=data, env={**os.environ, **told}, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def health(address: str) -> dict[str, object]:
    try:
        return dict(httpx.get(f"{address}/health", trust_env=False, timeout=5).json())
    except (httpx.TransportError, ValueError):
        return {}


def ask(address: str, path: str, **params: str) -> bytes:
    answer = httpx.get(address + path, params=params, trust_env=False, timeout=30)
    assert answer.status_code == 200
    return answer.content


@pytest.fixture(scope="module")
def both(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    origin, mirror = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("mirror")
    shutil.copytree(world / "journal", origin / "journal")
    shutil.copy(world / "status.nq", origin / "status.nq")
    here, there = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with running(origin, "--base", "https://data.example/", "serve", "--port", here.rpartition(":")[2]):
        until(lambda: health(here).get("position") == 3)
        with running(mirror, "mirror", here, "--serve", "--every", "1", "--pause", "0", "--port", there.rpartition(":")[2]):
            until(lambda: health(there).get("position") == 3)
            yield here, there


def test_a_mirror_answers_as_its_origin(both: tuple[str, str]) -> None:
    theirs, ours = (ask(address, "/sparql", query=ALL, format="tsv") for address in both)

    assert theirs.count(b"\n") > 1000
    assert ours == theirs


def test_a_mirror_has_its_origins_base_and_journal(both: tuple[str, str]) -> None:
    theirs, ours = (ask(address, "/journal/head") for address in both)

    assert b'"base":"https://data.example/"' in theirs
    assert ours == theirs
    assert ask(both[1], "/journal/2") == ask(both[0], "/journal/2")


def test_a_mirror_says_that_it_is_one(both: tuple[str, str]) -> None:
    origin, mirror = both

    told = health(mirror)["mirror"]

    assert isinstance(told, dict)
    assert (told["url"], told["base"], told["head"], told["trouble"]) == (f"{origin}/", "https://data.example/", 3, "")
    assert "mirror" not in health(origin)
    assert f"{origin}/".encode() in ask(mirror, "/status.json")
    assert b"This is a mirror" in httpx.get(f"{mirror}/status", headers={"Accept": "text/html"}, trust_env=False).content


def test_an_origin_lets_mirrors_set_their_own_pause(both: tuple[str, str]) -> None:
    rules = read_robots(f"{both[0]}/robots.txt", ask(both[0], "/robots.txt"))

    assert rules.delay == 0
