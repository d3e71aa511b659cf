"""Write graphs that belong to no record to the journal: only their differences, as one entry and
one run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice

from harvesters.errors import error_reason
from harvesters.ledger import graphs as ledger_graphs
from harvesters.ledger.models import Run, State
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from journal.entry import Entry
from journal.errors import JournalError

_TOGETHER = 250  # graphs of one transaction


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A graph by its IRI, before and after; "" where there is none."""

    graph: str
    before: str
    after: str


def publish_graphs(
    name: str, plan: Callable[[], Collection[GraphChange]], context: HarvestContext
) -> tuple[Run | None, Collection[GraphChange]]:
    """Write what *plan* returns, under the lock of the journal, as one entry of a run of the source
    *name*.

    Return the run, None if nothing changed, and the changes. Raises LedgerError if the ledger does
    not belong to the journal.
    """
    with journal_lock(context) as context:
        check_ledger_matches_journal(context)
        if run := context.ledger.open_run(name):
            run = _finish(run, context)
        changes = plan()
        return (_commit(name, changes, context) if changes else run), changes


def _commit(name: str, changes: Collection[GraphChange], context: HarvestContext) -> Run:
    run = context.ledger.create_run(name, context.now(), "", is_full=False, since=None)
    head = context.journal.head
    run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
    context.ledger.save(run)
    try:
        entry = context.journal.append(
            _blocks(changes), run=run.id, time=run.started, fence=context.check_lock
        )
    except JournalError as error:
        defer(run, context, error_reason(error))
        raise
    return _apply(run, entry, context)


def _finish(run: Run, context: HarvestContext) -> Run | None:
    """End a run that a crash interrupted: its entry is applied if it was written; otherwise nothing
    happened.
    """
    entry = find_entry(run, context)
    if entry is None:
        context.ledger.save(replace(run, state=State.FAILED, ended=context.now()))
        return None
    return _apply(run, entry, context)


def _apply(run: Run, entry: Entry, context: HarvestContext) -> Run:
    """Store the graphs as the entry leaves them: decisions may have changed since it was written.
    Idempotent.
    """
    graphs = _final_graphs(entry, context)
    while some := list(islice(graphs, _TOGETHER)):
        ledger_graphs.set_graphs(context.ledger, some)
    ended = replace(run, state=State.COMMITTED, ended=context.now(), entry=entry.number, reasons=())
    context.ledger.save(ended)
    return ended


def _final_graphs(entry: Entry, context: HarvestContext) -> Iterator[tuple[str, str]]:
    """Yield each graph of an entry and what it leaves of it. The rows of a graph follow each other."""
    for graph, rows in groupby(entry.rows(), lambda row: row[2:-2].rpartition(" ")[2]):
        name = graph[1:-1]
        statements = {
            line for line in ledger_graphs.graph(context.ledger, name).split("\n") if line
        }
        for row in rows:
            (statements.add if row.startswith("A ") else statements.discard)(
                row[2:-2].rpartition(" ")[0]
            )
        yield name, "\n".join(sorted(statements))


def _blocks(changes: Iterable[GraphChange]) -> Iterator[str]:
    for change in changes:
        yield from diff_block(change.before, change.after, change.graph)
