from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from labelled import filled
from ledger_records import put_records

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import CLUSTERS, State
from harvesters.matching.match import (
    Decision,
    Judgement,
    add_decisions,
    ordered,
    read_entities,
    store_pairs,
)
from harvesters.matching.scoring import score_pairs
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_graphs import (
    GraphChange,
    change_kind,
    plan_clusters,
    publish_clusters,
    publish_vocabulary,
)
from journal.entry import Entry
from journal.journal import Journal
from vocab.annotations import cluster_iri, cluster_members
from vocab.initiative import Initiative, Text
from vocab.iris import Iris

SPAWN = multiprocessing.get_context("forkserver")
IRIS = Iris()
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
A, B, C, D = (
    IRIS.thing("initiative", source, key)
    for source, key in (("north", "1"), ("south", "a"), ("west", "c"), ("east", "d"))
)
SEEN = {"north": 2, "south": 1, "west": 3, "east": 4}  # day on which each was first seen


def add_record(ledger: Ledger, thing: str, number: int, day: int = 0, **more: Any) -> None:
    source, key = thing.split("/")[-2:]
    title = Text(f"Subject{number} of place{number}", "en")
    resource = Initiative(key=key, titles=(title,), countries=(KENYA,), **more)
    seen = datetime(2026, 1, day or SEEN[source], tzinfo=UTC)
    put_records(ledger, number + day, [(source, resource)], seen=seen)


@pytest.fixture
def ready(context: HarvestContext) -> HarvestContext:
    for number, thing in enumerate((A, B, C, D)):
        add_record(context.ledger, thing, number)
    return replace(context, iris=IRIS)


def decide(
    context: HarvestContext, one: str, other: str, judgement: Judgement | None = Judgement.POSITIVE, reason: str = ""
) -> None:  # fmt: skip
    decision = Decision(ordered(one, other), judgement, "Ann Ngugi", NOW, reason)
    add_decisions(context.ledger, [decision])


def published(context: HarvestContext) -> dict[str, str]:
    """Publish, and return the graphs of the clusters as the journal leaves them."""
    publish_clusters(context)
    return state(context.journal)


def state(journal: Journal) -> dict[str, str]:
    graphs: dict[str, set[str]] = {}
    for entry in journal.entries():
        for row in entry.rows():
            quad, _, graph = row[2:-2].rpartition(" ")
            if graph[1:-1].startswith(IRIS.clusters):
                statements = graphs.setdefault(graph[1:-1], set())
                (statements.add if row[0] == "A" else statements.discard)(quad)
    return {graph: "\n".join(sorted(quads)) for graph, quads in graphs.items() if quads}


def members(graphs: dict[str, str]) -> dict[str, list[str]]:
    return {cluster: cluster_members(text) for cluster, text in graphs.items()}


OF_A, OF_B, OF_C = (cluster_iri(thing, IRIS) for thing in (A, B, C))


def kinds(changes: Iterable[GraphChange]) -> dict[str, str]:
    return {change.graph: change_kind(change) for change in changes}


def test_a_cluster_is_named_after_the_member_that_was_published_first(
    ready: HarvestContext,
) -> None:
    decide(ready, A, B, reason='the same "grant"\nnumber')

    graphs = published(ready)

    assert members(graphs) == {OF_B: [A, B]}
    assert r"the same \"grant\"\nnumber" in graphs[OF_B]
    assert "Ngugi" not in graphs[OF_B]


def test_automatic_matches_are_published_with_what_agrees(ready: HarvestContext) -> None:
    twin = IRIS.thing("initiative", "east", "e")
    add_record(ready.ledger, twin, 0, day=9, start="2020-01-01")
    with read_entities(ready.ledger, IRIS) as entities:
        known = [*entities.values()]
    for entity in known:
        entity.identifiers |= {("IATI", "XM-1")} if entity.iri in (A, twin) else set()
    with filled(known) as entities:
        store_pairs(ready.ledger, score_pairs(entities), entities)

    graphs = published(ready)

    assert cluster_members(graphs[OF_A]) == [twin, A]
    assert f'<{IRIS.ns}matchedBy> "identifier"' in graphs[OF_A]
    assert "CompositeMatching" in graphs[OF_A]


def test_publishing_again_without_a_change_and_a_dry_run_write_no_entry(
    ready: HarvestContext,
) -> None:
    decide(ready, A, B)
    before = published(ready)
    publish_vocabulary(ready)
    assert state(ready.journal) == before
    head = ready.journal.head

    assert publish_clusters(ready) == (None, [])
    decide(ready, A, B, None)
    decide(ready, C, D)
    assert kinds(plan_clusters(ready)) == {OF_B: "removed", OF_C: "new"}
    assert ready.journal.head == head


@pytest.mark.parametrize(
    ("decided", "change", "back", "changed"),
    [([(A, B), (C, D)], (A, C, Judgement.POSITIVE), (A, C, None), {OF_B: [D, A, B, C]}),
     ([(A, B), (B, C)], (B, C, Judgement.NEGATIVE), (B, C, Judgement.POSITIVE), {OF_B: [A, B]})],
    ids=["merged", "split"],
)  # fmt: skip
def test_merging_or_splitting_clusters_and_taking_it_back_gives_the_bytes_of_before(
    ready: HarvestContext,
    decided: list[tuple[str, str]],
    change: tuple[str, str, Judgement],
    back: tuple[str, str, Judgement | None],
    changed: dict[str, list[str]],
) -> None:
    for pair in decided:
        decide(ready, *pair)
    before = published(ready)

    decide(ready, *change)
    during = published(ready)
    decide(ready, *back)
    after = published(ready)

    assert set(before) == {OF_B, *([OF_C] if len(changed[OF_B]) == 4 else [])}
    assert members(during) == changed
    assert after == before


def test_a_cluster_whose_naming_member_is_deleted_refers_to_what_replaces_it(
    ready: HarvestContext,
) -> None:
    for pair in ((A, B), (A, C), (B, C)):
        decide(ready, *pair)
    published(ready)
    south = t.record.c.source == "south"
    with ready.ledger.transaction() as connection:
        connection.execute(sa.update(t.record).where(south).values(state="gone"))

    graphs = published(ready)

    assert set(graphs) == {OF_A, OF_B}
    assert f"isReplacedBy> <{OF_A}>" in graphs[OF_B]
    assert published(ready) == graphs


def test_decisions_about_deleted_records_are_ignored(ready: HarvestContext) -> None:
    decide(ready, A, IRIS.thing("initiative", "north", "never-published"))

    assert published(ready) == {}


class KilledJournal(Journal):
    stage = ""

    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        if self.stage == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(blocks, run=run, time=time, **more)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("the process was killed")


def publish_and_die(data: str, ledger: str, stage: str) -> None:
    network = NetworkSettings("admin@example.org")
    with open_context(Path(data), ledger, IRIS.base, network) as context:
        journal = KilledJournal(context.journal.folder)
        journal.stage = stage
        publish_clusters(replace(context, journal=journal))


@pytest.mark.parametrize("stage", ["before", "after"])
def test_a_kill_while_publishing_is_recovered(
    ready: HarvestContext, tmp_path: Path, stage: str
) -> None:
    decide(ready, A, B)
    arguments = (str(ready.data), f"sqlite:///{tmp_path}/ledger.sqlite", stage)
    victim = SPAWN.Process(target=publish_and_die, args=arguments)
    victim.start()
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    decide(ready, A, C)  # after the kill
    ready.journal.refresh()

    graphs = published(ready)

    assert members(graphs) == {OF_B: [A, B, C]}
    assert {iri: ready.ledger.graph(iri) for iri in graphs} == graphs
    last = ready.ledger.last_run(CLUSTERS, State)
    assert last is not None
    assert last.state is State.COMMITTED
    runs = [entry.run for entry in ready.journal.entries() if entry.run.startswith(CLUSTERS)]
    assert len(runs) == (1 if stage == "before" else 2)
    assert multiprocessing.active_children() == []
