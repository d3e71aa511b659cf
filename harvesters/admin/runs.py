"""Show what needs a person, worst first, the runs with their plans, logs and records, and the audit log; decide about plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from harvesters.admin import pages, schemas
from harvesters.admin.context import (
    AdminContext,
    ContextDep,
    FormFields,
    FormOperator,
    RendererDep,
    redirect,
)
from harvesters.admin.operations import AnyOperation, perform, read_input
from harvesters.admin.schemas import Listing, RecordView, RunView, SourceView, source_views
from harvesters.errors import PlanError, SourceLockedError, require
from harvesters.inspection.curation import undecided
from harvesters.ledger import operators, prizes, submissions
from harvesters.ledger.models import Outcome, Run, RunRequest, State
from harvesters.matching.clusters import Status, classify_stored
from harvesters.reasons import Reason
from harvesters.runs.operations import OVERRIDABLE_LIMITS, approve, reject
from harvesters.runs.run_log import is_schedule_running
from harvesters.site import (
    InvalidValue,
    NotFound,
    describe_error,
    render_errors_as_pages,
)
from harvesters.source import NOTHING, SHARES
from vocab.iris import Iris

_INBOX_RUNS = 15  # runs in the inbox
_PAGE_ROWS = 50  # rows of a list
_LOG_LINES = 40  # log lines on the page of a run
_LEVELS = ("info", "warning", "error")
_MAX_QUERY = 200  # characters of a search in the runs

# A count of a run whose records are listed: an outcome, or a group of them.
_COUNT = "|".join([*(item.value for item in Outcome), *pages.GROUPS])
RunCount = Annotated[str | None, Query(pattern=f"^({_COUNT})$")]


# The reasons to hold a plan, worst first, and the outcomes of the records that caused each.
_CAUSES: dict[str, tuple[Outcome, ...]] = {
    "no_records": (Outcome.VANISHED, Outcome.LOST),
    "missing_or_deleted": (Outcome.VANISHED, Outcome.DELETED, Outcome.LOST),
    "deleted": (Outcome.DELETED,),
    "missing": (Outcome.VANISHED, Outcome.LOST),
    "too_few_records": (Outcome.VANISHED, Outcome.MISSING),
    "withheld": (Outcome.WITHHELD, Outcome.UNREADABLE, Outcome.DUPLICATE),
    "reidentified": (Outcome.REIDENTIFIED,),
    "changed": (Outcome.CHANGED,),
}
_RANKS = {code: rank for rank, code in enumerate(_CAUSES)}
_ATTENTION = ("failing", "late")  # worst first


def count_waiting(context: AdminContext) -> Mapping[str, int]:
    """Return how many things of each queue wait for a person, by the name of the queue."""
    ledger = context.ledger
    pairs = [status for _, status in classify_stored(ledger)[0]]
    return {
        "plans": len(ledger.awaiting_review()),
        "definitions": len(operators.proposals(ledger)),
        "submissions": submissions.waiting(ledger)[0],
        "nominations": prizes.count_waiting(ledger, context.now()),
        "pairs": pairs.count(Status.QUEUED),
        "contradictions": pairs.count(Status.CONTRADICTION),
        # Only these sources have suggestions. Reading 30,000 records of another takes a second.
        "suggestions": sum(
            len(undecided(ledger, context.source_dir, source.name, Iris(context.base)))
            for source in context.sources()
            if source.suggest != NOTHING or source.decisions
        ),
        "problems": len(ledger.undecided_problems()),
    }


def can_retry(sources: Iterable[SourceView], requests: Iterable[RunRequest]) -> set[str]:
    """Return the failed last runs of enabled sources, without those that a request repeats."""
    queued = {request.source for request in requests if request.run is None}
    return {
        source.last_run
        for source in sources
        if source.enabled
        and source.last_run
        and source.outcome == State.FAILED.value
        and not source.open_plan
        and source.name not in queued
    }


def by_severity(plans: Iterable[RunView]) -> list[RunView]:
    """Return open plans, the worst first: by their worst reason, then by its share of the records.

    >>> by_severity([])
    []
    """
    return sorted(
        plans,
        key=lambda plan: min(
            (_severity(reason) for reason in plan.reasons), default=(len(_RANKS), 0)
        ),
    )


def _severity(reason: Reason) -> tuple[int, int]:
    share = str(reason.values.get("share", "")).removesuffix("%")
    return _RANKS.get(reason.code, len(_RANKS)), -int(share) if share.isdecimal() else 0


def find_cause(reasons: Sequence[Reason], outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return which of *outcomes* a page lists first: that of the worst reason, else the first that
    is a change.

    >>> find_cause([Reason("changed")], [Outcome.NEW, Outcome.CHANGED])
    <Outcome.CHANGED: 'changed'>
    """
    for reason in sorted(reasons, key=_severity):
        for outcome in _CAUSES.get(reason.code, ()):
            if outcome in outcomes:
                return outcome
    return next((outcome for outcome in outcomes if outcome is not Outcome.UNCHANGED), None)


def needing_attention(sources: Iterable[SourceView]) -> list[SourceView]:
    """Return the enabled sources that fail or are late and have no open plan, worst first."""
    chosen = [
        source
        for source in sources
        if source.enabled and not source.open_plan and source.freshness in _ATTENTION
    ]
    return sorted(
        chosen,
        key=lambda source: (_ATTENTION.index(source.freshness), -source.failures, source.name),
    )


routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/")
def show_inbox(show: RendererDep, context: ContextDep) -> Response:
    """Show what needs a person, worst first, then the queued runs and the last ones."""
    waiting = schemas.list_runs(context, _PAGE_ROWS, state=State.HELD).items
    views, requests = source_views(context), operators.run_requests(context.ledger)
    return show(
        "inbox.html",
        waiting=count_waiting(context),
        proposals=operators.proposals(context.ledger),
        plans=by_severity(waiting),
        attention=needing_attention(views),
        wrong=context.invalid_sources(),
        origin=context.origin(),
        schedule_runs=is_schedule_running(context.ledger, context.data),
        requests=[item for item in requests if item.run is None],
        runs=schemas.list_runs(context, _INBOX_RUNS, internal=False).items,
        failed=can_retry(views, requests),
    )


@routes.get("/page/runs")
def runs(
    show: RendererDep,
    context: ContextDep,
    source: str | None = None,
    state: str = "",
    q: str = "",
    after: str | None = None,
) -> Response:
    """Show the runs, filtered by source, state, and a text in their reasons and notices."""
    states = [item.value for item in State]
    chosen = State(state) if state in states else None
    page = schemas.list_runs(context, _PAGE_ROWS, after, source, chosen, q.strip()[:_MAX_QUERY])
    return show(
        "runs.html",
        runs=page.items,
        next=page.next,
        source=source,
        state=chosen.value if chosen else "",
        query=q,
        states=states,
        failed=_can_retry(context),
    )


@routes.get("/page/runs/{id}")
def run(
    id: str,
    show: RendererDep,
    context: ContextDep,
    outcome: RunCount = None,
    after: int | None = None,
    live: bool = False,
) -> Response:
    """Show a run's report, the form of the decision if its plan is open, and the records of one
    count; by default those that caused the hold.

    With *live*, the page of a run in progress is loaded again every five seconds.
    """
    harvest_run = schemas.get_run(context.ledger, id)
    plan = schemas.plan_view(context, harvest_run)
    kinds = schemas.outcome_counts(plan.outcomes)
    cause = find_cause(harvest_run.reasons, [kind for kind, _ in kinds])
    chosen = outcome or (cause.value if cause else "")
    page = _list_records(context, harvest_run, chosen, after)
    return show(
        "run.html",
        chosen=chosen,
        records=page,
        plan=plan,
        run=plan.run,
        kinds=kinds,
        limits=OVERRIDABLE_LIMITS,
        shares=SHARES,
        effect=schemas.plan_effect(context.ledger, harvest_run, context.base)
        if plan.open
        else None,
        fields={
            item.seq: schemas.changed_fields(item.removed, item.added, context.base)
            for item in page.items
        },
        fetched=harvest_run.fetched,
        live=live,
        failed=_can_retry(context),
        two_people=context.source(harvest_run.source).second_approver,
        log=context.ledger.log_lines(run=id, limit=_LOG_LINES)[::-1],
        outcomes={item.value: item for item in Outcome},
        groups=pages.GROUPS,
        **pages.run_labels(context.base),
    )


def _can_retry(context: AdminContext) -> set[str]:
    return can_retry(source_views(context), operators.run_requests(context.ledger))


def _list_records(
    context: AdminContext, harvest_run: Run, chosen: str, after: int | None
) -> Listing[RecordView]:
    """List a page of the records behind a count of a run."""
    if not chosen:
        return Listing(items=[], next=None)
    group = pages.GROUPS.get(chosen)
    return schemas.list_records(
        context.ledger,
        harvest_run,
        group or [Outcome(chosen)],
        _PAGE_ROWS,
        after,
        diff=None if group else Iris(context.base),
    )


@routes.get("/page/logs")
def logs(
    show: RendererDep,
    context: ContextDep,
    run: str = "",
    source: str = "",
    level: str = "",
    q: str = "",
    before: int | None = None,
) -> Response:
    """Search the log lines of runs, newest first."""
    chosen = {
        "run": run,
        "source": source,
        "level": level if level in _LEVELS else "",
        "q": q.strip()[:_MAX_QUERY],
    }
    lines = context.ledger.log_lines(
        run=chosen["run"],
        source=chosen["source"],
        level=chosen["level"],
        text=chosen["q"],
        before=before,
        limit=_PAGE_ROWS * 2 + 1,
    )
    listed, more = lines[: _PAGE_ROWS * 2], len(lines) > _PAGE_ROWS * 2
    filters = urlencode({name: value for name, value in chosen.items() if value})
    older = f"{filters}&before={listed[-1].number}".lstrip("&") if more else None
    return show("logs.html", lines=listed, levels=_LEVELS, chosen=chosen, older=older)


@routes.get("/page/audit-log")
def acts(
    show: RendererDep,
    context: ContextDep,
    source: str | None = None,
    after: int | None = None,
) -> Response:
    """Show the audit log."""
    page = schemas.list_audit_entries(context.ledger, _PAGE_ROWS, after, source)
    return show("acts.html", acts=page.items, next=page.next, source=source)


@routes.post("/page/plans/approve")
@routes.post("/page/plans/reject")
def decide_chosen(
    form: FormFields, show: RendererDep, user: FormOperator, context: ContextDep
) -> Response:
    """Approve or reject each plan that is ticked in the inbox. An error of one plan does not stop the
    others; the page lists those that were not decided, and why.
    """
    operation: AnyOperation = approve if show.request.url.path.endswith("/approve") else reject
    chosen = require(
        [name.removeprefix("plan:") for name in form if name.startswith("plan:")],
        InvalidValue("Choose at least one change."),
    )
    comment = "note" if "note" in operation.input.model_fields else "reason"
    given = read_input(operation, {comment: form.get("note", "")})
    refused: list[tuple[str, str]] = []
    for id in chosen:
        try:
            perform(context, operation, user.key, id, given)
        except (PlanError, SourceLockedError, NotFound) as error:
            refused.append((id, describe_error(error)))
    if not refused:
        return redirect("/")
    return show(
        "decided.html",
        HTTPStatus.CONFLICT,
        refused=refused,
        decided=len(chosen) - len(refused),
    )
