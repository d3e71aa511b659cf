"""Quiet hours: the time of day in which a registry is not to be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_FORM = re.compile(r"\s*(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From *start* to *end* in UTC, every day; the end may lie on the day after."""

    start: time
    end: time

    def ends_at(self, now: datetime) -> datetime | None:
        """Tell when the quiet hours in which *now* lies end; None where it lies in none.

        >>> parse_quiet_hours("22:00-06:00").ends_at(datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
        datetime.datetime(2026, 1, 2, 6, 0, tzinfo=datetime.timezone.utc)
        >>> parse_quiet_hours("22:00-06:00").ends_at(datetime(2026, 1, 1, 6, tzinfo=UTC)) is None
        True
        """
        now = now.astimezone(UTC)
        for day in (now - timedelta(days=1), now):
            start = datetime.combine(day, self.start, UTC)
            end = datetime.combine(day + timedelta(days=int(self.end < self.start)), self.end, UTC)
            if start <= now < end:
                return end
        return None

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


def parse_quiet_hours(text: str) -> QuietHours:
    """Read ``HH:MM-HH:MM``; raises ValueError where it is no time of day, or the whole of it.

    >>> str(parse_quiet_hours("22:00-06:00"))
    '22:00-06:00'
    """
    match = _FORM.match(text)
    if not match:
        raise ValueError("write it as HH:MM-HH:MM in UTC, such as 22:00-06:00")
    hour, minute, last_hour, last_minute = map(int, match.groups())
    window = QuietHours(time(hour, minute), time(last_hour, last_minute))
    if window.start == window.end:
        raise ValueError("start and end are equal; to stop harvesting a source set `enabled = false`")
    return window
