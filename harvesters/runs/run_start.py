"""Begin a run of a source, or go on with one that was interrupted; end one that cannot go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b

import structlog

from harvesters.errors import CrashLoopError
from harvesters.ledger.models import Notice, Run, State
from harvesters.mappings.topics.suggest import method_versions
from harvesters.pipeline.page_processor import RESUMED
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from harvesters.runs.run_log import assign_run
from harvesters.source import Source
from shapes.rules import shapes_digest

log = structlog.get_logger()

VERSION = "3"  # of the mapping code: raise it if the same record gets another description
SUCCESSFUL = (State.COMMITTED, State.UNCHANGED)
# maximum interval of full harvests of a source that is harvested incrementally
FULL_HARVEST_INTERVAL = timedelta(days=7)
_CLOCK_NOTICE = "clock"
# of a run without a new page in between, so that a crash is not repeated forever
_MAX_RESUMPTIONS = 10
# clocks differ; records fetched twice are recognized by their digests
_OVERLAP = timedelta(hours=1)


def start_run(source: Source, context: HarvestContext, protocol: Protocol, *, full: bool) -> Run:
    """Return the run that begins or resumes; its log lines have its id."""
    run = _open_run(source, context, protocol, full=full)
    assign_run(run.id)
    return run


def _open_run(source: Source, context: HarvestContext, protocol: Protocol, *, full: bool) -> Run:
    """Resume an interrupted run, or create one: incremental if the protocol supports it and the
    last full harvest is recent.
    """
    digest = rules_digest(source, context)
    if opened := context.ledger.open_run(source.name):
        if opened.state is State.COMMITTING:
            log.info(
                "run resumed",
                source=source.name,
                run=opened.id,
                page="all pages",
                records=opened.fetched,
            )
            return replace(opened, reasons=())
        if opened.rules == digest and opened.last_fetched is None:
            return _resume(opened, context)
        reason = Reason(
            "interrupted, then restarted: mapping or shapes changed"
            if opened.last_fetched is None
            else "interrupted, then restarted: it was a re-mapping of the archive"
        )
        fail(opened, context, reason)
    clock, latest = context.now(), context.ledger.latest_time(source.name)
    now = max(clock, latest or clock)
    last = context.ledger.last_run(source.name, SUCCESSFUL)
    last_full = context.ledger.last_run(source.name, SUCCESSFUL, full_only=True)
    fresh = (
        last
        and last_full
        and last.rules == digest
        and now - last_full.started < FULL_HARVEST_INTERVAL
    )
    since = (
        (last.last_fetched or last.started) - _OVERLAP
        if last and fresh and protocol.incremental and not full
        else None
    )
    run = context.ledger.create_run(source.name, now, digest, is_full=since is None, since=since)
    if now != clock:
        _record_clock_change(run, clock, context)
    return run


def _resume(run: Run, context: HarvestContext) -> Run:
    """Resume a run that was interrupted or postponed. Raises CrashLoopError if it was interrupted
    too often.
    """
    interruptions = run.counts.get(RESUMED, 0) + (run.reason is None)
    if interruptions > _MAX_RESUMPTIONS:
        values = {"count": str(interruptions), "page": str(run.pages)}
        reason = Reason(
            "its process was killed %(count)s times after page %(page)s; look for the cause in "
            "the logs of this program and of the system",
            **values,
        )
        fail(run, context, reason)
        raise CrashLoopError(f"{run.source}: {run.id} was aborted: {reason.text}")
    resumed = replace(run, reasons=(), counts={**run.counts, RESUMED: interruptions})
    context.ledger.save(resumed)
    page = "all pages" if run.pages and run.cursor is None else run.pages + 1
    log.info("run resumed", source=run.source, run=run.id, page=page, records=run.fetched)
    return resumed


def _record_clock_change(run: Run, clock: datetime, context: HarvestContext) -> None:
    """Store a notice that the clock went back. The run uses the latest known time, so that no
    change is missed.
    """
    reason = Reason("clock_set_back", clock=clock.isoformat(), started=run.started.isoformat())
    log.warning(
        "clock moved backwards",
        source=run.source,
        clock=clock.isoformat(),
        used=run.started.isoformat(),
        action="set the clock",
    )
    context.ledger.replace_notices(run, _CLOCK_NOTICE, [Notice(_CLOCK_NOTICE, reason.text)])


def fail(run: Run, context: HarvestContext, reason: Reason) -> None:
    """End a run as failed, with the counts of its last checkpoint.

    A run that is committing is left as it is: its entry may be in the journal. Raises LockLostError
    if another process has the run now.
    """
    context.check_lock()
    stored = context.ledger.run(run.id) or run
    if stored.state is State.COMMITTING:
        return
    context.ledger.discard_part(stored)
    counts = {
        "fetched": stored.fetched,
        **{outcome.value: count for outcome, count in context.ledger.outcomes(stored).items()},
    }
    ended = max(context.now(), stored.started)
    context.ledger.discard_run(
        replace(
            stored,
            state=State.FAILED,
            ended=ended,
            reasons=(reason,),
            counts=counts,
            network=stored.network or run.network,
        )
    )


def rules_digest(source: Source, context: HarvestContext) -> str:
    """Return a hexadecimal digest of everything that affects how this source's records are mapped
    and validated.
    """
    definition = (
        source.mapping,
        source.language,
        sorted(source.fields.items()),
        sorted(source.options.items()),
        *([source.words] if source.words else []),
        *([source.decisions] if source.decisions else []),
        *method_versions(source),
    )
    rules = repr((VERSION, definition, context.iris.base, shapes_digest(context.iris.base)))
    return blake2b(rules.encode(), digest_size=16).hexdigest()


def last_rules_digest(source: Source, context: HarvestContext) -> str | None:
    """Return the rules digest of the source's last successful run, or None if there is none."""
    last = context.ledger.last_run(source.name, SUCCESSFUL)
    return last.rules if last else None
