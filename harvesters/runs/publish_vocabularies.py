"""Words: the vocabulary goes into the journal as data does, so that store, dumps and mirrors have the labels too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harvesters.ledger.models import Run, State
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from journal.errors import JournalError
from vocab.schemes import digest, statements

VOCABULARY = "vocabulary"  # its runs' name in the ledger; no card may have it


def publish(means: HarvestContext) -> Run | None:
    """Write what has changed in the vocabulary since it was last published as one entry; None where nothing has.

    Raises LedgerError where the ledger is not the journal's.
    """
    with journal_lock(means) as means:
        check_ledger_matches_journal(means)
        return _publish(means)


def _publish(means: HarvestContext) -> Run | None:
    run = means.ledger.open_run(VOCABULARY)
    if run is None:
        made, last = digest(means.iris.base), means.ledger.last_run(VOCABULARY, [State.COMMITTED])
        if (last and last.rules == made) or not _changes(means):  # to parse it all takes a third of a second
            return None
        run = means.ledger.create_run(VOCABULARY, means.now(), made, sweep=False, since=None)
        head = means.journal.head
        run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
        means.ledger.save(run)
    try:
        entry = find_entry(run, means) or means.journal.append(_blocks(means), run=run.id, time=run.started, fence=means.check_lock)
    except JournalError as error:
        defer(run, means, str(error))
        raise
    for graph, _, after in _changes(means):
        means.ledger.set_graph(graph, after)
    done = replace(run, state=State.COMMITTED, ended=means.now(), entry=entry.number, reason=None)
    means.ledger.save(done)
    return done


def _changes(means: HarvestContext) -> list[tuple[str, str, str]]:
    now = {graph: "\n".join(lines) for graph, lines in statements(means.iris.base)}
    ours = [graph for graph in means.ledger.graphs() if graph in now or not graph.startswith(means.iris.source(""))]
    before = {graph: means.ledger.graph(graph) for graph in {*ours, *now}}
    return [(graph, before[graph], now.get(graph, "")) for graph in sorted(before) if before[graph] != now.get(graph, "")]


def _blocks(means: HarvestContext) -> Iterator[str]:
    for graph, before, after in _changes(means):
        yield from diff_block(before, after, graph)
