"""Define the commands schedule and worker, which run until they are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer
from apscheduler.schedulers.background import BackgroundScheduler

from command_line.console import fail
from command_line.settings import Context, Settings
from command_line.source_runs import run_source
from command_line.workspace import harvest_context, load_sources, notification_channels
from harvesters.errors import HarvestError, SourceDefinitionError, import_optional
from harvesters.ledger.database import name_worker, wait_for_database
from harvesters.ledger.models import State
from harvesters.notifications.alerts import load_rules, update_alerts
from harvesters.notifications.delivery import deliver
from harvesters.notifications.reports import send_reports
from harvesters.participation.actions import prune, send_reminders
from harvesters.pipeline.record_processor import check_compatible
from harvesters.runs.context import HarvestContext, ScheduleLock
from harvesters.runs.jobs import (
    REQUEST_INTERVAL,
    Jobs,
    LocalJobs,
    Timer,
    claim_requests,
    create_scheduler,
)
from harvesters.runs.publish_graphs import create_matcher, publish_vocabulary
from harvesters.runs.run import harvest_and_log
from harvesters.runs.run_log import interrupted_runs
from harvesters.runs.status_file import update_status
from harvesters.runs.upkeep import LinkProgress, check_due_links
from harvesters.source import Definitions, Source, load_all
from journal.outage import Outage
from journal.processes import StopSignal, exit_on_sigterm

app = typer.Typer(no_args_is_help=True)
log = structlog.get_logger()

FileStates = Mapping[Path, tuple[int, int, int]]  # time of change, size and inode, by file


@dataclass(slots=True)
class CurrentSources:
    """The valid source definitions of *folder*, as its files are now: *definitions* were read when
    the files were as in *files*.
    """

    folder: Path
    definitions: Definitions
    files: FileStates
    _outage: Outage = field(
        default_factory=lambda: Outage(
            "cannot read source definitions", "source definitions are readable again"
        ),
        init=False,
    )

    def __iter__(self) -> Iterator[Source]:
        """Iterate over the valid definitions."""
        return iter(self.definitions.sources.values())

    def read_changes(self) -> bool:
        """Read the definitions again if a file has changed; return whether one has, and log which.

        If the directory is missing, the last definitions stay.
        """
        files, before = file_states(self.folder), self.definitions
        if files == self.files:
            return False
        with self._outage.watching(SourceDefinitionError):
            self.definitions, self.files = load_all(self.folder, check_compatible), files
        now = self.definitions
        for name, source in now.sources.items():
            if source != before.sources.get(name):
                log.info("source definition read again", source=name, enabled=source.enabled)
        for name, message in now.errors.items():
            if message != before.errors.get(name):
                _log_invalid(name, message)
        for name in {*before.sources, *before.errors} - {*now.sources, *now.errors}:
            log.info("source definition removed", source=name)
        return now is not before


def file_states(folder: Path) -> FileStates:
    """Return the state of each file that source definitions are read from."""
    states = {}
    for file in (*folder.glob("*"), *folder.glob("crosswalks/*")):
        with suppress(OSError):  # a file may be removed meanwhile
            status = file.stat()
            states[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return states


@app.command()
def schedule(ctx: Context) -> None:
    """Harvest each source on its schedule until Ctrl-C."""
    settings: Settings = ctx.obj
    files = file_states(settings.sources)  # before they are read, so that no change is missed
    definitions = load_sources(settings, report=_log_invalid)
    sources = CurrentSources(settings.sources, definitions, files)
    exit_on_sigterm()
    wait_for_database(settings.ledger)
    with harvest_context(settings) as context:
        context.pool.check_cluster()
        publish_vocabulary(context)

        update_status(context)
        stopping, lock = threading.Event(), ScheduleLock(context)
        scheduler = _create_scheduler(settings, sources, context, stopping, lock)
        lock.acquire()

        stop = StopSignal()
        log.info("scheduler started", sources=[source.name for source in sources if source.enabled])
        scheduler.start()
        stop.wait()
        stopping.set()
        scheduler.shutdown(wait=False)
        lock.release()


def _create_scheduler(
    settings: Settings,
    sources: CurrentSources,
    context: HarvestContext,
    stopping: threading.Event,
    lock: ScheduleLock,
) -> BackgroundScheduler:
    """Return a scheduler whose jobs run here, or are queued for workers if the ledger is shared."""
    outage = Outage("cannot read run requests", "run requests are readable again")
    jobs: Jobs = LocalJobs(
        context,
        sources,
        run=lambda source: run_source(source, context, harvest_and_log, None),
        harvest=lambda source, full: harvest_and_log(source, context, full=full),
    )
    if context.ledger.is_shared:
        queued = import_optional("harvesters.runs.workers", "postgresql")
        jobs = queued.QueuedJobs(context, settings.ledger, stopping)
    jobs.prepare()
    return create_scheduler(
        sources,
        jobs,
        _create_timers(settings, sources, context, lock),
        claim=lambda: claim_requests(context, outage),
        changed_sources=partial(_read_changes, sources, context),
        is_postponed=lambda source: context.ledger.open_run(source.name) is not None,
        overdue=interrupted_sources(sources, context),
    )


def _create_timers(
    settings: Settings, sources: CurrentSources, context: HarvestContext, lock: ScheduleLock
) -> list[Timer]:
    channels, reported = notification_channels(settings), dict[str, str]()
    links = Outage("cannot check links", "links are checked again")
    notices = [
        (
            Outage("cannot check alerts", "alerts are checked again"),
            lambda: update_alerts(context, channels, load_rules(context.data)),
        ),
        (
            Outage("cannot write reports", "reports are written again"),
            lambda: send_reports(context, channels, sources, reported),
        ),
        (
            Outage("cannot remind submitters", "submitters are reminded again"),
            lambda: send_reminders(context.ledger, channels, context.now()),
        ),
        (
            Outage("cannot delete old messages", "old messages are deleted again"),
            lambda: prune(context.ledger, context.now()),
        ),
    ]
    delivery = (
        Outage("cannot read messages", "messages are readable again"),
        lambda: deliver(context.ledger, channels, context.now),
    )
    return [
        Timer("status", "clock", partial(_refresh, context, lock)),
        Timer("notifications", "notifications", partial(_attempt, notices)),
        Timer("links", "links", partial(check_due_links, context, sources, LinkProgress(), links)),
        Timer("identity", "identity", create_matcher(context, settings.ledger)),
        # People wait for the link in a mail.
        Timer("deliveries", "notifications", partial(_attempt, [delivery]), REQUEST_INTERVAL),
    ]


def _attempt(actions: Iterable[tuple[Outage, Callable[[], object]]]) -> None:
    """Call each function; if one fails, its outage logs this and the others still run."""
    for outage, action in actions:
        with outage.watching(HarvestError):
            action()


def _refresh(context: HarvestContext, lock: ScheduleLock) -> None:
    """Update the status, and mark that a schedule is running."""
    update_status(context)
    with suppress(HarvestError):  # update_status has logged why the ledger does not answer
        lock.acquire()


def _read_changes(sources: CurrentSources, context: HarvestContext) -> CurrentSources | None:
    """Read changed definitions; return all of them, or None without a change."""
    if not sources.read_changes():
        return None
    update_status(context)
    return sources


def interrupted_sources(sources: Iterable[Source], context: HarvestContext) -> list[str]:
    """Return the sources whose harvest was interrupted; none with workers, which requeue theirs."""
    if context.ledger.is_shared:
        return []
    opened = [
        run
        for source in sources
        if source.enabled and (run := context.ledger.open_run(source.name))
    ]
    harvests = [run for run in opened if run.last_fetched is None]
    interrupted = interrupted_runs(context.ledger, context.data, harvests)
    return [
        run.source for run in harvests if run.id in interrupted or run.state is State.COMMITTING
    ]


@app.command()
def worker(
    ctx: Context,
    concurrency: Annotated[
        int, typer.Option(help="Maximum number of concurrent runs.", min=1, max=64)
    ] = 2,
    heartbeat: Annotated[
        float,
        typer.Option(
            help="Seconds between heartbeats; runs are requeued after three missed.", min=0.2
        ),
    ] = 10,
) -> None:
    """Run harvests queued in the PostgreSQL ledger, on any number of machines, until Ctrl-C or
    SIGTERM.
    """
    settings: Settings = ctx.obj
    load_sources(settings, report=_log_invalid)
    exit_on_sigterm()
    name_worker()
    wait_for_database(settings.ledger)
    with harvest_context(settings) as context:
        if not context.ledger.is_shared:
            fail(
                "workers share a PostgreSQL ledger; set STOCKTAKE_LEDGER to one, such as postgresql+psycopg://user@host/name",
                2,
            )
        context.pool.check_cluster()
        publish_vocabulary(context)
        import_optional("harvesters.runs.workers", "postgresql").run_worker(
            context, settings.ledger, settings.sources, concurrency, heartbeat
        )


def _log_invalid(name: str, message: str) -> None:
    log.error("source skipped: invalid definition", source=name, reason=message)
