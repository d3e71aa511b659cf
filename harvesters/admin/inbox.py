"""Order what needs a person, worst first, and find the records that caused it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harvesters.admin.context import AdminContext
from harvesters.admin.schemas import RunView, SourceView
from harvesters.inspection.curation import undecided
from harvesters.ledger import operators, prizes, readers, submissions
from harvesters.ledger.models import Outcome, RunRequest, State
from harvesters.ledger.participation import SubmissionState
from harvesters.ledger.submissions import count_comments
from harvesters.matching.clusters import Status, classify_stored
from harvesters.reasons import Reason
from harvesters.source import NOTHING
from vocab.iris import Iris

# The reasons to hold a plan, worst first, and the outcomes of the records that caused each.
_CAUSES: dict[str, tuple[Outcome, ...]] = {
    "no_records": (Outcome.VANISHED, Outcome.LOST),
    "missing_or_deleted": (Outcome.VANISHED, Outcome.DELETED, Outcome.LOST),
    "deleted": (Outcome.DELETED,),
    "missing": (Outcome.VANISHED, Outcome.LOST),
    "too_few_records": (Outcome.VANISHED, Outcome.MISSING),
    "withheld": (Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE),
    "reidentified": (Outcome.REIDENTIFIED,),
    "changed": (Outcome.CHANGED,),
}
_RANKS = {code: rank for rank, code in enumerate(_CAUSES)}
_ATTENTION = ("failing", "late")  # worst first


def count_waiting(context: AdminContext) -> Mapping[str, int]:
    """Return how many things of each queue wait for a person, by the name of the queue."""
    ledger = context.ledger
    pairs = [item.status for item in classify_stored(ledger)[1]]
    return {
        "plans": len(ledger.awaiting_review()),
        "definitions": len(operators.proposals(ledger)),
        "submissions": submissions.waiting(ledger)[0],
        "comments": count_comments(ledger, SubmissionState.SUBMITTED),
        "nominations": prizes.count_waiting(ledger, context.now()),
        "pairs": pairs.count(Status.QUEUED),
        "contradictions": pairs.count(Status.CONTRADICTION),
        # Only these sources have suggestions. Reading 30,000 records of another takes a second.
        "suggestions": sum(
            len(undecided(ledger, context.source_dir, source.name, Iris(context.base)))
            for source in context.sources()
            if source.suggest != NOTHING or source.decisions
        ),
        "problems": len(readers.undecided_problems(ledger)),
    }


def can_retry(sources: Iterable[SourceView], requests: Iterable[RunRequest]) -> set[str]:
    """Return the failed last runs of enabled sources, without those that a request repeats."""
    queued = {request.source for request in requests if request.run is None}
    return {
        source.last_run
        for source in sources
        if source.enabled
        and source.last_run
        and source.outcome == State.FAILED.value
        and not source.open_plan
        and source.name not in queued
    }


def by_severity(plans: Iterable[RunView]) -> list[RunView]:
    """Return open plans, the worst first: by their worst reason, then by its share of the records.

    >>> by_severity([])
    []
    """
    return sorted(
        plans,
        key=lambda plan: min(
            (_severity(reason) for reason in plan.reasons), default=(len(_RANKS), 0)
        ),
    )


def _severity(reason: Reason) -> tuple[int, int]:
    share = str(reason.values.get("share", "")).removesuffix("%")
    return _RANKS.get(reason.code, len(_RANKS)), -int(share) if share.isdecimal() else 0


def cause(reasons: Sequence[Reason], outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return which of *outcomes* a page lists first: that of the worst reason, else the first that
    is a change.

    >>> cause([Reason("changed")], [Outcome.NEW, Outcome.CHANGED])
    <Outcome.CHANGED: 'changed'>
    """
    for reason in sorted(reasons, key=_severity):
        for outcome in _CAUSES.get(reason.code, ()):
            if outcome in outcomes:
                return outcome
    return next((outcome for outcome in outcomes if outcome is not Outcome.UNCHANGED), None)


def needing_attention(sources: Iterable[SourceView]) -> list[SourceView]:
    """Return the enabled sources that fail or are late and have no open plan, worst first."""
    chosen = [
        source
        for source in sources
        if source.enabled and not source.open_plan and source.freshness in _ATTENTION
    ]
    return sorted(
        chosen,
        key=lambda source: (_ATTENTION.index(source.freshness), -source.failures, source.name),
    )
