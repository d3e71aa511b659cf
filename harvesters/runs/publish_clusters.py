"""Write the clusters of initiatives and organizations to the journal, each as a graph of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harvesters.ledger.models import CLUSTERS, Run, State
from harvesters.matching.clusters import cluster_descriptions
from harvesters.matching.stored import current_decisions, read_entities, stored_pairs
from harvesters.reasons import other
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import journal_lock
from journal.entry import Entry
from journal.errors import JournalError
from vocab.clusters import describe_replaced, named_member
from vocab.iris import Iris
from vocab.terms import DCT, PROV

_MEMBER, _REPLACED = f" <{PROV}hadMember> <", f" <{DCT}isReplacedBy> "


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """The graph of a cluster before and after, "" where there is none."""

    cluster: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        """Return what happens to the cluster: new, changed, replaced or removed."""
        if self.before and self.after:
            return "replaced" if _REPLACED in self.after else "changed"
        return "new" if self.after else "removed"


def plan_clusters(context: HarvestContext) -> list[ClusterChange]:
    """Return what publishing would change: the difference between the published clusters and those of pairs and decisions."""
    ledger, iris = context.ledger, context.iris
    entities = read_entities(ledger, iris)
    current = cluster_descriptions(entities, stored_pairs(ledger), current_decisions(ledger), iris)
    before = {graph: text for graph in cluster_graphs(context) if (text := ledger.graph(graph))}
    clusters = {member: cluster for cluster, text in current.items() for member in members(text)}
    for graph, text in before.items():
        if graph not in current and named_member(graph, iris) not in entities:
            current |= _replacement(graph, text, clusters, iris)
    changed = (graph for graph in sorted({*before, *current}) if before.get(graph, "") != current.get(graph, ""))
    return [ClusterChange(graph, before.get(graph, ""), current.get(graph, "")) for graph in changed]


def members(description: str) -> list[str]:
    """Return the IRIs of the members in the description of a cluster."""
    return [line.partition(_MEMBER)[2][:-1] for line in description.split("\n") if _MEMBER in line]


def cluster_graphs(context: HarvestContext) -> list[str]:
    """Return the graphs of the clusters that were published, also of those that were removed."""
    return [graph for graph in context.ledger.graphs() if graph.startswith(context.iris.clusters)]


def _replacement(graph: str, before: str, clusters: Mapping[str, str], iris: Iris) -> dict[str, str]:
    """Return what becomes of a cluster whose naming member was deleted: it refers to the cluster with most of its members."""
    if _REPLACED in before:
        return {graph: before}
    replacing = [clusters[member] for member in members(before) if member in clusters]
    if not replacing:
        return {}
    return {graph: "\n".join(describe_replaced(graph, max(sorted(set(replacing)), key=replacing.count), iris))}


def publish_clusters(context: HarvestContext) -> tuple[Run | None, list[ClusterChange]]:
    """Write the changes of the clusters since their last publication as one journal entry.

    Return the run, None if nothing changed, and the changes. Raises LedgerError if the ledger does not belong to the journal.
    """
    with journal_lock(context) as context:
        check_ledger_matches_journal(context)
        if run := context.ledger.open_run(CLUSTERS):
            run = _finish(run, context)
        changes = plan_clusters(context)
        return (_commit(changes, context) if changes else run), changes


def _commit(changes: Sequence[ClusterChange], context: HarvestContext) -> Run:
    run = context.ledger.create_run(CLUSTERS, context.now(), "", is_full=False, since=None)
    head = context.journal.head
    run = replace(run, state=State.COMMITTING, entry=head.number if head else 0)
    context.ledger.save(run)
    try:
        entry = context.journal.append(_blocks(changes), run=run.id, time=run.started, fence=context.check_lock)
    except JournalError as error:
        defer(run, context, other(error))
        raise
    return _apply(run, entry, context)


def _finish(run: Run, context: HarvestContext) -> Run | None:
    """End a run that a crash interrupted: its entry is applied if it was written; otherwise nothing happened."""
    entry = find_entry(run, context)
    if entry is None:
        context.ledger.save(replace(run, state=State.FAILED, ended=context.now()))
        return None
    return _apply(run, entry, context)


def _apply(run: Run, entry: Entry, context: HarvestContext) -> Run:
    """Store the graphs as the entry leaves them: decisions may have changed since it was written. Idempotent."""
    graphs: dict[str, set[str]] = {}
    for row in entry.rows():
        statement, _, graph = row[2:-2].rpartition(" ")
        name = graph[1:-1]
        if name not in graphs:
            graphs[name] = {line for line in context.ledger.graph(name).split("\n") if line}
        (graphs[name].add if row.startswith("A ") else graphs[name].discard)(statement)
    for name, statements in graphs.items():
        context.ledger.set_graph(name, "\n".join(sorted(statements)))
    ended = replace(run, state=State.COMMITTED, ended=context.now(), entry=entry.number, reasons=())
    context.ledger.save(ended)
    return ended


def _blocks(changes: Sequence[ClusterChange]) -> Iterator[str]:
    for change in changes:
        yield from diff_block(change.before, change.after, change.cluster)
