"""Errands: runs that a person asked for are taken up once, and what came of them is told."""

from __future__ import annotations

from typing import Any

import httpx
from structlog.testing import capture_logs

from harvesters.runs import run_requests
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.locks import source_lock
from harvesters.runs.plan import Plan
from harvesters.runs.scheduler import create_scheduler
from harvesters.source import Source


def asked(means: HarvestContext, source: str = "projects") -> int:
    return means.ledger.request_run(source, True, "ann", means.now())


def done(means: HarvestContext, *cards: Source) -> None:
    def run(source: Source, full: bool) -> Plan:
        return harvest(source, means, full=full)

    with capture_logs():
        for it in run_requests.claim_requests(means):
            run_requests.execute_request(it, cards, means, run)


def test_an_errand_is_taken_once_and_names_its_run(source: Source, means: HarvestContext) -> None:
    number = asked(means)

    done(means, source)
    done(means, source)

    errand = means.ledger.run_request(number)
    assert errand is not None
    assert (errand.run, [run.id for run in means.ledger.runs("projects")]) == ("projects.1", ["projects.1"])


def test_an_errand_waits_while_its_source_is_busy(source: Source, means: HarvestContext) -> None:
    asked(means)

    with source_lock("projects", means):
        done(means, source)

    (waiting,) = means.ledger.waiting_requests()
    assert waiting.source == "projects"


def test_an_errand_for_no_source_says_so(source: Source, means: HarvestContext) -> None:
    number = asked(means, "nobody")

    done(means, source)

    errand = means.ledger.run_request(number)
    assert errand is not None
    assert errand.run == "no source definition for 'nobody'"


def test_an_errand_whose_run_fails_names_the_run(source: Source, means: HarvestContext, registry: Any) -> None:
    number = asked(means)
    registry.answer = lambda _: httpx.Response(404)

    done(means, source)

    errand = means.ledger.run_request(number)
    assert errand is not None
    assert errand.run == "projects.1"


def test_what_was_taken_and_came_to_nothing_waits_again(means: HarvestContext) -> None:
    asked(means)
    run_requests.claim_requests(means)

    means.ledger.requeue_all()

    assert len(run_requests.claim_requests(means)) == 1


def test_an_errand_whose_run_ended_before_a_crash_is_done(source: Source, means: HarvestContext) -> None:
    number = asked(means)
    run_requests.claim_requests(means)
    done = harvest(source, means, full=True)

    run_requests.recover_requests(means)

    assert (it := means.ledger.run_request(number)) is not None
    assert it.run == done.run.id
    assert run_requests.claim_requests(means) == []


def test_an_errand_that_a_crash_left_without_a_run_waits_again(source: Source, means: HarvestContext) -> None:
    harvest(source, means, full=True)
    number = asked(means)
    run_requests.claim_requests(means)

    run_requests.recover_requests(means)

    assert [it.id for it in run_requests.claim_requests(means)] == [number]


def test_the_schedule_looks_for_errands_within_five_seconds(source: Source) -> None:
    jobs = {job.id: job for job in create_scheduler([source], lambda _: None, None, (lambda: [], lambda _: None)).get_jobs()}

    assert jobs[":errands"].trigger.interval.total_seconds() < 5
