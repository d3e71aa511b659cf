"""Parse quiet hours, the time of day in which a registry must not be requested."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from harvesters.options import expected
from harvesters.reasons import Reason

_FORM = re.compile(r"\s*([01]\d|2[0-3]):([0-5]\d)\s*-\s*([01]\d|2[0-3]):([0-5]\d)\s*\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Daily quiet hours from *start* to *end* in UTC; *end* may be on the next day."""

    start: time
    end: time

    def ends_at(self, now: datetime) -> datetime | None:
        """Return when the quiet hours that include *now* end; None outside quiet hours.

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


def parse_quiet_hours(text: object) -> QuietHours:
    """Parse ``HH:MM-HH:MM``; raises ValueError with a Reason if it is invalid or covers the whole
    day.

    >>> str(parse_quiet_hours("22:00-06:00"))
    '22:00-06:00'
    """
    match = _FORM.match(str(text))
    if not match:
        raise ValueError(expected("quiet", text, "HH:MM-HH:MM in UTC, such as 22:00-06:00"))
    hour, minute, last_hour, last_minute = map(int, match.groups())
    window = QuietHours(time(hour, minute), time(last_hour, last_minute))
    if window.start == window.end:
        raise ValueError(
            Reason(
                "quiet is %(value)s: start and end are equal; to stop harvesting a source set "
                "`enabled = false`",
                value=repr(text),
            )
        )
    return window
