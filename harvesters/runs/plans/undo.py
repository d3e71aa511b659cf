"""Undo an approval until the source's next run: a new journal entry restores what was published
before.

Records that the plan added get a tombstone, since an address that was published once stays. Records
that it changed or removed get their previous description again. The undone run does not count as a
harvest, so that the next run reads everything again that it had read.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from harvesters.ledger import graphs
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    SEEN,
    SERVED,
    SUCCESSFUL,
    TOMBSTONED,
    UNSEEN,
    UPSERTED,
    Notice,
    Outcome,
    PreviousRecord,
    RecordState,
    Run,
    StagedRecord,
    State,
)
from harvesters.reasons import Reason
from harvesters.runs.commit import finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.plans.plan import load_plan
from harvesters.runs.plans.removal import create_idle_run
from harvesters.source import Source
from vocab.annotations import strip_mark
from vocab.iris import Iris

_BATCH_SIZE = 500  # records
_NOTICE = "undo"
_LISTED = tuple(outcome for outcome in SEEN if outcome not in (*UPSERTED, *TOMBSTONED))


def find_undoable(ledger: Ledger, source: str) -> Run | None:
    """Return the source's approved run that can be undone, or None: no other run came after it."""
    newest = ledger.last_run(source, [state for state in State if state is not State.FAILED])
    if (
        newest
        and newest.state in (State.COMMITTED, State.INCOMPLETE)
        and ledger.has_previous(newest)
    ):
        return newest
    return None


def restore(context: HarvestContext, source: Source, approved: Run, by: str, note: str) -> Run:
    """Restore what was published before the approval of a run; return the run that restored it. The
    source is locked.
    """
    ledger = context.ledger
    before = ledger.last_run(source.name, SUCCESSFUL, before=approved.number)
    run = create_idle_run(source.name, context, before or approved, (before or approved).rules)
    restoring = _stage(run, approved, context)
    text = Reason("restores", run=approved.id).text
    ledger.replace_notices(restoring, _NOTICE, [Notice(_NOTICE, text)])
    graphs.set_validators(ledger, source.name, {})
    restoring = replace(
        restoring,
        state=State.COMMITTING,
        planned=restoring.started,
        counts=load_plan(restoring, ledger).counts,
        entry=context.journal.position,
    )
    template = (
        "undone by %(by)s: %(note)s; %(run)s restored what was published before"
        if note
        else "undone by %(by)s; %(run)s restored what was published before"
    )
    reasons = (Reason(template, by=by, note=note, run=restoring.id), *approved.reasons)
    ledger.save(replace(approved, state=State.UNDONE, reasons=reasons), restoring)
    return finish_commit(restoring, source, context)


def _stage(run: Run, approved: Run, context: HarvestContext) -> Run:
    """Stage every record that the approved run changed, as it was before."""
    staged_records = (
        _restored(previous, approved, context.iris)
        for previous in context.ledger.previous_records(approved)
    )
    seen = unseen = 0
    while batch := list(islice(staged_records, _BATCH_SIZE)):
        listed = [staged for staged in batch if staged.outcome not in UNSEEN]
        missing = [staged for staged in batch if staged.outcome in UNSEEN]
        run = replace(run, fetched=run.fetched + len(listed), pages=run.pages + 1)
        context.ledger.stage(run, listed, seen)
        seen += len(listed)
        unseen -= len(missing)
        context.ledger.stage(run, missing, unseen)
    return run


def _restored(previous: PreviousRecord, approved: Run, iris: Iris) -> StagedRecord:
    """Return the staged record that restores a record: its description, its mark, or a tombstone."""
    staged, outcome = previous.staged, previous.outcome
    key = staged.key or ""
    if previous.state not in SERVED:
        reasons = (Reason("its publication by %(run)s was undone by an operator", run=approved.id),)
        return StagedRecord(
            key, Outcome.DELETED, first_seen=staged.first_seen, reasons=reasons, other=staged.other
        )
    if outcome is Outcome.VANISHED:
        return replace(staged, outcome=Outcome.RETURNED, description="")
    if previous.state is RecordState.VANISHED and outcome in _LISTED:
        return StagedRecord(
            key,
            Outcome.VANISHED,
            reasons=(Reason("not seen before the approval that was undone; still served"),),
        )
    description = strip_mark(staged.description, key, approved.source, iris)
    restored = Outcome.NEW if outcome in TOMBSTONED else Outcome.CHANGED
    return replace(staged, outcome=restored, description=description)
