from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pytest_demo import RunningDemo
from typer.testing import CliRunner
from waiting import WITHIN

from command_line import demo, services
from demo.source_definitions import is_free, next_free
from stocktake import app


def ask(base: str, path: str, accept: str = "text/html", **parameters: str) -> httpx.Response:
    return httpx.get(
        base + path, params=parameters or None, headers={"Accept": accept}, trust_env=False, timeout=99,
        follow_redirects=True,
    )  # fmt: skip


@pytest.mark.smoke
def test_the_endpoint_returns_the_harvested_data(running_demo: RunningDemo) -> None:
    counted = "SELECT (COUNT(?i) AS ?n) { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"

    answer = ask(running_demo.base, "/sparql", "text/csv", query=counted)

    assert answer.status_code == 200
    assert int(answer.text.split()[1]) > 150


def test_home_names_the_registries(running_demo: RunningDemo) -> None:
    page = ask(running_demo.base, "/")

    assert page.status_code == 200
    assert "Demo portal (CKAN)" in page.text


def test_a_dump_is_available(running_demo: RunningDemo) -> None:
    page = ask(running_demo.base, "/dumps/")

    assert ".nq.gz" in page.text
    assert ".ttl.gz" in page.text


def test_the_home_page_showed_the_progress_of_the_first_start(running_demo: RunningDemo) -> None:
    steps = [page.text for page in running_demo.seen if '<section class="card start"' in page.text]

    assert steps
    assert all(
        re.search(r'<meta http-equiv="refresh"|/static/progress\.[0-9a-f]{12}\.js', text)
        for text in steps
    )
    assert '<section class="card start"' not in ask(running_demo.base, "/").text


def test_every_page_says_that_the_data_are_simulated(running_demo: RunningDemo) -> None:
    pages = [
        ask(running_demo.base, path)
        for path in ("/", "/search", "/release/1", "/reports/", "/nowhere", "/status")
    ]

    assert ["<b>Demonstration data</b>" in page.text for page in pages] == [True] * len(pages)


@pytest.mark.smoke
def test_the_terminal_shows_the_url_and_the_next_steps(running_demo: RunningDemo) -> None:
    text = running_demo.process.text()

    end = text[text.index("The demo is ready") :]
    assert f"{running_demo.base}/sparql" in end
    assert "keys create NAME" in end
    assert "stocktake harvest" in end
    assert [path.name for path in (running_demo.data / "reports").iterdir()] == ["release-1.en"]


def test_the_command_that_lists_withheld_records_can_be_run_as_printed(
    running_demo: RunningDemo,
) -> None:
    command = re.search(r"to see them: (.+)", running_demo.process.text())
    assert command is not None

    completed = subprocess.run(
        shlex.split(command[1]), cwd=running_demo.home, capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert completed.returncode == 0, completed.stderr
    assert "withheld" in completed.stdout


def test_the_portal_may_have_the_usual_port_of_the_registries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[tuple[int, int]] = []
    monkeypatch.setattr(
        demo,
        "_run_demo",
        lambda _settings, _host, port, registries: ports.append(
            (port, registries.keywords["port"])
        ),
    )
    for module in (demo, services):
        monkeypatch.setattr(module, "is_free", lambda _host, _port: True)
    usual = str(demo.REGISTRIES_PORT)

    alone, both = (
        CliRunner().invoke(app, ["--data", str(tmp_path), "demo", "--port", usual, *more])
        for more in ((), ("--registries-port", usual))
    )

    assert (alone.exit_code, ports) == (0, [(demo.REGISTRIES_PORT, 0)])
    assert both.exit_code == 2
    assert f"cannot both use port {usual}" in " ".join(both.output.split())


def test_a_second_demo_in_the_same_directory_names_the_url_of_the_first(
    running_demo: RunningDemo,
) -> None:
    data = str(running_demo.home)

    completed = subprocess.run(
        [sys.executable, "-m", "stocktake", "--data", data, "demo"], cwd=Path(__file__).parents[2],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert completed.returncode == 2
    assert running_demo.base in completed.stderr.replace("\n", "").replace("│", "").replace(" ", "")


@pytest.mark.smoke
def test_an_interrupt_ends_all_processes(running_demo: RunningDemo) -> None:
    process = running_demo.process

    process.send_signal(signal.SIGINT)

    assert process.wait(WITHIN) == 0
    with pytest.raises(httpx.TransportError):
        ask(running_demo.base, "/health")


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
