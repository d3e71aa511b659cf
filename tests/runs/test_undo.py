from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from projects import Harvester

from harvesters.errors import PlanError
from harvesters.ledger import operators
from harvesters.ledger.models import Outcome, RecordState, Run, State
from harvesters.runs.operations import undo
from harvesters.runs.removal import find_undoable
from journal.errors import JournalError


def records(harvester: Harvester) -> dict[str, set[str]]:
    prefix, graphs = harvester.iris.record("projects", ""), harvester.graphs()
    return {
        graph.removeprefix(prefix): lines
        for graph, lines in graphs.items()
        if graph.startswith(prefix)
    }


def undone(harvester: Harvester, run: str, reason: str = "") -> Run:
    return undo(harvester.context, harvester.source, run, by="bob", reason=reason)


@pytest.fixture
def approved(filled: Harvester) -> str:
    projects = filled.registry.projects
    projects[0]["name"] = "Renamed"
    projects.append({**projects[1], "id": "added", "name": "Another one"})
    del projects[4:-1]
    run: Run = filled.harvest().run
    assert run.state is State.HELD
    assert filled.approve(run.id).state is State.COMMITTED
    return run.id


def test_undoing_what_a_person_approved_restores_every_record_as_it_was(filled: Harvester) -> None:
    with pytest.raises(PlanError, match="if a person approved it"):
        undone(filled, "projects.1")
    before = records(filled)
    filled.registry.projects[0]["name"] = "Renamed"
    del filled.registry.projects[4:]
    run = filled.harvest().run.id
    filled.approve(run)
    assert records(filled) != before

    restoring = undone(filled, run, "their mistake")

    result = filled.ledger.run(run)
    assert result is not None
    reason = f"undone by bob: their mistake; {restoring.id} restored what was published before"
    assert (restoring.state, result.state, result.reason) == (State.COMMITTED, State.UNDONE, reason)
    assert records(filled) == before
    assert operators.audit_entries(filled.ledger, 1)[0].what == "undone"
    assert filled.missing == 0


def test_an_approval_is_undone_once_with_a_tombstone_for_what_it_added_and_the_next_run_brings_it(
    filled: Harvester, approved: str
) -> None:
    counts = undone(filled, approved).counts

    assert "was undone by an operator" in "\n".join(records(filled)["added"])
    assert (counts["deleted"], counts["published_after"]) == (1, counts["published_before"] - 1)
    with pytest.raises(PlanError, match="only the newest run"):
        undone(filled, approved)
    again = filled.harvest()
    assert (again.run.state, again.run.is_full) == (State.HELD, True)
    assert again.outcomes[Outcome.CHANGED] == 1
    assert again.outcomes[Outcome.VANISHED] > 0


def test_an_approval_of_removals_is_undone(harvester: Harvester) -> None:
    strict = harvester.having(limits=replace(harvester.source.limits, misses=0))
    strict.harvest()
    before = records(strict)
    del strict.registry.projects[4:]
    plan = strict.harvest()
    strict.approve(plan.run.id)

    assert undone(strict, plan.run.id).counts["published_after"] == plan.published_before
    assert records(strict) == before


def test_a_mark_that_the_approval_removed_is_set_again(filled: Harvester) -> None:
    missing = filled.registry.projects.pop()
    filled.harvest()
    marks = [filled.missing]
    filled.registry.projects.append(missing)
    filled.hold()
    run = filled.harvest(full=True).run
    assert run.state is State.HELD
    filled.approve(run.id)
    marks.append(filled.missing)

    undone(filled, run.id)

    assert [*marks, filled.missing] == [1, 0, 1]


@pytest.mark.parametrize("state", [State.COMMITTED, State.HELD, State.RUNNING])
def test_an_approval_before_another_run_cannot_be_undone(
    filled: Harvester, approved: str, state: State
) -> None:
    ledger, later = filled.ledger, filled.context.now() + timedelta(hours=1)
    run = ledger.create_run("projects", later, "", is_full=True, since=None)
    ledger.save(replace(run, state=state))

    with pytest.raises(PlanError, match="only the newest run"):
        undone(filled, approved)

    assert find_undoable(ledger, "projects") is None


def test_an_undo_that_the_journal_refuses_is_finished_by_the_next_run(
    filled: Harvester, approved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = len(filled.entries)

    def refuse(*_: object, **__: object) -> None:
        raise JournalError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(filled.journal), "append", refuse)
        with pytest.raises(JournalError):
            undone(filled, approved)
    filled.registry.projects[0]["name"] = "Project 1"
    filled.harvest()

    assert len(filled.entries) >= entries + 1
    restored = filled.ledger.run("projects.3")
    assert restored is not None
    assert (restored.state, restored.counts["deleted"]) == (State.COMMITTED, 1)
    record = filled.ledger.stored_records("projects", ["added"])["added"]
    assert record.state is RecordState.GONE
