"""Serve the admin pages."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from harvesters.admin import effects, inbox, labels, pagination, plans, records, system
from harvesters.admin.auth import ContextDep, CurrentUser, PageAdministrator, User
from harvesters.admin.context import AdminContext
from harvesters.admin.schemas import key_view, source_views
from harvesters.ledger import operators, readers
from harvesters.ledger.models import Outcome, Run, State
from harvesters.ledger.operators import Scope
from harvesters.runs.locks import is_schedule_running
from harvesters.runs.operations import MAX_ANSWER_LENGTH, OVERRIDABLE_LIMITS
from harvesters.runs.reported_problems import problem_target
from harvesters.site import render_errors_as_pages
from harvesters.source import SHARES
from vocab.iris import Iris
from web.templating import get_pages

_INBOX_RUNS = 15  # runs in the inbox
_PAGE_ROWS = 50  # rows of a list
_LOG_LINES = 40  # log lines on the page of a run
_LEVELS = ("info", "warning", "error")
_MAX_QUERY = 200  # characters of a search in the runs

# A count of a run whose records are listed: an outcome, or a group of them.
_COUNT = "|".join([*(item.value for item in Outcome), *labels.GROUPS])
RunCount = Annotated[str | None, Query(pattern=f"^({_COUNT})$")]

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/")
def show_inbox(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show what needs a person, worst first, then the queued runs and the last ones."""
    waiting = pagination.list_runs(context, _PAGE_ROWS, state=State.HELD).items
    views, requests = source_views(context), operators.run_requests(context.ledger)
    values = {
        "user": user,
        "waiting": inbox.count_waiting(context),
        "proposals": operators.proposals(context.ledger),
        "plans": inbox.by_severity(waiting),
        "attention": inbox.needing_attention(views),
        "wrong": context.invalid_sources(),
        "origin": context.origin(),
        "schedule_runs": is_schedule_running(context.ledger, context.data),
        "requests": [item for item in requests if item.run is None],
        "runs": pagination.list_runs(context, _INBOX_RUNS, internal=False).items,
        "failed": inbox.can_retry(views, requests),
    }
    return get_pages(request).render("inbox.html", values)


@routes.get("/page/runs")
def runs(
    request: Request,
    user: CurrentUser,
    context: ContextDep,
    source: str | None = None,
    state: str = "",
    q: str = "",
    after: str | None = None,
) -> Response:
    """Show the runs, filtered by source, state, and a text in their reasons and notices."""
    states = [item.value for item in State]
    chosen = State(state) if state in states else None
    page = pagination.list_runs(context, _PAGE_ROWS, after, source, chosen, q.strip()[:_MAX_QUERY])
    values = {
        "source": source,
        "state": chosen.value if chosen else "",
        "query": q,
        "states": states,
        "failed": _can_retry(context),
    }
    return get_pages(request).render(
        "runs.html", {"user": user, "runs": page.items, "next": page.next, **values}
    )


@routes.get("/page/runs/{id}")
def run(
    id: str,
    request: Request,
    user: CurrentUser,
    context: ContextDep,
    outcome: RunCount = None,
    after: int | None = None,
    live: bool = False,
) -> Response:
    """Show a run's report, the form of the decision if its plan is open, and the records of one
    count; by default those that caused the hold.

    With *live*, the page of a run in progress is loaded again every five seconds.
    """
    harvest_run = pagination.get_run(context.ledger, id)
    plan = plans.plan_view(context, harvest_run)
    kinds = plans.outcome_counts(plan.outcomes)
    cause = inbox.cause(harvest_run.reasons, [kind for kind, _ in kinds])
    chosen = outcome or (cause.value if cause else "")
    page = _list_records(context, harvest_run, chosen, after)
    values = {
        "plan": plan,
        "run": plan.run,
        "kinds": kinds,
        "limits": OVERRIDABLE_LIMITS,
        "shares": SHARES,
        "effect": effects.plan_effect(context.ledger, harvest_run, context.base)
        if plan.open
        else None,
        "fields": {
            item.seq: effects.changed_fields(item.removed, item.added, context.base)
            for item in page.items
        },
        "fetched": harvest_run.fetched,
        "live": live,
        "failed": _can_retry(context),
        "two_people": context.source(harvest_run.source).second_approver,
        "log": context.ledger.log_lines(run=id, limit=_LOG_LINES)[::-1],
        "outcomes": {item.value: item for item in Outcome},
        "groups": labels.GROUPS,
        **labels.run_labels(context.base),
    }
    return get_pages(request).render(
        "run.html", {"user": user, "chosen": chosen, "records": page, **values}
    )


def _can_retry(context: AdminContext) -> set[str]:
    return inbox.can_retry(source_views(context), operators.run_requests(context.ledger))


def _list_records(
    context: AdminContext, harvest_run: Run, chosen: str, after: int | None
) -> records.Records:
    """List a page of the records behind a count of a run."""
    if not chosen:
        return records.Records([], None)
    group = labels.GROUPS.get(chosen)
    return records.list_records(
        context.ledger,
        harvest_run,
        group or [Outcome(chosen)],
        _PAGE_ROWS,
        after,
        diff=None if group else Iris(context.base),
    )


@routes.get("/page/logs")
def logs(
    request: Request,
    user: CurrentUser,
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
    values = {"user": user, "lines": listed, "levels": _LEVELS, "chosen": chosen, "older": older}
    return get_pages(request).render("logs.html", values)


@routes.get("/page/system")
def show_system(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show queues, running sources, disk, positions and versions."""
    values = {"user": user, "system": system.system_view(context), "parts": labels.PARTS}
    return get_pages(request).render("system.html", values)


@routes.get("/page/audit-log")
def acts(
    request: Request,
    user: CurrentUser,
    context: ContextDep,
    source: str | None = None,
    after: int | None = None,
) -> Response:
    """Show the audit log."""
    page = pagination.list_audit_entries(context.ledger, _PAGE_ROWS, after, source)
    return get_pages(request).render(
        "acts.html", {"user": user, "acts": page.items, "next": page.next, "source": source}
    )


@routes.get("/page/keys")
def keys(request: Request, user: PageAdministrator, context: ContextDep) -> Response:
    """Show the keys to administrators."""
    return render_keys_page(request, user, context)


def render_keys_page(
    request: Request, user: User, context: AdminContext, token: str | None = None
) -> Response:
    """Show the keys, and the *token* of one that was just created."""
    page = [key_view(key, context.now()) for key in operators.list_keys(context.ledger)]
    values = {
        "keys": page,
        "token": token,
        "scopes": list(Scope),
        "longest": operators.MAX_NAME_LENGTH,
    }
    return get_pages(request).render("keys.html", {"user": user, **values})


@routes.get("/page/problems")
def show_problems(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the problems that nobody has answered and no harvest has fixed, oldest first."""
    waiting = [
        (item, problem_target(item, Iris(context.base)))
        for item in readers.undecided_problems(context.ledger)
    ]
    values = {"user": user, "problems": waiting, "most": MAX_ANSWER_LENGTH}
    return get_pages(request).render("problems.html", values)
