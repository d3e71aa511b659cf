"""Run one source: fetch its records, map and validate them, plan, and commit to the journal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import structlog

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError, LockLostError, PlanError, QuietHoursError
from harvesters.ledger import graphs, operators
from harvesters.ledger.models import Notice, Run, State
from harvesters.pipeline.page_processor import ProgressCallback
from harvesters.reasons import REVIEW, Reason, without_review
from harvesters.runs.commit import (
    check_ledger_matches_journal,
    commit,
    defer,
    finish_commit,
    measure_size,
)
from harvesters.runs.context import HarvestContext
from harvesters.runs.locks import source_lock
from harvesters.runs.page_collection import collect_pages
from harvesters.runs.plans.guard import GuardResult, check_limits
from harvesters.runs.plans.plan import (
    Plan,
    compute_plan,
    incompleteness_reasons,
    load_plan,
)
from harvesters.runs.run_start import SUCCESSFUL, fail, last_rules_digest, start_run
from harvesters.runs.schedule.due_times import next_due
from harvesters.source import Source
from harvesters.stored_response import Validator

_OVERRIDE_NOTICE = "override"  # a kind of notice
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
        run = start_run(source, context, protocol, full=full)
        if run.state is State.COMMITTING:  # interrupted between plan and commit
            committed = finish_commit(run, source, context)
            if (committed.is_full or not full) and not _due_since(committed, source, context):
                published_before = committed.counts.get("published_before", 0)
                plan = load_plan(committed, context.ledger)
                return replace(plan, published_before=published_before, hold_reasons=())
            run = start_run(source, context, protocol, full=full)
        try:
            run, validators = collect_pages(source, context, protocol, run, watch, full=full)
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
    if operators.is_retired(context.ledger, source.name):
        raise PlanError(
            Reason(
                "%(source)s: retired, so it is not harvested; `stocktake sources resume %(source)s` "
                "resumes it",
                source=source.name,
            )
        )


def _check_no_open_run(source: Source, context: HarvestContext) -> None:
    """Raise PlanError if a run is open: a dry run would resume it, and then delete it."""
    if opened := context.ledger.open_run(source.name):
        values = {"source": source.name, "run": opened.id, "command": "harvest"}
        raise PlanError(
            Reason(
                "%(source)s: %(run)s was interrupted and is still open; run `stocktake %(command)s "
                "%(source)s` to finish it",
                **values,
            )
        )


def _due_since(run: Run, source: Source, context: HarvestContext) -> bool:
    due = next_due(source.every, run.started)
    return due is not None and due <= context.now()


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
        return _end_dry_run(replace(plan, hold_reasons=result.hold_reasons), context)
    _supersede(run, context)
    if result.hold_reasons:
        return hold_plan(replace(plan, hold_reasons=result.hold_reasons), context)
    if result.used_overrides:
        operators.consume(
            context.ledger, [override.id for override in result.used_overrides], run.id
        )
        notices = [
            Notice(
                _OVERRIDE_NOTICE,
                Reason(
                    "override_used",
                    by=granted.by,
                    limit=granted.limit,
                    value=f"{granted.value:g}",
                ).text,
            )
            for granted in result.used_overrides
        ]
        context.ledger.replace_notices(run, _OVERRIDE_NOTICE, notices)
    committed = commit(plan, source, context)
    if committed.state in SUCCESSFUL:  # an incomplete run does not show what is unchanged
        graphs.set_validators(context.ledger, source.name, validators)
    return replace(plan, run=committed)


def _end_dry_run(plan: Plan, context: HarvestContext) -> Plan:
    """Delete a dry run; return its plan with all that the run would say."""
    failures = tuple(context.ledger.failures(plan.run))
    context.ledger.delete_run(plan.run)
    reasons = () if plan.hold_reasons else incompleteness_reasons(plan.run)
    return replace(plan, run=replace(plan.run, reasons=reasons), failures=failures)


def plan_run(source: Source, context: HarvestContext, run: Run) -> tuple[Plan, GuardResult]:
    """Return the plan of a run whose pages are staged, and whether its limits permit it."""
    plan = measure_size(compute_plan(run, context.ledger, source.limits), source.limits, context)
    overrides = operators.overrides(context.ledger, source.name)
    hold = operators.holds(context.ledger).get(source.name)
    rules_changed = run.last_fetched is not None or run.rules != last_rules_digest(source, context)
    return plan, check_limits(
        plan, source.limits, overrides, hold, run.started, rules_changed=rules_changed
    )


def _supersede(run: Run, context: HarvestContext) -> None:
    """Mark the source's held plan as superseded by this run's plan."""
    if awaiting_review := context.ledger.last_run(run.source, [State.HELD]):
        log.warning(
            "plan awaiting approval superseded",
            source=run.source,
            plan=awaiting_review.id,
            run=run.id,
        )
        context.ledger.discard_run(
            replace(
                awaiting_review,
                state=State.SUPERSEDED,
                reasons=(
                    *without_review(awaiting_review.reasons),
                    Reason("superseded by the plan of %(run)s", run=run.id),
                ),
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
        reasons=(*plan.hold_reasons, Reason(REVIEW, run=run.id)),
    )
    context.ledger.save(awaiting_review)
    return replace(plan, run=awaiting_review)
