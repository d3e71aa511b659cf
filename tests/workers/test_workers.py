from __future__ import annotations

import random
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from damage import count_verified
from queued import committed, put, settled
from waiting import WITHIN

from harvesters.ledger import operators
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.run import harvest
from harvesters.runs.workers import JobHandlers, QueuedJobs
from harvesters.source import load_all
from journal.journal import Journal
from vocab.iris import BASE

from .conftest import WORKER, GatedRegistry, House

AT = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
# These statements make the database note when each request to a host may be sent.
NOTE_TURNS = (
    "CREATE TABLE noted (due timestamptz NOT NULL)",
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted VALUES (NEW.requested); RETURN NULL; END'",
    "CREATE TRIGGER note AFTER INSERT OR UPDATE OF requested ON rate_limit FOR EACH ROW EXECUTE FUNCTION note()",
)


def test_a_shared_ledger_writes_the_same_journal_as_a_local_one(
    house: House, tmp_path: Path, ledger: str
) -> None:
    house.define_source("a")
    results = []
    for number, url in enumerate((ledger, f"sqlite:///{tmp_path}/own.sqlite")):
        with open_context(
            tmp_path / f"{number}",
            url,
            BASE,
            NetworkSettings("operator@example.org", frozenset({"127.0.0.1"})),
        ) as real:
            harvest(load_all(house.folder / "cards").sources["a"], replace(real, now=lambda: AT))
        results.append(
            [
                path.read_bytes()
                for path in sorted((tmp_path / f"{number}" / "journal").glob("*.gz"))
            ]
        )

    assert len(results[0]) == 1
    assert results[0] == results[1]


def test_two_schedulers_queue_a_due_run_once(house: House, ledger: str, tmp_path: Path) -> None:
    house.define_source("a", every="* * * * *")
    source = load_all(house.folder / "cards").sources["a"]
    with open_context(
        tmp_path / "data", ledger, BASE, NetworkSettings("operator@example.org")
    ) as real:
        schedules = [QueuedJobs(replace(real, now=lambda: AT), ledger) for _ in range(2)]
        schedules[0].prepare()

        for schedule in schedules:
            schedule.run_due(source)
        # Without the job it is as if a worker had done it already.
        house.rows("DELETE FROM procrastinate_jobs RETURNING id")
        schedules[1].run_due(source)

    assert house.rows("SELECT id FROM procrastinate_jobs") == []
    assert len(house.rows("SELECT id FROM procrastinate_periodic_defers")) == 1


def test_after_the_clock_was_set_back_due_runs_are_executed(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    house.define_source("a")
    source = load_all(house.folder / "cards").sources["a"]
    with open_context(
        house.data, ledger, BASE, NetworkSettings("operator@example.org", frozenset({"127.0.0.1"}))
    ) as real:
        harvest(source, replace(real, now=lambda: AT + timedelta(days=400)))
        before = len(registry.request_log)

        handlers = JobHandlers(replace(real, now=lambda: AT), house.folder / "cards", ledger)
        handlers.harvest("a", True, int(AT.timestamp()) - 60)

    assert len(registry.request_log) == 2 * before


@pytest.mark.smoke
def test_a_worker_executes_due_and_requested_runs(house: House, ledger: str) -> None:
    house.define_source("a")
    house.define_source("b")
    put(ledger, "a")
    with open_context(house.data, ledger, BASE, NetworkSettings("operator@example.org")) as context:
        number = operators.request_run(context.ledger, "b", True, "ann", AT)
        QueuedJobs(context, ledger).run_requested(
            next(
                request
                for request in operators.waiting_requests(context.ledger)
                if request.id == number
            )
        )
    house.start(*WORKER)

    house.settle("a", "b")

    assert (committed(house)["a"], committed(house)["b"]) == (1, 1)
    assert house.rows("SELECT run FROM run_request") == [("b.1",)]


def test_a_stopped_worker_finishes_its_run(house: House, registry: GatedRegistry) -> None:
    worker = house.begin()

    worker.send_signal(signal.SIGTERM)
    registry.gate.set()

    assert worker.wait(WITHIN) == 0
    assert settled(house, ["a"])


def test_many_workers_request_a_host_no_faster(
    house: House, ledger: str, registry: GatedRegistry
) -> None:
    registry.projects = 20
    for name in ("a", "b", "c"):
        house.define_source(name, pause=0.3)
    put(ledger, "a", "b", "c")
    for statement in NOTE_TURNS:
        house.execute(statement)
    for _ in range(2):
        house.start(*WORKER, "--concurrency", "2")

    house.settle("a", "b", "c")

    due = [
        float(at) for (at,) in house.rows("SELECT EXTRACT(EPOCH FROM due) FROM noted ORDER BY due")
    ]
    # A request for robots.txt takes its turn too, but is not in the log.
    assert len(due) == len(registry.times) > len(registry.request_log)
    assert [later - before for before, later in pairwise(due) if later - before < 0.3 - 1e-6] == []
    assert [
        at - turn for at, turn in zip(sorted(registry.times), due, strict=True) if at < turn - 0.001
    ] == []


@pytest.mark.parametrize(("sources", "size", "kills"), [(12, 4, 5)])
def test_workers_killed_repeatedly_commit_each_run_once(
    house: House, ledger: str, registry: GatedRegistry, sources: int, size: int, kills: int
) -> None:
    chance = random.Random(7)
    names = [f"s{number}" for number in range(sources)]
    for name in names:
        house.define_source(name, pause=0.05)
    put(ledger, *names)
    workers = [house.start(*WORKER) for _ in range(size)]
    house.wait_until(lambda: len(registry.request_log) > 5, "the first pages to be asked for")

    def requested(enough: int) -> bool:
        return len(registry.request_log) > enough or settled(house, names)

    for _ in range(kills):
        enough = len(registry.request_log) + 3
        house.wait_until(partial(requested, enough), f"page {enough} requested")
        victim = chance.randrange(size)
        workers[victim].kill()
        workers[victim].wait(WITHIN)
        workers[victim] = house.start(*WORKER)
    house.settle(*names)

    entries = committed(house)
    assert {name: entries[name] for name in names} == dict.fromkeys(names, 1)
    assert count_verified(Journal(house.data / "journal")) == sum(entries.values())
    assert house.rows("SELECT count(*) FROM record WHERE state = 'published'") == [(100 * sources,)]


def test_a_worker_without_a_shared_ledger_names_the_setting(house: House) -> None:
    house.define_source("a")
    child = house.start("worker", ledger=f"sqlite:///{house.folder}/own.sqlite")

    assert child.wait(WITHIN) == 2
    assert "set STOCKTAKE_LEDGER" in house.output_of(0)
