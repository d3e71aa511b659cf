"""Write the vocabulary to the journal as data, so that stores, dumps and mirrors have its labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from harvesters.errors import error_reason
from harvesters.ledger import graphs
from harvesters.ledger.models import VOCABULARY, Run, State
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from journal.errors import JournalError
from vocab.schemes import digest, statements

Names = Collection[str]  # of graphs, without the base


def publish(context: HarvestContext, only: Names | None = None) -> Run | None:
    """Write the changes of the vocabulary since its last publication as one journal entry; *only*
    are the names of the graphs that it has, None: all.

    Return the run, or None if nothing changed. Raises LedgerError if the ledger does not belong to
    the journal.
    """
    with journal_lock(context) as context:
        check_ledger_matches_journal(context)
        return _publish(context, only)


def _publish(context: HarvestContext, only: Names | None) -> Run | None:
    run = context.ledger.open_run(VOCABULARY)
    if run is None:
        current = " ".join([digest(context.iris.base), *sorted(only or ())])
        last = context.ledger.last_run(VOCABULARY, [State.COMMITTED])
        # the digest is compared first: parsing the vocabulary takes a third of a second
        if (last and last.rules == current) or not _changes(context, only):
            return None
        run = context.ledger.create_run(
            VOCABULARY, context.now(), current, is_full=False, since=None
        )
        head = context.journal.head
        run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
        context.ledger.save(run)
    try:
        entry = find_entry(run, context) or context.journal.append(
            _blocks(context, only), run=run.id, time=run.started, fence=context.check_lock
        )
    except JournalError as error:
        defer(run, context, error_reason(error))
        raise
    for graph, _, after in _changes(context, only):
        graphs.set_graph(context.ledger, graph, after)
    ended = replace(run, state=State.COMMITTED, ended=context.now(), entry=entry.number, reasons=())
    context.ledger.save(ended)
    return ended


def _changes(context: HarvestContext, only: Names | None) -> list[tuple[str, str, str]]:
    """Return (graph, description before, description after) for each changed graph."""
    current = {
        graph: "\n".join(lines)
        for graph, lines in statements(context.iris.base)
        if only is None or graph.removeprefix(context.iris.base) in only
    }
    others = (context.iris.source(""), context.iris.clusters, context.iris.links(""))
    stored = [
        graph
        for graph in graphs.iris(context.ledger)
        if graph in current or not graph.startswith(others)
    ]
    before = {graph: graphs.graph(context.ledger, graph) for graph in {*stored, *current}}
    return [
        (graph, before[graph], current.get(graph, ""))
        for graph in sorted(before)
        if before[graph] != current.get(graph, "")
    ]


def _blocks(context: HarvestContext, only: Names | None) -> Iterator[str]:
    for graph, before, after in _changes(context, only):
        yield from diff_block(before, after, graph)
