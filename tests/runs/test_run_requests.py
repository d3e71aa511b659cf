from __future__ import annotations

import httpx
from projects import Harvester
from structlog.testing import capture_logs

from harvesters.ledger import operators
from harvesters.ledger.models import Removal, RemovalKind
from harvesters.runs.context import HarvestContext, source_lock
from harvesters.runs.jobs import (
    LocalJobs,
    claim_requests,
    create_scheduler,
)
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest
from harvesters.source import Source


def request_run(context: HarvestContext, source: str = "projects") -> int:
    return operators.request_run(context.ledger, source, True, "ann", context.now())


def jobs_of(context: HarvestContext, *sources: Source) -> LocalJobs:
    def run(source: Source, full: bool = False) -> Plan:
        return harvest(source, context, full=full)

    return LocalJobs(context, sources, run, run)


def execute_requests(context: HarvestContext, *sources: Source) -> None:
    with capture_logs():
        for request in claim_requests(context):
            jobs_of(context, *sources).run_requested(request)


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


def test_a_request_whose_run_fails_or_whose_source_is_unknown_is_completed(
    harvester: Harvester,
) -> None:
    unknown, failing = request_run(harvester.context, "nobody"), request_run(harvester.context)
    harvester.registry.answer = lambda _: httpx.Response(404)

    execute_requests(harvester.context, harvester.source)

    assert stored_run(harvester, unknown) == "no source definition for 'nobody'"
    assert stored_run(harvester, failing) == "projects.1"


def test_a_request_whose_run_ended_before_a_crash_is_complete(harvester: Harvester) -> None:
    number = request_run(harvester.context)
    claim_requests(harvester.context)
    plan = harvester.harvest(full=True)

    jobs_of(harvester.context).prepare()

    assert stored_run(harvester, number) == plan.run.id
    assert claim_requests(harvester.context) == []


def test_a_request_interrupted_before_its_run_is_requeued(harvester: Harvester) -> None:
    harvester.harvest(full=True)
    number = request_run(harvester.context)
    claim_requests(harvester.context)

    jobs_of(harvester.context).prepare()

    assert [request.id for request in claim_requests(harvester.context)] == [number]
    operators.requeue_all(harvester.ledger)
    assert len(claim_requests(harvester.context)) == 1


def test_requests_are_claimed_within_five_seconds_and_a_retired_source_is_not_due(
    harvester: Harvester,
) -> None:
    jobs = jobs_of(harvester.context)
    scheduler = create_scheduler([harvester.source], jobs, claim=list)

    assert scheduler.get_job(":requests").trigger.interval.total_seconds() < 5
    removal = Removal("projects.1", "projects", RemovalKind.RETIRE)
    jobs.run_due(harvester.source)
    harvester.ledger.add(removal)

    jobs.run_due(harvester.source)

    assert [run.id for run in harvester.ledger.runs()] == ["projects.1"]
