from __future__ import annotations

import httpx
from projects import Harvester
from structlog.testing import capture_logs

from harvesters.ledger import operators
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.locks import source_lock
from harvesters.runs.plans.plan import Plan
from harvesters.runs.schedule import run_requests
from harvesters.runs.schedule.scheduler import Jobs, create_scheduler
from harvesters.source import Source


def request_run(context: HarvestContext, source: str = "projects") -> int:
    return operators.request_run(context.ledger, source, True, "ann", context.now())


def execute_requests(context: HarvestContext, *cards: Source) -> None:
    def run(source: Source, full: bool) -> Plan:
        return harvest(source, context, full=full)

    with capture_logs():
        for request in run_requests.claim_requests(context):
            run_requests.execute_request(request, cards, context, run)


def stored_run(harvester: Harvester, number: int) -> str | None:
    request = operators.run_request(harvester.ledger, number)
    assert request is not None
    return request.run


def test_a_request_is_claimed_once_and_stores_its_run(harvester: Harvester) -> None:
    number = request_run(harvester.context)

    execute_requests(harvester.context, harvester.source)
    execute_requests(harvester.context, harvester.source)

    assert stored_run(harvester, number) == "projects.1"
    assert [run.id for run in harvester.ledger.runs("projects")] == ["projects.1"]


def test_a_request_waits_while_its_source_is_locked(harvester: Harvester) -> None:
    request_run(harvester.context)

    with source_lock("projects", harvester.context):
        execute_requests(harvester.context, harvester.source)

    (waiting,) = operators.waiting_requests(harvester.ledger)
    assert waiting.source == "projects"


def test_a_request_for_an_unknown_source_is_completed_with_an_error(harvester: Harvester) -> None:
    number = request_run(harvester.context, "nobody")

    execute_requests(harvester.context, harvester.source)

    assert stored_run(harvester, number) == "no source definition for 'nobody'"


def test_a_request_whose_run_fails_stores_the_run(harvester: Harvester) -> None:
    number = request_run(harvester.context)
    harvester.registry.answer = lambda _: httpx.Response(404)

    execute_requests(harvester.context, harvester.source)

    assert stored_run(harvester, number) == "projects.1"


def test_a_claimed_request_without_a_run_is_requeued(context: HarvestContext) -> None:
    request_run(context)
    run_requests.claim_requests(context)

    operators.requeue_all(context.ledger)

    assert len(run_requests.claim_requests(context)) == 1


def test_a_request_whose_run_ended_before_a_crash_is_complete(harvester: Harvester) -> None:
    number = request_run(harvester.context)
    run_requests.claim_requests(harvester.context)
    plan = harvester.harvest(full=True)

    run_requests.recover_requests(harvester.context)

    assert stored_run(harvester, number) == plan.run.id
    assert run_requests.claim_requests(harvester.context) == []


def test_a_request_interrupted_before_its_run_is_requeued(harvester: Harvester) -> None:
    harvester.harvest(full=True)
    number = request_run(harvester.context)
    run_requests.claim_requests(harvester.context)

    run_requests.recover_requests(harvester.context)

    assert [request.id for request in run_requests.claim_requests(harvester.context)] == [number]


def test_the_scheduler_claims_requests_within_five_seconds(source: Source) -> None:
    jobs = {
        job.id: job
        for job in create_scheduler(
            [source], Jobs(lambda _: None, requests=(lambda: [], lambda _: None))
        ).get_jobs()
    }

    assert jobs[":requests"].trigger.interval.total_seconds() < 5
