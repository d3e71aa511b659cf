"""Run one source: fetch its records, map and validate them, plan, and commit to the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b

import structlog

from harvesters.archive import Archive
from harvesters.compatibility import check_compatible
from harvesters.errors import (
    CharsetError,
    CrashingReplyError,
    CrashLoopError,
    HarvestError,
    LockLostError,
    PaginationLoopError,
    PlanError,
    QuietHoursError,
    RepeatedPageError,
)
from harvesters.ledger.models import Notice, Run, State
from harvesters.network.fetch import Fetch
from harvesters.network.reply import merge_responses
from harvesters.page_model import Validator
from harvesters.pipeline.isolation import IsolatedPageReader
from harvesters.pipeline.page_processor import (
    RESUMED,
    LocalPageReader,
    PageCallback,
    PageProcessor,
    PageReader,
    ProgressCallback,
    StagingQueue,
)
from harvesters.pipeline.record_processor import ProcessingTask, create_processor
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import REVIEW, Reason, without_review
from harvesters.runs.commit import check_ledger_matches_journal, commit, defer, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.due_times import next_due
from harvesters.runs.guard import GuardResult, check_limits
from harvesters.runs.locks import source_lock
from harvesters.runs.plan import Plan, compute_plan, load_plan
from harvesters.runs.run_log import assign_run
from harvesters.runs.submission_transport import PROTOCOL as SUBMISSIONS
from harvesters.runs.submission_transport import SubmissionTransport
from harvesters.source import Source
from harvesters.topics.suggest import method_versions
from shapes.rules import shapes_digest

VERSION = "3"  # of the mapping code: raise it if the same record gets another description
_SUCCESSFUL = (State.COMMITTED, State.UNCHANGED)
_FULL_HARVEST_INTERVAL = timedelta(
    days=7
)  # maximum interval of full harvests of a source that is harvested incrementally
_CLOCK_NOTICE, _OVERRIDE_NOTICE = "clock", "override"  # kinds of notices
_MAX_RESUMPTIONS = (
    10  # of a run without a new page in between, so that a crash is not repeated forever
)
_OVERLAP = timedelta(
    hours=1
)  # clocks differ; records fetched twice are recognized by their digests

log = structlog.get_logger()


def harvest(
    source: Source,
    context: HarvestContext,
    *,
    full: bool = False,
    dry_run: bool = False,
    watch: ProgressCallback = lambda _: None,
) -> Plan:
    """Harvest one source: collect, map, validate, plan, and commit unless the guard holds the plan.

    Return the plan; its run has the result. A dry run changes nothing, and raises PlanError if an
    earlier run is still open. A run interrupted by a crash is resumed after its last stored page;
    if it had reached its commit, a new run starts only if the source has been due since.
    Raises HarvestError if the source cannot be read or the ledger does not belong to the journal;
    the last good data stays published.
    """
    protocol, _ = check_compatible(source)
    with source_lock(source.name, context) as context:
        check_ledger_matches_journal(context)
        _check_not_retired(source, context)
        if dry_run:
            _check_no_open_run(source, context)
        run = _start_run(source, context, protocol, full=full)
        if run.state is State.COMMITTING:  # interrupted between plan and commit
            committed = finish_commit(run, source, context)
            if (committed.is_full or not full) and not _due_since(committed, source, context):
                published_before = committed.counts.get("published_before", 0)
                plan = load_plan(committed, context.ledger)
                return replace(plan, published_before=published_before, hold_reasons=())
            run = _start_run(source, context, protocol, full=full)
        try:
            run, validators = _collect(source, context, protocol, run, watch, full=full)
            return finalize(source, context, run, validators, dry_run=dry_run)
        except QuietHoursError as error:  # the run stays open, and the next one resumes it
            if dry_run:
                context.ledger.delete_run(run)
            else:
                stored = context.ledger.run(run.id) or run
                context.ledger.save(replace(stored, reasons=(error.reason,)))
            raise
        except LockLostError:
            raise  # another process has the run now
        except HarvestError as error:
            context.ledger.delete_run(run) if dry_run else fail(run, context, error.reason)
            raise


def _check_not_retired(source: Source, context: HarvestContext) -> None:
    """Raise PlanError if an operator ended the harvests of the source."""
    if context.ledger.is_retired(source.name):
        raise PlanError(Reason("retired", {"source": source.name}))


def _check_no_open_run(source: Source, context: HarvestContext) -> None:
    """Raise PlanError if a run is open: a dry run would resume it, and then delete it."""
    if opened := context.ledger.open_run(source.name):
        values = {"source": source.name, "run": opened.id, "command": "harvest"}
        raise PlanError(Reason("still_open", values))


def _due_since(run: Run, source: Source, context: HarvestContext) -> bool:
    due = next_due(source.every, run.started)
    return due is not None and due <= context.now()


def fail(run: Run, context: HarvestContext, reason: Reason) -> None:
    """End a run as failed, with the counts of its last checkpoint.

    A run that is committing is left as it is: its entry may be in the journal. Raises LockLostError
    if another process has the run now.
    """
    context.check_lock()
    stored = context.ledger.run(run.id) or run
    if stored.state is State.COMMITTING:
        return
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
        *method_versions(source),
    )
    rules = repr((VERSION, definition, context.iris.base, shapes_digest(context.iris.base)))
    return blake2b(rules.encode(), digest_size=16).hexdigest()


def _start_run(source: Source, context: HarvestContext, protocol: Protocol, *, full: bool) -> Run:
    """Return the run that begins or goes on; its log has its id."""
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
        code = "restarted_rules" if opened.last_fetched is None else "restarted_remap"
        fail(opened, context, Reason(code))
    clock, latest = context.now(), context.ledger.latest_time(source.name)
    now = max(clock, latest or clock)
    last = context.ledger.last_run(source.name, _SUCCESSFUL)
    last_full = context.ledger.last_run(source.name, _SUCCESSFUL, full_only=True)
    fresh = (
        last
        and last_full
        and last.rules == digest
        and now - last_full.started < _FULL_HARVEST_INTERVAL
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
        reason = Reason("crash_loop", values)
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
    text = f"the clock shows {clock.isoformat()}, earlier than {run.started.isoformat()} of a previous run; the run uses the later time"
    log.warning(
        "clock moved backwards",
        source=run.source,
        clock=clock.isoformat(),
        used=run.started.isoformat(),
        action="set the clock",
    )
    context.ledger.replace_notices(run, _CLOCK_NOTICE, [Notice(_CLOCK_NOTICE, text)])


def _collect(
    source: Source,
    context: HarvestContext,
    protocol: Protocol,
    run: Run,
    watch: ProgressCallback,
    *,
    full: bool,
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page; return the run after the last page, and the validators for the next
    conditional requests.
    """
    if run.pages and run.cursor is None:
        return run, {}
    archive = Archive(
        context.data / "archive", source.name, run.id, run.archived, context.journal.store
    )
    rules_unchanged = run.rules == last_rules_digest(source, context)
    known = (
        _validators(source, context, run) if rules_unchanged and not run.pages and not full else {}
    )
    client = _make_client(source, context, archive, known)
    with closing(archive), client:
        forgotten = context.ledger.forgotten_keys(source.name)
        task = ProcessingTask(run, source, context.iris.base, context.pool.name, rules_unchanged, forgotten=forgotten)

        def page() -> tuple[int, Mapping[str, int]]:
            context.check_lock()
            archive.publish_file()
            return archive.length, client.outcome_counts

        reader = page_reader(context, task, protocol, client, run.since, page, watch)
        try:
            reader.collect()
        except LockLostError:
            raise
        except HarvestError as error:
            _save_network_counts(
                run, Counter(client.outcome_counts) + reader.irregularities, error, client, context
            )
            raise
    run = reader.run
    return replace(run, responses=merge_responses(run.responses, client.responses)), client.seen


def _validators(source: Source, context: HarvestContext, run: Run) -> dict[str, Validator]:
    """Return the validators for conditional requests; none if a full harvest is due, since it must
    read everything.
    """
    full_harvest = context.ledger.last_run(source.name, _SUCCESSFUL, full_only=True)
    if (
        full_harvest is None
        or run.started - full_harvest.started >= _FULL_HARVEST_INTERVAL
        or context.ledger.count_missing(source.name)
    ):
        return {}
    return context.ledger.validators(source.name)


def _make_client(
    source: Source, context: HarvestContext, archive: Archive, known: dict[str, Validator]
) -> Fetch:
    is_local = source.protocol == SUBMISSIONS
    return Fetch(
        context.contact,
        source.pause,
        context.allow_hosts,
        archive,
        known,
        context.retry_policy,
        SubmissionTransport(context.ledger, source.name, context.now) if is_local else context.transport,
        context.rate_limiter,
        robots=not is_local,
        robots_override=source.grant,
        quiet_hours=source.quiet,
        base=context.iris.base,
        now=context.now,
    )


def _save_network_counts(
    run: Run,
    outcome_counts: Counter[str],
    error: HarvestError,
    client: Fetch,
    context: HarvestContext,
) -> None:
    """Store the outcome counts of the run's requests, including the error that ended it, and the
    sizes and times of its responses.
    """
    stored = context.ledger.run(run.id) or run
    if isinstance(
        error, CharsetError | CrashingReplyError | RepeatedPageError | PaginationLoopError
    ):  # the client counted all other errors
        outcome_counts[error.outcome] += 1
    network = dict(Counter(run.network) + outcome_counts)
    responses = merge_responses(stored.responses, client.responses)
    context.ledger.save(replace(stored, network=network, responses=responses))


def page_reader(
    context: HarvestContext,
    task: ProcessingTask,
    protocol: Protocol,
    client: Fetch,
    since: datetime | None,
    page: PageCallback,
    watch: ProgressCallback,
) -> PageReader:
    """Return a reader that collects the pages of *task* with *client*, in a collector process if
    there are any.

    *page* is called before each page is staged. It returns the length of the archive in bytes and
    the outcome counts of the requests so far.
    """
    if context.collectors:
        return IsolatedPageReader(
            context.collectors, context.pool, context.ledger, client, task, page, watch, since
        )
    processor = PageProcessor(create_processor(task, context.crosswalks), context.pool)
    return LocalPageReader(
        StagingQueue(context.ledger, processor, task.run, watch), protocol, client, since, page
    )


def last_rules_digest(source: Source, context: HarvestContext) -> str | None:
    """Return the rules digest of the source's last successful run, or None if there is none."""
    last = context.ledger.last_run(source.name, _SUCCESSFUL)
    return last.rules if last else None


def finalize(
    source: Source,
    context: HarvestContext,
    run: Run,
    validators: Mapping[str, Validator],
    *,
    dry_run: bool,
) -> Plan:
    """Plan a run whose pages are staged, check its limits, and commit or hold it. A dry run is
    deleted.

    *validators* are stored for the conditional requests of the next run.
    """
    plan, result = plan_run(source, context, run)
    if dry_run:
        context.ledger.delete_run(run)
        return replace(plan, hold_reasons=result.hold_reasons)
    _supersede(run, context)
    if result.hold_reasons:
        return hold_plan(replace(plan, hold_reasons=result.hold_reasons), context)
    if result.used_overrides:
        context.ledger.consume([override.id for override in result.used_overrides], run.id)
        notices = [
            Notice(
                _OVERRIDE_NOTICE,
                f"{granted.by} allowed {granted.override.limit} up to {granted.override.value:g} once",
            )
            for granted in result.used_overrides
        ]
        context.ledger.replace_notices(run, _OVERRIDE_NOTICE, notices)
    committed = commit(plan, source, context)
    if committed.state in _SUCCESSFUL:  # an incomplete run does not show what is unchanged
        context.ledger.set_validators(source.name, validators)
    return replace(plan, run=committed)


def plan_run(source: Source, context: HarvestContext, run: Run) -> tuple[Plan, GuardResult]:
    """Return the plan of a run whose pages are staged, and whether its limits permit it."""
    plan = compute_plan(run, context.ledger, source.limits)
    overrides, hold = context.ledger.overrides(source.name), context.ledger.holds().get(source.name)
    rules_changed = run.last_fetched is not None or run.rules != last_rules_digest(source, context)
    return plan, check_limits(
        plan, source.limits, overrides, hold, run.started, rules_changed=rules_changed
    )


def _supersede(run: Run, context: HarvestContext) -> None:
    """Mark the source's held plan as superseded by this run's plan."""
    if awaiting_review := context.ledger.last_run(run.source, [State.HELD]):
        log.warning(
            "plan awaiting approval superseded", source=run.source, plan=awaiting_review.id, run=run.id
        )
        context.ledger.discard_run(
            replace(
                awaiting_review,
                state=State.SUPERSEDED,
                reasons=(*without_review(awaiting_review.reasons), Reason("superseded", {"run": run.id})),
            )
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
        reasons=(*plan.hold_reasons, Reason(REVIEW, {"run": run.id})),
    )
    context.ledger.save(awaiting_review)
    return replace(plan, run=awaiting_review)
