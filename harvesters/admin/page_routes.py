"""Serve the admin pages."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin import key_store, labels, pagination, plans, records
from harvesters.admin.auth import ContextDep, CurrentUser, User, render_errors_as_pages, require_scope
from harvesters.admin.context import AdminContext
from harvesters.admin.keys import Scope
from harvesters.admin.pages import Pages
from harvesters.admin.schemas import key_view
from harvesters.admin.source_status import source_views
from harvesters.ledger.models import Outcome, State
from harvesters.runs.plan_decisions import OVERRIDABLE_LIMITS
from vocab.iris import Iris

_OVERVIEW_ROWS = 15  # of a list on the overview
_PAGE_ROWS = 50  # of a list page

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


def get_pages(request: Request) -> Pages:
    """Return the templates that the app was created with."""
    pages: Pages = request.app.state.pages
    return pages


@routes.get("/")
def overview(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show open plans, the status of each source, and the last runs."""
    values = {
        "user": user,
        "plans": pagination.list_runs(context.ledger, _PAGE_ROWS, state=State.HELD).items,
        "sources": source_views(context),
        "wrong": context.invalid_sources(),
        "origin": context.origin(),
        "requests": [item for item in context.ledger.run_requests() if item.run is None],
        "runs": pagination.list_runs(context.ledger, _OVERVIEW_ROWS).items,
    }
    return get_pages(request).render("overview.html", values)


@routes.get("/page/runs")
def runs(request: Request, user: CurrentUser, context: ContextDep, source: str | None = None, after: str | None = None) -> Response:
    """Show all runs, or those of one source."""
    page = pagination.list_runs(context.ledger, _PAGE_ROWS, after, source)
    return get_pages(request).render("runs.html", {"user": user, "runs": page.items, "next": page.next, "source": source})


@routes.get("/page/runs/{id}")
def run(
    id: str, request: Request, user: CurrentUser, context: ContextDep, outcome: Outcome | None = None, after: int | None = None
) -> Response:
    """Show a run's report, the decision if its plan is open, and the records of one outcome."""
    harvest_run = pagination.get_run(context.ledger, id)
    plan = plans.plan_view(context, harvest_run)
    kinds = plans.outcome_counts(plan.outcomes)
    chosen = outcome or next((kind for kind, _ in kinds if kind is not Outcome.UNCHANGED), None)
    page = (
        records.list_records(context.ledger, harvest_run, chosen, _PAGE_ROWS, after, diff=Iris(context.base))
        if chosen
        else records.Records([], None)
    )
    values = {"plan": plan, "run": plan.run, "kinds": kinds, "limits": OVERRIDABLE_LIMITS, **labels.run_labels(context.base)}
    return get_pages(request).render("run.html", {"user": user, "chosen": chosen, "records": page, **values})


@routes.get("/page/audit-log")
def acts(request: Request, user: CurrentUser, context: ContextDep, source: str | None = None, after: int | None = None) -> Response:
    """Show the audit log."""
    page = pagination.list_audit_entries(context.ledger, _PAGE_ROWS, after, source)
    return get_pages(request).render("acts.html", {"user": user, "acts": page.items, "next": page.next, "source": source})


@routes.get("/page/keys")
def keys(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the keys to administrators."""
    require_scope(user, Scope.ADMIN)
    return render_keys_page(request, user, context)


def render_keys_page(request: Request, user: User, context: AdminContext, token: str | None = None) -> Response:
    """Show the keys, and the *token* of one that was just created."""
    page = [key_view(key, context.now()) for key in key_store.list_keys(context.ledger)]
    values = {"keys": page, "token": token, "scopes": list(Scope), "longest": key_store.MAX_NAME_LENGTH}
    return get_pages(request).render("keys.html", {"user": user, **values})
