"""Errands: runs that persons asked for, taken up by the schedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from harvesters.errors import BusyError, HarvestError
from harvesters.ledger.account import State
from harvesters.ledger.decisions import Errand
from harvesters.runs.means import Means
from harvesters.runs.plan import Plan
from harvesters.source import Source

log = structlog.get_logger()


def taken(means: Means) -> list[Errand]:
    """Take up the errands that wait; each is given to one caller only."""
    try:
        return [it for it in means.ledger.waiting() if means.ledger.take(it.id, means.now())]
    except HarvestError as error:
        log.error("errands could not be taken up", reason=str(error))
        return []


def run(it: Errand, cards: Sequence[Source], means: Means, harvest: Callable[[Source, bool], Plan]) -> None:
    """Do an errand with *harvest*, which is told whether all is to be read, and write down what came of it.

    While another run of the source is under way the errand goes back to wait.
    """
    source = next((card for card in cards if card.name == it.source), None)
    if source is None:
        means.ledger.done(it.id, f"no card is named {it.source!r}")
        return
    try:
        means.ledger.done(it.id, harvest(source, it.full).run.id)
    except BusyError:
        means.ledger.put_back(it.id)
    except HarvestError as error:
        last = means.ledger.last_run(it.source, [State.FAILED])
        means.ledger.done(it.id, last.id if last and last.started >= it.asked else str(error))
