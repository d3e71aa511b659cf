"""Which plans need approval, and what is published before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from harvesters.errors import HarvestError, PlanError
from harvesters.ledger.models import Outcome, State
from harvesters.ledger.operator_actions import Override
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions
from harvesters.runs.plans.guard import find_violations
from harvesters.runs.plans.plan import READ_UP_TO, Plan, incompleteness_reasons
from harvesters.runs.plans.record_changes import diff_rows
from harvesters.runs.run_report import describe_outcome, failure_reasons, run_details
from harvesters.runs.terminal_output import failure_lines
from harvesters.source import Limits, Source, parse

Project = Callable[..., dict[str, Any]]


@pytest.fixture
def source(source: Source) -> Source:
    """A source whose records have a web page each."""
    return replace(source, fields={**source.fields, "pages": "page"})


@pytest.fixture
def registry(registry: Any, project: Project) -> Any:
    """A registry of forty, in few pages: each costs a hundredth of a second."""
    registry.size = 10
    registry.projects = [
        {**project(number), "page": f"http://registry.example/p{number}"} for number in range(1, 41)
    ]
    return registry


def lines(row: Mapping[str, object], name: str) -> list[str]:
    """Return the statements that a row of differences removes or adds."""
    result = row[name]
    assert isinstance(result, list)
    return result


def entries(context: HarvestContext) -> int:
    return sum(1 for _ in context.journal.entries())


def store(context: HarvestContext) -> dict[str, set[str]]:
    """Play the journal: each graph's statements as they stand now."""
    played: dict[str, set[str]] = {}
    for entry in context.journal.entries():
        for row in entry.rows():
            statement, _, graph = row[2:].removesuffix(" .").rpartition(" ")
            lines = played.setdefault(graph.strip("<>"), set())
            (lines.add if row[0] == "A" else lines.remove)(statement)
    return {graph: lines for graph, lines in played.items() if lines}


def reasons(context: HarvestContext, key: str) -> set[str]:
    return store(context)[context.iris.record("projects", key)]


def ten_days_on(context: HarvestContext) -> HarvestContext:
    return replace(context, now=lambda: context.now() + timedelta(days=10))


def flipped(registry: Any) -> None:
    """Return every record another key, and its page https."""
    registry.projects = [
        {
            **project,
            "id": f"new-{project['id']}",
            "page": project["page"].replace("http:", "https:"),
        }
        for project in registry.projects
    ]


@pytest.mark.parametrize("record_count", [0, 20], ids=["empty feed", "half feed"])
def test_a_truncated_feed_is_held_and_changes_nothing(
    source: Source, context: HarvestContext, registry: Any, record_count: int
) -> None:
    harvest(source, context)
    del registry.projects[record_count:]

    plan = harvest(source, context)

    assert (plan.run.state, entries(context), context.ledger.count_published("projects")) == (
        State.HELD,
        1,
        40,
    )
    assert f"stocktake plans show {plan.run.id}" in (plan.run.reason or "")


def test_half_of_the_reported_records_is_incomplete_and_nothing_vanishes(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.total = 40
    del registry.projects[20:]

    plan = harvest(source, context)

    assert (plan.run.state, plan.vanished, context.ledger.count_missing("projects")) == (
        State.INCOMPLETE,
        0,
        0,
    )


def test_ninefold_growth_is_committed(
    source: Source, context: HarvestContext, registry: Any, project: Project
) -> None:
    harvest(source, context)
    registry.projects += [project(number) for number in range(41, 361)]

    plan = harvest(source, context)

    assert (plan.run.state, context.ledger.count_published("projects")) == (State.COMMITTED, 360)


def test_five_percent_of_missing_records_are_marked_and_still_served(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[38:]

    plan = harvest(source, context)

    status = f"<{context.iris.record('projects', 'p40')}> <http://www.w3.org/ns/adms#status> "
    assert (plan.run.state, plan.vanished, context.ledger.count_published("projects")) == (
        State.COMMITTED,
        2,
        40,
    )
    assert {line for line in reasons(context, "p40") if line.startswith(status)} == {
        f"{status}<{context.iris.operations}vanished>"
    }
    assert sum("vanishedSince" in line for line in reasons(context, "p40")) == 1
    assert any('"Project 40"@en' in line for line in reasons(context, "p40"))


def test_a_plan_with_half_of_the_records_missing_is_held_until_approved(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[20:]
    plan = harvest(source, context)

    decided = plan_decisions.approve(context, source, plan.run.id, by="ann")

    assert plan.hold_reason == "20 of 40 published records are missing (50%); the limit is 10%"
    assert (decided.state, entries(context), context.ledger.count_missing("projects")) == (
        State.COMMITTED,
        2,
        20,
    )
    assert [(act.who, act.what, act.run) for act in context.ledger.operators.audit_entries()] == [
        ("ann", "approved", "projects.2")
    ]


def test_a_returned_record_is_unchanged(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    before = reasons(context, "p40")
    lost = registry.projects.pop()
    harvest(source, context)
    registry.projects.append(lost)

    plan = harvest(source, context)

    assert (
        plan.run.state,
        plan.outcomes[Outcome.RETURNED],
        context.ledger.count_missing("projects"),
    ) == (State.COMMITTED, 1, 0)
    assert reasons(context, "p40") == before


def test_a_record_that_returns_unreadable_is_no_longer_marked(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    before = reasons(context, "p40")
    lost = registry.projects.pop()
    harvest(source, context)
    registry.projects.append({**lost, "name": ""})

    plan = harvest(source, context)

    assert (plan.run.state, plan.outcomes[Outcome.WITHHELD]) == (State.COMMITTED, 1)
    assert reasons(context, "p40") == before


def test_a_missing_record_changes_nothing_during_the_grace_period(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects.pop()
    harvest(source, context)

    plan = harvest(source, context)

    assert (plan.run.state, plan.outcomes[Outcome.MISSING], entries(context)) == (
        State.UNCHANGED,
        1,
        2,
    )


def test_one_full_harvest_after_the_grace_period_deletes_a_missing_record(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects.pop()
    harvest(source, context)

    plan = harvest(source, ten_days_on(context))

    assert (plan.outcomes[Outcome.LOST], context.ledger.count_published("projects")) == (1, 39)


def test_a_deleted_record_that_returns_has_the_same_address(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    lost = registry.projects.pop()
    for _ in range(3):
        harvest(source, context)
    tombstone = reasons(context, "p40")
    registry.projects.append(lost)

    plan = harvest(source, context)

    assert any("wasInvalidatedBy" in line for line in tombstone)
    assert (plan.outcomes[Outcome.NEW], context.ledger.count_published("projects")) == (1, 40)
    assert not any(
        "wasInvalidatedBy" in line or "gone>" in line for line in reasons(context, "p40")
    )


def test_a_change_of_all_keys_is_held_as_reidentified(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    flipped(registry)

    plan = harvest(source, context)

    results = {outcome: count for outcome, count in plan.outcomes.items() if count}
    assert results == {Outcome.REIDENTIFIED: 40, Outcome.REPLACED: 40}
    assert plan.hold_reason == "40 of 40 published records have another key (100%); the limit is 5%"


def test_an_approved_change_of_keys_leaves_tombstones_with_the_new_keys(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    flipped(registry)
    plan = harvest(source, context)

    plan_decisions.approve(context, source, plan.run.id, by="ann")

    old, new = context.iris.record("projects", "p7"), context.iris.record("projects", "new-p7")
    assert f"<{old}> <http://purl.org/dc/terms/isReplacedBy> <{new}>" in reasons(context, "p7")
    assert context.ledger.count_published("projects") == 40


def test_a_plan_lists_the_difference_of_each_record(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    plan_decisions.hold(context, "projects", by="ann", reason="moving house")
    registry.projects[0]["name"] = "Renamed"
    registry.projects.pop()

    plan = harvest(source, context)

    changed = diff_rows(plan.run, context, [Outcome.CHANGED])
    vanished = diff_rows(plan.run, context, [Outcome.VANISHED])
    assert [
        (
            row["key"],
            [line.rpartition("> ")[2] for line in lines(row, "removed") if "title" in line],
        )
        for row in changed
    ] == [("p1", ['"Project 1"@en'])]
    assert [
        (row["key"], len(lines(row, "removed")), len(lines(row, "added"))) for row in vanished
    ] == [("p40", 1, 2)]
    assert plan.hold_reason == "ann holds the source since 2026-03-01 12:04 UTC: moving house"


def test_a_source_on_hold_without_changes_needs_no_approval(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context)
    plan_decisions.hold(context, "projects", by="ann", reason="")

    plan = harvest(source, context)

    assert plan.run.state is State.UNCHANGED


def test_a_released_source_commits_again(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    plan_decisions.hold(context, "projects", by="ann", reason="")
    plan_decisions.release(context, "projects", by="ann")
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, context)

    assert plan.run.state is State.COMMITTED
    with pytest.raises(PlanError, match="not on hold"):
        plan_decisions.release(context, "projects", by="ann")


def test_a_rejected_plan_changes_nothing_and_cannot_be_approved(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects.clear()
    plan = harvest(source, context)

    decided = plan_decisions.reject(context, source, plan.run.id, by="ann", reason="their outage")

    assert (decided.state, entries(context)) == (State.REJECTED, 1)
    assert (decided.reason or "").startswith(
        "rejected by ann: their outage; the plan awaited approval; the source returned no records; "
    )
    assert "stocktake" not in (decided.reason or "")
    with pytest.raises(PlanError, match="state: rejected"):
        plan_decisions.approve(context, source, plan.run.id, by="ann")


def test_a_newer_held_plan_supersedes_the_first(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[20:]
    first = harvest(source, context)
    second = harvest(source, context)

    decided = plan_decisions.approve(context, source, second.run.id, by="ann")

    superseded = context.ledger.run(first.run.id)
    assert superseded is not None
    assert (superseded.state, decided.state) == (State.SUPERSEDED, State.COMMITTED)
    with pytest.raises(PlanError, match="superseded"):
        plan_decisions.approve(context, source, first.run.id, by="ann")


def test_a_held_plan_outlives_a_run_that_fails(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[20:]
    plan = harvest(source, context)
    registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        harvest(source, context)

    decided = plan_decisions.approve(context, source, plan.run.id, by="ann")

    assert decided.state is State.COMMITTED


def test_a_plan_is_not_approved_after_another_commit(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    del registry.projects[20:]
    plan = harvest(source, context)
    later = context.ledger.create_run("projects", context.now(), "rules", is_full=True, since=None)
    context.ledger.save(replace(later, state=State.COMMITTED))

    with pytest.raises(PlanError, match=r"projects\.3 has been committed since"):
        plan_decisions.approve(context, source, plan.run.id, by="ann")

    assert entries(context) == 1


def test_an_override_is_used_by_one_run(
    source: Source, context: HarvestContext, registry: Any, project: Project
) -> None:
    harvest(source, context)
    del registry.projects[30:]
    plan = harvest(source, context)
    plan_decisions.approve(
        context,
        source,
        plan.run.id,
        by="ann",
        override=Override("vanished", 0.6, context.now() + timedelta(days=1)),
    )
    registry.projects += [project(50)]
    states = [harvest(source, context).run.state]
    del registry.projects[15:]

    states.append(harvest(source, context).run.state)
    del registry.projects[5:]
    states.append(harvest(source, context).run.state)

    (grant,) = context.ledger.operators.overrides("projects")
    assert states == [State.COMMITTED, State.COMMITTED, State.HELD]
    assert grant.used == "projects.4"


def test_an_expired_override_has_no_effect(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    context.ledger.operators.grant(
        "projects", Override("vanished", 0.6, context.now()), "ann", context.now()
    )
    del registry.projects[30:]

    plan = harvest(source, context)

    assert plan.run.state is State.HELD


@pytest.mark.parametrize(
    ("limit", "value", "days", "message"),
    [
        ("vanished", 1.5, 1, "0 to 1"),
        ("vanihsed", 0.5, 1, "known limits"),
        ("misses", 0.5, 1, "not a limit that holds"),
        ("vanished", 0.5, -1, "past"),
    ],
)
def test_an_invalid_override_is_refused(
    source: Source,
    context: HarvestContext,
    registry: Any,
    limit: str,
    value: float,
    days: int,
    message: str,
) -> None:
    harvest(source, context)
    registry.projects.clear()
    plan = harvest(source, context)

    with pytest.raises(PlanError, match=message):
        plan_decisions.approve(
            context,
            source,
            plan.run.id,
            by="ann",
            override=Override(limit, value, context.now() + timedelta(days=days)),
        )

    assert context.ledger.awaiting_review() != []


@pytest.mark.parametrize(
    ("limit", "spoil"),
    [("changed", {"name": "Renamed"}), ("withheld", {"name": ""})],
)
def test_too_many_changed_or_withheld_records_are_held(
    source: Source, context: HarvestContext, registry: Any, limit: str, spoil: dict[str, str]
) -> None:
    harvest(source, context)
    registry.projects = [{**project, **spoil} for project in registry.projects]

    plan = harvest(source, context)

    assert (plan.run.state, entries(context)) == (State.HELD, 1)
    assert "40 of 40" in (plan.hold_reason or "")


def test_repeated_keys_hold_a_plan_unless_the_records_are_the_same(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects += [{**project, "name": "Another"} for project in registry.projects[5:25]]
    options = {name: item for name, item in source.options.items() if name != "total"}
    source = replace(source, options=options)

    tried = harvest(source, context, dry_run=True)
    plan = harvest(source, context)
    registry.projects[40:] = registry.projects[5:25]
    same = harvest(source, context)

    assert (plan.run.state, same.run.state, same.run.counts["duplicate"]) == (
        State.HELD,
        State.INCOMPLETE,
        20,
    )
    assert tried.hold_reason == plan.hold_reason
    assert "20 of 60 records could not be published" in (plan.hold_reason or "")
    assert "of these, 20: its key occurred before" in (plan.hold_reason or "")
    assert failure_reasons(tried, context.ledger) == context.ledger.failure_reasons(plan.run)


def test_a_single_record_never_holds_a_plan(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    del registry.projects[1:]
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, context)

    assert plan.run.state is State.COMMITTED


@pytest.mark.parametrize(
    ("limits", "state", "published"),
    [
        (Limits(vanished=0.9), State.COMMITTED, 40),
        (Limits(vanished=0.9, misses=0), State.COMMITTED, 20),
        (Limits(misses=0), State.HELD, 40),
        (Limits(grace=0), State.HELD, 40),
    ],
)
def test_a_source_definition_sets_limits_and_grace_period(
    source: Source,
    context: HarvestContext,
    registry: Any,
    limits: Limits,
    state: State,
    published: int,
) -> None:
    bold = replace(source, limits=limits)
    harvest(bold, context)
    del registry.projects[20:]

    plan = harvest(bold, context)

    assert (plan.run.state, context.ledger.count_published("projects")) == (state, published)


def test_a_repeated_page_makes_the_full_harvest_incomplete(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.size = 3
    plain = replace(
        source, options={key: value for key, value in source.options.items() if key != "total"}
    )
    harvest(plain, context)
    registry.projects = registry.projects[:6] + registry.projects[0:6:2] + registry.projects[6:38]

    plan = harvest(plain, context)

    assert plan.run.state is State.INCOMPLETE
    assert (
        plan.run.reason
        == "page 3 contains only records of earlier pages; no record was marked as deleted"
    )
    assert context.ledger.count_missing("projects") == 0


def test_a_shrinking_total_makes_the_full_harvest_incomplete(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    whole = registry.projects[:38]
    registry.answer = lambda page: httpx.Response(
        200, json={"total": 39 if page == 1 else 38, "results": whole[page * 3 - 3 : page * 3]}
    )

    plan = harvest(source, context)

    assert (plan.run.state, context.ledger.count_missing("projects")) == (State.INCOMPLETE, 0)
    assert "shrank from 39 to 38" in (plan.run.reason or "")


@pytest.mark.parametrize(
    "claims", [True, False], ids=["that claims a total", "that claims nothing"]
)
def test_a_list_that_moved_while_it_was_read_is_incomplete(
    source: Source, context: HarvestContext, registry: Any, *, claims: bool
) -> None:
    source = (
        source
        if claims
        else replace(
            source, options={name: item for name, item in source.options.items() if name != "total"}
        )
    )
    harvest(source, context)
    whole = registry.projects
    # one step down after the first page: its last record comes again, and the list's last one never
    moved = [whole[0], *whole[:-1]]
    total = {"total": len(whole)} if claims else {}
    registry.answer = lambda page: httpx.Response(
        200, json={**total, "results": (moved if page > 1 else whole)[page * 3 - 3 : page * 3]}
    )

    plan = harvest(source, context)

    assert (
        plan.run.state,
        plan.run.counts["duplicate"],
        context.ledger.count_missing("projects"),
    ) == (State.INCOMPLETE, 1, 0)
    assert "records that came on two pages: 1;" in (plan.run.reason or "")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            httpx.Response(400, json={"error": {"message": "at most 20 records"}}),
            "at most 20 records",
        ),
        (httpx.Response(500, text="Out of memory"), "Out of memory"),
        (httpx.Response(200, text='{"results": ['), "not JSON"),
    ],
    ids=["refused", "broken", "cut"],
)
def test_a_source_that_fails_behind_good_pages_publishes_what_came(
    source: Source, context: HarvestContext, registry: Any, answer: httpx.Response, text: str
) -> None:
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"
    registry.answer = lambda page: answer if page == 3 else None

    tried = harvest(source, context, dry_run=True)
    plan = harvest(source, context)

    assert (plan.run.state, plan.counts["changed"], context.ledger.count_missing("projects")) == (
        State.INCOMPLETE,
        1,
        0,
    )
    reason = plan.run.reason or ""
    assert "read up to page 2 with 20 records, the last of them p20; then" in reason
    assert text in reason
    assert describe_outcome(tried, dry_run=True) == "would be incomplete"
    assert tried.run.reason == reason


def test_a_first_harvest_publishes_the_pages_before_a_repeated_one(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    registry.projects[20:30] = registry.projects[:10]

    plan = harvest(source, context)

    assert (plan.run.state, context.ledger.count_published("projects")) == (State.INCOMPLETE, 20)
    assert "repeats the records of an earlier page" in (plan.run.reason or "")


@pytest.mark.parametrize(
    ("count", "has_total", "remarks"), [(100, False, 1), (100, True, 0), (101, False, 0)]
)
def test_a_round_number_of_records_without_a_total_is_remarked(
    source: Source,
    context: HarvestContext,
    registry: Any,
    project: Project,
    count: int,
    remarks: int,
    *,
    has_total: bool,
) -> None:
    options = {name: item for name, item in source.options.items() if has_total or name != "total"}
    registry.size = 50
    registry.projects = [project(number) for number in range(count)]

    plan = harvest(replace(source, options=options), context)

    texts = [notice.text for notice in context.ledger.notices(plan.run)]
    assert len(texts) == remarks
    assert all(
        "a round number of records, 100, and the source reports no total" in text for text in texts
    )
    assert len(failure_lines("projects", plan, context.ledger, "stocktake")) == remarks


def test_changes_behind_a_failing_page_are_asked_for_again(context: HarvestContext) -> None:
    run = context.ledger.create_run("s", context.now(), "", is_full=False, since=context.now())
    early = replace(run, incomplete_reason=Reason(READ_UP_TO, {}))

    assert incompleteness_reasons(run) == ()
    assert [reason.code for reason in incompleteness_reasons(early)] == [READ_UP_TO]


def test_a_list_that_moved_but_returned_all_records_is_complete(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    whole = registry.projects
    moved = [whole[0], *whole]
    registry.answer = lambda page: httpx.Response(
        200,
        json={
            "total": len(whole),
            "results": (moved if page > 1 else whole)[page * 3 - 3 : page * 3],
        },
    )

    plan = harvest(source, context)

    assert (plan.run.state, plan.run.counts["duplicate"]) == (State.UNCHANGED, 1)


def test_the_statistics_add_up_and_match_the_store(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects[0]["name"] = "Renamed"
    del registry.projects[38:]

    run = harvest(source, context).run

    statements = sum(len(lines) for lines in store(context).values())
    written = list(next(context.journal.entries(after=1)).rows())
    assert run.state is State.COMMITTED
    changes = [row[0] for row in written]
    assert (run.added, run.removed, run.after) == (
        changes.count("A"),
        changes.count("D"),
        statements,
    )
    described = "\n".join(store(context)[context.iris.run(run.id)])
    assert (
        f'<{context.iris.run(run.id)}> <{context.iris.operations}quadsAfter> "{statements}"'
        in described
    )


def test_inconsistent_statistics_are_never_a_success(
    source: Source, context: HarvestContext
) -> None:
    class MiscountingLedger(type(context.ledger)):  # type: ignore[misc]
        def count_published(self, source: str) -> int:
            return super().count_published(source) and 39

    context.ledger.__class__ = MiscountingLedger

    run = harvest(source, context).run

    assert run.state is State.INCOMPLETE
    assert (
        run.reason
        == "inconsistent numbers: 40 records published, but 39 in the ledger; this is a bug, please report it"
    )


def test_a_backward_clock_is_reported_and_the_later_time_is_used(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    first = harvest(source, context).run
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, replace(context, now=lambda: first.started - timedelta(days=3)))

    assert (plan.run.state, plan.run.started) == (State.COMMITTED, first.ended)
    assert "the clock shows" in str(run_details(plan.run, context.ledger)["notices"])


def test_duplicates_in_two_sources_are_reported_and_both_stay(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    other = replace(source, name="mirror")

    plan = harvest(other, context)

    assert (
        context.ledger.count_published("mirror") == context.ledger.count_published("projects") == 40
    )
    assert len(context.ledger.notices(plan.run)) == 40
    assert context.ledger.notices(plan.run)[0].text == "p1 has the same content as p1 of projects"


def test_unknown_limits_are_refused() -> None:
    definition = {
        "title": "A",
        "protocol": "json",
        "mapping": "fields",
        "url": "https://a.example/",
        "licence": "https://a.example/l",
    }

    with pytest.raises(HarvestError, match="share from 0 to 1"):
        parse("a", {**definition, "limits": {"vanished": 10}}, "test")


def test_a_held_plan_lists_the_hold_and_the_exceeded_limit(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    plan_decisions.hold(context, "projects", by="ann", reason="moving house")
    del registry.projects[20:]

    reason = harvest(source, context).hold_reason

    assert reason is not None
    assert reason.startswith(
        "ann holds the source since 2026-03-01 12:04 UTC: moving house; 20 of 40 published records are missing"
    )


def test_a_held_plan_lists_the_limit_and_the_incomplete_harvest(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    registry.projects = [
        {**project, "name": f"Renamed {project['name']}"} for project in registry.projects
    ]
    registry.total = 80

    reason = harvest(source, context).hold_reason

    assert reason is not None
    assert "40 of 40 published records changed" in reason
    assert "the source reported 80 records but returned 40" in reason


def test_a_scheduled_run_supersedes_a_waiting_plan_and_logs_both_names(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    harvest(source, context)
    projects = registry.projects.copy()
    del registry.projects[3:]
    waiting = harvest(source, context)
    registry.projects = projects

    with capture_logs() as logs:
        plan = harvest(source, context)

    (log,) = [log for log in logs if log["event"] == "plan awaiting approval superseded"]
    assert (log["plan"], log["run"]) == (waiting.run.id, plan.run.id)
    assert plan.run.state is State.UNCHANGED
    assert context.ledger.awaiting_review() == []


@pytest.mark.parametrize(
    ("fetched", "codes"), [(0, ["no_records"]), (1, ["too_few_records"]), (2, [])]
)
def test_an_empty_or_short_list_has_one_reason(
    context: HarvestContext, fetched: int, codes: list[str]
) -> None:
    run = replace(
        context.ledger.create_run("projects", context.now(), "", is_full=True, since=None),
        fetched=fetched,
    )
    outcomes = dict.fromkeys(Outcome, 0) | {Outcome.NEW: fetched}

    violations = find_violations(Plan(run, outcomes, 0), Limits(expect=2))

    assert [violation.reason.code for violation in violations] == codes


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        (Limits(), []),
        (Limits(statements=10), ["too_many_statements"]),
        (Limits(journal=1), ["journal_too_large"]),
    ],
)
def test_a_large_publication_from_a_small_answer_is_held(
    source: Source,
    context: HarvestContext,
    registry: Any,
    project: Project,
    limits: Limits,
    codes: list[str],
) -> None:
    registry.size = 1200
    registry.projects = [project(number) for number in range(1200)]

    plan = harvest(replace(source, limits=limits), context)

    assert [reason.code for reason in plan.hold_reasons] == codes
    assert plan.run.state is (State.HELD if codes else State.COMMITTED)


def test_many_dates_of_recurring_events_are_held_and_many_records_are_not(
    context: HarvestContext,
) -> None:
    run = context.ledger.create_run("s", context.now(), "", is_full=True, since=None)
    outcomes = dict.fromkeys(Outcome, 0) | {Outcome.NEW: 100_000}
    dated = replace(run, counts={"dates": 10_001})

    assert find_violations(Plan(run, outcomes, 0), Limits()) == []
    (violation,) = find_violations(Plan(dated, outcomes, 0), Limits())
    assert violation.reason.text.startswith("the recurring events of the file have 10,001 dates")
    assert find_violations(Plan(dated, outcomes, 0), Limits(dates=20_000)) == []


def test_a_source_with_a_second_approver_needs_two_people(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    careful = replace(source, second_approver=True)
    harvest(careful, context)
    registry.projects.clear()
    run = harvest(careful, context).run.id

    first = plan_decisions.approve(context, careful, run, by="ann", note="confirmed")
    with pytest.raises(PlanError, match="ann approved it already"):
        plan_decisions.approve(context, careful, run, by="ann")
    before = entries(context)
    second = plan_decisions.approve(context, careful, run, by="bob")

    assert (first.state, second.state) == (State.HELD, State.COMMITTED)
    assert (before, entries(context)) == (1, 2)
    assert [(act.who, act.what) for act in context.ledger.operators.audit_entries(2)] == [
        ("bob", "approved"),
        ("ann", "approved first"),
    ]


def test_an_approval_of_an_earlier_plan_does_not_count_for_the_next(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    careful = replace(source, second_approver=True)
    harvest(careful, context)
    registry.projects.clear()
    plan_decisions.approve(context, careful, harvest(careful, context).run.id, by="ann")

    later = plan_decisions.approve(context, careful, harvest(careful, context).run.id, by="bob")

    assert later.state is State.HELD


def test_one_person_rejects_a_plan_that_needs_two_to_approve(
    source: Source, context: HarvestContext, registry: Any
) -> None:
    careful = replace(source, second_approver=True)
    harvest(careful, context)
    registry.projects.clear()

    decided = plan_decisions.reject(context, careful, harvest(careful, context).run.id, by="ann")

    assert decided.state is State.REJECTED
