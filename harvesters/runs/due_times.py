"""Timetables: when a source is due by its card's cron line, and from when on it is late or frozen."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

_FROZEN_PERIOD = timedelta(days=90)  # without a change: many registries are quiet for a season
_FROZEN_DUE_TIMES = 6  # due times without a change, where a source is asked less often than twice a month
_SEARCH_LIMIT = timedelta(days=366 * 9)  # from one 29 February to the next over a year that is no leap year, such as 2100


@lru_cache(maxsize=256)
def _trigger(every: str) -> CronTrigger:
    return CronTrigger.from_crontab(every, timezone="UTC")


def next_due(every: str, after: datetime) -> datetime | None:
    """Give the first due time after *after* of the cron line *every* in UTC, None where it never comes.

    >>> from datetime import UTC
    >>> str(next_due("15 3 * * *", datetime(2026, 3, 1, 3, 15, tzinfo=UTC)))
    '2026-03-02 03:15:00+00:00'
    """
    found: datetime | None = _trigger(every).get_next_fire_time(None, after + timedelta(microseconds=1))
    return found


def last_due(every: str, at: datetime) -> datetime | None:
    """Give the last due time of *every* up to *at*, None where there was none in nine years."""
    back = timedelta(minutes=1)
    while back <= _SEARCH_LIMIT and next_due(every, at - _SEARCH_LIMIT):
        found = next_due(every, at - back)
        if found is not None and found <= at:
            while (later := next_due(every, found)) is not None and later <= at:
                found = later
            return found
        back *= 2
    return None


def late_after(every: str, success: datetime) -> datetime | None:
    """Tell from when on a source is late whose last run succeeded at *success*: twice its period later.

    That is the second due time after it, with the delay that the success had after its own due time, so that a schedule of
    uneven steps (weekdays, months) is late only when two of its runs have brought nothing. None where it is never due.
    """
    before, first = last_due(every, success), next_due(every, success)
    second = next_due(every, first) if first else None
    return second + (success - before if before else timedelta()) if second else None


def frozen_after(every: str, change: datetime) -> datetime | None:
    """Tell from when on a source is frozen whose data last changed at *change*: after 90 days and at least six due times."""
    due: datetime | None = change
    for _ in range(_FROZEN_DUE_TIMES):
        due = next_due(every, due) if due else None
    return max(due, change + _FROZEN_PERIOD) if due else None
