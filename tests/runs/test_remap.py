"""Re-mapping: archived responses are mapped with today's code, without requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import Harvester, ProjectRegistry

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


def test_an_unchanged_mapping_writes_nothing(filled: Harvester, silent: HarvestContext) -> None:
    head = filled.context.journal.head

    plan = remap(filled.source, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.UNCHANGED: 10}, State.UNCHANGED)
    assert filled.context.journal.head == head


def test_a_changed_mapping_changes_records_without_requests(
    filled: Harvester, silent: HarvestContext
) -> None:
    definition = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})

    plan = remap(definition, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.CHANGED: 10}, State.COMMITTED)
    rows = [row for row in last_lines(filled.context) if "initiative/projects/p3>" in row]
    assert [row[0] for row in rows if "/terms/description>" in row] == ["A"]
    assert counted(harvest(definition, filled.context)) == {Outcome.UNCHANGED: 10}


def test_a_remap_equals_a_full_harvest_with_the_new_definition(
    harvester: Harvester, silent: HarvestContext
) -> None:
    definition = replace(
        harvester.source, fields={**harvester.source.fields, "description@en": "owner"}
    )
    harvester.harvest()
    remap(definition, silent)
    mapped = silent.ledger.current_descriptions(
        "projects", [f"p{number}" for number in range(1, 11)]
    )

    assert counted(harvest(definition, harvester.context, full=True)) == {Outcome.UNCHANGED: 10}
    assert harvester.context.ledger.current_descriptions("projects", list(mapped)) == mapped


def test_the_newest_archived_version_of_a_record_counts(
    filled: Harvester, silent: HarvestContext, project: Callable[..., dict[str, Any]]
) -> None:
    filled.registry.projects[2] = project(3, "Renamed")
    filled.harvest()

    assert counted(remap(filled.source, silent)) == {Outcome.UNCHANGED: 10}


def test_records_missing_at_the_source_stay_unchanged(
    harvester: Harvester, silent: HarvestContext
) -> None:
    lax = replace(harvester.source, limits=Limits(vanished=1.0))
    harvest(lax, harvester.context)
    del harvester.registry.projects[7:]
    harvest(lax, harvester.context)

    assert counted(remap(lax, silent)) == {Outcome.UNCHANGED: 7}
    assert harvester.missing == 3


def test_a_withheld_record_is_published_after_the_mapping_is_fixed(
    harvester: Harvester, silent: HarvestContext, project: Callable[..., dict[str, Any]]
) -> None:
    harvester.registry.projects[4] = {**project(5), "name": "", "nom": "Projet"}
    harvester.harvest()
    definition = replace(harvester.source, fields={**harvester.source.fields, "title@fr": "nom"})

    assert counted(remap(definition, silent)) == {Outcome.NEW: 1, Outcome.UNCHANGED: 9}


def test_the_guard_holds_a_plan_that_would_withhold_too_much(
    filled: Harvester, silent: HarvestContext
) -> None:
    definition = replace(filled.source, fields={**filled.source.fields, "title@en": "nothing"})

    plan = remap(definition, silent)

    assert plan.run.state is State.HELD
    assert "10 of 10 records could not be published" in (plan.hold_reason or "")
    assert filled.published == 10


def test_a_dry_run_shows_the_plan_and_leaves_no_trace(
    filled: Harvester, silent: HarvestContext
) -> None:
    definition = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})
    before, runs = filled.context.journal.head, filled.context.ledger.runs("projects")

    assert counted(remap(definition, silent, dry_run=True)) == {Outcome.CHANGED: 10}
    assert (filled.context.journal.head, filled.context.ledger.runs("projects")) == (before, runs)


def test_a_remap_changes_neither_freshness_nor_the_next_request(
    filled: Harvester, silent: HarvestContext
) -> None:
    before = status_file.source_statuses(filled.context, filled.context.now())[0]
    definition = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})
    first = filled.context.ledger.runs("projects")[0]

    run = remap(definition, silent).run

    after = status_file.source_statuses(filled.context, filled.context.now())[0]
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
    filled: Harvester, silent: HarvestContext
) -> None:
    filled.registry.projects[0]["name"] = "Renamed"
    filled.registry.answer = lambda page: (
        httpx.Response(400, text="too deep") if page == 3 else None
    )
    early = filled.harvest()
    definition = replace(filled.source, fields={**filled.source.fields, "description@en": "owner"})

    plan = remap(definition, silent)

    assert (early.run.state, plan.run.state) == (State.INCOMPLETE, State.COMMITTED)
    assert counted(plan) == {Outcome.CHANGED: 10}


def test_a_missing_archive_is_reported_and_changes_nothing(
    filled: Harvester, silent: HarvestContext
) -> None:
    (filled.context.data / "archive" / "projects" / "projects.1.warc.gz").unlink()

    with pytest.raises(ArchiveError, match=r"archive .*projects\.1\.warc\.gz: No such file"):
        remap(filled.source, silent)

    assert filled.context.ledger.runs("projects")[0].state is State.FAILED
    assert filled.published == 10


def test_a_url_missing_in_the_archive_is_reported(
    filled: Harvester, silent: HarvestContext
) -> None:

    with pytest.raises(
        ArchiveError,
        match=r"https://registry\.example/other.* is not in the archive projects/projects\.1\.warc\.gz",
    ):
        remap(replace(filled.source, url="https://registry.example/other"), silent)


def test_an_open_harvest_must_be_finished_before_a_remap(
    filled: Harvester, silent: HarvestContext
) -> None:
    filled.context.ledger.create_run(
        "projects", filled.context.now(), "rules", is_full=True, since=None
    )

    with pytest.raises(
        PlanError,
        match=r"projects\.2 was interrupted and is still open; run `stocktake harvest projects`",
    ):
        remap(filled.source, silent)


@pytest.mark.parametrize("action", [remap, harvest])
def test_an_interrupted_remap_is_restarted_by_the_next_run(filled: Harvester, action: Any) -> None:
    cut = filled.context.ledger.create_run(
        "projects", filled.context.now(), "rules", is_full=False, since=None
    )
    filled.context.ledger.save(replace(cut, last_fetched=cut.started))

    plan = action(filled.source, filled.context)

    assert plan.run.id == "projects.3"
    failed = filled.context.ledger.run("projects.2")
    assert failed is not None
    assert failed.state is State.FAILED


def test_a_large_remap_uses_worker_processes(harvester: Harvester, silent: HarvestContext) -> None:
    harvest_all([harvester.source], harvester.context, full=False, dry_run=False, quiet=True)
    definition = replace(
        harvester.source, fields={**harvester.source.fields, "description@en": "owner"}
    )
    silent.pool.workers, silent.pool.record_count = 1, 10_000

    assert counted(remap(definition, silent)) == {Outcome.CHANGED: 10}
