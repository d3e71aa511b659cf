"""Commits: a plan becomes one journal entry, and the ledger takes it over; a crash between the two is mended at the next start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from harvesters.errors import HarvestError, LedgerError, LockLostError
from harvesters.ledger.models import SEEN, TOMBSTONED, UPSERTED, Outcome, RecordState, Run, StagedDiff, State, StateChange
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from harvesters.runs.plan import Plan, incompleteness_reason
from harvesters.runs.quad_counts import QuadCount, cumulative_quads, inconsistencies
from harvesters.source import Source
from journal import mirror_origin
from journal.entry import Entry
from journal.errors import JournalError
from vocab.iris import Iris
from vocab.provenance import Registry, describe_source
from vocab.run_statistics import METRICS, RunStatistics, describe_run
from vocab.tombstone import Deletion, mark_vanished, strip_mark, write_tombstone

_OPEN_STATES = (State.RUNNING, State.HELD, State.COMMITTING)
_STILL_LISTED = tuple(outcome for outcome in SEEN if outcome not in (*UPSERTED, Outcome.DELETED, Outcome.ABSENT))


def commit(plan: Plan, source: Source, means: HarvestContext) -> Run:
    """Write the plan's changes to the journal and settle the ledger; where nothing changes no entry is written."""
    planned = max(means.now(), plan.run.started)
    run = replace(plan.run, planned=planned, ended=None, counts=plan.counts, cursor=None, reason=incompleteness_reason(plan.run))
    same = means.ledger.graph(means.iris.source(source.name)) == _source_description(source, means)
    if same and not plan.change_count and not any(True for _ in _returned_records(run, means)):
        return _close_run(replace(run, state=State.UNCHANGED), means)
    means.ledger.set_validators(source.name, {})  # they tell of what was published until now
    with _defer_on_error(run, means), journal_lock(means) as means:
        head = means.journal.head
        run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
        means.ledger.save(run)
        return _write_entry(run, source, means)


def finish_commit(run: Run, source: Source, means: HarvestContext) -> Run:
    """Bring a run that is committing to its end, whether or not its entry was written before a crash."""
    run = replace(run, ended=None, reason=incompleteness_reason(run))
    with _defer_on_error(run, means), journal_lock(means) as means:
        if find_entry(run, means) is None:
            head = means.journal.head
            run = replace(run, entry=head.number if head else 0)
            means.ledger.save(run)
        return _write_entry(run, source, means)


def defer(run: Run, means: HarvestContext, reason: str) -> Run:
    """Tell why a run's commit was refused, and what writes it; its plan stays in the ledger as it was drawn."""
    cure = f"its plan is kept, and the next `stocktake harvest {run.source}` or the schedule writes it"
    ended = max(means.now(), run.planned or run.started)
    done = replace(run, state=State.COMMITTING, entry=run.entry or 0, ended=ended, reason=f"{reason}; {cure}")
    means.ledger.save(done)
    return done


def is_deferred(run: Run) -> bool:
    """Tell whether a run's commit was refused and waits; one that is under way, or that a crash cut off, has no end yet."""
    return run.state is State.COMMITTING and run.ended is not None


@contextmanager
def _defer_on_error(run: Run, means: HarvestContext) -> Iterator[None]:
    """Leave a run to the next one where the journal, or the ledger, refuses its commit."""
    try:
        yield
    except LockLostError:
        raise  # the run is another's now
    except (HarvestError, JournalError) as error:
        with suppress(LedgerError):  # then its row stands as it does, and the error that came first is told
            now = means.ledger.run(run.id)
            if now and now.state in _OPEN_STATES:  # not where all but the check of its account is done
                defer(now if now.state is State.COMMITTING else run, means, str(error))
        raise


def _write_entry(run: Run, source: Source, means: HarvestContext) -> Run:
    before = cumulative_quads(run.entry or 0, means)
    entry = find_entry(run, means)
    if entry is None:
        tally = QuadCount()
        blocks = tally.count(_blocks(run, source, means, before, tally))
        entry = means.journal.append(blocks, run=run.id, time=run.started, fence=means.check_lock)
        means.ledger.set_balance(entry.number, tally.added, tally.removed, before + tally.net)
    else:
        tally = QuadCount.from_entry(entry)
        means.ledger.set_balance(entry.number, tally.added, tally.removed, before + tally.net)
    means.ledger.set_graph(means.iris.source(source.name), _source_description(source, means))
    done = replace(run, state=State.COMMITTED, entry=entry.number, added=tally.added, removed=tally.removed, after=before + tally.net)
    return _close_run(done, means)


def _close_run(run: Run, means: HarvestContext) -> Run:
    """Settle the ledger and close the account; a run whose account does not close is incomplete."""
    state = State.INCOMPLETE if run.reason else run.state
    done = replace(run, state=state, ended=max(means.now(), run.planned or run.started))
    means.ledger.apply_run(done, (it for _, it in _state_changes(done, means)))
    if wrong := inconsistencies(done, means.ledger):
        done = replace(done, state=State.INCOMPLETE, reason="; ".join([*([done.reason] if done.reason else []), *wrong]))
        means.ledger.save(done)
    return done


def check_ledger_matches_journal(means: HarvestContext) -> None:
    """Raise LedgerError where the ledger is not the one that the journal was written by: what it does not know, it would write again.

    Raises ChainError where the store that machines share does not end with our last entry.
    """
    means.journal.check_store()
    head = means.journal.head
    if head is None or means.ledger.run(head.run) is not None or mirror_origin.read(means.journal.folder):
        return
    told = f"the journal's last entry, {head.number}, was written by {head.run}, of which this ledger knows nothing"
    raise LedgerError(f"{told}; give the ledger that belongs to this data folder, or harvest into a folder of its own")


def find_entry(run: Run, means: HarvestContext) -> Entry | None:
    """Find the run's entry, if a crash came after it was written; while a run commits, *entry* is the head that it saw."""
    return next((entry for entry in means.journal.entries(after=run.entry or 0) if entry.run == run.id), None)


def diff_block(before: str, after: str, graph: str) -> Iterator[str]:
    """Give the rows that turn one description into the other, as one block, deletions first; nothing where they are equal."""
    tail = f" <{graph}> ."
    if after and not before:
        yield "A " + after.replace("\n", f"{tail}\nA ") + tail
        return
    old, new = ({line for line in text.split("\n") if line} for text in (before, after))
    rows = [f"D {line}{tail}" for line in sorted(old - new)] + [f"A {line}{tail}" for line in sorted(new - old)]
    if rows:
        yield "\n".join(rows)


def state_change(run: Run, change: StagedDiff, iris: Iris) -> StateChange | None:
    """Tell what a record becomes where its draft does not say it, None where it stays as it is or its draft says it."""
    draft = change.draft
    key, before, outcome = draft.key or "", change.previous, draft.outcome
    if outcome in TOMBSTONED:
        why = draft.reason or "its source says that it was deleted"
        burial = Deletion(run.id, run.planned or run.started, why, draft.other)
        told = write_tombstone(key, run.source, burial, draft.first_seen or run.started, before.split("\n"), iris)
        return StateChange(change.seq, key, RecordState.GONE, "\n".join(told))
    if outcome is Outcome.VANISHED:
        return StateChange(change.seq, key, RecordState.VANISHED, mark_vanished(before, key, run.source, run.started, iris), run.started)
    if outcome in _STILL_LISTED and change.state is RecordState.VANISHED:  # at its source, be it readable or not
        return StateChange(change.seq, key, RecordState.PUBLISHED, strip_mark(before, key, run.source, iris))
    return None


def _returned_records(run: Run, means: HarvestContext) -> Iterator[StagedDiff]:
    return means.ledger.changes(run, _STILL_LISTED, RecordState.VANISHED)


def _state_changes(run: Run, means: HarvestContext) -> Iterator[tuple[StagedDiff, StateChange]]:
    met: set[str] = set()
    for change in means.ledger.changes(run, (*TOMBSTONED, Outcome.VANISHED)):
        if (it := state_change(run, change, means.iris)) is not None:
            yield change, it
    for change in _returned_records(run, means):
        it = state_change(run, change, means.iris)
        if it is not None and it.key not in met:  # a key may come more than once
            met.add(it.key)
            yield change, it


def _source_description(source: Source, means: HarvestContext) -> str:
    it = source
    registry = Registry(it.name, it.title, it.publisher, it.url, it.licence, it.protocol, it.mapping, it.every)
    return "\n".join(describe_source(registry, means.iris))


def _blocks(run: Run, source: Source, means: HarvestContext, before: int, tally: QuadCount) -> Iterator[str]:
    iris = means.iris
    for key, after, now in means.ledger.changed_descriptions(run):
        yield from diff_block(now, after, iris.record(run.source, key))
    for change, it in _state_changes(run, means):
        yield from diff_block(change.previous, it.description, iris.record(run.source, it.key))
    catalogue = iris.source(source.name)
    yield from diff_block(means.ledger.graph(catalogue), _source_description(source, means), catalogue)
    yield from diff_block("", "\n".join(_run_description(run, means, before, tally)), iris.run(run.id))


def _run_description(run: Run, means: HarvestContext, before: int, tally: QuadCount) -> list[str]:
    """Describe the run with the quads that its entry holds, these too; how often the network was asked is no part of it.

    A run that a crash cut off asks more often, and shall write what an undisturbed one writes.
    """
    state = State.INCOMPLETE if run.reason else State.COMMITTED
    told = replace(run, state=state, entry=(run.entry or 0) + 1, network={}, added=0, removed=tally.removed, after=0)
    more = tally.added + len(describe_run(run_statistics(told), means.iris))
    return describe_run(run_statistics(replace(told, added=more, after=before + more - tally.removed)), means.iris)


def run_statistics(run: Run) -> RunStatistics:
    """Give the account of a run that has been planned or has ended; what the ledger does not know of it is not told."""
    counts = {"fetched": run.fetched} | {name: count for name, count in run.counts.items() if name in METRICS and name != "claimed"}
    return RunStatistics(
        run=run.id,
        source=run.source,
        started=run.started,
        ended=run.ended or run.planned or run.started,
        state=run.state.value,
        sweep=run.sweep,
        claimed=run.claimed,
        **counts,
        quads_added=run.added,
        quads_removed=run.removed,
        quads_after=run.after,
        network=run.network,
        reason=run.reason,
        entry=run.entry,
    )
