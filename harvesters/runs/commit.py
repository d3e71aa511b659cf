"""Write a plan to the journal as one entry, and apply it to the ledger; or list what it would change.

After a crash between journal and ledger, the next run of the source finishes the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from urllib.parse import unquote

from isal import isal_zlib

from harvesters.errors import HarvestError, LedgerError, LockLostError, error_reason
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    ERASED,
    OPEN_STATES,
    SEEN,
    SUCCESSFUL,
    TOMBSTONED,
    UPSERTED,
    Outcome,
    RecordState,
    Run,
    StagedDiff,
    State,
    StateChange,
)
from harvesters.page_model import Validator
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext, journal_lock
from harvesters.runs.plan import Plan, incompleteness_reasons
from harvesters.runs.reported_problems import close_fixed_problems
from harvesters.runs.run_report import Row, record_row
from harvesters.source import Limits, Source
from journal.entry import COMPRESSION_LEVEL, Entry
from journal.errors import JournalError
from journal.store import read_origin
from vocab.annotations import Deletion, cluster_members, mark_vanished, strip_mark, write_tombstone
from vocab.iris import Iris
from vocab.provenance import Registry, RunStatistics, describe_run, describe_source


@dataclass(slots=True)
class QuadCount:
    """The numbers of quads that one entry adds and removes."""

    added: int = 0
    removed: int = 0

    @property
    def net(self) -> int:
        """Return how many quads more there are after the entry."""
        return self.added - self.removed

    def count(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield the blocks unchanged and count their rows; in a block, deletions precede additions."""
        for block in blocks:
            rows = block.count("\n") + 1
            removed = block.count("\nD ") + 1 if block.startswith("D ") else 0
            self.added += rows - removed
            self.removed += removed
            yield block

    @classmethod
    def from_entry(cls, entry: Entry) -> QuadCount:
        """Count the rows of a written entry."""
        count = cls()
        for line in entry.lines():
            count.added += line.startswith(b"A ")
            count.removed += line.startswith(b"D ")
        return count


def cumulative_quads(last_entry: int, context: HarvestContext) -> int:
    """Return the number of quads in a store of all entries up to number *last_entry*.

    Entries that were not counted before are counted, and the ledger stores the result.
    """
    number, total = context.ledger.balance(last_entry)
    for entry in context.journal.entries(after=number):
        if entry.number > last_entry:
            break
        count = QuadCount.from_entry(entry)
        total += count.net
        context.ledger.set_balance(entry.number, count.added, count.removed, total)
    return total


def inconsistencies(run: Run, ledger: Ledger) -> list[Reason]:
    """Return a reason for each sum of an ended run that is wrong; an empty list if all add up.

    The records counted while fetching must equal those listed by outcome. The records published now
    must equal those published before, plus those added, minus those removed.
    """
    listed, counts = ledger.outcomes(run), run.counts
    seen, tombstoned = (
        sum(listed[outcome] for outcome in outcomes) for outcomes in (SEEN, TOMBSTONED)
    )
    added = listed[Outcome.NEW] + listed[Outcome.REIDENTIFIED]
    after = counts.get("published_before", 0) + added - tombstoned
    pairs = {
        "fetched": (run.fetched, seen),
        "published": (after, ledger.count_published(run.source)),
        **{item.value: (counts.get(item.value, 0), count) for item, count in listed.items()},
    }
    return [
        Reason(
            "inconsistent numbers: %(counted)s records counted as %(outcome)s, but %(listed)s "
            "listed; this is a bug, please report it",
            outcome=name,
            counted=counted,
            listed=count,
        )
        for name, (counted, count) in pairs.items()
        if counted != count
    ]


_SMALL_ENTRY = 1 << 20  # bytes: an entry up to this size is published, however little was received
_STILL_LISTED = tuple(
    outcome for outcome in SEEN if outcome not in (*UPSERTED, Outcome.DELETED, Outcome.ABSENT)
)


def commit(
    plan: Plan,
    source: Source,
    context: HarvestContext,
    validators: Mapping[str, Validator] | None = None,
) -> Run:
    """Write the plan's changes to the journal and apply the run to the ledger. Without changes, no
    entry is written.

    *validators* are stored for the conditional requests of the next run, if this one is successful.
    """
    ledger = context.ledger
    run = replace(
        plan.run,
        planned=max(context.now(), plan.run.started),
        ended=None,
        counts=plan.counts,
        cursor=None,
        reasons=incompleteness_reasons(plan.run),
    )
    with ledger.one_transaction():
        described = ledger.graph(context.iris.source(source.name))
        is_unchanged = (
            described == _source_description(source, context, run)
            and not plan.change_count
            and not any(True for _ in _returned_records(run, context))
        )
        if is_unchanged:
            return _close_run(replace(run, state=State.UNCHANGED), context, validators)
    with _defer_on_error(run, context), journal_lock(context) as context:
        run = replace(run, state=State.COMMITTING, entry=context.journal.position)
        with ledger.one_transaction(durable=True):
            # The stored validators are of what was published until now.
            ledger.set_validators(source.name, {})
            ledger.save(run)
        return _write_entry(run, source, context, None, validators)


def measure_size(plan: Plan, limits: Limits, context: HarvestContext) -> Plan:
    """Return the plan with the size of what it would publish.

    The journal's bytes are counted only if the ledger's, which are more, are over the limit.
    """
    run, ledger = plan.run, context.ledger
    plan = replace(plan, largest=ledger.largest_description(run, int(limits.statements)))
    size, received = ledger.description_bytes(run), run.responses.get("bytes", 0)
    if size <= _SMALL_ENTRY or size <= limits.journal * received:
        return plan
    compressor, size = isal_zlib.compressobj(COMPRESSION_LEVEL), 0
    for key, new, old in ledger.changed_descriptions(run):
        block = diff_block(old, new, context.iris.record(run.source, key))
        size += len(compressor.compress(block.encode()))
    return replace(plan, journal_bytes=size + len(compressor.flush()))


def finish_commit(run: Run, source: Source, context: HarvestContext) -> Run:
    """Finish the commit of a run, whether or not its entry was written before a crash."""
    run = replace(run, ended=None, reasons=incompleteness_reasons(run))
    with _defer_on_error(run, context), journal_lock(context) as context:
        entry = find_entry(run, context)
        if entry is None:
            run = replace(run, entry=context.journal.position)
            context.ledger.save(run)
        return _write_entry(run, source, context, entry)


def defer(run: Run, context: HarvestContext, reason: Reason) -> Run:
    """Store that a run's commit failed for *reason*. Its plan stays in the ledger, and a later run
    writes it.
    """
    is_kept = Reason(
        "the plan is kept; the schedule or `stocktake harvest %(source)s` will write it",
        source=run.source,
    )
    ended = max(context.now(), run.planned or run.started)
    deferred = replace(
        run, state=State.COMMITTING, entry=run.entry or 0, ended=ended, reasons=(reason, is_kept)
    )
    context.ledger.save(deferred)
    return deferred


@contextmanager
def _defer_on_error(run: Run, context: HarvestContext) -> Iterator[None]:
    """Defer the commit of a run if the journal or the ledger refuses it, and raise the error again."""
    try:
        yield
    except LockLostError:
        raise  # another process has the run now
    except (HarvestError, JournalError) as error:
        with suppress(LedgerError):  # the first error is the one to raise
            stored = context.ledger.run(run.id)
            if stored and stored.state in OPEN_STATES:
                deferred = stored if stored.state is State.COMMITTING else run
                defer(deferred, context, error_reason(error))
        raise


def _write_entry(
    run: Run,
    source: Source,
    context: HarvestContext,
    entry: Entry | None,
    validators: Mapping[str, Validator] | None = None,
) -> Run:
    """Write the run's entry, unless *entry* was written before a crash; apply the run to the ledger
    in one transaction.
    """
    ledger, graph = context.ledger, context.iris.source(source.name)
    with ledger.one_transaction():
        before = cumulative_quads(run.entry or 0, context)
        description = _source_description(source, context, run)
        count = QuadCount.from_entry(entry) if entry else QuadCount()
        if entry is None:
            blocks = filter(None, _blocks(run, description, graph, context, before, count))
            entry = context.journal.append(
                count.count(blocks), run=run.id, time=run.started, fence=context.check_lock
            )
    after = before + count.net
    committed = replace(
        run,
        state=State.COMMITTED,
        entry=entry.number,
        added=count.added,
        removed=count.removed,
        after=after,
    )
    with ledger.one_transaction():
        ledger.set_balance(entry.number, count.added, count.removed, after)
        ledger.set_graphs([(graph, description)])
        return _close_run(committed, context, validators)


def _close_run(
    run: Run, context: HarvestContext, validators: Mapping[str, Validator] | None = None
) -> Run:
    """Apply the run to the ledger and end it. A run whose numbers do not add up is incomplete."""
    ledger = context.ledger
    state = State.INCOMPLETE if run.reasons else run.state
    ended = replace(run, state=state, ended=max(context.now(), run.planned or run.started))
    ledger.apply_run(ended, _state_changes(ended, context))
    if problems := ledger.undecided_problems(run.source):
        close_fixed_problems(problems, ended, context)
    if errors := inconsistencies(ended, ledger):
        ended = replace(ended, state=State.INCOMPLETE, reasons=(*ended.reasons, *errors))
        ledger.save(ended)
    # After an incomplete run, "not modified" would not mean that every record was read.
    if validators is not None and ended.state in SUCCESSFUL:
        ledger.set_validators(run.source, validators)
    return ended


def check_ledger_matches_journal(context: HarvestContext) -> None:
    """Raise LedgerError if the ledger does not know the journal's last entry.

    A run would write again what such a ledger does not know. Raises ChainError if the shared object
    store does not end with our last entry.
    """
    context.journal.check_store()
    head = context.journal.head
    if (
        head is None
        or context.ledger.run(head.run) is not None
        or read_origin(context.journal.folder)
    ):
        return
    raise LedgerError(
        f"the journal's last entry, {head.number}, was written by {head.run}, which is not in this ledger; "
        "use the ledger of this data directory (STOCKTAKE_LEDGER), or another data directory"
    )


def find_entry(run: Run, context: HarvestContext) -> Entry | None:
    """Return the run's journal entry if it was written before a crash, else None.

    While a run commits, its *entry* is the number of the journal's head before the commit.
    """
    return next(
        (entry for entry in context.journal.entries(after=run.entry or 0) if entry.run == run.id),
        None,
    )


def diff_block(before: str, after: str, graph: str) -> str:
    """Return the patch rows from one description to the other as one block, deletions first; "" if
    they are equal.
    """
    tail = f" <{graph}> ."
    if after and not before:
        return "A " + after.replace("\n", f"{tail}\nA ") + tail
    old, new = ({line for line in text.split("\n") if line} for text in (before, after))
    rows = [f"D {line}{tail}" for line in sorted(old - new)] + [
        f"A {line}{tail}" for line in sorted(new - old)
    ]
    return "\n".join(rows)


def successors(run: Run, context: HarvestContext) -> dict[str, str]:
    """Return by the key of each record that the run deletes the IRI of the record that took its
    place in another registry: both describe members of one published cluster.
    """
    iris, by_key = context.iris, dict[str, str]()
    gone = {record.key for record in context.ledger.staged_records(run, TOMBSTONED)}
    for _, description in context.ledger.graphs_below(iris.clusters) if gone else ():
        parts = [
            iri.removeprefix(f"{iris.base}id/").split("/") for iri in cluster_members(description)
        ]
        records = [(source, unquote(key)) for kind, source, key in parts if kind != "organization"]
        moved = [key for source, key in records if source == run.source and key in gone]
        for source, key in records if moved else ():
            stored = context.ledger.stored_records(source, [key]).get(key)
            if source != run.source and stored and not stored.is_deleted:
                by_key |= dict.fromkeys(moved, iris.record(source, key))
                break
    return by_key


def state_change(
    run: Run, change: StagedDiff, iris: Iris, moved: Mapping[str, str]
) -> StateChange | None:
    """Return the change of a record's state, None if its staged description expresses it. *moved*
    are the ``successors``.
    """
    staged = change.staged
    key, before, outcome = staged.key or "", change.previous, staged.outcome
    if outcome in TOMBSTONED:
        reason = staged.reason or "its source says that it was deleted"
        replacement = iris.record(run.source, staged.other) if staged.other else moved.get(key)
        first_seen = staged.first_seen or run.started
        known = before.split("\n")
        if staged.reasons == ERASED:
            known = [
                line for line in known if line.startswith(f"<{iris.record(run.source, key)}> ")
            ]
            replacement = None
        deletion = Deletion(run.id, run.planned or run.started, reason, replacement)
        tombstone = write_tombstone(key, run.source, deletion, first_seen, known, iris)
        return change, RecordState.GONE, "\n".join(tombstone)
    if outcome is Outcome.VANISHED:
        marked = mark_vanished(before, key, run.source, run.started, iris)
        return change, RecordState.VANISHED, marked
    # A record that is listed again is published, even if it cannot be read.
    if outcome in _STILL_LISTED and change.state is RecordState.VANISHED:
        return change, RecordState.PUBLISHED, strip_mark(before, key, run.source, iris)
    return None


def _returned_records(run: Run, context: HarvestContext) -> Iterator[StagedDiff]:
    return context.ledger.changes(run, _STILL_LISTED, RecordState.VANISHED)


def _state_changes(run: Run, context: HarvestContext) -> Iterator[StateChange]:
    moved = successors(run, context)
    for change in context.ledger.changes(run, (*TOMBSTONED, Outcome.VANISHED)):
        if new_state := state_change(run, change, context.iris, moved):
            yield new_state
    seen_keys: set[str | None] = set()
    for change in _returned_records(run, context):
        # A source may list a key twice.
        if change.staged.key not in seen_keys:
            seen_keys.add(change.staged.key)
            if new_state := state_change(run, change, context.iris, {}):
                yield new_state


def _source_description(source: Source, context: HarvestContext, run: Run) -> str:
    registry = Registry(
        source.name,
        source.title,
        source.publisher,
        source.url,
        source.licence,
        source.protocol,
        source.mapping,
        source.every,
        is_retired=context.ledger.is_retired(source.name, run.id),
    )
    return "\n".join(describe_source(registry, context.iris))


def _blocks(
    run: Run,
    description: str,
    source_graph: str,
    context: HarvestContext,
    before: int,
    count: QuadCount,
) -> Iterator[str]:
    """Yield the blocks of the run's entry, some of them empty; *before* is the number of quads of all entries before
    it, *description* that of its source.
    """
    iris = context.iris
    for key, new, old in context.ledger.changed_descriptions(run):
        yield diff_block(old, new, iris.record(run.source, key))
    for change, _, after in _state_changes(run, context):
        yield diff_block(change.previous, after, iris.record(run.source, change.staged.key or ""))
    yield diff_block(context.ledger.graph(source_graph), description, source_graph)
    yield diff_block("", "\n".join(_run_description(run, context, before, count)), iris.run(run.id))


def _run_description(run: Run, context: HarvestContext, before: int, count: QuadCount) -> list[str]:
    """Return the statements about the run, with the quad counts of its entry including these.

    The request counts are left out: a run resumed after a crash sends more requests, and must write
    the same entry as an undisturbed run.
    """
    state = State.INCOMPLETE if run.reasons else State.COMMITTED
    described = replace(
        run,
        state=state,
        entry=(run.entry or 0) + 1,
        network={},
        added=0,
        removed=count.removed,
        after=0,
    )
    added = count.added + len(describe_run(run_statistics(described), context.iris))
    after = before + added - count.removed
    return describe_run(run_statistics(replace(described, added=added, after=after)), context.iris)


def run_statistics(run: Run) -> RunStatistics:
    """Return the statistics of a run that was planned or has ended; unknown numbers are left out."""
    counts = {
        "fetched": run.fetched,
        **run.counts,
        "reported": run.reported_total,
        "quads_added": run.added,
        "quads_removed": run.removed,
        "quads_after": run.after,
    }
    return RunStatistics(
        run=run.id,
        source=run.source,
        started=run.started,
        ended=run.ended or run.planned or run.started,
        state=run.state.value,
        is_full=run.is_full,
        counts=counts,
        network=run.network,
        reason=run.reason,
        entry=run.entry,
    )


def diff_rows(run: Run, context: HarvestContext, outcomes: Iterable[Outcome]) -> Iterator[Row]:
    """Yield a row for each of a held run's records with these outcomes, with its removed and added
    statements.
    """
    moved = successors(run, context)
    for change in context.ledger.changes(run, outcomes):
        removed, added = changed_statements(run, change, context.iris, moved)
        yield {**record_row(change.staged), "removed": removed, "added": added}


def changed_statements(
    run: Run, change: StagedDiff, iris: Iris, moved: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return the statements that a held run would remove and add: by a new description, a tombstone,
    or a mark that is set or removed. *moved* are the ``successors``.
    """
    after = change.staged.description
    if change.staged.outcome not in UPSERTED:
        new_state = state_change(run, change, iris, moved)
        after = new_state[2] if new_state else change.previous
    old, new = ({line for line in text.split("\n") if line} for text in (change.previous, after))
    return sorted(old - new), sorted(new - old)
