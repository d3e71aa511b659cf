"""Schedule: releases at the times of a cron line; one that was due while no process ran is made up for once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module

import structlog
from apscheduler.triggers.cron import CronTrigger

from publisher.errors import ReleaseError
from publisher.store.releases.manifest import Release

log = structlog.get_logger(component="releases")

Cut = Callable[[], Release]


def trigger(every: str) -> CronTrigger:
    """Read a cron line of five fields, in UTC; raises ValueError if it is invalid."""
    return CronTrigger.from_crontab(every, timezone="UTC")


def overdue(every: str, last: Release | None, now: datetime) -> bool:
    """Return whether a release was due after the *last* one up to *now*; False before the first."""
    if last is None:
        return False
    due = trigger(every).get_next_fire_time(None, datetime.fromisoformat(last.issued) + timedelta(seconds=1))
    return due is not None and due <= now


def attempt(cut: Cut) -> Release | None:
    """Cut a release; where none can be cut, tell why."""
    try:
        made = cut()
    except ReleaseError as error:
        log.info("no release made", reason=str(error))
        return None
    log.info("release made", release=made.number, entry=made.position)
    return made


def follow(every: str, last: Release | None, cut: Cut, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Cut releases at the times of *every*, never two at once, until SIGINT or SIGTERM."""
    blocking = import_module("apscheduler.schedulers.blocking")  # late: every command imports this module for `trigger`
    scheduler = blocking.BlockingScheduler(timezone="UTC")
    scheduler.add_job(attempt, trigger(every), (cut,), id="release", coalesce=True, max_instances=1, misfire_grace_time=None)
    if overdue(every, last, now()):
        scheduler.add_job(attempt, args=(cut,), id="overdue", misfire_grace_time=None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: scheduler.shutdown(wait=False))
    log.info("release schedule started", every=every)
    scheduler.start()
