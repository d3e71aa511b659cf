from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from projects import Harvester, project

from command_line.runs import print_run
from harvesters.errors import HarvestError, PlanError
from harvesters.ledger.ledger import LISTED_RUNS, Ledger
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.runs.run import harvest_and_log
from harvesters.source import Limits
from vocab.annotations import cluster_iri, describe_cluster
from vocab.terms import DCT


def test_a_first_run_publishes_its_records(harvester: Harvester) -> None:
    plan = harvester.harvest()

    assert (plan.run.state, plan.run.entry, harvester.published) == (State.COMMITTED, 1, 10)
    assert {name: count for name, count in plan.counts.items() if count} == {
        "reported": 10, "fetched": 10, "new": 10, "published_after": 10,
    }  # fmt: skip


def test_an_entry_describes_source_run_and_each_record_with_its_provenance(
    filled: Harvester,
) -> None:
    iris, graphs = filled.iris, filled.graphs()
    thing, record = (find("projects", "p1") for find in (lambda *key: iris.thing("initiative", *key), iris.record))  # fmt: skip

    assert f'<{thing}> <{DCT}title> "Project 1"@en' in graphs[record]
    run = f"<{record}> <http://www.w3.org/ns/prov#wasGeneratedBy> <{iris.run('projects.1')}>"
    assert run in graphs[record]
    assert len(graphs[iris.source("projects")]) > 5
    ten = '"10"^^<http://www.w3.org/2001/XMLSchema#integer>'
    assert any(line.endswith(ten) for line in graphs[iris.run("projects.1")])


@pytest.mark.parametrize("change", [{}, {"internal": "new"}])
def test_an_unchanged_source_or_a_change_outside_the_mapping_writes_no_entry(
    filled: Harvester, change: dict[str, str]
) -> None:
    filled.registry.projects[0].update(change)

    plan = filled.harvest()

    assert (plan.run.state, plan.outcomes[Outcome.UNCHANGED]) == (State.UNCHANGED, 10)
    assert len(filled.entries) == 1


def test_a_changed_record_writes_only_its_difference(filled: Harvester) -> None:
    filled.registry.projects[0]["name"] = "Renamed"

    plan = filled.harvest()

    record = f"<{filled.iris.record('projects', 'p1')}> ."
    changed = [row for row in filled.entries[1].rows() if row.endswith(record)]
    assert plan.outcomes[Outcome.CHANGED] == 1
    assert sum('"Project 1"@en' in row and row[0] == "D" for row in changed) == 1
    assert sum('"Renamed"@en' in row and row[0] == "A" for row in changed) == 1
    assert not any("primaryTopic" in row for row in changed)


def test_a_changed_record_takes_twelve_transactions(filled: Harvester) -> None:
    filled.registry.size = 20  # in one page
    filled.registry.projects[0]["name"] = "Renamed"
    begun = list[object]()
    sa.event.listen(filled.ledger._engine, "begin", begun.append)

    plan = harvest_and_log(filled.source, filled.context)

    assert (plan.run.state, plan.outcomes[Outcome.CHANGED]) == (State.COMMITTED, 1)
    assert len(begun) <= 12


def test_a_record_without_a_title_is_withheld_and_keeps_its_last_good_data(
    harvester: Harvester,
) -> None:
    harvester.registry.projects[1]["name"] = ""
    first = harvester.harvest()
    before = harvester.graphs()
    harvester.registry.projects[0]["name"] = ""

    second = harvester.harvest()

    (trouble,) = harvester.ledger.failures(first.run)
    assert (trouble.key, trouble.outcome) == ("p2", Outcome.WITHHELD)
    assert "title" in (trouble.reason or "")
    assert harvester.iris.record("projects", "p2") not in before
    assert (second.outcomes[Outcome.WITHHELD], harvester.graphs()) == (2, before)


def test_a_duplicate_key_counts_once(harvester: Harvester) -> None:
    harvester.registry.projects[9] = project(1, "Another one")

    plan = harvester.harvest()

    assert (plan.outcomes[Outcome.NEW], plan.outcomes[Outcome.DUPLICATE]) == (9, 1)
    assert any('"Project 1"@en' in line for line in harvester.record("p1"))


def test_a_dry_run_changes_nothing_also_when_it_fails(harvester: Harvester) -> None:
    plan = harvester.harvest(dry_run=True)
    harvester.registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        harvester.harvest(dry_run=True)

    assert plan.outcomes[Outcome.NEW] == 10
    assert (harvester.journal.head, harvester.ledger.runs()) == (None, [])


def test_a_dry_run_does_not_touch_an_interrupted_run(harvester: Harvester, torn: Harvester) -> None:
    with pytest.raises(Crash):
        torn.harvest()
    (before,) = harvester.ledger.runs()

    with pytest.raises(
        PlanError,
        match=r"projects\.1 was interrupted and is still open; run `stocktake harvest projects` to finish it",
    ):
        harvester.harvest(dry_run=True)

    assert harvester.ledger.runs() == [before]


@pytest.mark.parametrize("record_count", [0, 5])
def test_too_few_records_are_held(harvester: Harvester, record_count: int) -> None:
    careful = harvester.having(limits=Limits(expect=8))
    careful.harvest()
    before = careful.graphs()
    del careful.registry.projects[record_count:]

    plan = careful.harvest()

    assert plan.run.state is State.HELD
    assert plan.hold_reason
    assert careful.graphs() == before


def test_a_record_missing_for_the_grace_period_becomes_a_tombstone(filled: Harvester) -> None:
    del filled.registry.projects[9]
    for _ in range(3):
        assert filled.published == 10
        filled.harvest()

    record, operations = filled.iris.record("projects", "p10"), filled.iris.operations  # fmt: skip
    result = filled.record("p10")
    assert filled.published == 9
    assert f"<{record}> <http://www.w3.org/ns/adms#status> <{operations}gone>" in result
    assert not any("#type> " in line and "Initiative>" in line for line in result)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_tombstone_names_the_record_of_another_registry_of_its_cluster(
    filled: Harvester, is_there: bool
) -> None:
    if is_there:
        filled.having(name="atlas").harvest()
    iris = filled.iris
    one, other = (iris.thing("initiative", name, "p10") for name in ("projects", "atlas"))
    cluster = cluster_iri(one, iris)
    members = describe_cluster(cluster, (one, other), (), iris)
    filled.ledger.set_graphs([(cluster, "\n".join(members))])
    del filled.registry.projects[9]

    for _ in range(3):
        filled.harvest()

    replacements = [line for line in filled.record("p10") if "isReplacedBy" in line]
    record, atlas = (iris.record(name, "p10") for name in ("projects", "atlas"))
    assert replacements == [f"<{record}> <{DCT}isReplacedBy> <{atlas}>"] * is_there


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, content=b"<!DOCTYPE html><html><body>Please log in</body></html>"),
     httpx.Response(200, content=b'{"results": ['), httpx.Response(503), httpx.Response(404)],
)  # fmt: skip
def test_a_bad_response_fails_the_run_and_keeps_the_last_good_data(
    filled: Harvester, answer: httpx.Response
) -> None:
    before = filled.graphs()
    filled.registry.answer = lambda page: answer if page == 1 else None

    with pytest.raises(HarvestError, match=r"registry\.example"):
        filled.harvest()

    assert filled.ledger.runs("projects")[0].state is State.FAILED
    assert filled.graphs() == before


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_an_interrupted_run_resumes_after_its_last_page(harvester: Harvester, page: int) -> None:
    def crash(requested_page: int) -> None:
        if requested_page == page and harvester.registry.request_log.count(page) == 1:
            raise Crash

    harvester.registry.answer = crash
    with pytest.raises(Crash):
        harvester.harvest()

    plan = harvester.harvest()

    assert (plan.run.id, plan.run.state) == ("projects.1", State.COMMITTED)
    assert (plan.outcomes[Outcome.NEW], harvester.published) == (10, 10)


@pytest.fixture
def torn(harvester: Harvester) -> Harvester:
    class CrashingJournal(type(harvester.journal)):  # type: ignore[misc]
        def append(self, *args: object, **named: object) -> None:
            super().append(*args, **named)
            raise Crash

    journal = CrashingJournal(harvester.journal.folder)
    return replace(harvester, context=replace(harvester.context, journal=journal))


@pytest.mark.parametrize("later", [False, True])
def test_a_crash_between_journal_and_ledger_is_repaired_by_the_next_run(
    harvester: Harvester, torn: Harvester, later: bool
) -> None:
    with pytest.raises(Crash):
        torn.harvest()
    tomorrow = harvester.context.now() + timedelta(days=1)
    due = replace(harvester, context=replace(harvester.context, now=lambda: tomorrow))

    plan = (due if later else harvester).harvest()

    assert [entry.run for entry in harvester.entries] == ["projects.1"]
    assert harvester.published == 10
    if later:  # the source has become due, so it is harvested again
        assert (plan.run.id, plan.run.state) == ("projects.2", State.UNCHANGED)
    else:
        assert (plan.run.id, plan.run.state) == ("projects.1", State.COMMITTED)
        assert (plan.outcomes[Outcome.NEW], plan.published_before) == (10, 0)


def test_records_are_validated_again_after_the_rules_changed(filled: Harvester) -> None:
    plan = filled.having(options={**filled.source.options, "size": 50}).harvest()

    assert plan.outcomes[Outcome.CHANGED] == 10


def test_an_old_run_no_longer_lists_its_records(
    filled: Harvester, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(LISTED_RUNS):
        filled.harvest()

    context = filled.context
    print_run(context.ledger, context.data, "projects.1", [Outcome.NEW], json=False)

    result = capsys.readouterr().out
    assert "10   fetched" in result
    assert f"no longer listed: those of the last {LISTED_RUNS} runs of a source are." in result


class InterruptedLedger(Ledger):
    def stage(
        self, run: Run, staged_records: Sequence[StagedRecord], first: int, *, is_checkpoint: bool = True
    ) -> None:  # fmt: skip
        if is_checkpoint:
            raise KeyboardInterrupt
        super().stage(run, staged_records, first, is_checkpoint=False)


def test_a_run_interrupted_within_a_page_reads_the_page_again(
    harvester: Harvester, tmp_path: Path
) -> None:
    harvester.registry.size = 1200
    harvester.registry.projects = [project(number) for number in range(1200)]
    ledger: Any = InterruptedLedger(f"sqlite:///{tmp_path}/ledger.sqlite")
    with pytest.raises(KeyboardInterrupt):
        replace(harvester, context=replace(harvester.context, ledger=ledger)).harvest()
    ledger.close()

    plan = harvester.harvest()

    assert (plan.run.state, plan.run.responses["count"]) == (State.COMMITTED, 2)
    assert (plan.counts["new"], plan.counts["fetched"]) == (1200, 1200)
