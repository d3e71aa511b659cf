"""Stamps: the times at which records changed, as lists give them, and whether a list is in their order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def read_stamp(text: str) -> datetime | None:
    """Read a date or a time (ISO 8601), in UTC where it names no zone; None where it is none.

    >>> read_stamp("2026-01-31")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    >>> read_stamp("soon") is None
    True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def risen(newest: str, rising: bool, stamps: Iterable[str]) -> tuple[str, bool]:
    """Give the greatest stamp, and whether all came in order; one that is missing or written in another way breaks it.

    >>> risen("2026-01-02", True, ["2026-01-02", "2026-01-05"])
    ('2026-01-05', True)
    >>> risen("2026-01-02", True, ["2026-01-01"])
    ('2026-01-02', False)
    """
    for stamp in stamps:
        rising = rising and stamp != "" and stamp >= newest and len(stamp) == len(newest or stamp)
        newest = max(newest, stamp)
    return newest, rising
