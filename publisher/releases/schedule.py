"""Build releases at the times of a cron expression; if some were due while no process ran, build
one at the start.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module

import structlog
from apscheduler.triggers.cron import CronTrigger

from journal.processes import StopSignal
from publisher.errors import ReleaseError
from publisher.store.releases import Release

log = structlog.get_logger(component="releases")

Build = Callable[[], Release]


def trigger(every: str) -> CronTrigger:
    """Parse a cron expression of five fields, in UTC. Raises ValueError if it is invalid."""
    try:
        return CronTrigger.from_crontab(every, timezone="UTC")
    except ValueError as error:
        raise ValueError(f"not a cron line of five fields: {error}") from error


def first_due(every: str, last: Release | None, now: datetime) -> datetime | None:
    """Return when the first release after the *last* one is due, which may be before *now*; None if
    never.
    """
    since = datetime.fromisoformat(last.issued) + timedelta(seconds=1) if last else now
    due: datetime | None = trigger(every).get_next_fire_time(None, since)
    return due


def attempt(build: Build) -> Release | None:
    """Build a release; if that is not possible, log the reason and return None."""
    try:
        release = build()
    except ReleaseError as error:
        log.info("release not created", reason=str(error))
        return None
    log.info("release created", release=release.number, entry=release.position)
    return release


def follow(
    every: str,
    last: Release | None,
    build: Build,
) -> None:
    """Build releases at the times of *every*, one at a time, until SIGINT or SIGTERM."""
    # The import is late, since every command imports this module for `trigger`.
    background = import_module("apscheduler.schedulers.background")
    scheduler = background.BackgroundScheduler(timezone="UTC")
    scheduler.add_job(
        attempt,
        trigger(every),
        (build,),
        id="release",
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
        next_run_time=first_due(every, last, datetime.now(UTC)),
    )
    stop = StopSignal()
    log.info("release schedule started", every=every)
    scheduler.start()
    stop.wait()
    scheduler.shutdown(wait=False)
