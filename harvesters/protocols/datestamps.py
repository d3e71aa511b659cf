"""Timestamps of records in lists, and whether a list is sorted by them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime


def parse_timestamp(text: str) -> datetime | None:
    """Parse an ISO 8601 date or time, in UTC if it has no zone. Return None if *text* is neither.

    >>> parse_timestamp("2026-01-31")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    >>> parse_timestamp("soon") is None
    True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return in_utc(moment)


def in_utc(moment: datetime) -> datetime:
    """Return *moment* in UTC; without a zone it counts as UTC.

    >>> in_utc(datetime(2026, 1, 31))
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def max_if_sorted(newest: str, in_order: bool, stamps: Iterable[str]) -> tuple[str, bool]:
    """Return the greatest timestamp and whether all came in order. A missing or differently written
    one breaks the order.

    >>> max_if_sorted("2026-01-02", True, ["2026-01-02", "2026-01-05"])
    ('2026-01-05', True)
    >>> max_if_sorted("2026-01-02", True, ["2026-01-01"])
    ('2026-01-02', False)
    """
    for stamp in stamps:
        in_order = (
            in_order and stamp != "" and stamp >= newest and len(stamp) == len(newest or stamp)
        )
        newest = max(newest, stamp)
    return newest, in_order
