"""Timestamps of records in lists."""

from __future__ import annotations

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


def may_be_newer(stamp: str | datetime | None, moment: datetime | None) -> bool:
    """Return whether something with the time *stamp* may have changed since *moment*; True if either
    time is unknown.
    """
    changed = parse_timestamp(stamp) if isinstance(stamp, str) else stamp
    return moment is None or changed is None or changed >= moment


def in_utc(moment: datetime) -> datetime:
    """Return *moment* in UTC; without a zone it counts as UTC.

    >>> in_utc(datetime(2026, 1, 31))
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
