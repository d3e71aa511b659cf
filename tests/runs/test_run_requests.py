"""Run requests are claimed once, and their results are stored."""

from __future__ import annotations

from typing import Any

import httpx
from structlog.testing import capture_logs

from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.locks import source_lock
from harvesters.runs.plans.plan import Plan
from harvesters.runs.schedule import run_requests
from harvesters.runs.schedule.scheduler import Jobs, create_scheduler
from harvesters.source import Source


def request_run(context: HarvestContext, source: str = "projects") -> int:
    return context.ledger.operators.request_run(source, True, "ann", context.now())


def execute_requests(context: HarvestContext, *cards: Source) -> None:
    def run(source: Source, full: bool) -> Plan:
        return harvest(source, context, full=full)

    with capture_logs():
        for request in run_requests.claim_requests(context):
            run_requests.execute_request(request, cards, context, run)


def test_a_request_is_claimed_once_and_stores_its_run(
    source: Source, context: HarvestContext
) -> None:
    number = request_run(context)

    execute_requests(context, source)
    execute_requests(context, source)

    run_request = context.ledger.operators.run_request(number)
    assert run_request is not None
    assert (run_request.run, [run.id for run in context.ledger.runs("projects")]) == (
        "projects.1",
        ["projects.1"],
    )


def test_a_request_waits_while_its_source_is_locked(
    source: Source, context: HarvestContext
) -> None:
    request_run(context)

    with source_lock("projects", context):
        execute_requests(context, source)

    (waiting,) = context.ledger.operators.waiting_requests()
    assert waiting.source == "projects"


def test_a_request_for_an_unknown_source_is_completed_with_an_error(
    source: Source, context: HarvestContext
) -> None:
    number = request_run(context, "nobody")

    execute_requests(context, source)

    run_request = context.ledger.operators.run_request(number)
    assert run_request is not None
    assert run_request.run == "no source definition for 'nobody'"


def test_a_request_whose_run_fails_stores_the_run(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    number = request_run(context)
    registry.answer = lambda _: httpx.Response(404)

    execute_requests(context, source)

    run_request = context.ledger.operators.run_request(number)
    assert run_request is not None
    assert run_request.run == "projects.1"


def test_a_claimed_request_without_a_run_is_requeued(context: HarvestContext) -> None:
    request_run(context)
    run_requests.claim_requests(context)

    context.ledger.operators.requeue_all()

    assert len(run_requests.claim_requests(context)) == 1


def test_a_request_whose_run_ended_before_a_crash_is_complete(
    source: Source, context: HarvestContext
) -> None:
    number = request_run(context)
    run_requests.claim_requests(context)
    plan = harvest(source, context, full=True)

    run_requests.recover_requests(context)

    assert (run_request := context.ledger.operators.run_request(number)) is not None
    assert run_request.run == plan.run.id
    assert run_requests.claim_requests(context) == []


def test_a_request_interrupted_before_its_run_is_requeued(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context, full=True)
    number = request_run(context)
    run_requests.claim_requests(context)

    run_requests.recover_requests(context)

    assert [request.id for request in run_requests.claim_requests(context)] == [number]


def test_the_scheduler_claims_requests_within_five_seconds(source: Source) -> None:
    jobs = {
        job.id: job
        for job in create_scheduler(
            [source], Jobs(lambda _: None, requests=(lambda: [], lambda _: None))
        ).get_jobs()
    }

    assert jobs[":requests"].trigger.interval.total_seconds() < 5
