"""Re-mapping: archived responses are mapped with today's code, without requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import ProjectRegistry

from command_line.harvesting.source_runs import harvest_all
from harvesters.errors import ArchiveError, PlanError
from harvesters.ledger.models import Outcome, State
from harvesters.runs import status_file
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans.plan import Plan
from harvesters.runs.remap import remap
from harvesters.source import Limits, Source


def counted(plan: Plan) -> dict[Outcome, int]:
    return {outcome: count for outcome, count in plan.outcomes.items() if count}


def last_lines(context: HarvestContext) -> list[str]:
    assert context.journal.head is not None
    return [
        line.decode()
        for line in next(context.journal.entries(after=context.journal.head.number - 1)).lines()
    ]


@pytest.fixture
def silent(context: HarvestContext, registry: ProjectRegistry) -> HarvestContext:
    """The same context after a harvest, with a registry that must not be asked any more."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked")

    return replace(context, network=replace(context.network, transport=httpx.MockTransport(refuse)))


def test_an_unchanged_mapping_writes_nothing(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    head = context.journal.head

    plan = remap(source, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.UNCHANGED: 10}, State.UNCHANGED)
    assert context.journal.head == head


def test_a_changed_mapping_changes_records_without_requests(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    definition = replace(source, fields={**source.fields, "description@en": "owner"})

    plan = remap(definition, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.CHANGED: 10}, State.COMMITTED)
    rows = [row for row in last_lines(context) if "initiative/projects/p3>" in row]
    assert [row[0] for row in rows if "/terms/description>" in row] == ["A"]
    assert counted(harvest(definition, context)) == {Outcome.UNCHANGED: 10}


def test_a_remap_equals_a_full_harvest_with_the_new_definition(
    source: Source, context: HarvestContext, silent: HarvestContext, registry: ProjectRegistry
) -> None:
    definition = replace(source, fields={**source.fields, "description@en": "owner"})
    harvest(source, context)
    remap(definition, silent)
    mapped = silent.ledger.current_descriptions(
        "projects", [f"p{number}" for number in range(1, 11)]
    )

    assert counted(harvest(definition, context, full=True)) == {Outcome.UNCHANGED: 10}
    assert context.ledger.current_descriptions("projects", list(mapped)) == mapped


def test_the_newest_archived_version_of_a_record_counts(
    source: Source,
    context: HarvestContext,
    silent: HarvestContext,
    registry: ProjectRegistry,
    project: Callable[..., dict[str, Any]],
) -> None:
    harvest(source, context)
    registry.projects[2] = project(3, "Renamed")
    harvest(source, context)

    assert counted(remap(source, silent)) == {Outcome.UNCHANGED: 10}


def test_records_missing_at_the_source_stay_unchanged(
    source: Source, context: HarvestContext, silent: HarvestContext, registry: ProjectRegistry
) -> None:
    lax = replace(source, limits=Limits(vanished=1.0))
    harvest(lax, context)
    del registry.projects[7:]
    harvest(lax, context)

    assert counted(remap(lax, silent)) == {Outcome.UNCHANGED: 7}
    assert context.ledger.count_missing("projects") == 3


def test_a_withheld_record_is_published_after_the_mapping_is_fixed(
    source: Source,
    context: HarvestContext,
    silent: HarvestContext,
    registry: ProjectRegistry,
    project: Callable[..., dict[str, Any]],
) -> None:
    registry.projects[4] = {**project(5), "name": "", "nom": "Projet"}
    harvest(source, context)
    definition = replace(source, fields={**source.fields, "title@fr": "nom"})

    assert counted(remap(definition, silent)) == {Outcome.NEW: 1, Outcome.UNCHANGED: 9}


def test_the_guard_holds_a_plan_that_would_withhold_too_much(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    definition = replace(source, fields={**source.fields, "title@en": "nothing"})

    plan = remap(definition, silent)

    assert plan.run.state is State.HELD
    assert "10 of 10 records could not be published" in (plan.hold_reason or "")
    assert context.ledger.count_published("projects") == 10


def test_a_dry_run_shows_the_plan_and_leaves_no_trace(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    definition = replace(source, fields={**source.fields, "description@en": "owner"})
    before, runs = context.journal.head, context.ledger.runs("projects")

    assert counted(remap(definition, silent, dry_run=True)) == {Outcome.CHANGED: 10}
    assert (context.journal.head, context.ledger.runs("projects")) == (before, runs)


def test_a_remap_changes_neither_freshness_nor_the_next_request(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    before = status_file.source_statuses(context, context.now())[0]
    definition = replace(source, fields={**source.fields, "description@en": "owner"})
    first = context.ledger.runs("projects")[0]

    run = remap(definition, silent).run

    after = status_file.source_statuses(context, context.now())[0]
    assert (after.success, after.attempt, after.change) == (
        before.success,
        before.attempt,
        before.change,
    )
    assert run.last_fetched == first.started
    assert run.started - first.started >= timedelta(minutes=1)


def test_a_remap_needs_an_archived_complete_run(source: Source, silent: HarvestContext) -> None:
    with pytest.raises(
        PlanError,
        match="projects: no complete run is archived; run `stocktake harvest projects` first",
    ):
        remap(source, silent)


def test_a_run_that_ended_behind_good_pages_is_remapped_as_far_as_it_came(
    source: Source, context: HarvestContext, silent: HarvestContext, registry: ProjectRegistry
) -> None:
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"
    registry.answer = lambda page: httpx.Response(400, text="too deep") if page == 3 else None
    early = harvest(source, context)
    definition = replace(source, fields={**source.fields, "description@en": "owner"})

    plan = remap(definition, silent)

    assert (early.run.state, plan.run.state) == (State.INCOMPLETE, State.COMMITTED)
    assert counted(plan) == {Outcome.CHANGED: 10}


def test_a_missing_archive_is_reported_and_changes_nothing(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    (context.data / "archive" / "projects" / "projects.1.warc.gz").unlink()

    with pytest.raises(ArchiveError, match=r"archive .*projects\.1\.warc\.gz: No such file"):
        remap(source, silent)

    assert context.ledger.runs("projects")[0].state is State.FAILED
    assert context.ledger.count_published("projects") == 10


def test_a_url_missing_in_the_archive_is_reported(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)

    with pytest.raises(
        ArchiveError,
        match=r"https://registry\.example/other.* is not in the archive projects/projects\.1\.warc\.gz",
    ):
        remap(replace(source, url="https://registry.example/other"), silent)


def test_an_open_harvest_must_be_finished_before_a_remap(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest(source, context)
    context.ledger.create_run("projects", context.now(), "rules", is_full=True, since=None)

    with pytest.raises(
        PlanError,
        match=r"projects\.2 was interrupted and is still open; run `stocktake harvest projects`",
    ):
        remap(source, silent)


@pytest.mark.parametrize("action", [remap, harvest])
def test_an_interrupted_remap_is_restarted_by_the_next_run(
    source: Source, context: HarvestContext, action: Any
) -> None:
    harvest(source, context)
    cut = context.ledger.create_run("projects", context.now(), "rules", is_full=False, since=None)
    context.ledger.save(replace(cut, last_fetched=cut.started))

    plan = action(source, context)

    assert plan.run.id == "projects.3"
    failed = context.ledger.run("projects.2")
    assert failed is not None
    assert failed.state is State.FAILED


def test_a_large_remap_uses_worker_processes(
    source: Source, context: HarvestContext, silent: HarvestContext
) -> None:
    harvest_all([source], context, full=False, dry_run=False, quiet=True)
    definition = replace(source, fields={**source.fields, "description@en": "owner"})
    silent.pool.workers, silent.pool.record_count = 1, 10_000

    assert counted(remap(definition, silent)) == {Outcome.CHANGED: 10}
