from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from fetch_client import read_body
from projects import Harvester

from harvesters.archive import archive_faults, list_responses
from harvesters.errors import PlanError
from harvesters.inspection.trace import explain, read_record
from harvesters.ledger.models import Outcome, RemovalKind, Run, StagedRecord, State, key_digest
from harvesters.runs import operations, removal
from harvesters.runs.operations import undo
from harvesters.runs.plan import Plan
from harvesters.runs.run import remap
from harvesters.runs.upkeep import plan_pruning, prune


def statements(harvester: Harvester, graph: str) -> set[str]:
    return harvester.graphs().get(graph, set())


def approve(plan: Plan, harvester: Harvester) -> Run:
    return harvester.approve(plan.run.id)


def forget(harvester: Harvester, key: str = "p1") -> Run:
    plan = removal.plan_removal(
        harvester.source, harvester.context, RemovalKind.FORGET, key, by="bob"
    )
    return approve(plan, harvester)


def clear(harvester: Harvester) -> Plan:
    return removal.plan_removal(harvester.source, harvester.context, RemovalKind.CLEAR, by="bob")


def retire(harvester: Harvester) -> Plan:
    return removal.plan_removal(harvester.source, harvester.context, RemovalKind.RETIRE, by="bob")


def test_clearing_waits_for_approval_even_for_one_record(harvester: Harvester) -> None:
    del harvester.registry.projects[1:]
    harvester.harvest()

    plan = clear(harvester)

    assert (plan.run.state, harvester.published) == (State.HELD, 1)
    assert "bob asks to remove all records of the source: 1" in (plan.hold_reason or "")


def test_an_approved_clearing_leaves_tombstones_and_the_next_harvest_publishes_again(
    filled: Harvester,
) -> None:
    request_count, record = len(filled.registry.request_log), filled.iris.record("projects", "p1")  # fmt: skip

    run = approve(clear(filled), filled)

    assert (run.state, run.counts["gone"], filled.published) == (State.COMMITTED, 10, 0)
    assert len(filled.registry.request_log) == request_count
    assert "cleared by an operator" in "\n".join(statements(filled, record))
    again = filled.harvest().run
    assert (again.state, again.is_full, filled.published) == (State.COMMITTED, True, 10)


def test_a_clearing_can_be_undone(filled: Harvester) -> None:
    before = filled.record("p1")
    run = approve(clear(filled), filled)

    undo(filled.context, filled.source, run.id, by="ann")

    assert filled.record("p1") == before


def test_no_removal_is_planned_while_a_plan_waits(filled: Harvester) -> None:
    first = clear(filled)

    with pytest.raises(PlanError, match=f"the plan {first.run.id} awaits approval"):
        retire(filled)


def test_a_retired_source_keeps_its_records_and_is_not_harvested_until_resumed(
    filled: Harvester,
) -> None:
    iris = filled.iris
    graph, status = iris.source("projects"), "<http://www.w3.org/ns/adms#status>"
    plan = retire(filled)
    assert not filled.ledger.is_retired("projects")

    assert (approve(plan, filled).state, filled.published) == (State.COMMITTED, 10)
    assert f"<{graph}> {status} <{iris.operations}retired>" in statements(filled, graph)
    with pytest.raises(PlanError, match="stocktake sources resume projects"):
        filled.harvest()
    operations.resume(filled.context, "projects", by="ann")
    assert filled.harvest().run.state is State.COMMITTED
    assert not any(status in line for line in statements(filled, graph))


def test_a_rejected_retirement_changes_nothing(filled: Harvester) -> None:
    filled.reject(retire(filled).run.id)

    assert not filled.ledger.is_retired("projects")
    assert filled.harvest().run.state is State.UNCHANGED


def test_a_forgotten_record_has_a_bare_tombstone_and_is_never_published_again(
    filled: Harvester,
) -> None:
    run = forget(filled)

    tombstone = "\n".join(filled.record("p1"))
    assert '"removed on request"@en' in tombstone
    assert "Project 1" not in tombstone
    with pytest.raises(PlanError, match="only the newest run"):
        undo(filled.context, filled.source, run.id, by="ann")
    filled.registry.projects[0]["name"] = "Project 1, renamed"
    assert (filled.harvest(full=True).run.counts["withheld"], filled.published) == (1, 9)
    remap(filled.source, filled.context)
    assert filled.published == 9


def release(harvester: Harvester, number: int, position: int) -> None:
    folder = harvester.data / "releases" / str(number)
    folder.mkdir(parents=True)
    manifest = {"number": number, "position": position, "withdrawn": None}
    (folder / "release.json").write_text(json.dumps(manifest))


def test_erasing_says_exactly_what_remains(harvester: Harvester) -> None:
    first = harvester.harvest().run
    release(harvester, 1, first.entry or 0)
    run = forget(harvester)
    release(harvester, 2, run.entry or 0)
    archive, file = harvester.data / "archive", f"projects/{first.id}.warc.gz"
    before = [(item.url, item.position) for item in list_responses(archive, file)]

    remaining = removal.erase("projects", "p1", harvester.context)

    after = list(list_responses(archive, file))
    bodies = [read_body(archive, item.position) for item in after]
    assert [(item.url, item.position) for item in after] == before
    assert (remaining.entries, remaining.releases) == ((first.entry, run.entry), (1,))
    assert (remaining.files, len(remaining.erased)) == ((file,), 1)
    assert not any(b'Project 1"' in body for body in bodies)
    assert any(b"Project 4" in body for body in bodies)
    assert list(archive_faults(archive)) == []
    assert removal.erase("projects", "p1", harvester.context) == remaining


def test_a_file_whose_responses_are_all_erased_does_not_remain(harvester: Harvester) -> None:
    del harvester.registry.projects[3:]
    harvester.harvest()
    forget(harvester)
    context = harvester.context

    remaining = removal.erase("projects", "p1", context)
    described = read_record(context.ledger, "projects", "p2")
    explained = explain(described, harvester.source, context.iris.base, context.data / "archive")

    assert (len(remaining.erased), remaining.files) == (1, ())
    assert "erased from the archive" in explained.note
    assert {item.origin for item in explained.statements} == {"unknown"}


def test_the_ledger_has_no_text_of_an_erased_record(filled: Harvester) -> None:
    forget(filled)
    ledger = filled.ledger
    removal.erase("projects", "p1", filled.context)

    staged = [StagedRecord(key, Outcome.CHANGED) for key in ("p1", "p2")]
    described = {record.key: text for record, text in ledger.described("projects", staged)}

    assert "Project 1" not in described["p1"]
    assert "Project 2" in described["p2"]
    assert ledger.forgotten_keys("projects") == {key_digest("p1")}


def renamed(harvester: Harvester, names: str, count: int) -> list[Run]:
    runs = []
    for name in names:
        for project in harvester.registry.projects[:count]:
            project["name"] = f"{name} of {project['id']}"
        runs.append(harvester.harvest(full=True).run)
    return runs


def test_pruning_keeps_what_releases_cite_what_is_current_and_what_a_remap_reads(
    harvester: Harvester,
) -> None:
    runs = renamed(harvester, "ABCD", 4)
    release(harvester, 1, runs[1].entry or 0)

    pruning = plan_pruning(harvester.context, before=None, max_bytes=0)
    prune(harvester.context, pruning)

    # The first run published p5 to p10, release 1 has p1 to p4 from the second, the fourth is
    # current; nothing needs the third.
    assert [file.run for file in pruning.deleted] == [runs[2].id]
    left = sorted((harvester.data / "archive").glob("*/*"))
    assert [path.name for path in left] == [f"{runs[number].id}.warc.gz" for number in (0, 1, 3)]
    assert pruning.bytes_after == sum(path.stat().st_size for path in left)


def test_pruning_by_age_deletes_only_what_is_older(harvester: Harvester) -> None:
    limits = replace(harvester.source.limits, changed=1.0)
    renamed(harvester.having(limits=limits), "ABC", 10)
    files = plan_pruning(harvester.context, before=None, max_bytes=0).deleted
    assert len(files) == 2

    day = timedelta(days=1)
    for before, deleted in ((files[0].written - day, ()), (files[1].written + day, files)):
        pruning = plan_pruning(harvester.context, before=before, max_bytes=None)
        assert pruning.deleted == deleted
