from __future__ import annotations

import pytest
from demo_counts import expected_counts
from rows import each

from demo.scenario import Fault, ScenarioState, record_histories, registries, serialize_record

REGISTRY = registries(1000, 1, ["oai"])[0]


def test_shares_add_up_to_the_size() -> None:
    assert sum(registry.size for registry in registries(4001, 1)) == 4001


def test_an_unknown_registry_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'opac' is not a registry of the demo"):
        registries(10, 1, ["opac"])


def test_a_new_version_changes_adds_and_deletes_some_and_leaves_datestamp_and_text_of_others() -> (
    None
):
    first = list(record_histories(REGISTRY, ScenarioState(1)))
    second = list(record_histories(REGISTRY, ScenarioState(2)))

    changed = [
        item
        for item, before in zip(second, first, strict=False)
        if item.revision and not before.revision
    ]
    gone = [
        item
        for item, before in zip(second, first, strict=False)
        if item.deleted and not before.deleted
    ]
    assert len(second) - len(first) == 20
    assert 20 < len(changed) < 80
    assert 2 < len(gone) < 30

    same = [(a, b) for a, b in zip(first, second, strict=False) if a.modified == b.modified]
    assert len(same) > 900
    assert all(
        a == b and serialize_record(REGISTRY, a) == serialize_record(REGISTRY, b) for a, b in same
    )


def test_a_change_is_stamped_between_the_old_time_and_the_new() -> None:
    old, new = ScenarioState(1), ScenarioState(2)

    stamps = [history.modified for history in record_histories(REGISTRY, new) if history.revision]

    assert all(old.now.timestamp() < stamp <= new.now.timestamp() for stamp in stamps)


def test_a_deleted_record_stays_deleted() -> None:
    second = {
        history.number
        for history in record_histories(REGISTRY, ScenarioState(2))
        if history.deleted
    }
    fifth = {
        history.number
        for history in record_histories(REGISTRY, ScenarioState(5))
        if history.deleted
    }

    assert second < fifth


def test_without_faults_nothing_is_wrong_and_nothing_deleted() -> None:
    counts = expected_counts(1000, 1, faults=(), only=["ckan"])["ckan"]

    assert (counts.records, counts.deleted, counts.untitled, counts.misdated, counts.misplaced) == (
        1000, 0, 0, 0, 0,
    )  # fmt: skip


@each("fault", [Fault.TITLES, Fault.DATES, Fault.COUNTRIES, Fault.DELETIONS])
def test_a_fault_strikes_about_one_record_in_fifty(fault: Fault) -> None:
    counts = expected_counts(1000, 1, faults=[fault], only=["ckan"])["ckan"]

    assert 8 < (counts.deleted + counts.untitled + counts.misdated + counts.misplaced) < 40
    assert counts.records + counts.deleted == 1000
