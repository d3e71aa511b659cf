"""Decide whether a source is new, live, late, failing, frozen or retired.

The rule needs only facts that do not change with time, so that a source turns late without an
update.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

FAILING = 3  # Consecutive failures: two may be one outage that spans two due times.


class Freshness(Enum):
    """The freshness of a source; the values are names of concepts of the ontology."""

    NEW = "new"
    LIVE = "live"
    LATE = "late"
    FAILING = "failing"
    FROZEN = "frozen"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class FreshnessInputs:
    """The facts that decide a source's freshness at any time.

    *is_held*: an operator holds it. *late_from* is its first due time while no run has succeeded,
    None if the source has no schedule, *frozen_from* if its last change is unknown.
    """

    success: datetime | None = None
    failures: int = 0
    late_from: datetime | None = None
    frozen_from: datetime | None = None
    is_held: bool = False
    retired: bool = False


def freshness(inputs: FreshnessInputs, now: datetime) -> Freshness:
    """Return the freshness of a source at *now*; the first matching row applies.

    >>> freshness(FreshnessInputs(), datetime(2026, 3, 1)).value
    'late'
    """
    if inputs.retired:
        return Freshness.RETIRED
    if inputs.is_held:
        return Freshness.FROZEN
    if inputs.failures >= FAILING:
        return Freshness.FAILING
    is_before = inputs.late_from is None or now < inputs.late_from
    if inputs.success is None and inputs.late_from is not None and is_before:
        return Freshness.NEW
    if inputs.success is None or not is_before:
        return Freshness.LATE
    if inputs.frozen_from is not None and now >= inputs.frozen_from:
        return Freshness.FROZEN
    return Freshness.LIVE


def next_change(inputs: FreshnessInputs, now: datetime) -> datetime | None:
    """Return the first time after *now* at which a source's freshness may change by itself, or
    None.
    """
    return min(
        (
            turn
            for turn in (inputs.late_from, inputs.frozen_from)
            if turn is not None and turn > now
        ),
        default=None,
    )


def freshness_inputs(terms: Mapping[str, str]) -> FreshnessInputs:
    """Return the inputs of a source's freshness from its values in the status graph, by local names
    of our terms.
    """
    return FreshnessInputs(
        success=parse_time(terms.get("lastSuccess")),
        failures=int(terms.get("consecutiveFailures", "0")),
        late_from=parse_time(terms.get("lateFrom")),
        frozen_from=parse_time(terms.get("frozenFrom")),
        is_held="hold" in terms,
        retired=terms.get("freshness", "").endswith(f"#{Freshness.RETIRED.value}"),
    )


def parse_time(text: str | None) -> datetime | None:
    """Parse a timestamp of the status graph; None if *text* is None or empty."""
    return datetime.fromisoformat(text) if text else None


def terms_by_subject(
    statements: Iterable[tuple[str, str, str]], ns: str
) -> dict[str, dict[str, str]]:
    """Group the values of our terms by subject and by the local name of the term."""
    by_subject: dict[str, dict[str, str]] = {}
    for subject, predicate, value in statements:
        if predicate.startswith(ns):
            by_subject.setdefault(subject, {})[predicate.removeprefix(ns)] = value
    return by_subject
