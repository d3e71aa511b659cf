"""Execute runs that people requested, for example on the admin pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harvesters.errors import HarvestError, SourceLockedError
from harvesters.ledger import operators
from harvesters.ledger.models import Run, RunRequest, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.plans.plan import Plan
from harvesters.source import Source
from journal.errors import JournalError
from journal.outage import Outage

ENDED_STATES = tuple(state for state in State if state not in (State.RUNNING, State.COMMITTING))


def recover_requests(context: HarvestContext) -> None:
    """On startup, close run requests whose run completed, and requeue the rest."""
    for request in operators.claimed_requests(context.ledger):
        if run := find_run(request, context):
            operators.complete_request(context.ledger, request.id, run.id)
    operators.requeue_all(context.ledger)


def find_run(request: RunRequest, context: HarvestContext) -> Run | None:
    """Return the run that a claimed request started, if it ended without completing the request."""
    last = context.ledger.last_run(request.source, ENDED_STATES, full_only=request.full)
    return last if last and request.claimed and last.started >= request.claimed else None


def claim_requests(context: HarvestContext, outage: Outage | None = None) -> list[RunRequest]:
    """Claim the waiting requests, each for one caller only; return none if the ledger cannot be
    read.

    *outage* counts the failures of a caller that polls.
    """
    outage = outage or Outage("cannot read run requests", "run requests are readable again")
    try:
        waiting = operators.waiting_requests(context.ledger)
        claimed = [
            request
            for request in waiting
            if operators.claim(context.ledger, request.id, context.now())
        ]
    except HarvestError as error:
        outage.failed(str(error))
        return []
    outage.over()
    return claimed


def execute_request(
    request: RunRequest,
    sources: Iterable[Source],
    context: HarvestContext,
    harvest: Callable[[Source, bool], Plan],
) -> None:
    """Execute a request with *harvest* (source, full) and store its result.

    While another run of the source is in progress, the request is requeued.
    """
    source = next((source for source in sources if source.name == request.source), None)
    if source is None:
        operators.complete_request(
            context.ledger, request.id, f"no source definition for {request.source!r}"
        )
        return
    try:
        operators.complete_request(context.ledger, request.id, harvest(source, request.full).run.id)
    except SourceLockedError:
        operators.requeue(context.ledger, request.id)
    except (HarvestError, JournalError) as error:
        last = context.ledger.last_run(request.source, [State.FAILED, State.COMMITTING])
        is_of_request = last is not None and last.started >= request.requested
        result = last.id if last and is_of_request else str(error)
        operators.complete_request(context.ledger, request.id, result)
