from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from definitions import paged_json
from http_server import QuietHandler, serving
from processes import Process, children, free_port, wait_for_url
from waiting import wait_until

ROOT = Path(__file__).parents[2]
PAUSE = 0.5  # seconds between two looks at all processes, which take milliseconds each


@pytest.fixture
def registry() -> Iterator[str]:
    """Serve a first page that is large enough for worker processes, and never answer the
    request for the second.
    """
    ended = threading.Event()

    class SlowPageHandler(QuietHandler):
        def do_GET(self) -> None:
            if "robots.txt" in self.path:
                return self.send_error(404)
            if "page=2" in self.path:
                ended.wait(600)
                return None
            page = [{"id": number, "name": f"Project {number}"} for number in range(3000)]
            return self.answer(orjson.dumps({"total": 6000, "results": page}), "application/json")

    with serving(SlowPageHandler) as url:
        yield url
        ended.set()


def start(folder: Path, *words: str) -> Process:
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("STOCKTAKE_")
    }
    settings = {
        "DATA": folder / "data", "SOURCES": folder / "sources", "ALLOW_HOSTS": "127.0.0.1", "WORKER_PROCESSES": 2,
    }  # fmt: skip
    environment = {
        **inherited,
        **{f"STOCKTAKE_{name}": str(value) for name, value in settings.items()},
        "PYTHONPATH": str(ROOT),
    }
    return Process(
        [sys.executable, "-m", "stocktake", *words], env=environment, cwd=folder, start_new_session=True,
    )  # fmt: skip


def modules(pids: set[int]) -> set[str]:
    results = set()
    for pid in pids:
        try:
            names = (Path(f"/proc/{pid}/{file}").read_text() for file in ("comm", "cmdline"))
            results.add(" ".join(names).replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue  # the process has ended
    return results


def alive(pids: set[int]) -> set[int]:
    """Return those of *pids* that have not ended; a zombie has."""
    left = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            left.add(pid)
    return left


def has_children(process: Process, *names: str) -> bool:
    """Return whether *process*, which runs, has children with all of *names* in their commands."""
    assert process.poll() is None, process.output()
    commands = modules(children(process.pid))
    return all(any(name in command for command in commands) for name in names)


def check_children_end(process: Process, *names: str) -> None:
    """Kill *process* once it has children with all of *names* in their commands, and wait until
    none is left.
    """
    try:
        wait_until(
            lambda: has_children(process, *names),
            f"children of {process.title}: {', '.join(names)}",
            output=process.output,
            pause=PAUSE,
        )
        below = children(process.pid)
        process.kill()
        process.wait()
        wait_until(
            lambda: not alive(below),
            f"the end of the children {below}: {modules(below)}",
            output=process.output,
        )
    finally:
        process.discard()


READERS = ("reader\n", "follower\n")


@pytest.mark.parametrize("command", ["serve", "up"])
def test_an_interrupt_of_the_process_group_ends_all_without_an_error(
    command: str, tmp_path: Path
) -> None:
    process = start(tmp_path, command, "--port", str(free_port()))
    try:
        wait_until(
            lambda: has_children(process, *READERS), "the readers", output=process.output, pause=PAUSE,
        )  # fmt: skip
        below = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)

        assert process.wait(60) == 0, process.output()
        wait_until(lambda: not alive(below), "the end of the children", output=process.output)
        assert "Traceback" not in process.text()
        assert "level=error" not in process.text()
    finally:
        process.discard()


def test_serve_ends_with_0_when_a_supervisor_stops_it(tmp_path: Path) -> None:
    process = start(tmp_path, "serve", "--port", str(port := free_port()))
    try:
        wait_for_url(f"http://127.0.0.1:{port}/health", process, lambda _: True)
        below = children(process.pid)
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == 0, process.output()
        wait_until(lambda: not alive(below), "the end of the children", output=process.output)
        assert "Traceback" not in process.text()
    finally:
        process.discard()


def test_children_of_serve_end_with_it(tmp_path: Path) -> None:
    check_children_end(start(tmp_path, "serve", "--port", str(free_port())), *READERS)


def test_children_of_up_end_with_it_and_release_the_port(tmp_path: Path) -> None:
    port = free_port()
    up = start(tmp_path, "--releases", "0 0 1 1 *", "up", "--port", str(port))

    check_children_end(up, "schedule", "release", "serve", *READERS)

    with socket.socket() as item:
        item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        item.bind(("127.0.0.1", port))


def test_children_of_a_serving_mirror_end_with_it(tmp_path: Path) -> None:
    port = free_port()
    origin = start(tmp_path / "origin", "serve", "--port", str(port))
    try:
        wait_for_url(f"http://127.0.0.1:{port}/health", origin)
        mirror = start(
            tmp_path / "mirror", "mirror", f"http://127.0.0.1:{port}/", "--serve", "--port", str(free_port()),
        )  # fmt: skip

        check_children_end(mirror, "mirror", "serve", *READERS)
    finally:
        origin.stop()


def test_children_of_the_demo_end_with_it(tmp_path: Path) -> None:
    words = ("demo", "--size", "300", "--port", str(free_port()), "--registries-port", "0")

    check_children_end(start(tmp_path, *words), "demo.registries", "schedule", "serve", *READERS)


def test_worker_processes_of_a_harvest_end_with_it(tmp_path: Path, registry: str) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "projects.toml").write_text(paged_json(f"{registry}/projects"))

    check_children_end(start(tmp_path, "harvest"), "multiprocessing.forkserver")
