"""Errands: runs that persons asked for, taken up by the schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harvesters.errors import HarvestError, SourceLockedError
from harvesters.ledger.models import Run, State
from harvesters.ledger.operator_actions import RunRequest
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.source import Source
from journal.errors import JournalError
from journal.outage import Outage

ENDED_STATES = tuple(state for state in State if state not in (State.RUNNING, State.COMMITTING))


def recover_requests(means: HarvestContext) -> None:
    """Set right what a crash left, at the start of the one who does errands: what came to nothing waits again, the rest has its run."""
    for it in means.ledger.claimed_requests():
        if run := find_run(it, means):
            means.ledger.complete_request(it.id, run.id)
    means.ledger.requeue_all()


def find_run(it: RunRequest, means: HarvestContext) -> Run | None:
    """Give the run that came of an errand though no one wrote it down, None where there is none."""
    last = means.ledger.last_run(it.source, ENDED_STATES, full_only=it.full)
    return last if last and it.claimed and last.started >= it.claimed else None


def claim_requests(means: HarvestContext, outage: Outage | None = None) -> list[RunRequest]:
    """Claim the errands that wait, each for one caller only; *outage* counts the failures of a caller that asks again and again."""
    outage = outage or Outage("requested runs cannot be read", "requested runs are read again")
    try:
        claimed = [it for it in means.ledger.waiting_requests() if means.ledger.claim(it.id, means.now())]
    except HarvestError as error:
        outage.failed(str(error))
        return []
    outage.over()
    return claimed


def execute_request(it: RunRequest, cards: Sequence[Source], means: HarvestContext, harvest: Callable[[Source, bool], Plan]) -> None:
    """Do an errand with *harvest*, which is told whether all is to be read, and write down what came of it.

    While another run of the source is under way the errand goes back to wait.
    """
    source = next((card for card in cards if card.name == it.source), None)
    if source is None:
        means.ledger.complete_request(it.id, f"no source definition for {it.source!r}")
        return
    try:
        means.ledger.complete_request(it.id, harvest(source, it.full).run.id)
    except SourceLockedError:
        means.ledger.requeue(it.id)
    except (HarvestError, JournalError) as error:
        last = means.ledger.last_run(it.source, [State.FAILED, State.COMMITTING])
        means.ledger.complete_request(it.id, last.id if last and last.started >= it.requested else str(error))
