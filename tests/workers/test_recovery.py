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
from queued import committed, put
from waiting import WITHIN

from journal.journal import Journal

from .conftest import WORKER, GatedRegistry, House

LATER = 2**31  # seconds since 1970: due after all runs so far
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def published(data: Path) -> list[bytes]:
    """Return all published statements, sorted and without times."""
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


@pytest.fixture
def undisturbed(house: Any, registry: Any) -> Callable[[str], list[bytes]]:
    """Return a function that harvests a source once with a ledger and a data folder of its own, and
    returns what is published.
    """

    def harvest(source: str) -> list[bytes]:
        request_count, data = len(registry.request_log), house.folder / "undisturbed"
        words = ("--data", str(data), "harvest", source)
        assert house.start(*words, ledger=f"sqlite:///{data}/ledger.sqlite").wait(WITHIN) == 0
        del registry.request_log[request_count:]
        return published(data)

    return harvest


def assert_resumed(house: House, undisturbed: Callable[[str], list[bytes]]) -> None:
    assert committed(house)["a"] == 1
    assert published(house.data) == undisturbed("a")
    assert repeated(house.registry) <= 1  # the page for which the killed run waited


def runs_again(house: House) -> None:
    assert put(house.ledger, "a", at=LATER) == [True]
    query = "SELECT count(*) FROM run WHERE source = 'a' AND state = 'unchanged'"
    house.wait_until(lambda: house.rows(query) == [(1,)], "a run without changes")


def test_run_of_a_killed_worker_ends_although_the_next_is_queued(
    house: House, undisturbed: Callable[[str], list[bytes]], ledger: str, registry: GatedRegistry
) -> None:
    first = house.begin()
    assert put(ledger, "a", at=2) == [True]

    first.kill()
    first.wait()
    assert put(ledger, "a", at=3) == [False]  # one run makes up for all that were missed
    house.start(*WORKER)
    registry.gate.set()
    house.settle("a")

    assert_resumed(house, undisturbed)
    runs_again(house)


def test_run_of_a_frozen_worker_is_taken_over_and_logged(
    house: House, registry: GatedRegistry
) -> None:
    first = house.begin()

    first.send_signal(signal.SIGSTOP)
    house.start(*WORKER)
    house.wait_for("run requeued", 1)
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
    house.begin("up", "--port", str(free_port()))
    assert put(ledger, "a", at=2) == [True]

    cluster.stop()
    registry.gate.set()
    house.wait_for("worker cannot continue")
    cluster.start()
    house.settle("a")

    assert_resumed(house, undisturbed)
    runs_again(house)


def test_worker_that_lost_its_lock_exits_only_when_the_database_answers(
    house: House, cluster: Cluster, registry: GatedRegistry
) -> None:
    worker = house.begin()

    cluster.stop()
    registry.gate.set()
    house.wait_for("waiting for the database")
    running = worker.poll() is None
    cluster.start()

    assert running
    assert worker.wait(WITHIN) == 75
    assert "the database answers" in house.output_of(0)


def test_idle_worker_waits_for_the_database_and_goes_on(
    house: House, cluster: Cluster, ledger: str
) -> None:
    house.define_source("a")
    worker = house.start(*WORKER)
    house.wait_for("worker started")

    cluster.stop()
    house.wait_for("database unavailable; the worker waits")
    cluster.start()
    house.wait_for("database available again")
    put(ledger, "a")
    house.settle("a")

    # Each of the few reasons is logged once.
    assert house.output_of(0).count("the database does not answer") < 4
    assert "Traceback" not in house.output_of(0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WITHIN) == 0


@pytest.mark.parametrize(
    ("command", "other"),
    [(WORKER, ("schedule",)), (("schedule",), WORKER)],
    ids=["worker", "schedule"],
)
def test_process_started_without_database_waits_and_logs_once(
    command: Any, other: Any, house: House, cluster: Cluster
) -> None:
    house.define_source("a", every="* * * * *")
    cluster.stop()
    house.start(*command)
    house.wait_for("waiting for the database")
    stopped = house.start(*other)
    house.wait_for("waiting for the database", 1)
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
    house: House, cluster: Cluster
) -> None:
    house.define_source("a", every="* * * * *")
    house.start("schedule")
    house.wait_for("scheduler started")

    cluster.stop()
    house.wait_for("cannot queue a run")
    cluster.start()

    house.wait_for('event="run queued"')
    assert len(house.rows("SELECT id FROM procrastinate_jobs")) == 1


def test_due_time_that_passed_without_workers_is_run_later(
    house: House, undisturbed: Callable[[str], list[bytes]], ledger: str, registry: GatedRegistry
) -> None:
    workers = [house.begin(), house.start(*WORKER)]
    for worker in workers:
        worker.kill()
        worker.wait()
    assert put(ledger, "a", at=2) == [True]
    assert put(ledger, "a", at=3) == [False]  # one run makes up for all that were missed

    registry.gate.set()
    house.start(*WORKER)
    house.settle("a")

    assert_resumed(house, undisturbed)


def test_job_whose_source_is_busy_waits_although_the_next_is_queued(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    registry.gate.clear()
    by_hand = house.start("harvest", "a")
    house.wait_until_begun()
    put(ledger, "a", at=1)
    house.start(*WORKER)
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
    first = house.start(*WORKER)
    house.settle("a")
    first.kill()
    first.wait()
    request_count = len(registry.request_log)
    arguments = '{"source": "a", "timestamp": 1}'
    house.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
        f" SELECT 'default', 'harvest', 'a', 'a', '{arguments}', 'doing', min(id) FROM procrastinate_workers RETURNING id"
    )

    house.start(*WORKER)
    house.wait_for("run skipped: the source was harvested", 1)

    assert len(registry.request_log) == request_count
    house.wait_until(
        lambda: house.rows("SELECT id FROM procrastinate_jobs") == [],
        'house.rows("SELECT id FROM procrastinate_jobs") == []',
    )


@pytest.mark.smoke
def test_a_backup_with_a_ledger_in_postgresql_is_restored_and_goes_on(
    house: House, cluster: Cluster, database: str
) -> None:
    """The steps of docs/how-to/back-up.md restore into another data directory and another database,
    and the next harvest finds nothing new.
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
