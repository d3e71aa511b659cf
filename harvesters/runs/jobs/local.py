"""Define the interface that a schedule calls when a run is due, and execute runs in this process if no other machine shares the
ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from harvesters.errors import HarvestError, SourceLockedError
from harvesters.ledger import operators
from harvesters.ledger.models import ENDED_STATES, Run, RunRequest, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.plans.plan import Plan
from harvesters.source import Source
from journal.errors import JournalError
from journal.outage import Outage


class Jobs(Protocol):
    """Starts the runs of sources when APScheduler says that they are due."""

    def prepare(self) -> None:
        """Requeue the requests that a process had claimed when it died."""

    def run_due(self, source: Source) -> None:
        """Run a source that is due now, unless it is retired."""

    def run_postponed(self, source: Source) -> None:
        """Resume a run that quiet hours postponed."""

    def run_requested(self, request: RunRequest) -> None:
        """Run what a person requested, and store the result."""


@dataclass(frozen=True, slots=True)
class LocalJobs:
    """Runs sources here: with *run* if they are due, with *harvest* (source, full) on request."""

    context: HarvestContext
    sources: Iterable[Source]
    run: Callable[[Source], object]
    harvest: Callable[[Source, bool], Plan]

    def prepare(self) -> None:
        """Close run requests whose run completed, and requeue the rest."""
        ledger = self.context.ledger
        for request in operators.claimed_requests(ledger):
            if run := find_run(request, self.context):
                operators.complete_request(ledger, request.id, run.id)
        operators.requeue_all(ledger)

    def run_due(self, source: Source) -> None:
        if not operators.is_retired(self.context.ledger, source.name):
            self.run(source)

    run_postponed = run_due

    def run_requested(self, request: RunRequest) -> None:
        """Run what a person requested, and store the result.

        While another run of the source is in progress, the request is requeued.
        """
        execute_request(request, self.sources, self.context, self.harvest)


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
    ledger, now = context.ledger, context.now()
    try:
        waiting = operators.waiting_requests(ledger)
        claimed = [item for item in waiting if operators.claim(ledger, item.id, now)]
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
    """Execute a request with *harvest* (source, full) and store its result, as ``LocalJobs``."""
    ledger = context.ledger
    source = next((source for source in sources if source.name == request.source), None)
    if source is None:
        operators.complete_request(
            ledger, request.id, f"no source definition for {request.source!r}"
        )
        return
    try:
        result = harvest(source, request.full).run.id
    except SourceLockedError:
        operators.requeue(ledger, request.id)
        return
    except (HarvestError, JournalError) as error:
        last = ledger.last_run(request.source, [State.FAILED, State.COMMITTING])
        is_of_request = last is not None and last.started >= request.requested
        result = last.id if last and is_of_request else str(error)
    operators.complete_request(ledger, request.id, result)
