"""Map and validate archived responses again with today's code, without requests to the registry.

The responses of the last full harvest and of all successful runs after it are read, newest first,
so that the newest version of a record counts. Records that come out unchanged, or that are no
longer at their source, are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError, LockLostError, PlanError
from harvesters.ledger import graphs, operators
from harvesters.ledger.models import Run, State
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.page_processor import SOURCE_ERRORS, PageReader, ProgressCallback
from harvesters.pipeline.record_processor import ProcessingTask
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.replay import Replay
from harvesters.runs.commit import check_ledger_matches_journal, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import finalize
from harvesters.runs.locks import source_lock
from harvesters.runs.page_collection import page_reader
from harvesters.runs.plans.plan import READ_UP_TO, Plan
from harvesters.runs.run_log import assign_run
from harvesters.runs.run_start import fail, rules_digest
from harvesters.source import Source

# states of runs whose records are published
_PUBLISHED_STATES = (
    State.COMMITTED,
    State.UNCHANGED,
    State.INCOMPLETE,
)
# request outcomes that all leave a response in the archive
_ARCHIVED_OUTCOMES = {
    "sent",
    "answered",
    "unchanged",
    "redirected",
    "retried",
}
# reading an archive needs no delay

log = structlog.get_logger()


def remap(
    source: Source,
    context: HarvestContext,
    *,
    dry_run: bool = False,
    watch: ProgressCallback = lambda _: None,
) -> Plan:
    """Re-map one source's archived responses: plan, check and commit as a harvest does. A dry run
    only returns the plan.

    Raises PlanError if nothing is archived or a harvest is still open, ArchiveError if responses
    are missing.
    """
    protocol, _ = check_compatible(source)
    with source_lock(source.name, context) as context:
        check_ledger_matches_journal(context)
        _close_interrupted(source, context, dry_run=dry_run)
        archived_runs = context.ledger.fetched_runs(source.name, _PUBLISHED_STATES)
        if not archived_runs:
            raise PlanError(
                Reason(
                    "%(source)s: no complete run is archived; run `stocktake harvest %(source)s` first",
                    source=source.name,
                )
            )
        validators = graphs.validators(context.ledger, source.name)
        run = _create_run(source, context, archived_runs)
        try:
            run = _collect(source, context, protocol, run, archived_runs, watch)
            return finalize(source, context, run, validators, dry_run=dry_run)
        except LockLostError:
            raise
        except HarvestError as error:
            context.ledger.delete_run(run) if dry_run else fail(run, context, error.reason)
            raise


def _close_interrupted(source: Source, context: HarvestContext, *, dry_run: bool) -> None:
    """Finish or fail an interrupted remap. Raises PlanError if a harvest is open."""
    opened = context.ledger.open_run(source.name)
    if opened is None:
        return
    if opened.last_fetched is None or dry_run:
        command = "harvest" if opened.last_fetched is None else "remap"
        values = {"source": source.name, "run": opened.id, "command": command}
        raise PlanError(
            Reason(
                "%(source)s: %(run)s was interrupted and is still open; run `stocktake %(command)s "
                "%(source)s` to finish it",
                **values,
            )
        )
    if opened.state is State.COMMITTING:
        finish_commit(opened, source, context)
    else:
        fail(opened, context, Reason("interrupted, then restarted"))


def _create_run(source: Source, context: HarvestContext, archived_runs: list[Run]) -> Run:
    now = max(filter(None, (context.now(), context.ledger.latest_time(source.name))))
    run = context.ledger.create_run(
        source.name, now, rules_digest(source, context), is_full=False, since=None
    )
    run = replace(run, last_fetched=archived_runs[0].last_fetched or archived_runs[0].started)
    context.ledger.save(run)
    assign_run(run.id)
    return run


def _clock_at(moment: datetime) -> Callable[[], datetime]:
    """Return a clock that does not advance, for requests that contain the date."""
    return lambda: moment


def _collect(
    source: Source,
    context: HarvestContext,
    protocol: Protocol,
    run: Run,
    archived_runs: list[Run],
    watch: ProgressCallback,
) -> Run:
    """Stage every page of the archived runs, newest first; of each key only the first record
    counts.
    """

    def page() -> tuple[int, Mapping[str, int], Mapping[str, int]]:
        context.check_lock()
        return 0, {}, {}

    for archived_run in archived_runs:
        log.debug("re-mapping the archived responses", source=source.name, run=archived_run.id)
        is_complete = set(archived_run.network) <= _ARCHIVED_OUTCOMES
        replay = Replay(
            context.data / "archive",
            f"{source.name}/{archived_run.id}.warc.gz",
            context.journal.store,
            is_complete,
        )
        clock = _clock_at(archived_run.started)
        offline = NetworkSettings.offline(replay, max_attempts=3)
        with Fetch(offline, 0.0, replay, robots=False, now=clock) as client:
            task = ProcessingTask(
                run,
                source,
                context.iris.base,
                context.pool.name,
                rules_unchanged=False,
                is_remap=True,
                forgotten=operators.forgotten_keys(context.ledger, source.name),
            )
            reader = page_reader(context, task, protocol, client, archived_run.since, page, watch)
            _read_archive(reader, archived_run)
            run = reader.run
    return run


def _read_archive(reader: PageReader, archived_run: Run) -> None:
    """Stage every page of an archived run; one whose source failed then ends where it ended."""
    try:
        reader.collect()
    except SOURCE_ERRORS:
        early = archived_run.incomplete_reason
        if early is None or early.code != READ_UP_TO:
            raise
