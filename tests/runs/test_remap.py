from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import Harvester, asking, project

from command_line.source_runs import run_all
from harvesters.errors import ArchiveError, PlanError
from harvesters.ledger.models import Outcome, State
from harvesters.runs import status_file
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest, harvest_and_log, remap
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
def silent(context: HarvestContext) -> HarvestContext:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked")

    return asking(context, refuse)


def described(harvester: Harvester) -> Source:
    fields = {**harvester.source.fields, "description@en": "owner"}
    result: Source = replace(harvester.source, fields=fields)
    return result


def test_an_unchanged_mapping_writes_nothing(filled: Harvester, silent: HarvestContext) -> None:
    head = filled.journal.head

    plan = remap(filled.source, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.UNCHANGED: 10}, State.UNCHANGED)
    assert filled.journal.head == head


def test_a_changed_mapping_changes_records_without_requests_as_a_full_harvest_does(
    filled: Harvester, silent: HarvestContext
) -> None:
    definition = described(filled)

    plan = remap(definition, silent)

    assert (counted(plan), plan.run.state) == ({Outcome.CHANGED: 10}, State.COMMITTED)
    rows = [row for row in last_lines(filled.context) if "initiative/projects/p3>" in row]
    assert [row[0] for row in rows if "/terms/description>" in row] == ["A"]
    keys = [f"p{number}" for number in range(1, 11)]
    mapped = silent.ledger.current_descriptions("projects", keys)
    for is_full in (False, True):
        assert counted(harvest(definition, filled.context, full=is_full)) == {Outcome.UNCHANGED: 10}
    assert filled.ledger.current_descriptions("projects", keys) == mapped


def test_the_newest_archived_version_of_a_record_counts(
    filled: Harvester, silent: HarvestContext
) -> None:
    filled.registry.projects[2] = project(3, "Renamed")
    filled.harvest()

    assert counted(remap(filled.source, silent)) == {Outcome.UNCHANGED: 10}


def test_records_missing_at_the_source_stay_unchanged(
    harvester: Harvester, silent: HarvestContext
) -> None:
    lax = harvester.having(limits=Limits(vanished=1.0))
    lax.harvest()
    del lax.registry.projects[7:]
    lax.harvest()

    assert counted(remap(lax.source, silent)) == {Outcome.UNCHANGED: 7}
    assert lax.missing == 3


def test_a_withheld_record_is_published_after_the_mapping_is_fixed(
    harvester: Harvester, silent: HarvestContext
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
    before, runs = filled.journal.head, filled.ledger.runs("projects")

    assert counted(remap(described(filled), silent, dry_run=True)) == {Outcome.CHANGED: 10}
    assert (filled.journal.head, filled.ledger.runs("projects")) == (before, runs)


def test_a_remap_changes_neither_freshness_nor_the_next_request(
    filled: Harvester, silent: HarvestContext
) -> None:
    def freshness() -> tuple[Any, ...]:
        status = status_file.source_statuses(filled.context, filled.context.now())[0]
        return status.success, status.attempt, status.change

    before, first = freshness(), filled.ledger.runs("projects")[0]

    run = remap(described(filled), silent).run

    assert freshness() == before
    assert run.last_fetched == first.started
    assert run.started - first.started >= timedelta(minutes=1)


def test_a_remap_needs_an_archived_complete_run(source: Source, silent: HarvestContext) -> None:
    reason = "projects: no complete run is archived; run `stocktake harvest projects` first"
    with pytest.raises(PlanError, match=reason):
        remap(source, silent)


def test_a_run_that_ended_behind_good_pages_is_remapped_as_far_as_it_came(
    filled: Harvester, silent: HarvestContext
) -> None:
    filled.registry.projects[0]["name"] = "Renamed"
    filled.registry.answer = lambda page: httpx.Response(400) if page == 3 else None
    early = filled.harvest()

    plan = remap(described(filled), silent)

    assert (early.run.state, plan.run.state) == (State.INCOMPLETE, State.COMMITTED)
    assert counted(plan) == {Outcome.CHANGED: 10}


def test_a_missing_archive_is_reported_and_changes_nothing(
    filled: Harvester, silent: HarvestContext
) -> None:
    (filled.data / "archive" / "projects" / "projects.1.warc.gz").unlink()

    with pytest.raises(ArchiveError, match=r"archive .*projects\.1\.warc\.gz: No such file"):
        remap(filled.source, silent)

    assert filled.ledger.runs("projects")[0].state is State.FAILED
    assert filled.published == 10


def test_a_url_missing_in_the_archive_is_reported(
    filled: Harvester, silent: HarvestContext
) -> None:
    url = "https://registry.example/other"
    reason = rf"{url}.* is not in the archive projects/projects\.1\.warc\.gz"
    with pytest.raises(ArchiveError, match=reason):
        remap(replace(filled.source, url=url), silent)


def test_an_open_harvest_must_be_finished_before_a_remap(
    filled: Harvester, silent: HarvestContext
) -> None:
    now = filled.context.now()
    filled.ledger.create_run("projects", now, "rules", is_full=True, since=None)

    reason = r"projects\.2 was interrupted and is still open; run `stocktake harvest projects`"
    with pytest.raises(PlanError, match=reason):
        remap(filled.source, silent)


@pytest.mark.parametrize("action", [remap, harvest])
def test_an_interrupted_remap_is_restarted_by_the_next_run(filled: Harvester, action: Any) -> None:
    ledger, now = filled.ledger, filled.context.now()
    cut = ledger.create_run("projects", now, "rules", is_full=False, since=None)
    ledger.save(replace(cut, last_fetched=cut.started))

    assert action(filled.source, filled.context).run.id == "projects.3"
    failed = ledger.run("projects.2")
    assert failed is not None
    assert failed.state is State.FAILED


def test_a_large_remap_uses_worker_processes(harvester: Harvester, silent: HarvestContext) -> None:
    run_all([harvester.source], harvester.context, harvest_and_log, dry_run=False, quiet=True)
    silent.pool.workers, silent.pool.record_count = 1, 10_000

    assert counted(remap(described(harvester), silent)) == {Outcome.CHANGED: 10}
