"""The numbers of records that a full harvest of the demo must find."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from demo.scenario import DEFAULT, Fault, RecordHistory, ScenarioState, record_histories, registries


@dataclass(frozen=True, slots=True)
class Counts:
    """The expected numbers: existing records, deleted ones, and existing ones with each fault."""

    records: int
    deleted: int
    untitled: int
    misdated: int
    misplaced: int


def expected_counts(
    size: int,
    seed: int,
    version: int = 1,
    faults: Collection[Fault] = DEFAULT,
    only: Collection[str] = (),
) -> dict[str, Counts]:
    """Return the numbers that a full harvest of the demo must find, by registry."""
    state = ScenarioState(version, frozenset(faults))
    return {
        registry.name: _count(list(record_histories(registry, state)))
        for registry in registries(size, seed, only)
    }


def _count(histories: list[RecordHistory]) -> Counts:
    living = [history for history in histories if not history.deleted]
    faults = (Fault.TITLES, Fault.DATES, Fault.COUNTRIES)
    return Counts(
        len(living),
        len(histories) - len(living),
        *(sum(kind in history.faults for history in living) for kind in faults),
    )
