from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_records import put_records

from harvesters.ledger.models import CLUSTERS
from harvesters.matching.match import has_changes, match_records
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import create_matcher
from vocab.initiative import Initiative, Text
from vocab.iris import Iris

IRIS = Iris()


def add_record(context: HarvestContext, source: str, seq: int, state: str = "published") -> None:
    resource = Initiative(
        key="1",
        titles=(Text("Telemedicine for the clinics of Marsabit", "en"),),
        start="2024-02-01",
        pages=("https://a.example/x",),
    )
    put_records(context.ledger, seq, [(source, resource)], state)


@pytest.fixture
def ready(context: HarvestContext) -> HarvestContext:
    add_record(context, "north", 1)
    return replace(context, iris=IRIS)


def test_the_ledger_knows_what_was_matched(ready: HarvestContext) -> None:
    states: list[int] = [has_changes(ready.ledger)]
    changes: tuple[Callable[[], None], ...] = (
        lambda: None,
        lambda: add_record(ready, "south", 2),  # a new record
        lambda: add_record(ready, "south", 3),  # another version of it
        lambda: add_record(ready, "south", 4, "gone"),
    )
    for change in changes:
        change()
        before = has_changes(ready.ledger)
        with match_records(ready.ledger, IRIS, only_changed=True) as matching:
            states += [before, matching.records, has_changes(ready.ledger)]

    assert states == [True, True, 1, False, True, 1, False, True, 1, False, True, 0, False]


def test_the_service_matches_publishes_and_rests(ready: HarvestContext, tmp_path: Path) -> None:
    # The first matching takes 5 seconds, so the next begins at 55 at the earliest.
    times = [0.0, 5.0, 5.0, 20.0, 60.0, 61.0, 61.0]
    match = create_matcher(ready, f"sqlite:///{tmp_path}/ledger.sqlite", lambda: times.pop(0))
    match()
    entries = [entry.run for entry in ready.journal.entries()]
    add_record(ready, "south", 2)

    match()
    ready.journal.refresh()
    resting = [entry.run for entry in ready.journal.entries()]
    match()
    ready.journal.refresh()

    assert entries == resting == []
    assert [entry.run.startswith(CLUSTERS) for entry in ready.journal.entries()] == [True]
    assert not has_changes(ready.ledger)
    assert times == []
