"""Write the clusters of initiatives and organizations to the journal, each as a graph of its own."""

from __future__ import annotations

from collections.abc import Mapping

from harvesters.ledger.models import CLUSTERS, Run
from harvesters.matching.clusters import cluster_descriptions
from harvesters.matching.entity_store import EntityStore
from harvesters.matching.stored import current_decisions, read_entities, stored_pairs
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import GraphChange, publish_graphs
from vocab.iris import Iris
from vocab.statements.clusters import describe_replaced, named_member
from vocab.terms import DCT, PROV

_MEMBER, _REPLACED = f" <{PROV}hadMember> <", f" <{DCT}isReplacedBy> "


def change_kind(change: GraphChange) -> str:
    """Return what happens to a cluster: new, changed, replaced or removed."""
    if change.before and change.after:
        return "replaced" if _REPLACED in change.after else "changed"
    return "new" if change.after else "removed"


def plan_clusters(context: HarvestContext, entities: EntityStore | None = None) -> list[GraphChange]:
    """Return what publishing would change: the difference between the published clusters and those of pairs and decisions.

    *entities* are the published ones; without them, they are read.
    """
    ledger, iris = context.ledger, context.iris
    if entities is None:
        with read_entities(ledger, iris) as entities:
            return plan_clusters(context, entities)
    published, clusters, changes = set(cluster_graphs(context)), dict[str, str](), list[GraphChange]()
    for cluster, its_members, text in cluster_descriptions(entities, stored_pairs(ledger), current_decisions(ledger), iris):
        clusters |= dict.fromkeys(its_members, cluster)
        before = ledger.graphs.graph(cluster) if cluster in published else ""
        published.discard(cluster)
        if text != before:
            changes.append(GraphChange(cluster, before, text))
    for graph in published:
        before = ledger.graphs.graph(graph)
        after = "" if named_member(graph, iris) in entities else _replacement(graph, before, clusters, iris)
        if after != before:
            changes.append(GraphChange(graph, before, after))
    return sorted(changes, key=lambda change: change.graph)


def members(description: str) -> list[str]:
    """Return the IRIs of the members in the description of a cluster."""
    return [line.partition(_MEMBER)[2][:-1] for line in description.split("\n") if _MEMBER in line]


def cluster_graphs(context: HarvestContext) -> list[str]:
    """Return the graphs of the clusters that were published, also of those that were removed."""
    return [graph for graph in context.ledger.graphs.iris() if graph.startswith(context.iris.clusters)]


def _replacement(graph: str, before: str, clusters: Mapping[str, str], iris: Iris) -> str:
    """Return what becomes of a cluster whose naming member was deleted: it refers to the cluster with most of its members."""
    if _REPLACED in before:
        return before
    replacing = [clusters[member] for member in members(before) if member in clusters]
    if not replacing:
        return ""
    return "\n".join(describe_replaced(graph, max(sorted(set(replacing)), key=replacing.count), iris))


def publish_clusters(
    context: HarvestContext, entities: EntityStore | None = None
) -> tuple[Run | None, list[GraphChange]]:
    """Write the changes of the clusters since their last publication as one journal entry.

    *entities* are the published ones; without them, they are read.
    Return the run, None if nothing changed, and the changes. Raises LedgerError if the ledger does not belong to the journal.
    """
    return publish_graphs(CLUSTERS, lambda: plan_clusters(context, entities), context)
