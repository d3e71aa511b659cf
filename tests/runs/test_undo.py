"""Undoing an approval: what was published before is published again, as a new entry of the journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from projects import Harvester

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


def test_undoing_restores_every_record_as_it_was(filled: Harvester) -> None:
    before = published(filled.context)
    filled.registry.projects[0]["name"] = "Renamed"
    del filled.registry.projects[4:]
    plan = filled.harvest()
    plan_decisions.approve(filled.context, filled.source, plan.run.id, by="ann")
    assert published(filled.context) != before

    restoring = undo(filled.context, filled.source, plan.run.id, by="bob", reason="their mistake")

    undone = filled.context.ledger.run(plan.run.id)
    assert undone is not None
    assert (restoring.state, undone.state, undone.reason) == (
        State.COMMITTED,
        State.UNDONE,
        f"undone by bob: their mistake; {restoring.id} restored what was published before",
    )
    assert published(filled.context) == before
    assert filled.context.ledger.operators.audit_entries(1)[0].what == "undone"
    assert filled.missing == 0


def test_a_record_that_the_approval_added_gets_a_tombstone(harvester: Harvester) -> None:
    run = approve_changes(harvester.source, harvester.context, harvester.registry)

    restoring = undo(harvester.context, harvester.source, run, by="bob")

    tombstone = "\n".join(published(harvester.context)["added"])
    assert "was undone by an operator" in tombstone
    assert (restoring.counts["deleted"], restoring.counts["published_after"]) == (
        1,
        restoring.counts["published_before"] - 1,
    )


def test_the_next_run_brings_the_same_changes_again(harvester: Harvester) -> None:
    undo(
        harvester.context,
        harvester.source,
        approve_changes(harvester.source, harvester.context, harvester.registry),
        by="bob",
    )

    again = harvester.harvest()

    assert (again.run.state, again.run.is_full) == (State.HELD, True)
    assert again.outcomes[Outcome.CHANGED] == 1
    assert again.vanished > 0


def test_an_approval_of_removals_is_undone(harvester: Harvester) -> None:
    strict = replace(harvester.source, limits=replace(harvester.source.limits, misses=0))
    harvest(strict, harvester.context)
    before = published(harvester.context)
    del harvester.registry.projects[4:]
    plan = harvest(strict, harvester.context)
    plan_decisions.approve(harvester.context, strict, plan.run.id, by="ann")

    restoring = undo(harvester.context, strict, plan.run.id, by="bob")

    assert restoring.counts["published_after"] == plan.published_before
    assert published(harvester.context) == before


def test_a_mark_that_the_approval_removed_is_set_again(filled: Harvester) -> None:
    missing = filled.registry.projects.pop()
    filled.harvest()
    assert filled.missing == 1
    filled.registry.projects.append(missing)
    plan_decisions.hold(filled.context, "projects", by="ann", reason="")
    plan = filled.harvest(full=True)
    assert plan.run.state is State.HELD
    plan_decisions.approve(filled.context, filled.source, plan.run.id, by="ann")
    assert filled.missing == 0

    undo(filled.context, filled.source, plan.run.id, by="bob")

    assert filled.missing == 1


@pytest.mark.parametrize("state", [State.COMMITTED, State.HELD, State.RUNNING])
def test_an_approval_before_another_run_cannot_be_undone(
    harvester: Harvester, state: State
) -> None:
    run = approve_changes(harvester.source, harvester.context, harvester.registry)
    later = harvester.context.ledger.create_run(
        "projects", harvester.context.now() + timedelta(hours=1), "", is_full=True, since=None
    )
    harvester.context.ledger.save(replace(later, state=state))

    with pytest.raises(PlanError, match="only the newest run"):
        undo(harvester.context, harvester.source, run, by="bob")

    assert find_undoable(harvester.context.ledger, "projects") is None


def test_a_run_that_no_person_approved_cannot_be_undone(harvester: Harvester) -> None:
    plan = harvester.harvest()

    with pytest.raises(PlanError, match="if a person approved it"):
        undo(harvester.context, harvester.source, plan.run.id, by="bob")


def test_an_approval_is_undone_once(harvester: Harvester) -> None:
    run = approve_changes(harvester.source, harvester.context, harvester.registry)
    undo(harvester.context, harvester.source, run, by="bob")

    with pytest.raises(PlanError, match="only the newest run"):
        undo(harvester.context, harvester.source, run, by="bob")


def test_an_undo_that_the_journal_refuses_is_finished_by_the_next_run(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = approve_changes(harvester.source, harvester.context, harvester.registry)
    entries = len(list(harvester.context.journal.entries()))

    def refuse(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(harvester.context.journal), "append", refuse)
        with pytest.raises(JournalError):
            undo(harvester.context, harvester.source, run, by="bob")
    harvester.registry.projects[0]["name"] = "Project 1"
    harvester.harvest()

    assert len(list(harvester.context.journal.entries())) >= entries + 1
    restored = harvester.context.ledger.run("projects.3")
    assert restored is not None
    assert (restored.state, restored.counts["deleted"]) == (State.COMMITTED, 1)
    record = harvester.context.ledger.stored_records("projects", ["added"])["added"]
    assert record.state is RecordState.GONE
