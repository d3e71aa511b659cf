"""Removing a source's records, one record, and retiring a source: each as a plan that a person
approves.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harvesters.archive import archive_faults, list_responses, read_body
from harvesters.errors import PlanError
from harvesters.inspection.trace import explain, read_record
from harvesters.ledger.models import Outcome, StagedRecord, State, key_digest
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions, removal
from harvesters.runs.plans.undo import undo
from harvesters.runs.remap import remap
from harvesters.runs.schedule.archive_retention import plan_pruning, prune
from harvesters.source import Source


def statements(context: HarvestContext, graph: str) -> set[str]:
    """Return the statements of a graph after all entries of the journal."""
    lines: set[str] = set()
    for entry in context.journal.entries():
        for row in entry.rows():
            statement, _, name = row[2:].removesuffix(" .").rpartition(" ")
            if name == f"<{graph}>":
                (lines.add if row[0] == "A" else lines.remove)(statement)
    return lines


def approve(plan: Any, source: Source, context: HarvestContext) -> Any:
    return plan_decisions.approve(context, source, plan.run.id, by="ann")


def test_clearing_waits_for_approval_even_for_one_record(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    del registry.projects[1:]
    harvest(source, context)

    plan = removal.plan_clear(source, context, by="bob")

    assert plan.run.state is State.HELD
    assert "bob asks to remove all records of the source: 1" in (plan.hold_reason or "")
    assert context.ledger.count_published("projects") == 1


def test_an_approved_clearing_leaves_tombstones_and_the_next_harvest_publishes_again(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    request_count = len(registry.request_log)

    run = approve(removal.plan_clear(source, context, by="bob"), source, context)

    assert (run.state, run.counts["gone"], context.ledger.count_published("projects")) == (
        State.COMMITTED,
        10,
        0,
    )
    assert len(registry.request_log) == request_count
    assert any(
        "cleared by an operator" in line
        for line in statements(context, context.iris.record("projects", "p1"))
    )
    again = harvest(source, context)
    assert (again.run.state, again.run.is_full, context.ledger.count_published("projects")) == (
        State.COMMITTED,
        True,
        10,
    )


def test_a_clearing_can_be_undone(source: Source, context: HarvestContext) -> None:
    harvest(source, context)
    record = context.iris.record("projects", "p1")
    before = statements(context, record)
    run = approve(removal.plan_clear(source, context, by="bob"), source, context)

    undo(context, source, run.id, by="ann")

    assert statements(context, record) == before


def test_no_removal_is_planned_while_a_plan_waits(source: Source, context: HarvestContext) -> None:
    harvest(source, context)
    first = removal.plan_clear(source, context, by="bob")

    with pytest.raises(PlanError, match=f"the plan {first.run.id} awaits approval"):
        removal.plan_retirement(source, context, by="bob")


def test_a_retired_source_keeps_its_records_and_is_not_harvested_until_resumed(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    graph, status = context.iris.source("projects"), "<http://www.w3.org/ns/adms#status>"
    plan = removal.plan_retirement(source, context, by="bob")
    assert not context.ledger.removals.is_retired("projects")

    run = approve(plan, source, context)

    assert (run.state, context.ledger.count_published("projects")) == (State.COMMITTED, 10)
    assert f"<{graph}> {status} <{context.iris.operations}retired>" in statements(context, graph)
    with pytest.raises(PlanError, match="stocktake sources resume projects"):
        harvest(source, context)
    assert context.ledger.removals.resume_source("projects", context.now())
    assert harvest(source, context).run.state is State.COMMITTED
    assert not any(status in line for line in statements(context, graph))


def test_a_rejected_retirement_changes_nothing(source: Source, context: HarvestContext) -> None:
    harvest(source, context)
    plan = removal.plan_retirement(source, context, by="bob")

    plan_decisions.reject(context, source, plan.run.id, by="ann")

    assert not context.ledger.removals.is_retired("projects")
    assert harvest(source, context).run.state is State.UNCHANGED


def test_a_forgotten_record_has_a_bare_tombstone_and_is_never_published_again(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)

    approve(removal.plan_forgetting(source, "p1", context, by="bob"), source, context)

    tombstone = "\n".join(statements(context, context.iris.record("projects", "p1")))
    assert '"removed on request"@en' in tombstone
    assert "Project 1" not in tombstone
    registry.projects[0]["name"] = "Project 1, renamed"
    again = harvest(source, context, full=True)
    assert (again.run.counts["withheld"], context.ledger.count_published("projects")) == (1, 9)
    remap(source, context)
    assert context.ledger.count_published("projects") == 9


def test_an_approved_forgetting_cannot_be_undone(source: Source, context: HarvestContext) -> None:
    harvest(source, context)
    run = approve(removal.plan_forgetting(source, "p1", context, by="bob"), source, context)

    with pytest.raises(PlanError, match="only the newest run"):
        undo(context, source, run.id, by="ann")


def release(context: HarvestContext, number: int, position: int) -> None:
    """Write the manifest of a release with files, as the publisher does."""
    folder = context.data / "releases" / str(number)
    folder.mkdir(parents=True)
    (folder / "release.json").write_text(
        json.dumps({"number": number, "position": position, "withdrawn": None})
    )


def test_erasing_says_exactly_what_remains(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    first = harvest(source, context)
    release(context, 1, first.run.entry or 0)
    run = approve(removal.plan_forgetting(source, "p1", context, by="bob"), source, context)
    release(context, 2, run.entry or 0)
    archive = context.data / "archive"
    before = [
        (item.url, item.position)
        for item in list_responses(archive, f"projects/{first.run.id}.warc.gz")
    ]

    remaining = removal.erase("projects", "p1", context)

    after = list(list_responses(archive, f"projects/{first.run.id}.warc.gz"))
    bodies = [read_body(archive, item.position) for item in after]
    assert [(item.url, item.position) for item in after] == before
    assert (remaining.entries, remaining.releases) == ((first.run.entry, run.entry), (1,))
    assert remaining.files == (f"projects/{first.run.id}.warc.gz",)
    assert len(remaining.erased) == 1
    assert not any(b'Project 1"' in body for body in bodies)
    assert any(b"Project 4" in body for body in bodies)
    assert list(archive_faults(archive)) == []
    assert removal.erase("projects", "p1", context) == remaining


def test_a_file_whose_responses_are_all_erased_does_not_remain(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    del registry.projects[3:]
    harvest(source, context)
    approve(removal.plan_forgetting(source, "p1", context, by="bob"), source, context)

    remaining = removal.erase("projects", "p1", context)
    described = read_record(context.ledger, "projects", "p2")
    explained = explain(described, source, context.iris.base, context.data / "archive")

    assert (len(remaining.erased), remaining.files) == (1, ())
    assert "erased from the archive" in explained.note
    assert {item.origin for item in explained.statements} == {"unknown"}


def test_the_ledger_has_no_text_of_an_erased_record(
    source: Source, context: HarvestContext, registry: Any, tmp_path: Path
) -> None:
    harvest(source, context)
    approve(removal.plan_forgetting(source, "p1", context, by="bob"), source, context)
    removal.erase("projects", "p1", context)

    described = {
        record.key: text
        for record, text in context.ledger.described("projects", _staged("p1", "p2"))
    }

    assert "Project 1" not in described["p1"]
    assert "Project 2" in described["p2"]
    assert context.ledger.removals.forgotten_keys("projects") == {key_digest("p1")}


def _staged(*keys: str) -> list[Any]:
    return [StagedRecord(key, Outcome.CHANGED) for key in keys]


def test_pruning_keeps_what_releases_cite_what_is_current_and_what_a_remap_reads(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    runs = []
    for name in ("A", "B", "C", "D"):
        for project in registry.projects[:4]:
            project["name"] = f"{name} of {project['id']}"
        runs.append(harvest(source, context, full=True).run)
    release(context, 1, runs[1].entry or 0)

    pruning = plan_pruning(context, before=None, max_bytes=0)
    prune(context, pruning)

    # the first run published p5 to p10, the second is what release 1 has of p1 to p4, the fourth is
    # current; nothing needs the third
    assert [file.run for file in pruning.deleted] == [runs[2].id]
    left = sorted(path.name for path in (context.data / "archive").glob("*/*"))
    assert left == sorted(f"{run.id}.warc.gz" for run in runs if run.id != runs[2].id)
    assert pruning.bytes_after == sum(
        path.stat().st_size for path in (context.data / "archive").glob("*/*")
    )


def test_pruning_by_age_deletes_only_what_is_older(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    for name in ("A", "B", "C"):
        for project in registry.projects:
            project["name"] = f"{name} of {project['id']}"
        harvest(replace(source, limits=replace(source.limits, changed=1.0)), context, full=True)
    files = plan_pruning(context, before=None, max_bytes=0).deleted
    assert len(files) == 2

    assert (
        plan_pruning(context, before=files[0].written - timedelta(days=1), max_bytes=None).deleted
        == ()
    )
    assert (
        plan_pruning(context, before=files[1].written + timedelta(days=1), max_bytes=None).deleted
        == files
    )
