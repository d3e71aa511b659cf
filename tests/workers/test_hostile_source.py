from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from queued import committed, put

from harvesters.ledger.models import State

from .conftest import WORKER, GatedRegistry, House


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def test_worker_gives_up_a_run_whose_reader_keeps_dying_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("bad")
    house.define_source("good")
    put(ledger, "bad", "good")
    serve_page = registry.page

    def kill_reader(source: str, number: int) -> bytes:
        if source == "bad":
            for reader in [item for child in _children(worker.pid) for item in _children(child)]:
                with suppress(ProcessLookupError):
                    os.kill(reader, signal.SIGKILL)
        return serve_page(source, number)

    monkeypatch.setattr(registry, "page", kill_reader)
    worker = house.start(*WORKER, "--concurrency", "1")
    house.wait_until(
        lambda: (
            committed(house)["good"] == 1 and not house.rows("SELECT id FROM procrastinate_jobs")
        ),
        "the good run",
    )

    (bad,) = house.rows("SELECT state, reasons FROM run WHERE source = 'bad'")
    assert bad[0] == State.FAILED.value
    assert "has exited 4 times in this run" in bad[1]
    assert worker.poll() is None
