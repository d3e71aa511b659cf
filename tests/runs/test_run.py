"""A run writes one journal entry, or changes nothing and stores the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from command_line.harvesting.runs import print_run
from harvesters.errors import HarvestError, PlanError
from harvesters.ledger.finalize import LISTED_RUNS
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.source import Limits, Source
from vocab.statements.clusters import cluster_iri, describe_cluster
from vocab.terms import DCT

Project = Callable[..., dict[str, Any]]


def rows(context: HarvestContext, entry: int) -> list[str]:
    return list(next(context.journal.entries(after=entry - 1)).rows())


def graphs(context: HarvestContext) -> dict[str, set[str]]:
    """Play the journal: each graph's statements as they stand now."""
    played: dict[str, set[str]] = {}
    for entry in context.journal.entries():
        for row in entry.rows():
            statement, _, graph = row[2:].removesuffix(" .").rpartition(" ")
            lines = played.setdefault(graph.strip("<>"), set())
            (lines.add if row[0] == "A" else lines.remove)(statement)
    return {graph: lines for graph, lines in played.items() if lines}


def test_a_first_run_publishes_its_records(source: Source, context: HarvestContext) -> None:
    plan = harvest(source, context)

    assert (plan.run.state, plan.run.entry) == (State.COMMITTED, 1)
    assert {name: count for name, count in plan.counts.items() if count} == {
        "reported": 10, "fetched": 10, "new": 10, "published_after": 10,
    }  # fmt: skip
    assert context.ledger.count_published("projects") == 10


def test_each_record_is_a_named_graph_with_its_provenance(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context)

    record = context.iris.record("projects", "p1")
    result = graphs(context)[record]
    assert (
        f'<{context.iris.thing("initiative", "projects", "p1")}> <http://purl.org/dc/terms/title> "Project 1"@en'
        in result
    )
    assert (
        f"<{record}> <http://www.w3.org/ns/prov#wasGeneratedBy> <{context.iris.run('projects.1')}>"
        in result
    )


def test_the_entry_describes_source_and_run(source: Source, context: HarvestContext) -> None:
    harvest(source, context)

    result = graphs(context)
    assert len(result[context.iris.source("projects")]) > 5
    assert any(
        line.endswith('"10"^^<http://www.w3.org/2001/XMLSchema#integer>')
        for line in result[context.iris.run("projects.1")]
    )


def test_an_unchanged_source_writes_no_entry(source: Source, context: HarvestContext) -> None:
    harvest(source, context)

    plan = harvest(source, context)

    assert plan.run.state is State.UNCHANGED
    assert plan.outcomes[Outcome.UNCHANGED] == 10
    assert [entry.number for entry in context.journal.entries()] == [1]


def test_a_changed_record_writes_only_its_difference(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, context)

    record = context.iris.record("projects", "p1")
    changed = [row for row in rows(context, 2) if row.endswith(f"<{record}> .")]
    assert plan.outcomes[Outcome.CHANGED] == 1
    assert sum('"Project 1"@en' in row and row[0] == "D" for row in changed) == 1
    assert sum('"Renamed"@en' in row and row[0] == "A" for row in changed) == 1
    assert not any("primaryTopic" in row for row in changed)


def test_a_change_outside_the_mapping_is_no_change(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects[0]["internal"] = "new"

    plan = harvest(source, context)

    assert plan.run.state is State.UNCHANGED


def test_a_record_without_a_title_is_withheld_with_its_reason(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[0]["name"] = ""

    plan = harvest(source, context)

    (trouble,) = context.ledger.failures(plan.run)
    assert (trouble.key, trouble.outcome) == ("p1", Outcome.WITHHELD)
    assert "title" in (trouble.reason or "")
    assert context.iris.record("projects", "p1") not in graphs(context)


def test_a_record_that_becomes_invalid_keeps_its_last_good_data(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    before = graphs(context)
    registry.projects[0]["name"] = ""

    plan = harvest(source, context)

    assert plan.outcomes[Outcome.WITHHELD] == 1
    assert graphs(context) == before


def test_a_duplicate_key_counts_once(
    source: Source, context: HarvestContext, registry: Any, project: Project
) -> None:
    registry.projects[9] = project(1, "Another one")

    plan = harvest(source, context)

    assert (plan.outcomes[Outcome.NEW], plan.outcomes[Outcome.DUPLICATE]) == (9, 1)
    assert any(
        '"Project 1"@en' in line for line in graphs(context)[context.iris.record("projects", "p1")]
    )


def test_a_dry_run_that_fails_leaves_no_trace(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.answer = lambda _: httpx.Response(404)

    with pytest.raises(HarvestError):
        harvest(source, context, dry_run=True)

    assert context.ledger.runs() == []


def test_a_dry_run_does_not_touch_an_interrupted_run(
    source: Source, context: HarvestContext, torn: HarvestContext
) -> None:
    with pytest.raises(Crash):
        harvest(source, torn)
    (before,) = context.ledger.runs()

    with pytest.raises(
        PlanError,
        match=r"projects\.1 was interrupted and is still open; run `stocktake harvest projects` to finish it",
    ):
        harvest(source, context, dry_run=True)

    assert context.ledger.runs() == [before]


def test_a_dry_run_changes_nothing(source: Source, context: HarvestContext) -> None:
    plan = harvest(source, context, dry_run=True)

    assert plan.outcomes[Outcome.NEW] == 10
    assert context.journal.head is None
    assert context.ledger.runs() == []


@pytest.mark.parametrize("record_count", [0, 5])
def test_too_few_records_are_held(
    source: Source, context: HarvestContext, registry: Any, record_count: int
) -> None:
    careful = replace(source, limits=Limits(expect=8))
    harvest(careful, context)
    before = graphs(context)
    del registry.projects[record_count:]

    plan = harvest(careful, context)

    assert plan.run.state is State.HELD
    assert plan.hold_reason
    assert graphs(context) == before


def test_too_many_missing_records_are_held(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[5:]

    plan = harvest(source, context)

    assert plan.run.state is State.HELD
    assert plan.hold_reason == "5 of 10 published records are missing (50%); the limit is 10%"


def test_growth_alone_is_not_held(
    source: Source, context: HarvestContext, registry: Any, project: Project
) -> None:
    harvest(source, context)
    registry.projects += [project(number) for number in range(11, 91)]

    plan = harvest(source, context)

    assert (plan.run.state, plan.outcomes[Outcome.NEW]) == (State.COMMITTED, 80)


def test_fewer_records_than_reported_is_incomplete_and_deletes_nothing(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.total = 10
    registry.projects = registry.projects[:9]

    plan = harvest(source, context)

    assert plan.run.state is State.INCOMPLETE
    assert (
        plan.run.reason
        == "the source reported 10 records but returned 9; no record was marked as deleted"
    )
    assert context.ledger.count_published("projects") == 10


def test_a_record_missing_for_the_grace_period_becomes_a_tombstone(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[9]
    harvest(source, context)
    harvest(source, context)
    published_within_grace = context.ledger.count_published("projects")

    harvest(source, context)

    record = context.iris.record("projects", "p10")
    result = graphs(context)[record]
    assert published_within_grace == 10
    assert context.ledger.count_published("projects") == 9
    assert (
        f"<{record}> <http://www.w3.org/ns/adms#status> <{context.iris.operations}gone>" in result
    )
    assert not any("#type> " in line and "Initiative>" in line for line in result)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_tombstone_names_the_record_of_another_registry_of_its_cluster(
    source: Source, context: HarvestContext, registry: Any, is_there: bool
) -> None:
    harvest(source, context)
    if is_there:
        harvest(replace(source, name="atlas"), context)
    one, other = (context.iris.thing("initiative", name, "p10") for name in ("projects", "atlas"))
    cluster = cluster_iri(one, context.iris)
    members = describe_cluster(cluster, (one, other), (), context.iris)
    context.ledger.graphs.set_graph(cluster, "\n".join(members))
    del registry.projects[9]

    for _ in range(3):
        harvest(source, context)

    record = context.iris.record("projects", "p10")
    replaced = f"<{record}> <{DCT}isReplacedBy> <{context.iris.record('atlas', 'p10')}>"
    result = graphs(context)[record]
    assert (replaced in result, any("isReplacedBy" in line for line in result)) == (
        is_there,
        is_there,
    )


def test_a_deleted_record_returns_under_its_address(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    lost = registry.projects.pop()
    for _ in range(3):
        harvest(source, context)
    registry.projects.append(lost)

    plan = harvest(source, context)

    result = graphs(context)[context.iris.record("projects", "p10")]
    assert plan.outcomes[Outcome.NEW] == 1
    assert any("Initiative>" in line for line in result)
    assert not any("gone>" in line for line in result)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<!DOCTYPE html><html><body>Please log in</body></html>"),
        httpx.Response(200, content=b'{"results": ['),
        httpx.Response(503),
        httpx.Response(404),
    ],
    ids=["html", "cut", "503", "404"],
)
def test_a_bad_response_fails_the_run_and_keeps_the_last_good_data(
    source: Source, context: HarvestContext, registry: Any, answer: httpx.Response
) -> None:
    harvest(source, context)
    before = graphs(context)
    registry.answer = lambda page: answer if page == 1 else None

    with pytest.raises(HarvestError, match=r"registry\.example"):
        harvest(source, context)

    assert context.ledger.runs("projects")[0].state is State.FAILED
    assert graphs(context) == before


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_an_interrupted_run_resumes_after_its_last_page(
    source: Source, context: HarvestContext, registry: Any, page: int
) -> None:
    def crash(requested_page: int) -> None:
        if requested_page == page and registry.request_log.count(page) == 1:
            raise Crash

    registry.answer = crash
    with pytest.raises(Crash):
        harvest(source, context)

    plan = harvest(source, context)

    assert (plan.run.id, plan.run.state, plan.outcomes[Outcome.NEW]) == (
        "projects.1",
        State.COMMITTED,
        10,
    )
    assert context.ledger.count_published("projects") == 10


@pytest.fixture
def torn(context: HarvestContext) -> HarvestContext:
    """Means whose journal dies after it has written an entry."""

    class CrashingJournal(type(context.journal)):  # type: ignore[misc]
        def append(self, *args: object, **named: object) -> None:
            super().append(*args, **named)
            raise Crash

    return replace(context, journal=CrashingJournal(context.journal.folder))


def test_a_crash_between_journal_and_ledger_is_repaired_by_the_next_run(
    source: Source, context: HarvestContext, torn: HarvestContext
) -> None:
    with pytest.raises(Crash):
        harvest(source, torn)

    plan = harvest(source, context)

    assert [entry.run for entry in context.journal.entries()] == ["projects.1"]
    assert (plan.run.id, plan.run.state, plan.outcomes[Outcome.NEW], plan.published_before) == (
        "projects.1",
        State.COMMITTED,
        10,
        0,
    )
    assert context.ledger.count_published("projects") == 10


def test_a_source_due_since_a_crash_is_harvested_again(
    source: Source, context: HarvestContext, torn: HarvestContext
) -> None:
    with pytest.raises(Crash):
        harvest(source, torn)
    later = context.now() + timedelta(days=1)

    plan = harvest(source, replace(context, now=lambda: later))

    assert [entry.run for entry in context.journal.entries()] == ["projects.1"]
    assert (plan.run.id, plan.run.state) == ("projects.2", State.UNCHANGED)


def test_records_are_validated_again_after_the_rules_changed(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context)

    plan = harvest(replace(source, options={**source.options, "size": 50}), context)

    assert plan.outcomes[Outcome.CHANGED] == 10


def test_an_old_run_no_longer_lists_its_records(
    source: Source, context: HarvestContext, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(LISTED_RUNS + 1):
        harvest(source, context)

    print_run(context.ledger, context.data, "projects.1", [Outcome.NEW], json=False)

    result = capsys.readouterr().out
    assert "10   fetched" in result
    assert (
        f"Its records are no longer listed: those of the last {LISTED_RUNS} runs of a source are."
        in result
    )


class InterruptedLedger(Ledger):
    """A ledger whose process ends before a checkpoint."""

    def stage(
        self,
        run: Run,
        staged_records: Sequence[StagedRecord],
        first: int,
        *,
        is_checkpoint: bool = True,
    ) -> None:
        if is_checkpoint:
            raise KeyboardInterrupt
        super().stage(run, staged_records, first, is_checkpoint=False)


def test_a_run_interrupted_within_a_page_reads_the_page_again(
    source: Source, context: HarvestContext, registry: Any, project: Project, tmp_path: Path
) -> None:
    registry.size = 1200
    registry.projects = [project(number) for number in range(1200)]
    ledger = InterruptedLedger(f"sqlite:///{tmp_path}/ledger.sqlite")
    with pytest.raises(KeyboardInterrupt):
        harvest(source, replace(context, ledger=ledger))
    ledger.close()

    plan = harvest(source, context)

    assert (plan.run.state, plan.counts["new"], plan.counts["fetched"]) == (
        State.COMMITTED,
        1200,
        1200,
    )
    assert plan.run.responses["count"] == 2
