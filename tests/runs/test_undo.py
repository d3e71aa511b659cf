"""Undoing an approval: what was published before is published again, as a new entry of the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from harvesters.errors import PlanError
from harvesters.ledger.models import Outcome, RecordState, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions
from harvesters.runs.plans.undo import find_undoable, undo
from harvesters.source import Source
from journal.errors import JournalError


def published(context: HarvestContext) -> dict[str, set[str]]:
    """Return the statements of each record's graph after all entries of the journal."""
    graphs: dict[str, set[str]] = {}
    for entry in context.journal.entries():
        for row in entry.rows():
            statement, _, graph = row[2:].removesuffix(" .").rpartition(" ")
            lines = graphs.setdefault(graph.strip("<>"), set())
            (lines.add if row[0] == "A" else lines.remove)(statement)
    prefix = context.iris.record("projects", "")
    return {
        graph.removeprefix(prefix): lines
        for graph, lines in graphs.items()
        if graph.startswith(prefix) and lines
    }


def approve_changes(source: Source, context: HarvestContext, registry: Any) -> str:
    """Harvest, then approve a plan that changes a record, adds one, and misses half; return its id."""
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"
    registry.projects.append({**registry.projects[1], "id": "added", "name": "Another one"})
    del registry.projects[4:-1]
    plan = harvest(source, context)
    assert plan.run.state is State.HELD
    assert plan_decisions.approve(context, source, plan.run.id, by="ann").state is State.COMMITTED
    return plan.run.id


def test_undoing_restores_every_record_as_it_was(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    before = published(context)
    registry.projects[0]["name"] = "Renamed"
    del registry.projects[4:]
    plan = harvest(source, context)
    plan_decisions.approve(context, source, plan.run.id, by="ann")
    assert published(context) != before

    restoring = undo(context, source, plan.run.id, by="bob", reason="their mistake")

    undone = context.ledger.run(plan.run.id)
    assert undone is not None
    assert (restoring.state, undone.state, undone.reason) == (
        State.COMMITTED,
        State.UNDONE,
        f"undone by bob: their mistake; {restoring.id} restored what was published before",
    )
    assert published(context) == before
    assert context.ledger.operators.audit_entries(1)[0].what == "undone"
    assert context.ledger.count_missing("projects") == 0


def test_a_record_that_the_approval_added_gets_a_tombstone(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    run = approve_changes(source, context, registry)

    restoring = undo(context, source, run, by="bob")

    tombstone = "\n".join(published(context)["added"])
    assert "was undone by an operator" in tombstone
    assert (restoring.counts["deleted"], restoring.counts["published_after"]) == (
        1,
        restoring.counts["published_before"] - 1,
    )


def test_the_next_run_brings_the_same_changes_again(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    undo(context, source, approve_changes(source, context, registry), by="bob")

    again = harvest(source, context)

    assert (again.run.state, again.run.is_full) == (State.HELD, True)
    assert again.outcomes[Outcome.CHANGED] == 1
    assert again.vanished > 0


def test_an_approval_of_removals_is_undone(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    strict = replace(source, limits=replace(source.limits, misses=0))
    harvest(strict, context)
    before = published(context)
    del registry.projects[4:]
    plan = harvest(strict, context)
    plan_decisions.approve(context, strict, plan.run.id, by="ann")

    restoring = undo(context, strict, plan.run.id, by="bob")

    assert restoring.counts["published_after"] == plan.published_before
    assert published(context) == before


def test_a_mark_that_the_approval_removed_is_set_again(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    missing = registry.projects.pop()
    harvest(source, context)
    assert context.ledger.count_missing("projects") == 1
    registry.projects.append(missing)
    plan_decisions.hold(context, "projects", by="ann", reason="")
    plan = harvest(source, context, full=True)
    assert plan.run.state is State.HELD
    plan_decisions.approve(context, source, plan.run.id, by="ann")
    assert context.ledger.count_missing("projects") == 0

    undo(context, source, plan.run.id, by="bob")

    assert context.ledger.count_missing("projects") == 1


@pytest.mark.parametrize("state", [State.COMMITTED, State.HELD, State.RUNNING])
def test_an_approval_before_another_run_cannot_be_undone(
    source: Source, context: HarvestContext, registry: Any, state: State
) -> None:
    run = approve_changes(source, context, registry)
    later = context.ledger.create_run(
        "projects", context.now() + timedelta(hours=1), "", is_full=True, since=None
    )
    context.ledger.save(replace(later, state=state))

    with pytest.raises(PlanError, match="only the newest run"):
        undo(context, source, run, by="bob")

    assert find_undoable(context.ledger, "projects") is None


def test_a_run_that_no_person_approved_cannot_be_undone(
    source: Source, context: HarvestContext
) -> None:
    plan = harvest(source, context)

    with pytest.raises(PlanError, match="if a person approved it"):
        undo(context, source, plan.run.id, by="bob")


def test_an_approval_is_undone_once(source: Source, context: HarvestContext, registry: Any) -> None:
    run = approve_changes(source, context, registry)
    undo(context, source, run, by="bob")

    with pytest.raises(PlanError, match="only the newest run"):
        undo(context, source, run, by="bob")


def test_an_undo_that_the_journal_refuses_is_finished_by_the_next_run(
    source: Source, context: HarvestContext, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = approve_changes(source, context, registry)
    entries = len(list(context.journal.entries()))

    def refuse(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(context.journal), "append", refuse)
        with pytest.raises(JournalError):
            undo(context, source, run, by="bob")
    registry.projects[0]["name"] = "Project 1"
    harvest(source, context)

    assert len(list(context.journal.entries())) >= entries + 1
    restored = context.ledger.run("projects.3")
    assert restored is not None
    assert (restored.state, restored.counts["deleted"]) == (State.COMMITTED, 1)
    record = context.ledger.stored_records("projects", ["added"])["added"]
    assert record.state is RecordState.GONE
