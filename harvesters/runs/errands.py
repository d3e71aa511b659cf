"""Errands: runs that persons asked for, taken up by the schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harvesters.errors import BusyError, HarvestError
from harvesters.ledger.account import Run, State
from harvesters.ledger.decisions import Errand
from harvesters.runs.means import Means
from harvesters.runs.plan import Plan
from harvesters.source import Source
from journal.errors import JournalError
from journal.outage import Outage

ENDED = tuple(state for state in State if state not in (State.RUNNING, State.COMMITTING))


def resume(means: Means) -> None:
    """Set right what a crash left, at the start of the one who does errands: what came to nothing waits again, the rest has its run."""
    for it in means.ledger.errands_taken():
        if run := came(it, means):
            means.ledger.done(it.id, run.id)
    means.ledger.put_back_all()


def came(it: Errand, means: Means) -> Run | None:
    """Give the run that came of an errand though no one wrote it down, None where there is none."""
    last = means.ledger.last_run(it.source, ENDED, sweeps=it.full)
    return last if last and it.taken and last.started >= it.taken else None


def taken(means: Means, outage: Outage | None = None) -> list[Errand]:
    """Claim the errands that wait, each for one caller only; *outage* counts the failures of a caller that asks again and again."""
    outage = outage or Outage("requested runs cannot be read", "requested runs are read again")
    try:
        claimed = [it for it in means.ledger.waiting() if means.ledger.take(it.id, means.now())]
    except HarvestError as error:
        outage.failed(str(error))
        return []
    outage.over()
    return claimed


def run(it: Errand, cards: Sequence[Source], means: Means, harvest: Callable[[Source, bool], Plan]) -> None:
    """Do an errand with *harvest*, which is told whether all is to be read, and write down what came of it.

    While another run of the source is under way the errand goes back to wait.
    """
    source = next((card for card in cards if card.name == it.source), None)
    if source is None:
        means.ledger.done(it.id, f"no source definition for {it.source!r}")
        return
    try:
        means.ledger.done(it.id, harvest(source, it.full).run.id)
    except BusyError:
        means.ledger.put_back(it.id)
    except (HarvestError, JournalError) as error:
        last = means.ledger.last_run(it.source, [State.FAILED, State.COMMITTING])
        means.ledger.done(it.id, last.id if last and last.started >= it.asked else str(error))
