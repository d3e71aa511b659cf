"""Freshness: the one rule by which a source is live, late, failing, frozen or retired, whoever asks and whenever.

The rule needs only a few facts that do not change as time passes, so that nobody has to act for a source to turn late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

FAILING = 3  # failures in a row: one is an accident, two may be one long outage across two due times


class Freshness(Enum):
    """How fresh a source is; the values are the names of concepts of the ontology."""

    LIVE = "live"
    LATE = "late"
    FAILING = "failing"
    FROZEN = "frozen"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Marks:
    """What decides a source's freshness at any time.

    *held*: an operator holds it. *late_from* is None where no run has succeeded yet or the source has no schedule,
    *frozen_from* where nothing tells when its data last changed.
    """

    success: datetime | None = None
    failures: int = 0
    late_from: datetime | None = None
    frozen_from: datetime | None = None
    held: bool = False
    retired: bool = False


def freshness(marks: Marks, at: datetime) -> Freshness:
    """Tell how fresh a source is at the instant *at*; what stands first in this order is told.

    >>> freshness(Marks(), datetime(2026, 3, 1)).value
    'late'
    """
    if marks.retired:
        return Freshness.RETIRED
    if marks.held:
        return Freshness.FROZEN
    if marks.failures >= FAILING:
        return Freshness.FAILING
    if marks.success is None or (marks.late_from is not None and at >= marks.late_from):
        return Freshness.LATE
    if marks.frozen_from is not None and at >= marks.frozen_from:
        return Freshness.FROZEN
    return Freshness.LIVE


def next_turn(marks: Marks, at: datetime) -> datetime | None:
    """Give the first instant after *at* at which time alone may change a source's freshness, None where there is none."""
    return min((turn for turn in (marks.late_from, marks.frozen_from) if turn is not None and turn > at), default=None)
