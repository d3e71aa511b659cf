"""Write graphs that belong to no record to the journal, such as those of the vocabulary: only their
differences, as one entry and one run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice

from harvesters.errors import error_reason
from harvesters.ledger import graphs as ledger_graphs
from harvesters.ledger.models import VOCABULARY, Run, State
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from journal.entry import Entry
from journal.errors import JournalError
from vocab.schemes import digest, statements

_TOGETHER = 250  # graphs of one transaction


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A graph by its IRI, before and after; "" where there is none."""

    graph: str
    before: str
    after: str


Changes = Collection[GraphChange]


def publish_graphs(
    name: str, plan: Callable[[], Changes], context: HarvestContext, rules: str = ""
) -> tuple[Run | None, Changes]:
    """Write what *plan* returns, under the lock of the journal, as one entry of a run of the source
    *name*; a run that was interrupted goes on.

    Return the run, None if nothing changed, and the changes. With *rules*, nothing is planned if the
    last run had the same. Raises LedgerError if the ledger does not belong to the journal.
    """
    ended, changes = None, list[GraphChange]()
    with journal_lock(context) as context:
        check_ledger_matches_journal(context)
        ledger = context.ledger
        run = ledger.open_run(name)
        if run and (entry := find_entry(run, context)):
            ended = _apply(run, entry, context)
            run = None
        last = ledger.last_run(name, [State.COMMITTED]) if rules and not run else None
        if last and last.rules == rules:
            return ended, changes
        planned = plan()
        if not planned:
            if run:
                ledger.save(replace(run, state=State.FAILED, ended=context.now()))
            return ended, planned
        run = replace(
            run or ledger.create_run(name, context.now(), rules),
            rules=rules,
            state=State.COMMITTING,
            entry=context.journal.position,
        )
        ledger.save(run)
        blocks = (
            block
            for change in planned
            for block in diff_block(change.before, change.after, change.graph)
        )
        try:
            entry = context.journal.append(
                blocks, run=run.id, time=run.started, fence=context.check_lock
            )
        except JournalError as error:
            defer(run, context, error_reason(error))
            raise
        return _apply(run, entry, context), planned


def publish_vocabulary(context: HarvestContext, only: Collection[str] | None = None) -> Run | None:
    """Write the changes of the vocabulary since its last publication as data, so that stores, dumps
    and mirrors have its labels; *only* are the names of the graphs that it has, without the base,
    None: all. Return the run, or None if nothing changed.
    """
    ledger, iris = context.ledger, context.iris
    others = (iris.source(""), iris.clusters, iris.links(""))

    def plan() -> list[GraphChange]:
        current = {
            graph: "\n".join(lines)
            for graph, lines in statements(iris.base)
            if only is None or graph.removeprefix(iris.base) in only
        }
        stored = {graph for graph in ledger_graphs.iris(ledger) if not graph.startswith(others)}
        changes = (
            GraphChange(graph, ledger_graphs.graph(ledger, graph), current.get(graph, ""))
            for graph in sorted(stored | current.keys())
        )
        return [change for change in changes if change.before != change.after]

    # The digest is compared first: parsing the vocabulary takes a third of a second.
    rules = " ".join([digest(iris.base), *sorted(only or ())])
    return publish_graphs(VOCABULARY, plan, context, rules)[0]


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
