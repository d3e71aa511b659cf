"""Run one source: lock, fetch, archive, map, validate, stage, plan, guard, commit.

``harvest`` fetches from the registry, ``remap`` reads the responses of earlier runs from the archive and maps them with today's
code. Each step ends in one transaction of the ledger, so that a run killed anywhere is resumed by the next one.
``harvest_and_log`` and ``remap_and_log`` keep the log of the run too, and update the status file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import islice

import structlog

from harvesters.archive import discard_file
from harvesters.errors import (
    CrashLoopError,
    HarvestError,
    LockLostError,
    PlanError,
    QuietHoursError,
)
from harvesters.ledger import tables as t
from harvesters.ledger.models import (
    NOT_PUBLISHED,
    PUBLISHED_RUNS,
    SUCCESSFUL,
    GrantedOverride,
    Notice,
    Run,
    State,
)
from harvesters.page_model import Validator
from harvesters.pipeline.record_processor import check_compatible
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import REVIEW, Reason, without_review
from harvesters.runs import run_report
from harvesters.runs.collect import (
    FULL_HARVEST_INTERVAL,
    RESUMED,
    ProgressCallback,
    collect,
    collect_archived_pages,
    collect_pages,
    last_rules_digest,
    rules_digest,
)
from harvesters.runs.commit import (
    check_ledger_matches_journal,
    commit,
    defer,
    finish_commit,
    measure_size,
)
from harvesters.runs.context import HarvestContext, source_lock
from harvesters.runs.plan import (
    Plan,
    check_limits,
    compute_plan,
    incompleteness_reasons,
    load_plan,
)
from harvesters.runs.run_log import RunLog, assign_run, keep_log
from harvesters.runs.status_file import update_status
from harvesters.source import Source, next_due
from journal.tracing import add_span, open_span

_OVERRIDE_NOTICE = "override"  # the kind of a notice
# A run is resumed so often without a new page in between, so that no crash is repeated forever.
_MAX_RESUMPTIONS = 10
# Clocks differ; records fetched twice are recognized by their digests.
_OVERLAP = timedelta(hours=1)
_MAX_REASONS = 5  # the commonest reasons why records were not published

log = structlog.get_logger()

Pages = Callable[[], tuple[Run, dict[str, Validator]]]


def harvest(
    source: Source,
    context: HarvestContext,
    *,
    full: bool = False,
    dry_run: bool = False,
    watch: ProgressCallback = lambda _: None,
) -> Plan:
    """Harvest one source, and commit its plan unless the guard holds it.

    Return the plan; its run has the result. A dry run changes nothing, and raises PlanError if an
    earlier run is still open. A run interrupted by a crash is resumed after its last stored page;
    if it had reached its commit, a new run starts only if the source has been due since.
    Raises HarvestError if the source cannot be read or the ledger does not belong to the journal;
    the last good data stays published.
    """
    protocol, _ = check_compatible(source)
    with source_lock(source.name, context) as context:
        run = _start(source, context, protocol, full=full, dry_run=dry_run)
        if run.state is State.COMMITTING:  # interrupted between plan and commit
            committed = finish_commit(run, source, context)
            due = next_due(source.every, committed.started)
            if (committed.is_full or not full) and (due is None or due > context.now()):
                return replace(
                    load_plan(committed, context.ledger),
                    published_before=committed.counts.get("published_before", 0),
                    hold_reasons=(),
                )
            run = _start(source, context, protocol, full=full, dry_run=dry_run)
        pages = partial(collect, collect_pages, context, run, watch, source, full)
        return _execute(source, context, run, pages, dry_run=dry_run)


def remap(
    source: Source,
    context: HarvestContext,
    *,
    dry_run: bool = False,
    watch: ProgressCallback = lambda _: None,
) -> Plan:
    """Map one source's archived responses again, and plan, check and commit as a harvest does.

    Raises PlanError if nothing is archived or a harvest is still open, ArchiveError if responses
    are missing.
    """
    check_compatible(source)
    with source_lock(source.name, context) as context:
        check_ledger_matches_journal(context)
        _close_interrupted_remap(source, context, dry_run=dry_run)
        archived_runs = context.ledger.fetched_runs(source.name, PUBLISHED_RUNS)
        if not archived_runs:
            raise PlanError(
                "%(source)s: no complete run is archived; run `stocktake harvest %(source)s` first",
                source=source.name,
            )
        now = max(filter(None, (context.now(), context.ledger.latest_time(source.name))))
        run = context.ledger.create_run(
            source.name,
            now,
            rules_digest(source, context),
            last_fetched=archived_runs[0].last_fetched or archived_runs[0].started,
        )
        assign_run(run.id)
        pages = partial(collect, collect_archived_pages, context, run, watch, source, archived_runs)
        return _execute(source, context, run, pages, dry_run=dry_run)


def _execute(
    source: Source, context: HarvestContext, run: Run, pages: Pages, *, dry_run: bool
) -> Plan:
    """Stage the pages of a run that has begun, plan it, and commit or hold the plan."""
    ledger = context.ledger
    try:
        run, validators = pages()  # fetch, archive, map, validate, stage
        with ledger.one_transaction():
            plan, used_overrides = plan_run(source, context, run)
            if dry_run:
                return _end_dry_run(plan, context)
            _supersede(run, context)
            if plan.hold_reasons:
                return hold_plan(plan, context)
            if used_overrides:
                _use_overrides(run, used_overrides, context)
        return replace(plan, run=commit(plan, source, context, validators))
    except LockLostError:
        raise  # another process has the run now
    except QuietHoursError as error:  # the run stays open, and the next one resumes it
        stored = ledger.run(run.id) or run
        ledger.delete_run(run) if dry_run else ledger.save(replace(stored, reasons=(error.reason,)))
        raise
    except HarvestError as error:
        ledger.delete_run(run) if dry_run else fail(run, context, error.reason)
        raise


# ---- the start of a run


def _start(
    source: Source, context: HarvestContext, protocol: Protocol, *, full: bool, dry_run: bool
) -> Run:
    """Return the run that begins or is resumed; its log lines have its id.

    Raises PlanError if the source is retired, or if a dry run would resume a run and then delete
    it; CrashLoopError if the run was interrupted too often.
    """
    with context.ledger.one_transaction():
        check_ledger_matches_journal(context)
        check_not_retired(source, context)
        opened = context.ledger.open_run(source.name)
        if opened and dry_run:
            raise open_error(opened, "harvest")
        run = _resume(opened, source, context) if opened else None
        run = run or _create(source, context, protocol, full=full)
    if run.state is State.FAILED:
        raise CrashLoopError(f"{run.source}: {run.id} was aborted: {run.reason}")
    assign_run(run.id)
    return run


def check_not_retired(source: Source, context: HarvestContext) -> None:
    """Raise PlanError if the source is retired."""
    if context.ledger.is_retired(source.name):
        raise PlanError(
            "%(source)s: retired, so it is not harvested; `stocktake sources resume %(source)s` "
            "resumes it",
            source=source.name,
        )


def open_error(opened: Run, command: str) -> PlanError:
    """Return the error that a run is open, which *command* finishes."""
    return PlanError(
        "%(source)s: %(run)s was interrupted and is still open; run `stocktake %(command)s "
        "%(source)s` to finish it",
        source=opened.source,
        run=opened.id,
        command=command,
    )


def _resume(run: Run, source: Source, context: HarvestContext) -> Run | None:
    """Return a run that was interrupted or postponed as it goes on, or None if a new one must begin.

    It is failed if it was interrupted too often, or if it cannot go on.
    """
    resumed, is_read = replace(run, reasons=()), run.pages and run.cursor is None
    if run.state is not State.COMMITTING:
        text = None
        if run.last_fetched is not None:
            text = "interrupted, then restarted: it was a re-mapping of the archive"
        elif run.rules != rules_digest(source, context):
            text = "interrupted, then restarted: mapping or shapes changed"
        if text:
            fail(run, context, Reason(text))
            return None
        interruptions = run.counts.get(RESUMED, 0) + (run.reason is None)
        if interruptions > _MAX_RESUMPTIONS:
            reason = Reason(
                "its process was killed %(count)s times after page %(page)s; look for the cause in "
                "the logs of this program and of the system",
                count=str(interruptions),
                page=str(run.pages),
            )
            return fail(run, context, reason)
        resumed = replace(resumed, counts={**run.counts, RESUMED: interruptions})
        context.ledger.save(resumed)
    page = "all pages" if is_read else run.pages + 1
    log.info("run resumed", source=run.source, run=run.id, page=page, records=run.fetched)
    return resumed


def _create(source: Source, context: HarvestContext, protocol: Protocol, *, full: bool) -> Run:
    """Create a run: of changes only if the protocol supports that and the last full harvest is
    recent. If the clock went back, it starts at the latest known time, so that no change is missed.
    """
    ledger, digest, clock = context.ledger, rules_digest(source, context), context.now()
    now = max(clock, ledger.latest_time(source.name) or clock)
    last = ledger.last_run(source.name, SUCCESSFUL)
    last_full = ledger.last_run(source.name, SUCCESSFUL, full_only=True)
    changes_only = (
        protocol.incremental
        and not full
        and last
        and last.rules == digest
        and last_full
        and now - last_full.started < FULL_HARVEST_INTERVAL
    )
    since = (last.last_fetched or last.started) - _OVERLAP if last and changes_only else None
    run = ledger.create_run(source.name, now, digest, is_full=since is None, since=since)
    discard_file(context.data / "archive", source.name, run.id)
    if now != clock:
        log.warning(
            "clock moved backwards",
            source=run.source,
            clock=clock.isoformat(),
            used=now.isoformat(),
            action="set the clock",
        )
    return run


def _close_interrupted_remap(source: Source, context: HarvestContext, *, dry_run: bool) -> None:
    """Finish or fail an interrupted remap. Raises PlanError if a harvest is open."""
    opened = context.ledger.open_run(source.name)
    if opened is None:
        return
    if opened.last_fetched is None or dry_run:
        raise open_error(opened, "harvest" if opened.last_fetched is None else "remap")
    if opened.state is State.COMMITTING:
        finish_commit(opened, source, context)
    else:
        fail(opened, context, Reason("interrupted, then restarted"))


# ---- plan and guard


def plan_run(
    source: Source, context: HarvestContext, run: Run
) -> tuple[Plan, tuple[GrantedOverride, ...]]:
    """Return the plan of a run whose pages are staged, with the reasons to hold it, and the
    overrides that it uses.
    """
    plan = measure_size(compute_plan(run, context.ledger, source.limits), source.limits, context)
    overrides = context.ledger.overrides(source.name)
    hold = context.ledger.holds().get(source.name)
    rules_changed = run.last_fetched is not None or run.rules != last_rules_digest(source, context)
    return check_limits(
        plan, source.limits, overrides, hold, run.started, rules_changed=rules_changed
    )


def _end_dry_run(plan: Plan, context: HarvestContext) -> Plan:
    """Delete a dry run; return its plan with the reasons and failures that the run would store."""
    failures = tuple(context.ledger.failures(plan.run))
    context.ledger.delete_run(plan.run)
    reasons = () if plan.hold_reasons else incompleteness_reasons(plan.run)
    return replace(plan, run=replace(plan.run, reasons=reasons), failures=failures)


def _supersede(run: Run, context: HarvestContext) -> None:
    """Mark the source's held plan as superseded by this run's plan."""
    if awaiting_review := context.ledger.last_run(run.source, [State.HELD]):
        log.warning(
            "plan awaiting approval superseded",
            source=run.source,
            plan=awaiting_review.id,
            run=run.id,
        )
        superseded = Reason("superseded by the plan of %(run)s", run=run.id)
        reasons = (*without_review(awaiting_review.reasons), superseded)
        context.ledger.discard_run(
            replace(awaiting_review, state=State.SUPERSEDED, reasons=reasons)
        )


def hold_plan(plan: Plan, context: HarvestContext) -> Plan:
    """Hold the plan for review; its reason says what to do."""
    run, ended = plan.run, max(context.now(), plan.run.started)
    awaiting_review = replace(
        run,
        state=State.HELD,
        planned=ended,
        ended=ended,
        counts=plan.counts,
        reasons=(*plan.hold_reasons, Reason(REVIEW, run=run.id)),
    )
    context.ledger.save(awaiting_review)
    return replace(plan, run=awaiting_review)


def _use_overrides(
    run: Run, used_overrides: Sequence[GrantedOverride], context: HarvestContext
) -> None:
    """Consume the overrides that the plan needs, and store a notice of each."""
    numbers = [granted.id for granted in used_overrides]
    context.ledger.update(t.override, t.override.c.id.in_(numbers), used=run.id)
    notices = [
        Notice(
            _OVERRIDE_NOTICE,
            Reason(
                "override_used", by=granted.by, limit=granted.limit, value=f"{granted.value:g}"
            ).text,
        )
        for granted in used_overrides
    ]
    context.ledger.replace_notices(run, _OVERRIDE_NOTICE, notices)


# ---- a run that cannot go on


def fail(run: Run, context: HarvestContext, reason: Reason) -> Run:
    """End a run as failed, with the counts of its last checkpoint, and return it.

    A run that is committing is left as it is: its entry may be in the journal. Raises LockLostError
    if another process has the run now.
    """
    context.check_lock()
    ledger = context.ledger
    with ledger.one_transaction():
        stored = ledger.run(run.id) or run
        if stored.state is State.COMMITTING:
            return stored
        ledger.discard_part(stored)
        outcomes = {outcome.value: count for outcome, count in ledger.outcomes(stored).items()}
        failed = replace(
            stored,
            state=State.FAILED,
            ended=max(context.now(), stored.started),
            reasons=(reason,),
            counts={"fetched": stored.fetched, **outcomes},
            network=stored.network or run.network,
        )
        ledger.discard_run(failed)
    return failed


def abort(source: Source, context: HarvestContext, reason: Reason) -> None:
    """End a run that was interrupted by a bug in this program. A run that is committing is left to
    the next run.
    """
    with suppress(HarvestError), source_lock(source.name, context) as context:
        run = context.ledger.open_run(source.name)
        if run and run.state is State.COMMITTING:
            defer(run, context, reason)
        elif run:
            fail(run, context, reason)


# ---- a run with its log


def harvest_and_log(
    source: Source,
    context: HarvestContext,
    *,
    full: bool = False,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Harvest one source. With a progress callback *watch*, log at debug level. Raises
    HarvestError.
    """
    run = partial(harvest, source, context, full=full, dry_run=dry_run)
    return _run_and_log(source, context, watch, run, is_kept=not dry_run, url=source.url)


def remap_and_log(
    source: Source,
    context: HarvestContext,
    *,
    dry_run: bool = False,
    watch: ProgressCallback | None = None,
) -> Plan:
    """Re-map the archive of one source. With a progress callback *watch*, log at debug level."""
    run = partial(remap, source, context, dry_run=dry_run)
    return _run_and_log(source, context, watch, run, is_kept=not dry_run, input="archive")


def _run_and_log(
    source: Source,
    context: HarvestContext,
    watch: ProgressCallback | None,
    run: Callable[..., Plan],
    *,
    is_kept: bool,
    **fields: str,
) -> Plan:
    """Run with the source's name in every log line, such as those of retried requests, and keep the
    lines.
    """
    lock_lost, since = False, time.time_ns()
    known = {"source": source.name, **fields}
    attributes = {f"stocktake.{name}": value for name, value in known.items()}
    with (
        structlog.contextvars.bound_contextvars(source=source.name),
        open_span(f"harvest {source.name}", attributes) as span,
        keep_log(context.ledger, source.name, is_kept=is_kept) as run_log,
    ):
        _log_event(run_log, watch, "run started", **fields)

        def show(progress: Run) -> None:
            nonlocal since
            position = {"stocktake.page": progress.pages, "stocktake.records": progress.fetched}
            add_span("harvest page", since, since := time.time_ns(), position)
            if _is_round(progress.pages):
                total = (
                    {} if progress.reported_total is None else {"total": progress.reported_total}
                )
                run_log.add(
                    "info", "page stored", page=progress.pages, records=progress.fetched, **total
                )
            if watch:
                watch(progress)

        try:
            plan = run(watch=show)
            ended = {"run": plan.run.id, "outcome": plan.run.state.value, "held": plan.hold_reason}
            _log_failures(run_log, watch, plan, context)
            _log_event(run_log, watch, "run ended", **ended, **plan.counts)
            results = {**ended, **plan.counts}.items()
            span.set({f"stocktake.{name}": value for name, value in results if value is not None})
            return plan
        except LockLostError:
            lock_lost = True
            raise
        except Exception as error:
            run_log.add("error", "run failed", reason=str(error) or type(error).__name__)
            raise
        finally:
            if not lock_lost:  # otherwise the process that holds the lock updates the status
                update_status(context)


def _log_failures(
    run_log: RunLog, watch: ProgressCallback | None, plan: Plan, context: HarvestContext
) -> None:
    """Log the commonest reasons why records were not published, with the number of records."""
    if not any(plan.outcomes[outcome] for outcome in NOT_PUBLISHED):
        return
    reasons = run_report.failure_reasons(plan, context.ledger)
    for reason, count in islice(reasons.items(), _MAX_REASONS):
        _log_event(run_log, watch, "records not published", records=count, reason=reason)


def _log_event(
    run_log: RunLog, watch: ProgressCallback | None, event: str, **fields: str | int | None
) -> None:
    """Log an event; with a progress callback only to the log that is kept."""
    if watch:
        run_log.add("info", event, **fields)
    else:
        log.info(event, source=run_log.source, **fields)


def _is_round(page: int) -> bool:
    """Return whether the number of a page has only zeros after its first digit: 1, 2, ... 10, 20,
    ...

    >>> [page for page in range(1, 45) if _is_round(page)]
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40]
    """
    return set(str(page)[1:]) <= {"0"}
