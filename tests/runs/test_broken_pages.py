from __future__ import annotations

from collections.abc import Callable

import pytest
import simulated
from projects import asking

from harvesters.ledger.models import Outcome, Run, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest
from harvesters.source import Source, parse


@pytest.fixture
def definition() -> Source:
    table = {
        "title": "Repository", "protocol": "oai-pmh", "mapping": "oai_dc", "url": "https://registry.example/oai",
        "licence": "https://creativecommons.org/licenses/by/4.0/", "language": "en", "pause": 0,
    }  # fmt: skip
    return parse("repository", table, "test")


def outcome_counts(plan: Plan) -> dict[Outcome, int]:
    return {outcome: count for outcome, count in plan.outcomes.items() if count}


class KilledError(Exception):
    """Stands for kill -9 between two pages."""


def killed_at(page: int) -> Callable[[Run], None]:
    def watch(run: Run) -> None:
        if run.pages == page:
            raise KilledError

    return watch


def test_a_record_that_breaks_its_page_is_unreadable_and_the_others_are_published(
    context: HarvestContext, definition: Source
) -> None:
    registry = simulated.Oai(simulated.records(45), poison={"k0017"})

    plan = harvest(definition, asking(context, registry))

    assert plan.run.state is State.COMMITTED
    assert plan.run.incomplete_reason is None
    assert outcome_counts(plan) == {Outcome.NEW: 44, Outcome.UNREADABLE: 1}
    assert plan.run.fetched == plan.run.reported_total == 45


def test_a_record_that_becomes_unreadable_and_what_an_incomplete_harvest_misses_stay_published(
    context: HarvestContext, definition: Source
) -> None:
    items = simulated.records(45)
    harvest(definition, asking(context, simulated.Oai(items)))

    plan = harvest(definition, asking(context, simulated.Oai(items, poison={"k0017"})), full=True)

    assert outcome_counts(plan) == {Outcome.UNCHANGED: 44, Outcome.UNREADABLE: 1}
    assert context.ledger.count_published(definition.name) == 45

    lame = simulated.Oai(items[:40], poison={"k0017"}, mute={"ListIdentifiers"})

    plan = harvest(definition, asking(context, lame), full=True)

    assert plan.run.state is State.INCOMPLETE
    assert "verb=ListIdentifiers" in (plan.run.reason or "")
    assert context.ledger.count_published(definition.name) == 45


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_run_killed_at_any_page_ends_with_the_same_statistics(
    shuffled: bool, context: HarvestContext, definition: Source
) -> None:
    items = simulated.records(30, deleted={4})
    items = items[::-1] if shuffled else items
    registry = asking(
        context,
        simulated.Oai(items, 5, poison={"k0011", "k0012"}, expired=lambda times, place: times == 2),
    )
    page, plan = 1, None

    while plan is None:
        try:
            plan = harvest(definition, registry, watch=killed_at(page))
        except KilledError:
            page += 1

    assert page > 5
    assert outcome_counts(plan) == {Outcome.NEW: 27, Outcome.ABSENT: 1, Outcome.UNREADABLE: 2}
    assert plan.run.fetched == plan.run.reported_total == 30
