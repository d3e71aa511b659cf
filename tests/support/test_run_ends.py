"""A run of the tests always ends, says why, and leaves no process behind, however it is ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Process, children, started
from waiting import wait_until

ROOT = Path(__file__).parents[2]
SERVER = [
    sys.executable,
    "-c",
    "import sys, time; print('server: ready', flush=True); time.sleep(600)",
]
HANGING = f"""
import os, time
from pathlib import Path
import pytest
from processes import Process
from waiting import wait_until

@pytest.mark.parametrize("number", [1, 2])
def test_hangs(number):
    server = Process({SERVER!r})
    wait_until(lambda: "ready" in server.output(), "the server")
    Path(__file__).with_name(f"at-{{number}}").write_text(f"{{os.getpid()}} {{server.pid}}")
    time.sleep(600)
"""
NEXT = "def test_next(): pass"


def run(folder: Path, *options: str, **files: str) -> Process:
    """Start pytest, with the settings of the project, over *files* in *folder*."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "-p",
        "pytest_processes",
        *("-p", "no:cacheprovider"),
        *("-p", "no:schemathesis"),  # importing it takes a second of each process
        *("-p", "no:hypothesispytest"),
    ]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment["PYTHONPATH"] = str(ROOT / "tests" / "support")
    command = [*line, "--basetemp", str(folder / "temporary"), *options, str(folder)]
    return Process(command, cwd=ROOT, env=environment, preexec_fn=heed_interrupts)


def heed_interrupts() -> None:
    """Undo what a shell does to a program that it starts in the background: there this run itself
    ignores interrupts.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_hanging_test_fails_with_the_output_of_its_server_and_the_run_goes_on(
    tmp_path: Path, workers: str
) -> None:
    hanging = HANGING.replace("[1, 2]", "[1]")

    pytest_run = run(
        tmp_path, "-n", workers, "--dist", "loadscope", "--timeout", "5", hanging=hanging, next=NEXT
    )
    code = pytest_run.wait(240)
    output = pytest_run.output()
    pytest_run.discard()

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "Timeout (>5.0s)" in output
    assert "server: ready" in output
    assert "1 failed, 1 passed" in output


def test_a_test_that_no_signal_interrupts_ends_the_run(tmp_path: Path) -> None:
    deaf = """
import signal
def test_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    signal.sigwait({signal.SIGUSR1})
"""

    with_limit = ["-o", "timeout=1", "-o", "faulthandler_timeout=5"]
    pytest_run = run(tmp_path, "-n", "2", "--dist", "loadscope", *with_limit, deaf=deaf, next=NEXT)
    code = pytest_run.wait(240)
    output = pytest_run.output()
    pytest_run.discard()

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "worker restarting disabled" in output
    assert "test_deaf" in output


def kill_pytest(controller: Process, worker: int) -> None:
    controller.kill()


def interrupt_pytest(controller: Process, worker: int) -> None:
    controller.send_signal(signal.SIGINT)


def terminate_pytest(controller: Process, worker: int) -> None:
    controller.terminate()


def kill_worker(controller: Process, worker: int) -> None:
    os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("end", [kill_pytest, interrupt_pytest, terminate_pytest])
def test_a_run_that_is_ended_leaves_no_process_behind(
    tmp_path: Path, end: Callable[[Process, int], None]
) -> None:
    pytest_run = run(tmp_path, "-n", "2", "--dist", "load", hanging=HANGING)
    notes = wait_for_servers(tmp_path, pytest_run)
    all_processes = children(pytest_run.pid)

    end(pytest_run, notes[0][0])
    code = pytest_run.wait(240)

    assert code != 0
    assert {pid for note in notes for pid in note} <= all_processes
    wait_until(
        lambda: not any(map(is_alive, all_processes)), "the end of the workers and their servers"
    )
    pytest_run.discard()


@pytest.mark.smoke
def test_a_worker_that_dies_ends_the_run_and_its_servers(tmp_path: Path) -> None:
    pytest_run = run(
        tmp_path,
        "-n",
        "2",
        "--dist",
        "loadscope",
        hanging=HANGING.replace("[1, 2]", "[1]"),
        next=NEXT,
    )
    ((worker, server),) = wait_for_servers(tmp_path, pytest_run, 1)

    kill_worker(pytest_run, worker)
    code = pytest_run.wait(240)
    output = pytest_run.output()
    pytest_run.discard()

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "crashed while running" in output
    wait_until(lambda: not is_alive(server), "the end of the worker's server")


def test_a_server_that_did_not_start_is_reported_with_its_output() -> None:
    failing = [
        sys.executable,
        "-c",
        "import sys; print('no port is free', file=sys.stderr); sys.exit(3)",
    ]

    with started(failing) as server, pytest.raises(AssertionError, match="no port is free"):
        wait_until(lambda: False, "an answer", 1, server.output)


def test_a_wait_that_ends_without_its_condition_says_what_it_waited_for() -> None:
    with pytest.raises(
        AssertionError, match=r"waited 0\.1 s for the third entry; the last result was \[\]"
    ):
        wait_until(list, "the third entry", 0.1)


def wait_for_servers(folder: Path, pytest_run: Process, number: int = 2) -> list[tuple[int, int]]:
    """Return the process ids of workers and servers of the tests that hang."""

    def notes() -> list[tuple[int, int]]:
        texts = [path.read_text().split() for path in sorted(folder.glob("at-*"))]
        results = [(int(text[0]), int(text[1])) for text in texts if len(text) == 2]
        return results if len(results) == number else []

    return wait_until(notes, "the tests that hang", output=pytest_run.output)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
