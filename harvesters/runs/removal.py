"""Runs that send no request: plans that remove records or retire a source, and the undoing of an
approval.

The plan of a removal always waits for approval, and its commit is a journal entry like any other.
What the append-only journal keeps of a removed record is listed by ``remaining``.

An approval can be undone until the source's next run: a new journal entry restores what was
published before. Records that the plan added get a tombstone, since an address that was published
once stays. Records that it changed or removed get their previous description again. The undone run
does not count as a harvest, so that the next run reads everything again that it had read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import islice

import sqlalchemy as sa

from harvesters.archive import erase_response, list_responses
from harvesters.errors import ArchiveError, PlanError
from harvesters.ledger import operators
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger, is_current, is_stored
from harvesters.ledger.models import (
    ERASED,
    SERVED,
    SUCCESSFUL,
    TOMBSTONED,
    UNSEEN,
    UPSERTED,
    AuditEntry,
    Notice,
    Outcome,
    RecordState,
    Removal,
    RemovalKind,
    Run,
    StagedRecord,
    State,
    decompress,
    key_digest,
)
from harvesters.reasons import Reason
from harvesters.runs.commit import check_ledger_matches_journal, finish_commit
from harvesters.runs.context import HarvestContext, source_lock
from harvesters.runs.plan import Plan, load_plan
from harvesters.runs.run import check_not_retired, hold_plan, open_error, plan_run
from harvesters.runs.upkeep import existing_releases
from harvesters.source import Source
from vocab.annotations import strip_mark
from vocab.iris import Iris

_WITH_CONTENT = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_BATCH_SIZE = 500  # records
_LIMIT = "deleted"  # code of the reason that too many records were deleted by their source
_CLEARED = (Reason("its source was cleared by an operator"),)
_ACTIONS = {
    RemovalKind.CLEAR: "planned to remove all records",
    RemovalKind.FORGET: "planned to remove a record",
    RemovalKind.RETIRE: "planned to retire the source",
}


@dataclass(frozen=True, slots=True)
class Remaining:
    """Where a removed record remains: numbers of journal *entries* and of *releases*, *files* of
    the archive that may contain it: those with a response that was not erased.

    *erased* are archived responses without their content, since the record was in them.
    """

    entries: tuple[int, ...]
    releases: tuple[int, ...]
    files: tuple[str, ...]
    erased: tuple[str, ...]


def plan_removal(
    source: Source,
    context: HarvestContext,
    kind: RemovalKind,
    key: str | None = None,
    *,
    by: str,
    note: str = "",
) -> Plan:
    """Return a plan that waits for approval: a tombstone for every record, or without a title for the
    one with *key*, which no later run publishes again; or that the source is harvested no more.

    Raises PlanError if a run of the source is open or another plan waits for approval.
    """
    ledger = context.ledger
    if kind is RemovalKind.RETIRE:
        check_not_retired(source, context)
    digest = None if key is None else key_digest(key)
    with source_lock(source.name, context) as context:
        check_ledger_matches_journal(context)
        _check_free(source, context)
        before = ledger.last_run(source.name, SUCCESSFUL)
        # Without the rules of the last run, the next harvest is a full one.
        rules = before.rules if before and kind is not RemovalKind.CLEAR else ""
        run = create_idle_run(source.name, context, before, rules)
        ledger.add(Removal(run.id, source.name, kind, digest))
        noted = note or (f"SHA-256 of its key: {digest}" if digest else None)
        ledger.add(AuditEntry(context.now(), by, _ACTIONS[kind], source.name, run.id, noted))
        if kind is not RemovalKind.RETIRE:
            reasons = _CLEARED if key is None else ERASED
            deleted = (
                StagedRecord(key, Outcome.DELETED, reasons=reasons)
                for key in _served_keys(run, context, key)
            )
            run = _stage(run, deleted, context)
        plan, _ = plan_run(source, context, run)
        reason = Reason(f"planned_{kind.value}", by=by, count=plan.tombstoned)
        # The limit of deletions does not apply, since the source itself deleted nothing.
        limits = [item for item in plan.hold_reasons if item.code != _LIMIT]
        return hold_plan(replace(plan, hold_reasons=(reason, *limits)), context)


def _check_free(source: Source, context: HarvestContext) -> None:
    if opened := context.ledger.open_run(source.name):
        raise open_error(opened, "harvest")
    if waiting := context.ledger.last_run(source.name, [State.HELD]):
        raise PlanError(
            "%(source)s: the plan %(plan)s awaits approval; approve or reject it first: "
            "`stocktake plans show %(plan)s`",
            source=source.name,
            plan=waiting.id,
        )


def create_idle_run(source: str, context: HarvestContext, before: Run | None, rules: str) -> Run:
    """Create a run that fetches nothing: its last fetch is that of the run *before*."""
    ledger = context.ledger
    now = max(filter(None, (context.now(), ledger.latest_time(source))))
    run = ledger.create_run(source, now, rules, is_full=False, since=None)
    run = replace(run, last_fetched=(before.last_fetched or before.started) if before else now)
    ledger.save(run)
    return run


def _served_keys(run: Run, context: HarvestContext, key: str | None) -> list[str]:
    """Return the keys of the published records: of all, or of one."""
    if key is None:
        return [record.key for record in context.ledger.unseen(run)]
    stored = context.ledger.stored_records(run.source, [key])
    return [key] if key in stored and stored[key].state in SERVED else []


def erase(source: str, key: str, context: HarvestContext) -> Remaining:
    """Erase what is stored about a forgotten record outside the journal and releases; return where
    it remains.

    Idempotent. Archived responses in which the listed runs saw it lose their content, with that of
    all records in them: the source's next full harvest archives these again.
    """
    ledger = context.ledger
    folder, erased = context.data / "archive", list[str]()
    for position in operators.archived_positions(ledger, source, key):
        with suppress(ArchiveError):  # The file was pruned, or is on another machine.
            erase_response(folder, position)
            erased.append(str(position))
    operators.erase_record(ledger, source, key)
    end = f" <{context.iris.record(source, key)}> .\n".encode()
    entries = tuple(
        entry.number
        for entry in context.journal.entries()
        if any(line.endswith(end) for line in entry.lines())
    )
    # Those whose files were made while the record was published.
    releases = tuple(
        release["number"]
        for release in existing_releases(context.data)
        if entries and entries[0] <= release["position"] < entries[-1]
    )
    names = (str(path.relative_to(folder)) for path in sorted((folder / source).glob("*.warc.gz")))
    files = tuple(
        name
        for name in names
        if any(response.status in _WITH_CONTENT for response in list_responses(folder, name))
    )
    return Remaining(entries, releases, files, tuple(erased))


# ---- undoing an approval

_NOTICE = "undo"
_COMPLETE = ""  # key of the row that says that all rows of an undo are stored
_undo = t.undo.c


def save_previous(ledger: Ledger, run: Run) -> None:
    """Store the current state of the records that the plan of *run* will change. Idempotent before
    the commit.
    """
    r, s = t.record.c, t.staged.c
    hashes = (r.digest, r.content, r.first_seen, r.fingerprint, r.page, t.description.c.statements)
    joined = t.staged.join(t.record, is_stored).outerjoin(t.description, is_current)
    query = sa.select(s.run, r.key, s.outcome, r.state, *hashes).select_from(joined)
    columns = ["run", "key", "outcome", "state", *(column.name for column in hashes)]
    changing = s.outcome.in_((*UPSERTED, *TOMBSTONED, Outcome.VANISHED))
    # A record that is listed again loses its mark.
    unmarked = sa.and_(r.state == RecordState.VANISHED, s.seq >= 0)
    marker = dict.fromkeys(("outcome", "state", "digest", "content"), "")
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.undo).where(_undo.run == run.id))
        # Of two rows of a key, that of the change counts.
        previous = query.where(s.run == run.id, sa.or_(changing, unmarked)).order_by(~changing)
        rows = ledger.insert(t.undo).from_select(columns, previous)
        connection.execute(rows.on_conflict_do_nothing())
        connection.execute(sa.insert(t.undo).values(run=run.id, key=_COMPLETE, **marker))


def find_undoable(ledger: Ledger, source: str) -> Run | None:
    """Return the source's approved run that can be undone, or None: no other run came after it."""
    newest = ledger.last_run(source, [state for state in State if state is not State.FAILED])
    if newest is None or newest.state not in (State.COMMITTED, State.INCOMPLETE):
        return None
    is_complete = ledger.count(t.undo, _undo.run == newest.id, _undo.key == _COMPLETE)
    return newest if is_complete else None


def restore(context: HarvestContext, source: Source, approved: Run, by: str, note: str) -> Run:
    """Restore what was published before the approval of a run; return the run that restored it. The
    source is locked.
    """
    ledger = context.ledger
    before = ledger.last_run(source.name, SUCCESSFUL, before=approved.number)
    run = create_idle_run(source.name, context, before or approved, (before or approved).rules)
    restoring = _stage(run, _restored_records(approved, ledger, context.iris), context)
    text = Reason("restores", run=approved.id).text
    ledger.replace_notices(restoring, _NOTICE, [Notice(_NOTICE, text)])
    ledger.set_validators(source.name, {})
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


def _stage(run: Run, staged_records: Iterator[StagedRecord], context: HarvestContext) -> Run:
    """Stage records in batches, as pages of the run; return the run after the last one."""
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


def _restored_records(approved: Run, ledger: Ledger, iris: Iris) -> Iterator[StagedRecord]:
    """Yield the staged records that restore what a run changed, then those that it added: with the
    former description, its mark, or a tombstone.
    """
    undone = (Reason("its publication by %(run)s was undone by an operator", run=approved.id),)
    of_run = sa.select(t.undo).where(_undo.run == approved.id, _undo.key != _COMPLETE)
    for row in ledger.stream(of_run.order_by(_undo.key)):
        outcome, state, description = Outcome(row.outcome), RecordState(row.state), ""
        if state not in SERVED:
            yield StagedRecord(row.key, Outcome.DELETED, first_seen=row.first_seen, reasons=undone)
            continue
        if outcome not in UPSERTED and outcome not in (*TOMBSTONED, Outcome.VANISHED):
            reasons = (Reason("not seen before the approval that was undone; still served"),)
            yield StagedRecord(row.key, Outcome.VANISHED, reasons=reasons)
            continue
        if outcome is not Outcome.VANISHED:
            description = strip_mark(decompress(row.statements), row.key, approved.source, iris)
        yield StagedRecord(
            row.key,
            Outcome.RETURNED
            if outcome is Outcome.VANISHED
            else Outcome.NEW
            if outcome in TOMBSTONED
            else Outcome.CHANGED,
            row.digest,
            row.content,
            row.first_seen,
            description,
            fingerprint=row.fingerprint,
            page=row.page,
        )
    s, known = t.staged.c, sa.select(_undo.key).where(_undo.run == approved.id)
    added = sa.select(s.key, s.other, s.first_seen).where(
        s.run == approved.id, s.outcome.in_(UPSERTED), s.key.not_in(known)
    )
    for row in ledger.stream(added.order_by(s.key)):
        yield StagedRecord(
            row.key, Outcome.DELETED, first_seen=row.first_seen, reasons=undone, other=row.other
        )
