"""Pages, endpoint and dump; Ctrl-C ends all processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from processes import Process
from typer.testing import CliRunner
from waiting import WITHIN, wait_until

from demo.folder import is_free, next_free
from stocktake import app

PATIENCE = 400  # seconds until the demo must be whole: it takes 30 on an idle machine


def free_port() -> int:
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        return int(client.getsockname()[1])


def whole(base: str) -> bool:
    try:
        answer = httpx.get(f"{base}/health", trust_env=False, verify=False, timeout=30)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and "start" not in answer.json()


Running = tuple[str, Process, list[httpx.Response], Path]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Yield the demo's address, its process, the front pages that were seen until all was there,
    and its folder.
    """
    port, home = free_port(), tmp_path_factory.mktemp("demo")
    words = [
        "--data",
        str(home / "data"),
        "demo",
        "--size",
        "200",
        "--port",
        str(port),
        "--registries-port",
        "0",
    ]
    root = Path(__file__).parents[2]
    with (home / "terminal").open("wb") as terminal:
        command = [sys.executable, "-m", "stocktake", *words]
        process = Process(
            command,
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(root)},
            stderr=terminal,
            stdout=terminal,
        )
    base, seen = f"http://127.0.0.1:{port}", list[httpx.Response]()

    def is_up() -> bool:
        assert process.poll() is None, (home / "terminal").read_text()
        with suppress(httpx.TransportError):
            seen.append(ask(base, "/"))
        return whole(base) and "Ctrl-C ends the demo" in (home / "terminal").read_text()

    try:
        wait_until(
            is_up, "the demo to be whole", PATIENCE, (home / "terminal").read_text, pause=0.2
        )
        yield base, process, seen, home
    finally:
        process.discard()


def ask(base: str, path: str, accept: str = "text/html", **parameters: str) -> httpx.Response:
    return httpx.get(
        base + path,
        params=parameters or None,
        headers={"Accept": accept},
        trust_env=False,
        timeout=99,
        follow_redirects=True,
    )


def test_the_endpoint_returns_the_harvested_data(demo: Running) -> None:
    counted = "SELECT (COUNT(?i) AS ?n) { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"

    answer = ask(demo[0], "/sparql", "text/csv", query=counted)

    assert answer.status_code == 200
    assert int(answer.text.split()[1]) > 150


def test_home_names_the_registries(demo: Running) -> None:
    page = ask(demo[0], "/")

    assert page.status_code == 200
    assert "Demo portal (CKAN)" in page.text


def test_a_dump_is_available(demo: Running) -> None:
    page = ask(demo[0], "/dumps/")

    assert ".nq.gz" in page.text
    assert ".ttl.gz" in page.text


def test_the_home_page_showed_the_progress_of_the_first_start(demo: Running) -> None:
    steps = [page.text for page in demo[2] if '<section class="card start"' in page.text]

    assert steps
    assert all(
        re.search(r'<meta http-equiv="refresh"|/static/progress\.[0-9a-f]{12}\.js', text)
        for text in steps
    )
    assert '<section class="card start"' not in ask(demo[0], "/").text


def test_every_page_says_that_the_data_are_simulated(demo: Running) -> None:
    pages = [
        ask(demo[0], path)
        for path in ("/", "/search", "/release/1", "/reports/", "/nowhere", "/status")
    ]

    assert ["<b>Demonstration data</b>" in page.text for page in pages] == [True] * len(pages)


def test_the_terminal_shows_the_url_and_the_next_steps(demo: Running) -> None:
    text = (demo[3] / "terminal").read_text()

    end = text[text.index("The demo is ready") :]
    assert f"{demo[0]}/sparql" in end
    assert "keys create NAME" in end
    assert "stocktake harvest" in end


def test_a_second_demo_in_the_same_directory_names_the_url_of_the_first(demo: Running) -> None:
    data = str(demo[3] / "data")

    completed = subprocess.run(
        [sys.executable, "-m", "stocktake", "--data", data, "demo"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert completed.returncode == 2
    assert demo[0] in completed.stderr.replace("\n", "").replace("│", "").replace(" ", "")


def test_an_interrupt_ends_all_processes(demo: Running) -> None:
    base, process, *_ = demo

    process.send_signal(signal.SIGINT)

    assert process.wait(WITHIN) == 0
    with pytest.raises(httpx.TransportError):
        ask(base, "/health")


def test_a_port_in_use_is_skipped() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        result = next_free("127.0.0.1", port)

        assert not is_free("127.0.0.1", port)
        assert port < result < port + 100
        assert is_free("127.0.0.1", result)


def test_a_requested_port_in_use_exits_with_2(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])

        answers = [
            CliRunner().invoke(app, ["--data", str(tmp_path / "data"), *words])
            for words in (
                ["demo", "--port", port],
                ["demo", "--registries-port", port],
                ["serve", "--port", port],
                ["up", "--port", port],
            )
        ]

    assert [(answer.exit_code, port in answer.stderr) for answer in answers] == [(2, True)] * 4
