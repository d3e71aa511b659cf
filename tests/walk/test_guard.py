"""The guard: what a registry may do before a person must look, and what is published before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from harvesters.errors import HarvestError, PlanError
from harvesters.ledger.models import Outcome, State
from harvesters.ledger.operator_actions import Override
from harvesters.runs import plan_decisions
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.run_report import diff_rows, run_details
from harvesters.source import Limits, Source, parse

Project = Callable[..., dict[str, Any]]


@pytest.fixture
def source(source: Source) -> Source:
    """A source whose records have a web page each."""
    return replace(source, fields={**source.fields, "pages": "page"})


@pytest.fixture
def registry(registry: Any, project: Project) -> Any:
    """A registry of forty."""
    registry.projects = [{**project(number), "page": f"http://registry.example/p{number}"} for number in range(1, 41)]
    return registry


def entries(means: HarvestContext) -> int:
    return sum(1 for _ in means.journal.entries())


def store(means: HarvestContext) -> dict[str, set[str]]:
    """Play the journal: each graph's statements as they stand now."""
    played: dict[str, set[str]] = {}
    for entry in means.journal.entries():
        for row in entry.rows():
            statement, _, graph = row[2:].removesuffix(" .").rpartition(" ")
            lines = played.setdefault(graph.strip("<>"), set())
            (lines.add if row[0] == "A" else lines.remove)(statement)
    return {graph: lines for graph, lines in played.items() if lines}


def said(means: HarvestContext, key: str) -> set[str]:
    return store(means)[means.iris.record("projects", key)]


def ten_days_on(means: HarvestContext) -> HarvestContext:
    return replace(means, now=lambda: means.now() + timedelta(days=10))


def flipped(registry: Any) -> None:
    """Give every record another key, and its page https."""
    registry.projects = [{**it, "id": f"new-{it['id']}", "page": it["page"].replace("http:", "https:")} for it in registry.projects]


@pytest.mark.parametrize("kept", [0, 20], ids=["empty feed", "half feed"])
def test_a_feed_that_is_cut_short_is_held_and_nothing_changes(source: Source, means: HarvestContext, registry: Any, kept: int) -> None:
    harvest(source, means)
    del registry.projects[kept:]

    plan = harvest(source, means)

    assert (plan.run.state, entries(means), means.ledger.count_published("projects")) == (State.HELD, 1, 40)
    assert f"stocktake plans show {plan.run.id}" in (plan.run.reason or "")


def test_half_a_feed_that_claims_all_is_incomplete_and_nothing_vanishes(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    registry.total = 40
    del registry.projects[20:]

    plan = harvest(source, means)

    assert (plan.run.state, plan.vanished, means.ledger.count_missing("projects")) == (State.INCOMPLETE, 0, 0)


def test_nine_fold_growth_passes(source: Source, means: HarvestContext, registry: Any, project: Project) -> None:
    harvest(source, means)
    registry.projects += [project(number) for number in range(41, 361)]

    plan = harvest(source, means)

    assert (plan.run.state, means.ledger.count_published("projects")) == (State.COMMITTED, 360)


def test_five_percent_that_vanish_are_marked_and_still_served(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    del registry.projects[38:]

    plan = harvest(source, means)

    status = f"<{means.iris.record('projects', 'p40')}> <http://www.w3.org/ns/adms#status> "
    assert (plan.run.state, plan.vanished, means.ledger.count_published("projects")) == (State.COMMITTED, 2, 40)
    assert {line for line in said(means, "p40") if line.startswith(status)} == {f"{status}<{means.iris.ns}vanished>"}
    assert sum("vanishedSince" in line for line in said(means, "p40")) == 1
    assert any('"Project 40"@en' in line for line in said(means, "p40"))


def test_half_that_vanish_are_held_until_approved(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    del registry.projects[20:]
    plan = harvest(source, means)

    done = plan_decisions.approve(means, source, plan.run.id, by="ann")

    assert plan.hold_reason == "20 of 40 published records are missing (50%); the limit is 10%"
    assert (done.state, entries(means), means.ledger.count_missing("projects")) == (State.COMMITTED, 2, 20)
    assert [(act.who, act.what, act.run) for act in means.ledger.audit_entries()] == [("ann", "approved", "projects.2")]


def test_what_vanished_and_comes_back_is_as_it_was(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    before = said(means, "p40")
    lost = registry.projects.pop()
    harvest(source, means)
    registry.projects.append(lost)

    plan = harvest(source, means)

    assert (plan.run.state, plan.outcomes[Outcome.RETURNED], means.ledger.count_missing("projects")) == (State.COMMITTED, 1, 0)
    assert said(means, "p40") == before


def test_what_vanished_and_comes_back_unreadable_is_no_longer_marked(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    before = said(means, "p40")
    lost = registry.projects.pop()
    harvest(source, means)
    registry.projects.append({**lost, "name": ""})

    plan = harvest(source, means)

    assert (plan.run.state, plan.outcomes[Outcome.WITHHELD]) == (State.COMMITTED, 1)
    assert said(means, "p40") == before


def test_within_the_time_of_grace_a_record_that_stays_away_changes_nothing_more(
    source: Source, means: HarvestContext, registry: Any
) -> None:
    harvest(source, means)
    registry.projects.pop()
    harvest(source, means)

    plan = harvest(source, means)

    assert (plan.run.state, plan.outcomes[Outcome.MISSING], entries(means)) == (State.UNCHANGED, 1, 2)


def test_after_the_days_of_grace_one_more_sweep_is_enough(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    registry.projects.pop()
    harvest(source, means)

    plan = harvest(source, ten_days_on(means))

    assert (plan.outcomes[Outcome.LOST], means.ledger.count_published("projects")) == (1, 39)


def test_what_is_gone_and_comes_back_has_its_address_again(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    lost = registry.projects.pop()
    for _ in range(3):
        harvest(source, means)
    tombstone = said(means, "p40")
    registry.projects.append(lost)

    plan = harvest(source, means)

    assert any("wasInvalidatedBy" in line for line in tombstone)
    assert (plan.outcomes[Outcome.NEW], means.ledger.count_published("projects")) == (1, 40)
    assert not any("wasInvalidatedBy" in line or "gone>" in line for line in said(means, "p40"))


def test_keys_that_all_change_are_held_as_the_same_records(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    flipped(registry)

    plan = harvest(source, means)

    told = {outcome: count for outcome, count in plan.outcomes.items() if count}
    assert told == {Outcome.REIDENTIFIED: 40, Outcome.REPLACED: 40}
    assert plan.hold_reason == "40 of 40 published records came under another key (100%); the limit is 5%"


def test_an_approved_change_of_keys_leaves_tombstones_that_name_the_new_ones(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    flipped(registry)
    plan = harvest(source, means)

    plan_decisions.approve(means, source, plan.run.id, by="ann")

    old, new = means.iris.record("projects", "p7"), means.iris.record("projects", "new-p7")
    assert f"<{old}> <http://purl.org/dc/terms/isReplacedBy> <{new}>" in said(means, "p7")
    assert means.ledger.count_published("projects") == 40


def test_the_plan_tells_the_difference_of_each_record(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    plan_decisions.hold(means, "projects", by="ann", reason="moving house")
    registry.projects[0]["name"] = "Renamed"
    registry.projects.pop()

    plan = harvest(source, means)

    changed, vanished = diff_rows(plan.run, means, [Outcome.CHANGED]), diff_rows(plan.run, means, [Outcome.VANISHED])
    assert [(row["key"], [line.rpartition("> ")[2] for line in row["removed"] if "title" in line]) for row in changed] == [  # type: ignore[attr-defined]
        ("p1", ['"Project 1"@en'])
    ]
    assert [(row["key"], len(row["removed"]), len(row["added"])) for row in vanished] == [("p40", 1, 2)]
    assert plan.hold_reason == "ann holds the source since 2026-03-01 12:03 UTC: moving house"


def test_a_source_on_hold_that_brings_nothing_new_does_not_trouble_anyone(source: Source, means: HarvestContext) -> None:
    harvest(source, means)
    plan_decisions.hold(means, "projects", by="ann", reason="")

    plan = harvest(source, means)

    assert plan.run.state is State.UNCHANGED


def test_a_released_source_commits_again(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    plan_decisions.hold(means, "projects", by="ann", reason="")
    plan_decisions.release(means, "projects", by="ann")
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, means)

    assert plan.run.state is State.COMMITTED
    with pytest.raises(PlanError, match="not on hold"):
        plan_decisions.release(means, "projects", by="ann")


def test_a_rejected_plan_changes_nothing_and_cannot_be_approved(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    registry.projects.clear()
    plan = harvest(source, means)

    done = plan_decisions.reject(means, source, plan.run.id, by="ann", reason="their outage")

    assert (done.state, entries(means)) == (State.REJECTED, 1)
    with pytest.raises(PlanError, match="it is rejected"):
        plan_decisions.approve(means, source, plan.run.id, by="ann")


def test_a_plan_that_is_held_again_takes_the_place_of_the_first(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    del registry.projects[20:]
    first = harvest(source, means)
    second = harvest(source, means)

    done = plan_decisions.approve(means, source, second.run.id, by="ann")

    superseded = means.ledger.run(first.run.id)
    assert superseded is not None
    assert (superseded.state, done.state) == (State.SUPERSEDED, State.COMMITTED)
    with pytest.raises(PlanError, match="superseded"):
        plan_decisions.approve(means, source, first.run.id, by="ann")


def test_a_held_plan_outlives_a_run_that_fails(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    del registry.projects[20:]
    plan = harvest(source, means)
    registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        harvest(source, means)

    done = plan_decisions.approve(means, source, plan.run.id, by="ann")

    assert done.state is State.COMMITTED


def test_a_plan_is_not_approved_after_another_commit(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    del registry.projects[20:]
    plan = harvest(source, means)
    later = means.ledger.create_run("projects", means.now(), "rules", sweep=True, since=None)
    means.ledger.save(replace(later, state=State.COMMITTED))

    with pytest.raises(PlanError, match=r"projects\.3 has been committed since"):
        plan_decisions.approve(means, source, plan.run.id, by="ann")

    assert entries(means) == 1


def test_an_override_is_used_up_by_the_one_run_that_needs_it(
    source: Source, means: HarvestContext, registry: Any, project: Project
) -> None:
    harvest(source, means)
    del registry.projects[30:]
    plan = harvest(source, means)
    plan_decisions.approve(means, source, plan.run.id, by="ann", override=Override("vanished", 0.6, means.now() + timedelta(days=1)))
    registry.projects += [project(50)]
    states = [harvest(source, means).run.state]
    del registry.projects[15:]

    states.append(harvest(source, means).run.state)
    del registry.projects[5:]
    states.append(harvest(source, means).run.state)

    (given,) = means.ledger.overrides("projects")
    assert states == [State.COMMITTED, State.COMMITTED, State.HELD]
    assert given.used == "projects.4"


def test_an_override_that_has_expired_lets_nothing_pass(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    means.ledger.grant("projects", Override("vanished", 0.6, means.now()), "ann", means.now())
    del registry.projects[30:]

    plan = harvest(source, means)

    assert plan.run.state is State.HELD


@pytest.mark.parametrize(
    ("limit", "value", "days", "told"),
    [
        ("vanished", 1.5, 1, "0 to 1"),
        ("vanihsed", 0.5, 1, "known are"),
        ("sweeps", 0.5, 1, "no limit that holds"),
        ("vanished", 0.5, -1, "past"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(
    source: Source, means: HarvestContext, registry: Any, limit: str, value: float, days: int, told: str
) -> None:
    harvest(source, means)
    registry.projects.clear()
    plan = harvest(source, means)

    with pytest.raises(PlanError, match=told):
        plan_decisions.approve(means, source, plan.run.id, by="ann", override=Override(limit, value, means.now() + timedelta(days=days)))

    assert means.ledger.awaiting_review() != []


@pytest.mark.parametrize(
    ("limit", "spoil"),
    [("changed", {"name": "Renamed"}), ("withheld", {"name": ""})],
)
def test_too_many_that_change_or_cannot_be_published_are_held(
    source: Source, means: HarvestContext, registry: Any, limit: str, spoil: dict[str, str]
) -> None:
    harvest(source, means)
    registry.projects = [{**it, **spoil} for it in registry.projects]

    plan = harvest(source, means)

    assert (plan.run.state, entries(means)) == (State.HELD, 1)
    assert "40 of 40" in (plan.hold_reason or "")


def test_one_record_alone_never_holds_a_plan(source: Source, means: HarvestContext, registry: Any) -> None:
    del registry.projects[1:]
    harvest(source, means)
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, means)

    assert plan.run.state is State.COMMITTED


@pytest.mark.parametrize(
    ("limits", "state", "published"),
    [
        (Limits(vanished=0.9), State.COMMITTED, 40),
        (Limits(vanished=0.9, sweeps=0), State.COMMITTED, 20),
        (Limits(sweeps=0), State.HELD, 40),
        (Limits(grace=0), State.HELD, 40),
    ],
)
def test_a_card_sets_limits_and_grace(
    source: Source, means: HarvestContext, registry: Any, limits: Limits, state: State, published: int
) -> None:
    bold = replace(source, limits=limits)
    harvest(bold, means)
    del registry.projects[20:]

    plan = harvest(bold, means)

    assert (plan.run.state, means.ledger.count_published("projects")) == (state, published)


def test_a_page_that_repeats_makes_the_sweep_incomplete(source: Source, means: HarvestContext, registry: Any) -> None:
    plain = replace(source, options={key: value for key, value in source.options.items() if key != "total"})
    harvest(plain, means)
    registry.projects = registry.projects[:6] + registry.projects[0:6:2] + registry.projects[6:38]

    plan = harvest(plain, means)

    assert plan.run.state is State.INCOMPLETE
    assert plan.run.reason == "page 3 contains only records of earlier pages; nothing was taken for deleted"
    assert means.ledger.count_missing("projects") == 0


def test_a_total_that_shrinks_makes_the_sweep_incomplete(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    whole = registry.projects[:38]
    registry.answer = lambda page: httpx.Response(200, json={"total": 39 if page == 1 else 38, "results": whole[page * 3 - 3 : page * 3]})

    plan = harvest(source, means)

    assert (plan.run.state, means.ledger.count_missing("projects")) == (State.INCOMPLETE, 0)
    assert "shrank from 39 to 38" in (plan.run.reason or "")


@pytest.mark.parametrize("claims", [True, False], ids=["that claims a total", "that claims nothing"])
def test_a_list_that_moves_while_it_is_read_is_incomplete_and_nothing_vanishes(
    source: Source, means: HarvestContext, registry: Any, *, claims: bool
) -> None:
    source = source if claims else replace(source, options={name: it for name, it in source.options.items() if name != "total"})
    harvest(source, means)
    whole = registry.projects
    moved = [whole[0], *whole[:-1]]  # one step down after the first page: its last record comes again, and the list's last one never
    total = {"total": len(whole)} if claims else {}
    registry.answer = lambda page: httpx.Response(200, json={**total, "results": (moved if page > 1 else whole)[page * 3 - 3 : page * 3]})

    plan = harvest(source, means)

    assert (plan.run.state, plan.run.counts["duplicate"], means.ledger.count_missing("projects")) == (State.INCOMPLETE, 1, 0)
    assert "1 record came on two pages" in (plan.run.reason or "")


def test_a_list_that_moves_and_yet_brings_all_is_complete(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    whole = registry.projects
    moved = [whole[0], *whole]
    registry.answer = lambda page: httpx.Response(
        200, json={"total": len(whole), "results": (moved if page > 1 else whole)[page * 3 - 3 : page * 3]}
    )

    plan = harvest(source, means)

    assert (plan.run.state, plan.run.counts["duplicate"]) == (State.UNCHANGED, 1)


def test_the_account_closes_and_its_quads_are_those_of_the_store(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    registry.projects[0]["name"] = "Renamed"
    del registry.projects[38:]

    run = harvest(source, means).run

    held = sum(len(lines) for lines in store(means).values())
    written = list(next(means.journal.entries(after=1)).rows())
    assert run.state is State.COMMITTED
    assert (run.added, run.removed, run.after) == (sum(row[0] == "A" for row in written), sum(row[0] == "D" for row in written), held)
    assert f'<{means.iris.run(run.id)}> <{means.iris.ns}quadsAfter> "{held}"' in "\n".join(store(means)[means.iris.run(run.id)])


def test_an_account_that_does_not_close_is_never_a_success(source: Source, means: HarvestContext) -> None:
    class Forgetful(type(means.ledger)):  # type: ignore[misc]
        def count_published(self, source: str) -> int:
            return super().count_published(source) and 39

    means.ledger.__class__ = Forgetful

    run = harvest(source, means).run

    assert run.state is State.INCOMPLETE
    assert run.reason == "the account does not close: 40 records published and 39 in the ledger; please report it"


def test_a_clock_that_goes_back_is_told_and_the_later_time_counts(source: Source, means: HarvestContext, registry: Any) -> None:
    first = harvest(source, means).run
    registry.projects[0]["name"] = "Renamed"

    plan = harvest(source, replace(means, now=lambda: first.started - timedelta(days=3)))

    assert (plan.run.state, plan.run.started) == (State.COMMITTED, first.ended)
    assert "the clock says" in str(run_details(plan.run, means.ledger)["notices"])


def test_records_of_two_sources_that_are_the_same_are_told_and_both_stay(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    other = replace(source, name="mirror")

    plan = harvest(other, means)

    assert means.ledger.count_published("mirror") == means.ledger.count_published("projects") == 40
    assert len(means.ledger.notices(plan.run)) == 40
    assert means.ledger.notices(plan.run)[0].text == "p1 says the same as p1 of projects"


def test_limits_that_are_none_are_refused() -> None:
    card = {"title": "A", "protocol": "json", "mapping": "fields", "url": "https://a.example/", "licence": "https://a.example/l"}

    with pytest.raises(HarvestError, match="share from 0 to 1"):
        parse("a", {**card, "limits": {"vanished": 10}}, "card")


def test_a_source_on_hold_whose_plan_is_over_a_limit_waits_for_both_reasons(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    plan_decisions.hold(means, "projects", by="ann", reason="moving house")
    del registry.projects[20:]

    held = harvest(source, means).hold_reason

    assert held is not None
    assert held.startswith("ann holds the source since 2026-03-01 12:03 UTC: moving house; 20 of 40 published records are missing")


def test_an_incomplete_sweep_over_a_limit_waits_for_both_reasons(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    registry.projects = [{**it, "name": f"Renamed {it['name']}"} for it in registry.projects]
    registry.total = 80

    held = harvest(source, means).hold_reason

    assert held is not None
    assert "40 of 40 published records changed" in held
    assert "the source reported 80 records but returned 40" in held


def test_a_scheduled_run_supersedes_a_waiting_plan_and_logs_both_names(source: Source, means: HarvestContext, registry: Any) -> None:
    harvest(source, means)
    kept = registry.projects.copy()
    del registry.projects[3:]
    waiting = harvest(source, means)
    registry.projects = kept

    with capture_logs() as logs:
        plan = harvest(source, means)

    (log,) = [log for log in logs if log["event"] == "waiting plan superseded"]
    assert (log["plan"], log["run"]) == (waiting.run.id, plan.run.id)
    assert plan.run.state is State.UNCHANGED
    assert means.ledger.awaiting_review() == []
