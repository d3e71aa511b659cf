from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from structlog.testing import capture_logs

from command_line.schedule import CurrentSources, file_states, interrupted_sources
from command_line.settings import Settings
from command_line.site import suggest_schedule
from harvesters.ledger.models import RunRequest, State
from harvesters.runs.context import HarvestContext, ScheduleLock, source_lock
from harvesters.runs.jobs import Timer, create_scheduler, log_missed
from harvesters.runs.run_log import is_schedule_running
from harvesters.source import Source, load_all, parse_quiet_hours
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION = """
title = "Projects"
protocol = "json"
mapping = "fields"
url = "https://registry.example/api"
licence = "https://creativecommons.org/licenses/by/4.0/"
[fields]
key = "id"
"title@en" = "name"
"""


class RecordedJobs:
    """Jobs that only record which sources they were called for."""

    def __init__(self) -> None:
        self.sources: list[str] = []

    def prepare(self) -> None:
        pass

    def run_due(self, source: Source) -> None:
        self.sources.append(source.name)

    def run_requested(self, request: RunRequest) -> None:
        self.sources.append(request.source)

    run_postponed = run_due


@pytest.fixture
def definitions(tmp_path: Path) -> CurrentSources:
    (tmp_path / "projects.toml").write_text(DEFINITION, encoding="utf-8")
    return CurrentSources(tmp_path, load_all(tmp_path), file_states(tmp_path))


def test_each_enabled_source_has_one_job_at_its_cron_line(source: Source) -> None:
    quiet = replace(source, name="quiet", enabled=False)
    often = replace(source, name="often", every="*/10 * * * *")

    jobs = {
        job.id: job for job in create_scheduler([source, quiet, often], RecordedJobs()).get_jobs()
    }

    assert sorted(jobs) == ["often", "projects"]
    assert jobs["projects"].trigger.get_next_fire_time(None, NOON) == datetime(
        2026, 3, 2, 3, tzinfo=UTC
    )
    assert jobs["often"].trigger.get_next_fire_time(None, NOON) == NOON


def test_a_timer_is_called_in_its_pool_at_its_interval(source: Source) -> None:
    timers = [Timer("status", "clock", print), Timer("deliveries", "notifications", print, 3)]

    jobs = create_scheduler([source], RecordedJobs(), timers).get_jobs()

    assert [(job.id, job.executor, job.trigger.interval) for job in jobs if job.id != source.name] == [
        (":status", "clock", timedelta(minutes=1)), (":deliveries", "notifications", timedelta(seconds=3)),
    ]  # fmt: skip


def test_runs_of_one_source_are_coalesced_and_never_overlap(source: Source) -> None:
    (job,) = create_scheduler([source], RecordedJobs()).get_jobs()

    assert (job.coalesce, job.max_instances) == (True, 1)


def test_only_postponed_runs_resume_when_quiet_hours_end(source: Source) -> None:
    calm = replace(source, quiet=parse_quiet_hours("22:00-06:30"))
    recorded, waiting = RecordedJobs(), set[str]()
    scheduler = create_scheduler([calm], recorded, is_postponed=lambda due: due.name in waiting)
    job = scheduler.get_job(":quiet-projects")

    job.func(*job.args)
    waiting.add("projects")
    job.func(*job.args)

    assert recorded.sources == ["projects"]
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


def test_definitions_are_read_again_when_a_file_changes(definitions: CurrentSources) -> None:
    unchanged = definitions.read_changes()
    (definitions.folder / "more.toml").write_text(DEFINITION, encoding="utf-8")
    moved = DEFINITION.replace("/api", "/moved")
    (definitions.folder / "projects.toml").write_text(moved, encoding="utf-8")

    with capture_logs() as logs:
        changed = definitions.read_changes()

    assert (unchanged, changed) == (False, True)
    assert [(source.name, source.url) for source in definitions] == [
        ("more", "https://registry.example/api"),
        ("projects", "https://registry.example/moved"),
    ]
    assert [(log["event"], log["source"]) for log in logs] == [
        ("source definition read again", "more"),
        ("source definition read again", "projects"),
    ]


def test_a_definition_that_breaks_or_goes_away_is_logged_with_its_reason(
    definitions: CurrentSources,
) -> None:
    file = definitions.folder / "projects.toml"

    with capture_logs() as logs:
        file.write_text(DEFINITION.replace("licence", "license"), encoding="utf-8")
        definitions.read_changes()
        broken = [*definitions]
        file.unlink()
        definitions.read_changes()

    assert (broken, [*definitions]) == ([], [])
    assert [log["event"] for log in logs] == [
        "source skipped: invalid definition",
        "source definition removed",
    ]
    assert "'license'" in logs[0]["reason"]


def test_a_missing_directory_of_definitions_stops_no_source(definitions: CurrentSources) -> None:
    definitions.folder.rename(definitions.folder.with_name("away"))

    with capture_logs() as logs:
        changed = [definitions.read_changes(), definitions.read_changes()]

    assert (changed, [source.name for source in definitions]) == ([False, False], ["projects"])
    assert [log["event"] for log in logs] == ["cannot read source definitions"]


def test_requests_are_claimed_with_the_definitions_as_they_are_now(source: Source) -> None:
    gone, calm = (
        replace(source, name="gone"),
        replace(source, name="calm", quiet=parse_quiet_hours("22:00-06:30")),
    )
    moved = replace(source, url="https://registry.example/moved")
    changes = iter([[moved, replace(calm, quiet=None), replace(source, name="added")]])
    scheduler = create_scheduler(
        [source, gone, calm],
        RecordedJobs(),
        claim=list,
        changed_sources=lambda: next(changes, None),
    )
    before = sorted(job.id for job in scheduler.get_jobs())

    for _ in range(2):
        scheduler.get_job(":requests").func()

    after = _last_jobs(scheduler)
    assert before == [":quiet-calm", ":requests", "calm", "gone", "projects"]
    assert sorted(after) == [":requests", "added", "calm", "projects"]
    assert after["projects"].args == (moved,)


def _last_jobs(scheduler: Any) -> dict[str, Any]:
    return {job.id: job for job in scheduler.get_jobs()}


def test_a_source_whose_run_was_interrupted_is_due_at_once(source: Source) -> None:
    later = replace(source, name="later")

    jobs = _last_jobs(create_scheduler([source, later], RecordedJobs(), overdue=["projects"]))

    assert jobs["projects"].next_run_time <= datetime.now(UTC)
    assert not hasattr(jobs["later"], "next_run_time")  # computed when the scheduler starts


def test_a_run_is_interrupted_when_no_process_executes_it(
    source: Source, context: HarvestContext
) -> None:
    run = context.ledger.create_run("projects", NOON, "rules", is_full=True, since=None)
    with source_lock("projects", context):
        executed = interrupted_sources([source], context)
    killed = interrupted_sources([source], context)
    context.ledger.save(replace(run, state=State.COMMITTING))
    committing = interrupted_sources([source], context)
    context.ledger.save(replace(run, last_fetched=NOON))
    remapping = interrupted_sources([source], context)

    assert (executed, killed, committing, remapping) == ([], ["projects"], ["projects"], [])
    assert interrupted_sources([replace(source, enabled=False)], context) == []


def test_a_running_schedule_is_known_until_it_ends(context: HarvestContext) -> None:
    first, second = ScheduleLock(context), ScheduleLock(context)

    def is_running() -> bool:
        return is_schedule_running(context.ledger, context.data)

    known = [is_running()]
    for change in (first.acquire, first.acquire, second.acquire, first.release, second.acquire):
        change()
        known.append(is_running())
    second.release()

    assert [*known, is_running()] == [False, True, True, True, False, True, False]


def test_serve_names_what_to_start_where_no_schedule_runs(
    context: HarvestContext, tmp_path: Path
) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger.sqlite"
    settings = Settings(
        context.data, context.data / "sources", BASE, ledger, frozenset(), "me", "rust"
    )
    lock = ScheduleLock(context)

    with capture_logs() as alone:
        suggest_schedule(replace(settings, ledger="sqlite:////nowhere/ledger"))
        suggest_schedule(settings)
    lock.acquire()
    with capture_logs() as beside:
        suggest_schedule(settings)
    lock.release()

    assert ["stocktake up" in line["action"] for line in alone] == [True, True]
    assert beside == []
