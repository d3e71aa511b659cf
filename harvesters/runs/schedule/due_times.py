"""Compute from a source's cron line when it is due, and when it counts as late or frozen."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

_FROZEN_PERIOD = timedelta(days=90)  # without a change: many registries are quiet for a season
_FROZEN_DUE_TIMES = 6  # due times without a change, for sources due less than twice a month
_SEARCH_LIMIT = timedelta(days=366 * 9)  # two 29 Februaries can be 8 years apart (1896 to 1904)


@lru_cache(maxsize=256)
def _trigger(every: str) -> CronTrigger:
    return CronTrigger.from_crontab(every, timezone="UTC")


def next_due(every: str, after: datetime) -> datetime | None:
    """Return the first due time of the cron line *every* (UTC) after *after*, or None if there is
    none.

    >>> from datetime import UTC
    >>> str(next_due("15 3 * * *", datetime(2026, 3, 1, 3, 15, tzinfo=UTC)))
    '2026-03-02 03:15:00+00:00'
    """
    due: datetime | None = _trigger(every).get_next_fire_time(
        None, after + timedelta(microseconds=1)
    )
    return due


def last_due(every: str, time: datetime) -> datetime | None:
    """Return the last due time of *every* at or before *time*, or None if there is none in nine
    years.
    """
    window = timedelta(minutes=1)
    while window <= _SEARCH_LIMIT and next_due(every, time - _SEARCH_LIMIT):
        due = next_due(every, time - window)
        if due is not None and due <= time:
            while (later := next_due(every, due)) is not None and later <= time:
                due = later
            return due
        window *= 2
    return None


def late_after(every: str, success: datetime) -> datetime | None:
    """Return when a source becomes late if its last successful run started at *success*.

    That is the second due time after *success*, plus the delay of *success* after its own due time.
    So with irregular schedules (weekdays, months) a source is late only after two runs without
    success. None if the source is never due.
    """
    previous, first = last_due(every, success), next_due(every, success)
    second = next_due(every, first) if first else None
    return second + (success - previous if previous else timedelta()) if second else None


def frozen_after(every: str, change: datetime) -> datetime | None:
    """Return when a source becomes frozen if its data last changed at *change*.

    That is after 90 days and at least six due times. None if the source is never due.
    """
    due: datetime | None = change
    for _ in range(_FROZEN_DUE_TIMES):
        due = next_due(every, due) if due else None
    return max(due, change + _FROZEN_PERIOD) if due else None
