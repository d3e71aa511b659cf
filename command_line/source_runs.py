"""Harvest or re-map sources in turn, for the commands harvest and remap."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import length_hint
from typing import Protocol

import structlog
import typer

from command_line.console import err, out, print_json, print_note
from command_line.settings import Settings
from command_line.workspace import (
    ProgressBar,
    failure_lines,
    harvest_context,
    load_sources,
    purpose_line,
    results_table,
)
from harvesters.errors import HarvestError, PlanError, QuietHoursError
from harvesters.ledger.models import SUCCESSFUL
from harvesters.reasons import Reason
from harvesters.runs import run_report
from harvesters.runs.collect import ProgressCallback
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import abort, harvest_and_log, remap_and_log
from harvesters.runs.run_report import FailedRun, Row
from harvesters.runs.status_file import update_status
from harvesters.source import Source
from journal.errors import JournalError


class SourceAction(Protocol):
    """The action for each source in turn."""

    def __call__(
        self, source: Source, context: HarvestContext, *, watch: ProgressCallback | None
    ) -> Plan: ...


_PATIENCE = 60.0  # seconds after which a source is slow
_MAX_HELPERS = 3  # slow sources that others run beside
log = structlog.get_logger()


def run_sources(
    settings: Settings,
    names: Sequence[str],
    supersede: Sequence[str],
    *,
    full: bool | None,
    dry_run: bool,
    json: bool,
) -> int:
    """Harvest the sources *names*, or map their archived data again if *full* is None; without
    names all that are enabled and not retired, or have an archive. Print a row for each source as a
    table or as JSON; return the exit code.
    """
    action: SourceAction = (
        partial(remap_and_log, dry_run=dry_run)
        if full is None
        else partial(harvest_and_log, full=full, dry_run=dry_run)
    )
    definitions = load_sources(settings, names)
    with harvest_context(settings) as context:
        context.pool.check_cluster()
        wanted = [
            source
            for source in definitions.sources.values()
            if names
            or (
                source.enabled
                and (
                    context.ledger.fetched_runs(source.name, SUCCESSFUL)
                    if full is None
                    else not context.ledger.is_retired(source.name)
                )
            )
        ]
        if not wanted and not definitions.errors:
            print_note(
                "nothing is archived yet; run `stocktake harvest` first"
                if full is None
                else "no source is enabled; set `enabled = true`, or name a source: `stocktake harvest NAME --dry-run`"
            )
        refused: list[Row] = []
        if not dry_run:
            wanted, refused = _confirm_superseding(wanted, context, supersede, json=json)
        results = run_all(wanted, context, action, dry_run=dry_run, quiet=json)
        results |= {
            name: FailedRun("invalid", message) for name, message in definitions.errors.items()
        }
        if json:
            rows = [
                run_report.failed_row(name, result)
                if isinstance(result, FailedRun)
                else run_report.harvest_row(result, context.ledger, dry_run=dry_run)
                for name, result in results.items()
            ]
            print_json([*refused, *rows])
        elif results:
            out.print(results_table(results, dry_run=dry_run))
            for line in _result_lines(
                results,
                context,
                settings.program(),
                on_purpose=settings.demo and not names and full is not None,
            ):
                out.print(line, soft_wrap=True)
    if definitions.errors:
        return 2
    return int(bool(refused) or any(map(_needs_attention, results.values())))


def _result_lines(
    results: Mapping[str, Plan | FailedRun],
    context: HarvestContext,
    program: str,
    *,
    on_purpose: bool,
) -> list[str]:
    """Return the lines below the table: for each source, why records were not published; or one
    line for all, if they are withheld *on_purpose*, as in the demo.
    """
    plans = {name: result for name, result in results.items() if isinstance(result, Plan)}
    if on_purpose:
        withheld = sum(plan.counts.get("withheld", 0) for plan in plans.values())
        return [purpose_line(withheld, program)] if withheld else []
    return [
        line
        for name, plan in plans.items()
        for line in failure_lines(name, plan, context.ledger, program)
    ]


def _needs_attention(result: Plan | FailedRun) -> bool:
    return isinstance(result, FailedRun) or bool(result.hold_reason) or bool(result.run.reasons)


def _confirm_superseding(
    sources: Sequence[Source], context: HarvestContext, supersede: Sequence[str], *, json: bool
) -> tuple[list[Source], list[Row]]:
    """Return the sources that may run, and a row for each whose plan waits for approval and would
    be superseded unasked.

    A person at a terminal is asked; elsewhere the plan must be named in *supersede*.
    """
    waiting = {plan.source: plan for plan in context.ledger.awaiting_review()}
    if unknown := [
        plan for plan in supersede if plan not in {item.id for item in waiting.values()}
    ]:
        raise PlanError(
            f"--supersede {unknown[0]}: no such plan waits for approval; `stocktake plans list` lists those that do"
        )
    ready, refused = [], []
    for source in sources:
        plan = waiting.get(source.name)
        if plan is None or plan.id in supersede:
            ready.append(source)
            continue
        print_note(f"{source.name}: the plan {plan.id} waits for approval: {plan.reason}", "yellow")
        if (
            not json
            and sys.stdin.isatty()
            and typer.confirm(f"A new run of {source.name} supersedes {plan.id}. Run it?", err=True)
        ):
            ready.append(source)
            continue
        remedy = (
            f"not run: it would supersede {plan.id}; to run it all the same: --supersede {plan.id}"
        )
        print_note(f"{source.name}: {remedy}", "yellow")
        refused.append({**run_report.run_row(plan), "refused": remedy})
    return ready, refused


def run_all(
    sources: Sequence[Source],
    context: HarvestContext,
    action: SourceAction,
    *,
    dry_run: bool,
    quiet: bool,
) -> dict[str, Plan | FailedRun]:
    """Run sources in turn; a run that fails or is slow does not delay the others."""
    if not dry_run:
        publish_vocabulary(context)
        update_status(context)  # so that pages list the sources that are still to come
    results: dict[str, Plan | FailedRun] = {}

    def run(source: Source) -> None:
        began = context.now()
        result = run_source(source, context, action, bar)
        results[source.name] = (
            result
            if isinstance(result, Plan)
            else run_report.describe_failure(
                source.name, result, context.ledger, began, dry_run=dry_run
            )
        )

    with ProgressBar(err, quiet=quiet) as bar:
        run_in_turn(sources, run)
    return {source.name: results[source.name] for source in sources if source.name in results}


def run_in_turn(
    sources: Sequence[Source], run: Callable[[Source], None], patience: float = _PATIENCE
) -> None:
    """Run sources one after the other. While one takes more than *patience* seconds, the next ones
    run beside it, so that a slow source does not delay the others.

    After an error, such as Ctrl-C, no further one is started.
    """
    pending, helpers = iter(sources), list[threading.Thread]()

    def run_pending() -> None:
        for source in pending:
            timer = threading.Timer(patience, run_beside, (source.name,))
            timer.daemon = True
            if length_hint(pending):  # Without another thread the run's process is a fast fork.
                timer.start()
            try:
                run(source)
            finally:
                timer.cancel()

    def run_beside(slow: str) -> None:  # in the thread of a timer
        if length_hint(pending) and len(helpers) < _MAX_HELPERS:
            helpers.append(threading.current_thread())
            log.info("source is slow; the next ones run beside it", source=slow)
            run_pending()

    try:
        run_pending()
    except BaseException:
        deque(pending, maxlen=0)
        raise
    finally:
        for helper in helpers:  # a helper may add another while this waits
            helper.join()


def run_source(
    source: Source,
    context: HarvestContext,
    action: SourceAction,
    bar: ProgressBar | None,
) -> Plan | Exception:
    """Return the plan of a source's run, or the error that ended the run."""
    try:
        return action(source, context, watch=bar.show if bar else None)
    except QuietHoursError as error:
        log.warning("run postponed", source=source.name, reason=str(error))
        return error
    except (HarvestError, JournalError) as error:
        log.error("run failed", source=source.name, reason=str(error))
        return error
    # A fault of this program in one source's run must not stop the other sources.
    except Exception as error:
        log.exception("run failed: this is a bug, please report it", source=source.name)
        abort(
            source,
            context,
            Reason(
                "a fault of this program, please report it (%(error)s)",
                error=f"{type(error).__name__}: {error}",
            ),
        )
        update_status(context)
        return error
    finally:
        if bar:
            bar.finish(source.name)
