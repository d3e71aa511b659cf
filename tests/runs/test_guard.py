from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import Harvester, ProjectRegistry, project
from rows import each
from structlog.testing import capture_logs

from harvesters.errors import HarvestError, InvalidInputError, PlanError
from harvesters.ledger import operators
from harvesters.ledger.models import GrantedOverride, Outcome, State
from harvesters.reasons import READ_UP_TO, Reason
from harvesters.runs import operations
from harvesters.runs.commit import diff_rows
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan, find_violations, incompleteness_reasons
from harvesters.runs.run_report import describe_outcome, failure_reasons
from harvesters.source import Limits, Source, parse

Spoil = Callable[[ProjectRegistry], None]
COMMITTED, HELD, INCOMPLETE = State.COMMITTED, State.HELD, State.INCOMPLETE


@pytest.fixture
def source(source: Source) -> Source:
    return replace(source, fields={**source.fields, "pages": "page"})


def paged(*numbers: int) -> list[dict[str, Any]]:
    return [{**project(number), "page": f"http://registry.example/p{number}"} for number in numbers]


@pytest.fixture
def registry() -> ProjectRegistry:
    return ProjectRegistry(paged(*range(1, 41)), size=10)


def first(count: int, total: int | None = None) -> Spoil:
    def spoil(registry: ProjectRegistry) -> None:
        registry.projects, registry.total = registry.projects[:count], total

    return spoil


def each_of(total: int | None = None, **values: str) -> Spoil:
    def spoil(registry: ProjectRegistry) -> None:
        registry.projects = [{**item, **values} for item in registry.projects]
        registry.total = total

    return spoil


def flipped(registry: ProjectRegistry) -> None:
    """Change the key of every record, and the address of its page to https."""
    registry.projects = [
        {**item, "id": f"new-{item['id']}", "page": item["page"].replace("http:", "https:")}
        for item in registry.projects
    ]


def grown(registry: ProjectRegistry) -> None:
    registry.projects += [project(number) for number in range(41, 361)]


@pytest.mark.parametrize(
    ("spoil", "state", "counts", "published", "missing", "reason"),
    [(first(0), HELD, {"vanished": 40}, 40, 0, "the source returned no records"),
     (first(20), HELD, {"vanished": 20, "unchanged": 20}, 40, 0, "20 of 40 published records are missing (50%); the limit is 10%"),
     (first(20, total=40), INCOMPLETE, {"unchanged": 20}, 40, 0,
      "the list ended after 20 of 40 records; no record was marked as deleted"),
     (first(38), COMMITTED, {"vanished": 2, "unchanged": 38}, 40, 2, ""), (grown, COMMITTED, {"new": 320, "unchanged": 40}, 360, 0, ""),
     (flipped, HELD, {"reidentified": 40, "replaced": 40}, 40, 0, "40 of 40 published records have another key (100%); the limit is 5%"),
     (each_of(name="Renamed"), HELD, {"changed": 40}, 40, 0, "40 of 40"), (each_of(name=""), HELD, {"withheld": 40}, 40, 0, "40 of 40"),
     (each_of(80, name="New"), HELD, {"changed": 40}, 40, 0, "the list ended after 40 of 80 records")],
)  # fmt: skip
def test_a_plan_is_held_or_incomplete_by_what_it_would_change(
    filled: Harvester, spoil: Spoil, state: State, counts: dict[str, int], published: int, missing: int, reason: str
) -> None:  # fmt: skip
    spoil(filled.registry)

    plan = filled.harvest()

    assert (plan.run.state, filled.published, filled.missing) == (state, published, missing)
    assert {outcome.value: count for outcome, count in plan.outcomes.items() if count} == counts
    assert len(filled.entries) == 1 + (state is COMMITTED)
    assert reason in ((plan.hold_reason if state is HELD else plan.run.reason) or "")
    assert (f"stocktake plans show {plan.run.id}" in (plan.run.reason or "")) == (state is HELD)


def test_a_missing_record_is_marked_and_still_served(filled: Harvester) -> None:
    first(38)(filled.registry)

    filled.harvest()

    iris, lines = filled.iris, filled.record("p40")
    status = f"<{iris.record('projects', 'p40')}> <http://www.w3.org/ns/adms#status> "
    assert {line for line in lines if line.startswith(status)} == {f"{status}<{iris.operations}vanished>"}  # fmt: skip
    assert sum("vanishedSince" in line for line in lines) == 1
    assert any('"Project 40"@en' in line for line in lines)


def test_a_held_plan_is_committed_when_it_is_approved(filled: Harvester) -> None:
    first(20)(filled.registry)

    decided = filled.approve(filled.harvest().run.id)

    assert (decided.state, len(filled.entries), filled.missing) == (COMMITTED, 2, 20)
    actions = operators.audit_entries(filled.ledger)
    assert [(act.who, act.what, act.run) for act in actions] == [("ann", "approved", "projects.2")]


@pytest.mark.parametrize("name", ["Project 40", ""])
def test_a_returned_record_is_as_before_also_if_it_cannot_be_read(
    filled: Harvester, name: str
) -> None:
    before = filled.record("p40")
    lost = filled.registry.projects.pop()
    filled.harvest()
    filled.registry.projects.append({**lost, "name": name})

    plan = filled.harvest()

    outcome = Outcome.RETURNED if name else Outcome.WITHHELD
    assert (plan.run.state, plan.outcomes[outcome]) == (COMMITTED, 1)
    assert (filled.missing == 0) or not name
    assert filled.record("p40") == before


def test_a_missing_record_is_deleted_after_the_grace_period_and_returns_to_its_address(
    filled: Harvester,
) -> None:
    lost = filled.registry.projects.pop()
    filled.harvest()
    within = filled.harvest()
    assert (within.run.state, within.outcomes[Outcome.MISSING]) == (State.UNCHANGED, 1)
    assert (len(filled.entries), filled.published) == (2, 40)

    later = replace(filled.context, now=lambda: filled.context.now() + timedelta(days=10))
    plan = replace(filled, context=later).harvest()
    tombstone = filled.record("p40")
    assert (plan.outcomes[Outcome.LOST], filled.published) == (1, 39)
    filled.registry.projects.append(lost)
    back = filled.harvest()

    assert any("wasInvalidatedBy" in line for line in tombstone)
    assert (back.outcomes[Outcome.NEW], filled.published) == (1, 40)
    assert not any("wasInvalidatedBy" in line or "gone>" in line for line in filled.record("p40"))


def test_an_approved_change_of_keys_leaves_tombstones_with_the_new_keys(filled: Harvester) -> None:
    flipped(filled.registry)

    filled.approve(filled.harvest().run.id)

    old, new = (filled.iris.record("projects", key) for key in ("p7", "new-p7"))
    assert f"<{old}> <http://purl.org/dc/terms/isReplacedBy> <{new}>" in filled.record("p7")
    assert filled.published == 40


def test_a_plan_lists_the_difference_of_each_record(filled: Harvester) -> None:
    filled.hold("moving house")
    filled.registry.projects[0]["name"] = "Renamed"
    filled.registry.projects.pop()

    plan = filled.harvest()

    (changed,) = diff_rows(plan.run, filled.context, [Outcome.CHANGED])
    (vanished,) = diff_rows(plan.run, filled.context, [Outcome.VANISHED])
    titles = [line.rpartition("> ")[2] for line in changed["removed"] if "title" in line]  # type: ignore[attr-defined]
    assert (changed["key"], titles) == ("p1", ['"Project 1"@en'])
    assert (vanished["key"], len(vanished["removed"]), len(vanished["added"])) == ("p40", 1, 2)  # type: ignore[arg-type]
    assert plan.hold_reason == "ann put the source on hold at 2026-03-01 12:03 UTC: moving house"
    first(20)(filled.registry)
    both = f"{plan.hold_reason}; 20 of 40 published records are missing"
    assert (filled.harvest().hold_reason or "").startswith(both)


def test_a_source_on_hold_commits_nothing_until_it_is_released(filled: Harvester) -> None:
    filled.hold()
    assert filled.harvest().run.state is State.UNCHANGED
    operations.release(filled.context, "projects", by="ann")
    filled.registry.projects[0]["name"] = "Renamed"

    assert filled.harvest().run.state is COMMITTED
    with pytest.raises(PlanError, match="not on hold"):
        operations.release(filled.context, "projects", by="ann")


def test_a_rejected_plan_changes_nothing_and_cannot_be_approved(filled: Harvester) -> None:
    first(0)(filled.registry)
    run = filled.harvest().run.id

    decided = filled.reject(run, "their outage")

    assert (decided.state, len(filled.entries)) == (State.REJECTED, 1)
    assert (decided.reason or "").startswith(
        "rejected by ann: their outage; the plan awaited approval; the source returned no records; "
    )
    assert "stocktake" not in (decided.reason or "")
    with pytest.raises(PlanError, match="state: rejected"):
        filled.approve(run)


def test_a_newer_held_plan_supersedes_the_first(filled: Harvester) -> None:
    first(20)(filled.registry)
    older, newer = filled.harvest().run.id, filled.harvest().run.id

    decided = filled.approve(newer)

    superseded = filled.ledger.run(older)
    assert superseded is not None
    assert (superseded.state, decided.state) == (State.SUPERSEDED, COMMITTED)
    with pytest.raises(PlanError, match="superseded"):
        filled.approve(older)


def test_a_held_plan_outlives_a_run_that_fails(filled: Harvester) -> None:
    first(20)(filled.registry)
    run = filled.harvest().run.id
    filled.registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        filled.harvest()

    assert filled.approve(run).state is COMMITTED


def test_a_plan_is_not_approved_after_another_commit(filled: Harvester) -> None:
    first(20)(filled.registry)
    run, ledger = filled.harvest().run.id, filled.ledger
    later = ledger.create_run("projects", filled.context.now(), "rules", is_full=True, since=None)
    ledger.save(replace(later, state=COMMITTED))

    with pytest.raises(PlanError, match=r"projects\.3 has been committed since"):
        filled.approve(run)

    assert len(filled.entries) == 1


def test_an_override_is_used_by_one_run(filled: Harvester) -> None:
    first(30)(filled.registry)
    now = filled.context.now()
    filled.ledger.add(GrantedOverride(0, "projects", "vanished", 0.6, now, "ann", now, None))
    assert filled.harvest().run.state is HELD  # the override has expired
    grant = operations.OverrideRequest("vanished", 0.6, 1)
    filled.approve(filled.harvest().run.id, override=grant)
    filled.registry.projects += [project(50)]
    states = [filled.harvest().run.state]
    for left in (15, 5):
        first(left)(filled.registry)
        states.append(filled.harvest().run.state)

    [used] = [item.used for item in filled.ledger.overrides("projects") if item.used]
    assert (states, used) == ([COMMITTED, COMMITTED, HELD], "projects.5")


@each(
    "limit, value, message",
    [("vanished", 1.5, "0 to 1"), ("vanihsed", 0.5, "Unknown limit"), ("misses", 0.5, "Unknown limit")],
)  # fmt: skip
def test_an_invalid_override_is_refused(
    filled: Harvester, limit: str, value: float, message: str
) -> None:
    first(0)(filled.registry)
    run = filled.harvest().run.id
    override = operations.OverrideRequest(limit, value)

    with pytest.raises(InvalidInputError, match=message):
        filled.approve(run, override=override)

    assert filled.ledger.awaiting_review() != []


def test_repeated_keys_hold_a_plan_unless_the_records_are_the_same(harvester: Harvester) -> None:
    harvester, projects = harvester.without_total(), harvester.registry.projects
    projects += [{**item, "name": "Another"} for item in projects[5:25]]

    tried, plan = harvester.harvest(dry_run=True), harvester.harvest()
    projects[40:] = projects[5:25]
    same = harvester.harvest()

    assert (plan.run.state, same.run.state, same.run.counts["duplicate"]) == (HELD, INCOMPLETE, 20)
    assert tried.hold_reason == plan.hold_reason
    assert "20 of 60 records could not be published" in (plan.hold_reason or "")
    assert "of these, 20: its key occurred before" in (plan.hold_reason or "")
    ledger = harvester.ledger
    assert failure_reasons(tried, ledger) == ledger.failure_reasons(plan.run)


def test_a_single_record_never_holds_a_plan(harvester: Harvester) -> None:
    first(1)(harvester.registry)
    harvester.harvest()
    harvester.registry.projects[0]["name"] = "Renamed"

    assert harvester.harvest().run.state is COMMITTED


@pytest.mark.parametrize(
    ("limits", "state", "published"),
    [(Limits(vanished=0.9), COMMITTED, 40), (Limits(vanished=0.9, misses=0), COMMITTED, 20), (Limits(misses=0), HELD, 40),
     (Limits(grace=0), HELD, 40)],
)  # fmt: skip
def test_a_source_definition_sets_limits_and_grace_period(
    harvester: Harvester, limits: Limits, state: State, published: int
) -> None:
    bold = harvester.having(limits=limits)
    bold.harvest()
    first(20)(bold.registry)

    assert (bold.harvest().run.state, bold.published) == (state, published)


def test_a_repeated_page_makes_the_full_harvest_incomplete(harvester: Harvester) -> None:
    plain, registry = harvester.without_total(), harvester.registry
    registry.size = 3
    plain.harvest()
    registry.projects = registry.projects[:6] + registry.projects[0:6:2] + registry.projects[6:38]

    run = plain.harvest().run

    reason = "page 3 contains only records of earlier pages; no record was marked as deleted"
    assert (run.state, run.reason, plain.missing) == (INCOMPLETE, reason, 0)


def shrinking(whole: list[Any]) -> Any:
    left = whole[:38]
    return lambda page: httpx.Response(
        200, json={"total": 39 if page == 1 else 38, "results": left[page * 3 - 3 : page * 3]}
    )


def moved(end: int | None, total: bool = True) -> Any:
    """Return the answers of a list in which the records move down by one after the first page, and
    only those before *end* are left.
    """

    def answers(whole: list[Any]) -> Any:
        after = [whole[0], *whole[:end]]
        head = {"total": len(whole)} if total else {}
        return lambda page: httpx.Response(
            200, json={**head, "results": (after if page > 1 else whole)[page * 3 - 3 : page * 3]}
        )

    return answers


@pytest.mark.parametrize(
    ("answers", "total", "state", "duplicates", "reason"),
    [(shrinking, True, INCOMPLETE, 0, "shrank from 39 to 38"),
     (moved(-1), True, INCOMPLETE, 1, "records listed on two pages: 1;"),
     (moved(-1, total=False), False, INCOMPLETE, 1, "records listed on two pages: 1;"), (moved(None), True, State.UNCHANGED, 1, "")],
)  # fmt: skip
def test_a_list_that_moved_while_it_was_read_is_incomplete_unless_all_came(
    harvester: Harvester, answers: Any, total: bool, state: State, duplicates: int, reason: str
) -> None:
    harvester = harvester if total else harvester.without_total()
    harvester.harvest()
    harvester.registry.answer = answers(harvester.registry.projects)

    run = harvester.harvest().run

    assert (run.state, run.counts["duplicate"], harvester.missing) == (state, duplicates, 0)
    assert reason in (run.reason or "")


@pytest.mark.parametrize(
    ("answer", "text"),
    [(httpx.Response(400, json={"error": {"message": "at most 20 records"}}), "at most 20 records"),
     (httpx.Response(500, text="Out of memory"), "Out of memory"), (httpx.Response(200, text='{"results": ['), "not JSON")],
)  # fmt: skip
def test_a_source_that_fails_behind_good_pages_publishes_what_came(
    filled: Harvester, answer: httpx.Response, text: str
) -> None:
    filled.registry.projects[0]["name"] = "Renamed"
    filled.registry.answer = lambda page: answer if page == 3 else None

    tried, plan = filled.harvest(dry_run=True), filled.harvest()

    assert (plan.run.state, plan.counts["changed"], filled.missing) == (INCOMPLETE, 1, 0)
    reason = plan.run.reason or ""
    assert "read up to page 2 with 20 records, the last of them p20; then" in reason
    assert text in reason
    assert (describe_outcome(tried, dry_run=True), tried.run.reason) == ("would be incomplete", reason)  # fmt: skip


def test_a_first_harvest_publishes_the_pages_before_a_repeated_one(harvester: Harvester) -> None:
    harvester.registry.projects[20:30] = harvester.registry.projects[:10]

    run = harvester.harvest().run

    assert (run.state, harvester.published) == (INCOMPLETE, 20)
    assert "repeats the records of an earlier page" in (run.reason or "")


def test_changes_behind_a_failing_page_are_asked_for_again(context: HarvestContext) -> None:
    run = context.ledger.create_run("s", context.now(), "", is_full=False, since=context.now())
    early = replace(run, incomplete_reason=Reason(READ_UP_TO))

    assert incompleteness_reasons(run) == ()
    assert [reason.code for reason in incompleteness_reasons(early)] == [READ_UP_TO]


def test_the_statistics_add_up_and_match_the_store(filled: Harvester) -> None:
    filled.registry.projects[0]["name"] = "Renamed"
    first(38)(filled.registry)

    run = filled.harvest().run

    statements = sum(len(lines) for lines in filled.graphs().values())
    changes = [row[0] for row in filled.entries[1].rows()]
    assert run.state is COMMITTED
    assert (run.added, run.removed) == (changes.count("A"), changes.count("D"))
    assert run.after == statements
    iri = filled.iris.run(run.id)
    after = f'<{iri}> <{filled.iris.operations}quadsAfter> "{statements}"'
    assert after in "\n".join(filled.graphs()[iri])


def test_inconsistent_statistics_are_never_a_success(harvester: Harvester) -> None:
    class MiscountingLedger(type(harvester.ledger)):  # type: ignore[misc]
        def count_published(self, source: str) -> int:
            return super().count_published(source) and 39

    harvester.ledger.__class__ = MiscountingLedger

    run = harvester.harvest().run

    numbers = "40 records counted as published, but 39 listed; this is a bug, please report it"
    assert (run.state, run.reason) == (INCOMPLETE, f"inconsistent numbers: {numbers}")


def test_a_backward_clock_is_reported_and_the_later_time_is_used(harvester: Harvester) -> None:
    before = harvester.harvest().run
    harvester.registry.projects[0]["name"] = "Renamed"
    back = replace(harvester.context, now=lambda: before.started - timedelta(days=3))

    with capture_logs() as lines:
        run = replace(harvester, context=back).harvest().run

    assert (run.state, run.started) == (COMMITTED, before.ended)
    assert "clock moved backwards" in [line["event"] for line in lines]


def test_unknown_limits_are_refused() -> None:
    definition = {
        "title": "A", "protocol": "json", "mapping": "fields", "url": "https://a.example/", "licence": "https://a.example/l",
        "limits": {"vanished": 10},
    }  # fmt: skip

    with pytest.raises(HarvestError, match="share from 0 to 1"):
        parse("a", definition, "test")


def test_a_scheduled_run_supersedes_a_waiting_plan_and_logs_both_names(filled: Harvester) -> None:
    projects = filled.registry.projects
    first(3)(filled.registry)
    waiting = filled.harvest()
    filled.registry.projects = projects

    with capture_logs() as logs:
        plan = filled.harvest()

    (log,) = [log for log in logs if log["event"] == "plan awaiting approval superseded"]
    assert (log["plan"], log["run"]) == (waiting.run.id, plan.run.id)
    assert plan.run.state is State.UNCHANGED
    assert filled.ledger.awaiting_review() == []


@each("fetched, codes", [(0, ["no_records"]), (1, ["too_few_records"]), (2, [])])
def test_an_empty_or_short_list_has_one_reason(
    context: HarvestContext, fetched: int, codes: list[str]
) -> None:
    run = context.ledger.create_run("projects", context.now(), "", is_full=True, since=None)
    outcomes = dict.fromkeys(Outcome, 0) | {Outcome.NEW: fetched}

    violations = find_violations(Plan(replace(run, fetched=fetched), outcomes, 0), Limits(expect=2))

    assert [reason.code for _, reason in violations] == codes


@pytest.mark.parametrize(
    ("limits", "codes"),
    [(Limits(), []), (Limits(statements=10), ["too_many_statements"]), (Limits(journal=1), ["journal_too_large"])],
)  # fmt: skip
def test_a_large_publication_from_a_small_answer_is_held(
    harvester: Harvester, limits: Limits, codes: list[str]
) -> None:
    harvester.registry.size = 1200
    harvester.registry.projects = [project(number) for number in range(1200)]

    plan = harvester.having(limits=limits).harvest()

    assert [reason.code for reason in plan.hold_reasons] == codes
    assert plan.run.state is (HELD if codes else COMMITTED)


def test_many_dates_of_recurring_events_are_held_and_many_records_are_not(
    context: HarvestContext,
) -> None:
    run = context.ledger.create_run("s", context.now(), "", is_full=True, since=None)
    outcomes = dict.fromkeys(Outcome, 0) | {Outcome.NEW: 100_000}
    dated = replace(run, counts={"dates": 10_001})

    assert find_violations(Plan(run, outcomes, 0), Limits()) == []
    ((_, reason),) = find_violations(Plan(dated, outcomes, 0), Limits())
    assert reason.text.startswith("the recurring events of the file have 10,001 dates")
    assert find_violations(Plan(dated, outcomes, 0), Limits(dates=20_000)) == []


@pytest.fixture
def careful(filled: Harvester) -> Harvester:
    first(0)(filled.registry)
    return filled.having(second_approver=True)


def test_a_source_with_a_second_approver_needs_two_people(careful: Harvester) -> None:
    run = careful.harvest().run.id

    first_state = careful.approve(run, note="confirmed").state
    with pytest.raises(PlanError, match="ann approved it already"):
        careful.approve(run)
    before = len(careful.entries)
    second = careful.approve(run, by="bob")

    assert (first_state, before) == (HELD, 1)
    assert (second.state, len(careful.entries)) == (COMMITTED, 2)
    actions = operators.audit_entries(careful.ledger, 2)
    assert [(act.who, act.what) for act in actions] == [("bob", "approved"), ("ann", "approved first")]  # fmt: skip


def test_an_approval_of_an_earlier_plan_does_not_count_for_the_next(careful: Harvester) -> None:
    careful.approve(careful.harvest().run.id)

    assert careful.approve(careful.harvest().run.id, by="bob").state is HELD


def test_one_person_rejects_a_plan_that_needs_two_to_approve(careful: Harvester) -> None:
    assert careful.reject(careful.harvest().run.id).state is State.REJECTED
