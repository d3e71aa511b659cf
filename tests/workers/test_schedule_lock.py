from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import ScheduleLock, open_context, source_lock
from harvesters.runs.run_log import interrupted_runs, is_schedule_running
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_schedules_and_runs_of_other_machines_are_known(tmp_path: Path, ledger: str) -> None:
    with (
        open_context(tmp_path / "1", ledger, BASE, NetworkSettings()) as one,
        open_context(tmp_path / "2", ledger, BASE, NetworkSettings()) as other,
    ):
        run = one.ledger.create_run("a", NOON, "rules", is_full=True, since=None)
        first, second = ScheduleLock(one), ScheduleLock(other)
        known = [is_schedule_running(other.ledger, other.data)]
        for change in (first.acquire, second.acquire, first.release, second.acquire):
            change()
            known.append(is_schedule_running(other.ledger, other.data))
        second.release()
        with source_lock("a", one):
            executed = interrupted_runs(other.ledger, other.data, [run])
        killed = interrupted_runs(other.ledger, other.data, [run])

    assert known == [False, True, True, False, True]
    assert (executed, killed) == (set(), {run.id})
