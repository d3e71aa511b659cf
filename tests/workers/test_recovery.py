from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgresql import Cluster, binaries
from processes import Process, free_port
from queued import BEAT, committed, put
from waiting import WITHIN

from journal.journal import Journal

from .conftest import GatedRegistry, House

LATER = 2**31  # seconds since 1970: due after all runs so far
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def published(data: Path) -> list[bytes]:
    """Return all published statements in order, without their times."""
    statements: set[bytes] = set()
    for entry in Journal(data / "journal").entries():
        for line in entry.lines():
            if line[:2] == b"A ":
                statements.add(line[2:])
            elif line[:2] == b"D ":
                statements.discard(line[2:])
    return sorted(TIME.sub(b"TIME", statement) for statement in statements)


def repeated(registry: Any) -> int:
    """Count the requests for a page beyond the first one."""
    pages = Counter((source, page) for _, source, page in registry.request_log)
    return sum(count - 1 for count in pages.values())


def begun(registry: Any) -> bool:
    return any(page > 1 for _, _, page in registry.request_log)


@pytest.fixture
def undisturbed(house: Any, registry: Any) -> Callable[[str], list[bytes]]:
    """Return what is published after one harvest of a source with a ledger and a data folder of its
    own.
    """

    def harvest(source: str) -> list[bytes]:
        request_count, data = len(registry.request_log), house.folder / "undisturbed"
        words = ("--data", str(data), "harvest", source)
        assert house.start(*words, ledger=f"sqlite:///{data}/ledger.sqlite").wait(WITHIN) == 0
        del registry.request_log[request_count:]
        return published(data)

    return harvest


def test_run_of_a_killed_worker_ends_although_the_next_is_queued(
    house: House, undisturbed: Callable[[str], list[bytes]], ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    put(ledger, "a", at=1)
    registry.gate.clear()
    first = house.start("worker", "--heartbeat", BEAT)
    house.wait_until(lambda: begun(registry), "the second page to be asked for")
    assert put(ledger, "a", at=2) == [True]

    first.kill()
    first.wait()
    assert put(ledger, "a", at=3) == [False]  # one run makes up for all that were missed
    house.start("worker", "--heartbeat", BEAT)
    registry.gate.set()
    house.settle("a")

    assert committed(house)["a"] == 1
    assert published(house.data) == undisturbed("a")
    assert repeated(registry) <= 1  # the page that the killed worker was waiting for
    assert put(ledger, "a", at=LATER) == [True]
    house.wait_until(
        lambda: (
            house.rows("SELECT count(*) FROM run WHERE source = 'a' AND state = 'unchanged'")
            == [(1,)]
        ),
        "a run without changes",
    )


def test_run_of_a_frozen_worker_is_taken_over_and_logged(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    put(ledger, "a", at=1)
    registry.gate.clear()
    first = house.start("worker", "--heartbeat", BEAT)
    house.wait_until(lambda: begun(registry), "the second page to be asked for")

    first.send_signal(signal.SIGSTOP)
    house.start("worker", "--heartbeat", BEAT)
    house.wait_until(lambda: "run requeued" in house.output_of(1), "the run to be requeued")
    registry.gate.set()
    house.settle("a")
    first.send_signal(signal.SIGCONT)

    assert first.wait(WITHIN) == 75
    assert house.output_of(1).count("heartbeat lost, but it is connected") == 1
    assert committed(house)["a"] == 1


def test_processes_that_start_together_on_an_empty_database_all_open_it(
    house: House, ledger: str
) -> None:
    program = (
        "import sys; from harvesters.ledger.ledger import Ledger; sys.stdin.readline();"
        "Ledger(sys.argv[1]).close()"
    )
    command = [sys.executable, "-c", program, ledger]
    children = [
        Process(command, stdin=subprocess.PIPE, env=house.environment(), cwd=house.folder)
        for _ in range(3)
    ]
    house.children += children

    for child in children:
        assert child.stdin
        child.stdin.write(b"\n")
        child.stdin.flush()

    assert [child.wait(WITHIN) for child in children] == [0, 0, 0]


def test_runs_resume_after_the_database_was_stopped(
    house: House, undisturbed: Callable[[str], list[bytes]], cluster: Cluster, ledger: str, registry: GatedRegistry
) -> None:  # fmt: skip
    house.define_source("a")
    put(ledger, "a", at=1)
    registry.gate.clear()
    house.start("up", "--port", str(free_port()))
    house.wait_until(lambda: begun(registry), "the second page to be asked for")
    assert put(ledger, "a", at=2) == [True]

    cluster.stop()
    registry.gate.set()
    house.wait_until(
        lambda: "worker cannot continue" in house.output_of(0),
        '"worker cannot continue" in house.output_of(0)',
    )
    cluster.start()
    house.settle("a")

    assert committed(house)["a"] == 1
    assert published(house.data) == undisturbed("a")
    assert repeated(registry) <= 1
    assert put(ledger, "a", at=LATER) == [True]
    house.wait_until(
        lambda: (
            house.rows("SELECT count(*) FROM run WHERE source = 'a' AND state = 'unchanged'")
            == [(1,)]
        ),
        "a run without changes",
    )


def test_worker_that_lost_its_lock_exits_only_when_the_database_answers(
    house: House, cluster: Cluster, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    put(ledger, "a")
    registry.gate.clear()
    worker = house.start("worker", "--heartbeat", BEAT)
    house.wait_until(lambda: begun(registry), "the second page to be asked for")

    cluster.stop()
    registry.gate.set()
    house.wait_until(
        lambda: "waiting for the database" in house.output_of(0), "the outage to be logged"
    )
    running = worker.poll() is None
    cluster.start()

    assert running
    assert worker.wait(WITHIN) == 75
    assert "the database answers" in house.output_of(0)


def test_idle_worker_waits_for_the_database_and_goes_on(
    house: House, cluster: Cluster, ledger: str
) -> None:
    house.define_source("a")
    worker = house.start("worker", "--heartbeat", BEAT)
    house.wait_until(
        lambda: "worker started" in house.output_of(0), '"worker started" in house.output_of(0)'
    )

    cluster.stop()
    house.wait_until(
        lambda: "database unavailable; the worker waits" in house.output_of(0),
        "the outage in the log",
    )
    cluster.start()
    house.wait_until(
        lambda: "database available again" in house.output_of(0), "the end of the outage in the log"
    )
    put(ledger, "a")
    house.settle("a")

    assert house.output_of(0).count("the database does not answer") < 4  # each of its reasons once
    assert "Traceback" not in house.output_of(0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WITHIN) == 0


WORKER, SCHEDULE = ("worker", "--heartbeat", BEAT), ("schedule",)


@pytest.mark.parametrize(
    ("command", "other"),
    [(WORKER, SCHEDULE), (SCHEDULE, WORKER)],
    ids=["worker", "schedule"],
)
def test_process_started_without_database_waits_and_logs_once(
    command: Any, other: Any, house: House, cluster: Cluster, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a", every="* * * * *")
    cluster.stop()
    house.start(*command)
    house.wait_until(
        lambda: "waiting for the database" in house.output_of(0), "the outage to be logged"
    )
    stopped = house.start(*other)
    house.wait_until(
        lambda: "waiting for the database" in house.output_of(1), "the outage to be logged"
    )
    stopped.send_signal(signal.SIGTERM)
    code = stopped.wait(WITHIN)

    cluster.start()
    house.wait_until(
        lambda: re.search("worker started|scheduler started", house.output_of(0)) is not None,
        "the process to go on",
    )

    assert code == 0
    assert house.output_of(0).count("Connection refused") == 1
    assert house.output_of(0).count("the database answers") == 1
    assert "Traceback" not in house.output_of(0)


def test_due_time_that_passed_without_database_is_queued_afterwards(
    house: House, cluster: Cluster, ledger: str
) -> None:
    house.define_source("a", every="* * * * *")
    house.start("schedule")
    house.wait_until(
        lambda: "scheduler started" in house.output_of(0),
        '"scheduler started" in house.output_of(0)',
    )

    cluster.stop()
    house.wait_until(lambda: "cannot queue a run" in house.output_of(0), "the outage in the log")
    cluster.start()

    house.wait_until(
        lambda: 'event="run queued"' in house.output_of(0),
        "'event=\"run queued\"' in house.output_of(0)",
    )
    assert len(house.rows("SELECT id FROM procrastinate_jobs")) == 1


def test_due_time_that_passed_without_workers_is_run_later(
    house: House, undisturbed: Callable[[str], list[bytes]], ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    put(ledger, "a", at=1)
    registry.gate.clear()
    workers = [house.start("worker", "--heartbeat", BEAT) for _ in range(2)]
    house.wait_until(lambda: begun(registry), "the second page to be asked for")
    for worker in workers:
        worker.kill()
        worker.wait()
    assert put(ledger, "a", at=2) == [True]
    assert put(ledger, "a", at=3) == [False]  # one run makes up for all that were missed

    registry.gate.set()
    house.start("worker", "--heartbeat", BEAT)
    house.settle("a")

    assert committed(house)["a"] == 1
    assert published(house.data) == undisturbed("a")
    assert repeated(registry) <= 1


def test_job_whose_source_is_busy_waits_although_the_next_is_queued(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    registry.gate.clear()
    by_hand = house.start("harvest", "a")
    house.wait_until(lambda: begun(registry), "the second page to be asked for")
    put(ledger, "a", at=1)
    house.start("worker", "--heartbeat", BEAT)
    house.wait_until(
        lambda: (
            house.rows("SELECT count(*) FROM procrastinate_jobs WHERE scheduled_at IS NOT NULL")
            == [(1,)]
        ),
        "the job to be scheduled again",
    )

    registry.gate.set()

    assert by_hand.wait(WITHIN) == 0
    house.settle("a")
    assert committed(house)["a"] == 1


def test_job_that_was_done_before_its_worker_was_lost_is_not_done_again(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    put(ledger, "a", at=1)
    first = house.start("worker", "--heartbeat", BEAT)
    house.settle("a")
    first.kill()
    first.wait()
    request_count = len(registry.request_log)
    arguments = '{"source": "a", "timestamp": 1}'
    house.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
        f" SELECT 'default', 'harvest', 'a', 'a', '{arguments}', 'doing', min(id) FROM procrastinate_workers RETURNING id"
    )

    house.start("worker", "--heartbeat", BEAT)
    house.wait_until(
        lambda: "run skipped: the source was harvested" in house.output_of(1),
        "the run to be skipped",
    )

    assert len(registry.request_log) == request_count
    house.wait_until(
        lambda: house.rows("SELECT id FROM procrastinate_jobs") == [],
        'house.rows("SELECT id FROM procrastinate_jobs") == []',
    )


@pytest.mark.smoke
def test_a_backup_with_a_ledger_in_postgresql_is_restored_and_goes_on(
    house: House, cluster: Cluster, database: str, ledger: str, tmp_path: Path
) -> None:
    """The drill of docs/how-to/back-up.md: another data directory, another database, and the next
    harvest finds nothing new.
    """
    programs = binaries()
    assert programs
    house.define_source("a")
    assert house.start("harvest", "a").wait(WITHIN) == 0
    saved, other = house.folder / "saved", house.folder / "other"
    rows = house.rows("SELECT source, key, digest, state FROM record ORDER BY source, key")

    assert house.start("backup", str(saved)).wait(WITHIN) == 0
    restore = house.start("--data", str(other), "restore", str(saved))
    assert restore.wait(WITHIN) == 0
    with cluster.admin() as admin:
        admin.execute(f"CREATE DATABASE {database}_restored")
    url = cluster.url(f"{database}_restored")
    words = [
        str(programs / "pg_restore"), "--clean", "--if-exists", f"--dbname={url.replace('+psycopg', '')}",
        str(other / "ledger.pgdump"),
    ]  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    assert house.start("--data", str(other), "harvest", "a", ledger=url).wait(WITHIN) == 0
    assert rows
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        assert (
            connection.execute(
                "SELECT source, key, digest, state FROM record ORDER BY source, key"
            ).fetchall()
            == rows
        )
        assert connection.execute(
            "SELECT state FROM run WHERE source = 'a' ORDER BY number"
        ).fetchall() == [("committed",), ("unchanged",)]
    assert published(other) == published(house.data)
    assert "pg_restore --clean --if-exists" in restore.text()
