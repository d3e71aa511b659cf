"""Define the commands `schedule` and `worker`, which run until they are stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Annotated

import structlog
import typer
from apscheduler.schedulers.background import BackgroundScheduler

from command_line.harvesting.output import err
from command_line.harvesting.source_runs import prepare_collectors, run_source
from command_line.harvesting.terminal import harvest_context, load_sources, notification_channels
from command_line.settings import Settings
from harvesters.ledger.database import wait_for_database
from harvesters.ledger.operator_actions import RunRequest
from harvesters.notifications.alerts import check_rules
from harvesters.notifications.delivery import deliver_due, prune
from harvesters.notifications.source_reports import send_reports
from harvesters.optional_dependency import import_optional
from harvesters.participation.submissions.reminders import create_reminder
from harvesters.pipeline.gc_tuning import reduced_gc
from harvesters.runs import publish_vocabularies
from harvesters.runs.context import HarvestContext
from harvesters.runs.run_logging import harvest_and_log
from harvesters.runs.schedule import run_requests
from harvesters.runs.schedule.link_checks import LinkProgress, check_due_links
from harvesters.runs.schedule.match_changes import create_matcher
from harvesters.runs.schedule.scheduler import Jobs, create_scheduler
from harvesters.runs.status_file import update_status
from harvesters.source import Source
from journal.outage import Outage
from journal.stop_signal import StopSignal, exit_on_sigterm

app = typer.Typer(no_args_is_help=True)
log = structlog.get_logger()


@app.command()
def schedule(ctx: typer.Context) -> None:
    """Harvest each source on its schedule until Ctrl-C."""
    settings: Settings = ctx.obj
    sources = [*load_sources(settings, report=_log_invalid).sources.values()]
    exit_on_sigterm()
    wait_for_database(settings.ledger)
    with harvest_context(settings) as context:
        context.pool.check_cluster()
        prepare_collectors(context)
        publish_vocabularies.publish(context)

        update_status(context)
        stopping = threading.Event()
        scheduler = _create_scheduler(settings, sources, context, stopping)

        stop = StopSignal()
        log.info("scheduler started", sources=[source.name for source in sources if source.enabled])
        scheduler.start()
        stop.wait()
        stopping.set()
        scheduler.shutdown(wait=False)


def _create_scheduler(
    settings: Settings,
    sources: Sequence[Source],
    context: HarvestContext,
    stopping: threading.Event,
) -> BackgroundScheduler:
    """Return a scheduler whose jobs run here, or are queued for workers if the ledger is shared."""

    def run(source: Source) -> None:
        if not context.ledger.removals.is_retired(source.name):
            run_source(source, context, harvest_and_log, None)

    def run_request(request: RunRequest) -> None:
        run_requests.execute_request(
            request,
            sources,
            context,
            lambda source, full: harvest_and_log(source, context, full=full),
        )

    def is_postponed(source: Source) -> bool:
        return context.ledger.open_run(source.name) is not None

    resume: Callable[[Source], None] = run
    outage = Outage("cannot read run requests", "run requests are readable again")
    if context.ledger.is_shared:
        queue = import_optional("harvesters.runs.queue.enqueue", "postgresql").RunEnqueuer(
            context, settings.ledger, stopping
        )
        queue.prepare()
        run, run_request, resume = queue.enqueue_due, queue.enqueue_requested, queue.enqueue_resumed
    else:
        run_requests.recover_requests(context)
    jobs = Jobs(
        harvest=run,
        refresh=lambda: update_status(context),
        requests=(lambda: run_requests.claim_requests(context, outage), run_request),
        is_postponed=is_postponed,
        resume=resume,
        notify=_create_notifier(settings, context, sources),
        check_links=_create_link_checker(context, sources),
        match=create_matcher(context, settings.ledger),
        deliver=_create_delivery(settings, context),
    )
    return create_scheduler(sources, jobs)


def _create_notifier(
    settings: Settings, context: HarvestContext, sources: Sequence[Source]
) -> Callable[[], None]:
    """Return the function that checks the rules of alerts, writes reports and reminders, and
    deletes old messages.
    """
    channels = notification_channels(settings)
    alerts_outage = Outage("cannot check alerts", "alerts are checked again")
    reports_outage = Outage("cannot write reports", "reports are written again")
    checked = dict[str, str]()
    prune_outage = Outage("cannot delete old messages", "old messages are deleted again")
    remind = create_reminder(channels, context.now)

    def notify() -> None:
        check_rules(context, channels, alerts_outage)
        send_reports(context, channels, sources, checked, reports_outage)
        remind(context.ledger)
        prune(context.ledger, context.now, prune_outage)

    return notify


def _create_delivery(settings: Settings, context: HarvestContext) -> Callable[[], None]:
    """Return the function that delivers the messages that are due."""
    channels = notification_channels(settings)
    outage = Outage("cannot read messages", "messages are readable again")
    return lambda: deliver_due(context.ledger, channels, context.now, outage)


def _create_link_checker(context: HarvestContext, sources: Sequence[Source]) -> Callable[[], None]:
    """Return the function that checks the links of the sources that ask for it."""
    outage, progress = Outage("cannot check links", "links are checked again"), LinkProgress()
    return lambda: check_due_links(context, sources, progress, outage)


@app.command()
def worker(
    ctx: typer.Context,
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
    wait_for_database(settings.ledger)
    with harvest_context(settings) as context:
        if not context.ledger.is_shared:
            err.print(
                "[red]workers share a PostgreSQL ledger[/red]; set STOCKTAKE_LEDGER to one, such as postgresql+psycopg://user@host/name"
            )
            raise typer.Exit(2)
        context.pool.check_cluster()
        prepare_collectors(context)
        publish_vocabularies.publish(context)
        with reduced_gc():
            import_optional("harvesters.runs.queue.worker", "postgresql").run_worker(
                context, settings.ledger, settings.sources, concurrency, heartbeat
            )


def _log_invalid(name: str, message: str) -> None:
    log.error("source skipped: invalid definition", source=name, reason=message)
