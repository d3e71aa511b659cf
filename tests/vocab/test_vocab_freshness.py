from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rows import each

from vocab.iris import Iris
from vocab.provenance import (
    FAILING,
    Freshness,
    FreshnessInputs,
    SourceStatus,
    describe_source_statuses,
    freshness,
    next_change,
)
from vocab.schemes import statements

IRIS = Iris()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATE, FROZEN = NOON + timedelta(days=2), NOON + timedelta(days=90)
MARKS = FreshnessInputs(success=NOON, late_from=LATE, frozen_from=FROZEN)


@each(
    "marks, at, state",
    [*((MARKS, at, state) for at, state in (
        (NOON, "live"), (LATE - SECOND, "live"), (LATE, "late"), (LATE + SECOND, "late"), (FROZEN + SECOND, "late"))),
     # Here the source answers, and never changes.
     *((replace(MARKS, success=at, late_from=at + timedelta(days=2)), at, state) for at, state in (
         (FROZEN - SECOND, "live"), (FROZEN, "frozen"))),
     *((replace(MARKS, failures=failures), NOON, state) for failures, state in (
         (0, "live"), (FAILING - 1, "live"), (FAILING, "failing"), (FAILING + 9, "failing"))),
     # No run ever succeeded.
     (FreshnessInputs(), NOON, "late")],
)  # fmt: skip
def test_a_source_turns_late_frozen_or_failing_at_the_instant_and_not_before(
    marks: FreshnessInputs, at: datetime, state: str
) -> None:
    assert freshness(marks, at).value == state


def test_what_weighs_more_is_reported_first() -> None:
    worst = FreshnessInputs(
        success=NOON, failures=9, late_from=NOON, frozen_from=NOON, is_held=True, retired=True
    )
    waiting = replace(worst, retired=False)
    steps = [worst, waiting, replace(waiting, is_held=False), replace(MARKS, late_from=NOON)]

    states = [freshness(marks, NOON).value for marks in steps]
    assert states == ["retired", "frozen", "failing", "late"]


def test_the_next_turn_is_the_first_that_is_still_to_come() -> None:
    turns = [next_change(MARKS, at) for at in (NOON, LATE - SECOND, LATE, FROZEN)]

    assert turns == [LATE, LATE, FROZEN, None]


def test_every_state_is_a_concept_of_the_ontology() -> None:
    ontology = dict(statements())[IRIS.operations.removesuffix("#")]

    assert [
        item
        for item in Freshness
        if not any(line.startswith(f"<{IRIS.operations}{item.value}> ") for line in ontology)
    ] == []


def test_the_status_graph_states_the_state_and_all_that_decides_it() -> None:
    result = describe_source_statuses(
        [SourceStatus("s", NOON, NOON, "held", 1, "short", MARKS, run="s.2", plan="s.2")],
        IRIS,
        LATE,
    )

    source = f"<{IRIS.source('s')}> <{IRIS.operations}"
    assert f"{source}freshness> <{IRIS.operations}late>" in result
    assert any(line.startswith(f'{source}lateFrom> "2026-03-03T12:00:00Z"') for line in result)
    assert f"{source}heldPlan> <{IRIS.run('s.2')}>" in result
