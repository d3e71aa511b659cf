"""Runs: one source, from its card to the journal."""

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
from harvesters.network.fetch import Fetch, Validator
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
from harvesters.protocols.registry import Protocol
from harvesters.runs.commit import check_ledger_matches_journal, commit, defer, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.due_times import next_due
from harvesters.runs.guard import check_limits
from harvesters.runs.locks import source_lock
from harvesters.runs.plan import Plan, compute_plan, load_plan
from harvesters.source import Source
from shapes.rules import shapes_digest

VERSION = "2"  # of describing: raise it when the same record is to be described anew
_SUCCESSFUL = (State.COMMITTED, State.UNCHANGED)
_FULL_HARVEST_INTERVAL = timedelta(days=7)  # how often a source that tells its changes is read in full all the same
_CLOCK_NOTICE, _OVERRIDE_NOTICE = "clock", "override"  # kinds of notices
_MAX_RESUMPTIONS = 10  # of a run that brings no page in between: what ends its process each time would do so for ever
_OVERLAP = timedelta(hours=1)  # asked again, since the source's clock is not ours; digests drop what is known

log = structlog.get_logger()


def harvest(
    source: Source, means: HarvestContext, *, full: bool = False, dry_run: bool = False, watch: ProgressCallback = lambda _: None
) -> Plan:
    """Harvest one source: collect, map, judge, plan, and commit unless the guard holds the plan or it is a dry run.

    The plan's run tells how it ended. Raises HarvestError where the source could not be read, or the ledger is not the journal's; the
    last good data stays. A dry run leaves no trace, and raises PlanError while an earlier run is still open.
    A run that a crash cut off is taken up where its last page was kept, and is this one; where it had come to its commit, a new one
    begins only if the source has been due since.
    """
    protocol, _ = check_compatible(source)
    with source_lock(source.name, means) as means:
        check_ledger_matches_journal(means)
        if dry_run:
            _check_no_open_run(source, means)
        run = _start_run(source, means, protocol, full=full)
        if run.state is State.COMMITTING:  # a crash came between plan and settlement
            done = finish_commit(run, source, means)
            if (done.sweep or not full) and not _due_since(done, source, means):
                return replace(load_plan(done, means.ledger), published_before=done.counts.get("published_before", 0), hold_reason=None)
            run = _start_run(source, means, protocol, full=full)
        try:
            run, validators = _collect(source, means, protocol, run, watch, full=full)
            return finalize(source, means, run, validators, dry_run=dry_run)
        except QuietHoursError as error:  # the run stays open, and the next one takes it up
            if dry_run:
                means.ledger.delete_run(run)
            else:
                means.ledger.save(replace(means.ledger.run(run.id) or run, reason=str(error)))
            raise
        except LockLostError:
            raise  # the run is another's now
        except HarvestError as error:
            means.ledger.delete_run(run) if dry_run else fail(run, means, str(error))
            raise


def _check_no_open_run(source: Source, means: HarvestContext) -> None:
    """Refuse a dry run while a run is open: it would go on with that one, and then forget it."""
    if opened := means.ledger.open_run(source.name):
        raise PlanError(f"{source.name}: {opened.id} was cut off and is still open; `stocktake harvest {source.name}` brings it to its end")


def _due_since(run: Run, source: Source, means: HarvestContext) -> bool:
    due = next_due(source.every, run.started)
    return due is not None and due <= means.now()


def fail(run: Run, means: HarvestContext, reason: str) -> None:
    """End a run as its last checkpoint left it, with what had come until then; raises LockLostError where it is another's now.

    One that has come to its commit is left as it is: its entry may be in the journal.
    """
    means.check_lock()
    kept = means.ledger.run(run.id) or run
    if kept.state is State.COMMITTING:
        return
    counts = {"fetched": kept.fetched, **{outcome.value: count for outcome, count in means.ledger.outcomes(kept).items()}}
    ended = max(means.now(), kept.started)
    means.ledger.discard_run(
        replace(kept, state=State.FAILED, ended=ended, reason=reason, counts=counts, network=kept.network or run.network)
    )


def abort(source: Source, means: HarvestContext, reason: str) -> None:
    """End a run that a fault of this program broke off, so that it is counted; one that came to its commit is left to the next run."""
    with suppress(HarvestError), source_lock(source.name, means) as means:
        run = means.ledger.open_run(source.name)
        if run and run.state is State.COMMITTING:
            defer(run, means, reason)
        elif run:
            fail(run, means, reason)


def rules_digest(source: Source, means: HarvestContext) -> str:
    """Give the digest of all that decides how this source's records are described and judged, in hexadecimal."""
    card = (source.mapping, source.language, sorted(source.fields.items()), sorted(source.options.items()))
    told = repr((VERSION, card, means.iris.base, shapes_digest(means.iris.base)))
    return blake2b(told.encode(), digest_size=16).hexdigest()


def _start_run(source: Source, means: HarvestContext, protocol: Protocol, *, full: bool) -> Run:
    """Take up the run that a crash cut off, or begin a new one: incremental where the protocol can and the last is fresh."""
    digest = rules_digest(source, means)
    if opened := means.ledger.open_run(source.name):
        if opened.state is State.COMMITTING:
            log.info("run resumed", source=source.name, run=opened.id, page="all pages", records=opened.fetched)
            return replace(opened, reason=None)
        if opened.rules == digest and opened.heard is None:
            return _resume(opened, means)
        why = "mapping or shapes have changed" if opened.heard is None else "it mapped again what was archived, and asked nobody"
        fail(opened, means, f"cut off, then begun anew: {why}")
    clock, latest = means.now(), means.ledger.latest_time(source.name)
    now = max(clock, latest or clock)
    last = means.ledger.last_run(source.name, _SUCCESSFUL)
    sweep = means.ledger.last_run(source.name, _SUCCESSFUL, full_only=True)
    fresh = last and sweep and last.rules == digest and now - sweep.started < _FULL_HARVEST_INTERVAL
    since = (last.heard or last.started) - _OVERLAP if last and fresh and protocol.incremental and not full else None
    run = means.ledger.create_run(source.name, now, digest, sweep=since is None, since=since)
    if now != clock:
        _record_clock_change(run, clock, means)
    return run


def _resume(run: Run, means: HarvestContext) -> Run:
    """Resume a run that was cut off or put off; end one that is cut off again and again, so that it is not resumed for ever."""
    cut_off = run.counts.get(RESUMED, 0) + (run.reason is None)
    if cut_off > _MAX_RESUMPTIONS:
        reason = f"its process was cut off {cut_off} times after page {run.pages}; see what the system or its log says of the cause"
        fail(run, means, reason)
        raise CrashLoopError(f"{run.source}: {run.id} is given up: {reason}")
    resumed = replace(run, reason=None, counts={**run.counts, RESUMED: cut_off})
    means.ledger.save(resumed)
    page = "all pages" if run.pages and run.cursor is None else run.pages + 1
    log.info("run resumed", source=run.source, run=run.id, page=page, records=run.fetched)
    return resumed


def _record_clock_change(run: Run, clock: datetime, means: HarvestContext) -> None:
    """Tell that the clock went back; the run goes by the latest time that is known, so that no change is asked for too late."""
    text = f"the clock says {clock.isoformat()}, before {run.started.isoformat()}, which an earlier run tells; the later time counts"
    log.warning("clock moved backwards", source=run.source, clock=clock.isoformat(), counts=run.started.isoformat(), cure="set the clock")
    means.ledger.replace_notices(run, _CLOCK_NOTICE, [Notice(_CLOCK_NOTICE, text)])


def _collect(
    source: Source, means: HarvestContext, protocol: Protocol, run: Run, watch: ProgressCallback, *, full: bool
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page; give the run as it stands after the last one, and what to ask "changed since?" with next time."""
    if run.pages and run.cursor is None:
        return run, {}
    archive = Archive(means.data / "archive", source.name, run.id, run.archived, means.journal.store)
    tried = run.rules == last_rules_digest(source, means)
    known = _validators(source, means, run) if tried and not run.pages and not full else {}
    door = _make_client(source, means, archive, known)
    with closing(archive), door:
        task = ProcessingTask(run, source, means.iris.base, means.pool.name, tried)

        def page() -> tuple[int, Mapping[str, int]]:
            means.check_lock()
            archive.publish_file()
            return archive.length, door.outcome_counts

        reader = page_reader(means, task, protocol, door, run.since, page, watch)
        try:
            reader.collect()
        except LockLostError:
            raise
        except HarvestError as error:
            _save_network_counts(run, Counter(door.outcome_counts) + reader.irregularities, error, means)
            raise
    return reader.run, door.seen


def _validators(source: Source, means: HarvestContext, run: Run) -> dict[str, Validator]:
    """Give what the source may be asked "changed since?" with: nothing where all is to be read, to prove what is there and what is not."""
    swept = means.ledger.last_run(source.name, _SUCCESSFUL, full_only=True)
    if swept is None or run.started - swept.started >= _FULL_HARVEST_INTERVAL or means.ledger.count_missing(source.name):
        return {}
    return means.ledger.validators(source.name)


def _make_client(source: Source, means: HarvestContext, archive: Archive, known: dict[str, Validator]) -> Fetch:
    door = Fetch(means.contact, source.pause, means.allow_hosts, archive, known, means.retry_policy, means.transport)
    door.rate_limiter, door.robots_override, door.quiet_hours, door.now, door.base = (
        means.rate_limiter,
        source.grant,
        source.quiet,
        means.now,
        means.iris.base,
    )
    return door


def _save_network_counts(run: Run, met: Counter[str], error: HarvestError, means: HarvestContext) -> None:
    """Write down how the requests of a run ended, also of one that fails at the last of them, and what was wrong with an answer."""
    kept = means.ledger.run(run.id) or run
    if isinstance(error, CharsetError | CrashingReplyError | RepeatedPageError | PaginationLoopError):  # all others the door has counted
        met[error.outcome] += 1
    means.ledger.save(replace(kept, network=dict(Counter(run.network) + met)))


def page_reader(
    means: HarvestContext,
    task: ProcessingTask,
    protocol: Protocol,
    client: Fetch,
    since: datetime | None,
    page: PageCallback,
    watch: ProgressCallback,
) -> PageReader:
    """Return what collects the pages of *task* by *client*: in a collector process where *means* has some.

    *page* is called for each page before it is staged, and returns the archive's length and the counts of requests so far.
    """
    if means.collectors:
        return IsolatedPageReader(means.collectors, means.pool, means.ledger, client, task, page, watch, since)
    refiner = PageProcessor(create_processor(task, means.crosswalks), means.pool)
    return LocalPageReader(StagingQueue(means.ledger, refiner, task.run, watch), protocol, client, since, page)


def last_rules_digest(source: Source, means: HarvestContext) -> str | None:
    """Give the rules by which the source was last mapped and judged, None where it never was."""
    last = means.ledger.last_run(source.name, _SUCCESSFUL)
    return last.rules if last else None


def finalize(source: Source, means: HarvestContext, run: Run, validators: Mapping[str, Validator], *, dry_run: bool) -> Plan:
    """Plan a run whose pages are staged, have the guard look at it, and commit or hold it; a dry run is forgotten.

    *validators* are what to ask "changed since?" with next time.
    """
    plan = compute_plan(run, means.ledger, source.limits)
    given, hold = means.ledger.overrides(source.name), means.ledger.holds().get(source.name)
    anew = run.heard is not None or run.rules != last_rules_digest(source, means)
    verdict = check_limits(plan, source.limits, given, hold, run.started, anew=anew)
    if dry_run:
        means.ledger.delete_run(run)
        return replace(plan, hold_reason=verdict.hold_reason)
    _supersede(run, means)
    if verdict.hold_reason:
        return _hold(replace(plan, hold_reason=verdict.hold_reason), means)
    if verdict.used_overrides:
        means.ledger.consume([it.id for it in verdict.used_overrides], run.id)
        told = [
            Notice(_OVERRIDE_NOTICE, f"{it.by} let {it.override.limit} pass up to {it.override.value:g} once")
            for it in verdict.used_overrides
        ]
        means.ledger.replace_notices(run, _OVERRIDE_NOTICE, told)
    done = commit(plan, source, means)
    if done.state in _SUCCESSFUL:  # else nobody may call unchanged what was not read to its end
        means.ledger.set_validators(source.name, validators)
    return replace(plan, run=done)


def _supersede(run: Run, means: HarvestContext) -> None:
    """Let go of the source's held plan: this run's plan takes its place."""
    if held := means.ledger.last_run(run.source, [State.HELD]):
        log.warning("waiting plan superseded", source=run.source, plan=held.id, run=run.id)
        means.ledger.discard_run(replace(held, state=State.SUPERSEDED, reason=f"{held.reason}; then {run.id} came to its own plan"))


def _hold(plan: Plan, means: HarvestContext) -> Plan:
    """Keep the plan for a person, and say what to do."""
    run, at = plan.run, max(means.now(), plan.run.started)
    cure = f"look at it with `stocktake plans show {run.id} --diff`, then `stocktake plans approve {run.id}` or `reject`"
    held = replace(run, state=State.HELD, planned=at, ended=at, counts=plan.counts, reason=f"{plan.hold_reason}; {cure}")
    means.ledger.save(held)
    return replace(plan, run=held)
