"""A run of the tests always ends, says why, and leaves no process behind, however it is ended."""

from __future__ import annotations

import os
import signal
import sys
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
ONE_HANGING = HANGING.replace("[1, 2]", "[1]")
NEXT = "def test_next(): pass"
# Importing schemathesis would take each process a second.
PLUGINS = "-p pytest_processes -p no:cacheprovider -p no:schemathesis -p no:hypothesispytest"


def run(folder: Path, *options: str, **files: str) -> Process:
    """Start pytest, with the settings of the project, over *files* in *folder*."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    line = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), *PLUGINS.split()]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment["PYTHONPATH"] = str(ROOT / "tests" / "support")
    command = [*line, "--basetemp", str(folder / "temporary"), *options, str(folder)]
    return Process(command, cwd=ROOT, env=environment, preexec_fn=heed_interrupts)


def heed_interrupts() -> None:
    """Enable interrupts: a shell disables them in a program that it starts in the background, and a
    child inherits that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(pytest_run: Process) -> tuple[int, str]:
    """Return the exit code of a run, and its output."""
    code, output = pytest_run.wait(240), pytest_run.output()
    pytest_run.discard()
    return code, output


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_hanging_test_fails_with_the_output_of_its_server_and_the_run_goes_on(
    tmp_path: Path, workers: str
) -> None:
    options = ("-n", workers, "--dist", "loadscope", "--timeout", "5")

    code, output = ended(run(tmp_path, *options, hanging=ONE_HANGING, next=NEXT))

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
    code, output = ended(pytest_run)

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "worker restarting disabled" in output
    assert "test_deaf" in output


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_process_behind(tmp_path: Path, end: signal.Signals) -> None:
    pytest_run = run(tmp_path, "-n", "2", "--dist", "load", hanging=HANGING)
    notes = wait_for_servers(tmp_path, pytest_run)
    all_processes = children(pytest_run.pid)

    pytest_run.send_signal(end)
    assert pytest_run.wait(240) != 0
    assert {pid for note in notes for pid in note} <= all_processes
    wait_until(
        lambda: not any(map(is_alive, all_processes)), "the end of the workers and their servers"
    )
    pytest_run.discard()


@pytest.mark.smoke
def test_a_worker_that_dies_ends_the_run_and_its_servers(tmp_path: Path) -> None:
    options = ("-n", "2", "--dist", "loadscope")
    pytest_run = run(tmp_path, *options, hanging=ONE_HANGING, next=NEXT)
    ((worker, server),) = wait_for_servers(tmp_path, pytest_run, 1)

    os.kill(worker, signal.SIGKILL)
    code, output = ended(pytest_run)

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "crashed while running" in output
    wait_until(lambda: not is_alive(server), "the end of the worker's server")


def test_a_server_that_did_not_start_is_reported_with_its_output() -> None:
    failing = "import sys; print('no port is free', file=sys.stderr); sys.exit(3)"

    with (
        started([sys.executable, "-c", failing]) as server,
        pytest.raises(AssertionError, match="no port is free"),
    ):
        wait_until(lambda: False, "an answer", 1, server.output)


def test_a_wait_that_ends_without_its_condition_says_what_it_waited_for() -> None:
    expected = r"waited 0\.1 s for the third entry; the last result was \[\]"
    with pytest.raises(AssertionError, match=expected):
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
