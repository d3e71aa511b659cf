from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import large_registry
import pytest
from processes import Process
from waiting import wait_until

from harvesters.errors import ClusterError
from harvesters.ledger.models import State
from harvesters.runs.run import harvest

pytest.importorskip("distributed", reason="the extra dask is not installed")

ROOT = Path(__file__).parents[2]
QUIET = {
    "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__ENABLED": "false",
    "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error",
}


@dataclass
class Dask:
    address: str
    home: Path
    processes: list[Process] = field(default_factory=list)

    def start(self, role: str, *words: str, code: Path = ROOT) -> Process:
        command = [sys.executable, "-m", "distributed.cli.dask_" + role, *words, "--no-dashboard"]
        own = {"PYTHONPATH": str(code), "DASK_TEMPORARY_DIRECTORY": str(self.home)}
        process = Process(command, cwd=self.home, env={**os.environ, **QUIET, **own})
        self.processes.append(process)
        return process

    def worker(self, code: Path = ROOT) -> Process:
        options = "--no-nanny --nthreads 1 --host 127.0.0.1"
        return self.start("worker", self.address, *options.split(), code=code)


@contextmanager
def cluster(home: Path, workers: int, code: Path = ROOT) -> Iterator[Dask]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dask = Dask(f"tcp://127.0.0.1:{port}", home)
    try:
        scheduler = dask.start("scheduler", "--host", "127.0.0.1", "--port", str(port))
        wait_until(lambda: _is_open(port), "the scheduler", output=scheduler.output)
        for _ in range(workers):
            dask.worker(code)
        yield dask
    finally:
        for process in reversed(dask.processes):
            process.discard()


def _is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def harvested(folder: Path, dask: str, **more: Any) -> dict[str, str]:
    with large_registry.open_harvest(folder, large_registry.Projects(**more), 0, dask) as context:
        plan = harvest(large_registry.source(), context)

    assert plan.run.state is State.COMMITTED
    return large_registry.journal_digests(folder)


@pytest.mark.smoke
def test_a_cluster_with_a_killed_worker_writes_the_same_bytes(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(page: int) -> None:
        if page == 7 and not killed:
            dask.processes[1].send_signal(signal.SIGKILL)
            killed.append(dask.processes[1].wait())

    at_home = harvested(tmp_path / "home", "")
    with cluster(tmp_path, 2) as dask:
        whole = harvested(tmp_path / "whole", dask.address)
        less_one = harvested(tmp_path / "less-one", dask.address, before=kill_one)

    assert (whole, less_one, killed) == (at_home, at_home, [-signal.SIGKILL])


def test_a_lost_scheduler_falls_back_to_local_work_without_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def kill_it(page: int) -> None:
        if page == 7:
            dask.processes[0].kill()
            dask.processes[0].wait()

    at_home = harvested(tmp_path / "home", "")
    with cluster(tmp_path, 1) as dask:
        without = harvested(tmp_path / "without", dask.address, before=kill_it)

    assert without == at_home
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_with_other_code_is_refused(tmp_path: Path) -> None:
    older = tmp_path / "older"
    for room in ("vocab", "shapes", "journal", "harvesters"):
        shutil.copytree(ROOT / room, older / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (older / "vocab" / "describe.py").open("a") as file:
        file.write("# once it was another\n")

    with (
        cluster(tmp_path, 1, older) as dask,
        large_registry.open_harvest(
            tmp_path / "data", large_registry.Projects(), 0, dask.address
        ) as context,
    ):
        with pytest.raises(ClusterError, match="a worker has other code"):
            harvest(large_registry.source(), context)

        assert context.ledger.runs("projects")[0].state is State.FAILED
