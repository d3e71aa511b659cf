"""Write graphs that belong to no record to the journal: those of the vocabulary, and of the clusters
of initiatives and organizations. Only their differences are written, as one entry and one run.

A running service matches new and changed records before it publishes clusters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import structlog

from harvesters.errors import HarvestError, error_reason
from harvesters.ledger.models import CLUSTERS, VOCABULARY, Run, State
from harvesters.matching.clusters import cluster_descriptions
from harvesters.matching.entities import EntityStore
from harvesters.matching.match import (
    current_decisions,
    has_changes,
    match_records,
    read_entities,
    stored_pairs,
)
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.processes import ProcessLimits, call_bounded
from harvesters.runs.commit import check_ledger_matches_journal, defer, diff_block, find_entry
from harvesters.runs.context import HarvestContext, journal_lock, open_context
from journal.entry import Entry
from journal.errors import JournalError
from journal.outage import Outage
from vocab.annotations import cluster_members, describe_replaced, named_member
from vocab.iris import Iris
from vocab.schemes import digest, statements
from vocab.terms import DCT


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A graph by its IRI, before and after; "" where there is none."""

    graph: str
    before: str
    after: str


def publish_graphs(
    name: str, plan: Callable[[], list[GraphChange]], context: HarvestContext, rules: str = ""
) -> tuple[Run | None, list[GraphChange]]:
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
        blocks = (diff_block(change.before, change.after, change.graph) for change in planned)
        try:
            entry = context.journal.append(
                filter(None, blocks), run=run.id, time=run.started, fence=context.check_lock
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
        stored = {graph for graph in ledger.graph_iris() if not graph.startswith(others)}
        changes = (
            GraphChange(graph, ledger.graph(graph), current.get(graph, ""))
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
    context.ledger.set_graphs(_final_graphs(entry, context))
    ended = replace(run, state=State.COMMITTED, ended=context.now(), entry=entry.number, reasons=())
    context.ledger.save(ended)
    return ended


def _final_graphs(entry: Entry, context: HarvestContext) -> Iterator[tuple[str, str]]:
    """Yield each graph of an entry and what it leaves of it. The rows of a graph follow each other."""
    for graph, rows in groupby(entry.rows(), lambda row: row[2:-2].rpartition(" ")[2]):
        name = graph[1:-1]
        statements = {line for line in context.ledger.graph(name).split("\n") if line}
        for row in rows:
            (statements.add if row.startswith("A ") else statements.discard)(
                row[2:-2].rpartition(" ")[0]
            )
        yield name, "\n".join(sorted(statements))


# ---- clusters

_REPLACED = f" <{DCT}isReplacedBy> "
_LIMITS = ProcessLimits(seconds=3600.0, silence=7200.0)  # 100,000 records need 140 s and 0.3 GB
_SHARE = 10  # after a matching, the next waits this many times as long as it took

log = structlog.get_logger(component="identity")


def change_kind(change: GraphChange) -> str:
    """Return what happens to a cluster: new, changed, replaced or removed."""
    if change.before and change.after:
        return "replaced" if _REPLACED in change.after else "changed"
    return "new" if change.after else "removed"


def change_row(change: GraphChange) -> dict[str, Any]:
    """Return what happens to a cluster, its number of members, and those that join and leave it."""
    before, after = (set(cluster_members(text)) for text in (change.before, change.after))
    return {
        "cluster": change.graph,
        "change": change_kind(change),
        "members": len(after),
        "joined": sorted(after - before),
        "left": sorted(before - after),
    }


def plan_clusters(
    context: HarvestContext, entities: EntityStore | None = None
) -> list[GraphChange]:
    """Return the changes that publishing would make, by IRI: the difference between the published
    clusters and those of pairs and decisions.

    *entities* are the published ones; without them, they are read.
    """
    ledger, iris, changes = context.ledger, context.iris, list[GraphChange]()
    opened = read_entities(ledger, iris) if entities is None else nullcontext(entities)
    stored, cluster_of = dict(ledger.graphs_below(iris.clusters)), dict[str, str]()
    with opened as published:
        for cluster, members, text in cluster_descriptions(
            published, stored_pairs(ledger), current_decisions(ledger), iris
        ):
            cluster_of |= dict.fromkeys(members, cluster)
            if (before := stored.pop(cluster, "")) != text:
                changes.append(GraphChange(cluster, before, text))
        for graph, before in stored.items():
            is_named = named_member(graph, iris) in published
            after = "" if is_named else _replacement(graph, before, cluster_of, iris)
            if after != before:
                changes.append(GraphChange(graph, before, after))
    return sorted(changes, key=lambda change: change.graph)


def _replacement(graph: str, before: str, cluster_of: Mapping[str, str], iris: Iris) -> str:
    """Return the new description of a cluster that was named after a deleted member: it refers to
    the cluster with most of its members.
    """
    if _REPLACED in before:
        return before
    replacing = [cluster_of[item] for item in cluster_members(before) if item in cluster_of]
    if not replacing:
        return ""
    return "\n".join(
        describe_replaced(graph, max(sorted(set(replacing)), key=replacing.count), iris)
    )


def publish_clusters(
    context: HarvestContext, entities: EntityStore | None = None
) -> tuple[Run | None, list[GraphChange]]:
    """Write the changes of the clusters since their last publication as one journal entry.

    *entities* are the published ones; without them, they are read. Return the run, None if nothing
    changed, and the changes. Raises LedgerError if the ledger does not belong to the journal.
    """
    return publish_graphs(CLUSTERS, partial(plan_clusters, context, entities), context)


def match_and_publish(data: Path, ledger: str, base: str) -> tuple[int, int]:
    """Match what is new or changed, and publish the clusters; return the number of records that
    were compared, and of clusters changed.
    """
    with (
        open_context(data, ledger, base, NetworkSettings()) as context,
        match_records(context.ledger, context.iris, only_changed=True) as matching,
    ):
        try:
            return matching.records, len(publish_clusters(context, matching.entities)[1])
        except JournalError as error:
            raise HarvestError(str(error)) from error


def create_matcher(
    context: HarvestContext, ledger: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[], None]:
    """Return the function that matches what is new or changed, if anything is; it may be called
    every minute.

    Matching runs in a process of its own, whose memory is free again afterwards. *ledger* is the
    URL of the ledger.
    """
    outage, due = Outage("cannot match records", "records are matched again"), float("-inf")

    def match() -> None:
        nonlocal due
        started = clock()
        if started < due:
            return
        try:
            if has_changes(context.ledger):
                records, clusters = call_bounded(
                    match_and_publish, context.data, ledger, context.iris.base, limits=_LIMITS
                )
                log.info("records matched", records=records, clusters=clusters)
        except HarvestError as error:
            outage.failed(str(error))
        else:
            outage.over()
        due = clock() + _SHARE * (clock() - started)

    return match
