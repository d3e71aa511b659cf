"""The scheduler: one job per source at its due times, never two at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from structlog.testing import capture_logs

from harvesters.quiet_hours import parse_quiet_hours
from harvesters.runs.schedule.scheduler import Jobs, create_scheduler, log_missed
from harvesters.source import Source

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_each_enabled_source_has_one_job_at_its_cron_line(source: Source) -> None:
    quiet = replace(source, name="quiet", enabled=False)
    often = replace(source, name="often", every="*/10 * * * *")

    jobs = {
        job.id: job
        for job in create_scheduler([source, quiet, often], Jobs(lambda _: None)).get_jobs()
    }

    assert sorted(jobs) == ["often", "projects"]
    assert jobs["projects"].trigger.get_next_fire_time(None, NOON) == datetime(
        2026, 3, 2, 3, tzinfo=UTC
    )
    assert jobs["often"].trigger.get_next_fire_time(None, NOON) == NOON


def test_the_status_is_updated_every_minute(source: Source) -> None:
    jobs = create_scheduler([source], Jobs(lambda _: None, lambda: None)).get_jobs()

    assert [(job.id, job.trigger.interval) for job in jobs if job.id != source.name] == [
        (":status", timedelta(minutes=1))
    ]


def test_runs_of_one_source_are_coalesced_and_never_overlap(source: Source) -> None:
    (job,) = create_scheduler([source], Jobs(lambda _: None)).get_jobs()

    assert (job.coalesce, job.max_instances) == (True, 1)


def test_only_postponed_runs_resume_when_quiet_hours_end(source: Source) -> None:
    calm = replace(source, quiet=parse_quiet_hours("22:00-06:30"))
    ran = list[str]()
    waiting = set[str]()
    jobs = {
        job.id: job
        for job in create_scheduler(
            [calm],
            Jobs(lambda due: ran.append(due.name), is_postponed=lambda due: due.name in waiting),
        ).get_jobs()
    }
    job = jobs[":quiet-projects"]

    job.func(*job.args)
    waiting.add("projects")
    job.func(*job.args)

    assert ran == ["projects"]
    assert job.trigger.get_next_fire_time(None, NOON) == datetime(2026, 3, 2, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "message"),
    [(EVENT_JOB_MISSED, "run missed"), (EVENT_JOB_MAX_INSTANCES, "run skipped: previous run still in progress")],
)  # fmt: skip
def test_missed_runs_are_logged(code: int, message: str) -> None:
    with capture_logs() as logs:
        log_missed(JobExecutionEvent(code, "projects", "default", NOON))

    assert [(log["event"], log["source"], log["log_level"]) for log in logs] == [
        (message, "projects", "warning")
    ]


def test_internal_jobs_are_not_logged_as_missed_runs() -> None:
    with capture_logs() as logs:
        log_missed(JobExecutionEvent(EVENT_JOB_MAX_INSTANCES, ":requests", "default", NOON))

    assert logs == []


def test_notifications_have_a_thread_of_their_own(source: Source) -> None:
    jobs = {
        job.id: job
        for job in create_scheduler(
            [source], Jobs(lambda _: None, lambda: None, notify=lambda: None, deliver=lambda: None)
        ).get_jobs()
    }

    assert (jobs[":status"].executor, jobs[":notifications"].executor) == ("clock", "notifications")
    assert jobs[":deliveries"].executor == "notifications"
    assert jobs[":deliveries"].trigger.interval == timedelta(seconds=3)
