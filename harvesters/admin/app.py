"""Build the admin application that is mounted at /admin: the pages of the other modules, and the API, which lists and
shows sources, plans, runs, the audit log and keys; long lists have pages (RFC 8288).
"""

from __future__ import annotations

from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query, Request, Response
from starlette.responses import FileResponse

from harvesters.admin import context as authentication
from harvesters.admin import contributions, curation, runs, schemas, sources, system
from harvesters.admin.actions import OPERATIONS, get_key
from harvesters.admin.context import AdminContext, Administrator, ContextDep, Reader
from harvesters.admin.operations import operation_routes
from harvesters.admin.pages import PACKAGE_DIR, create_pages
from harvesters.admin.schemas import (
    MAX_ROWS,
    KeyView,
    Listing,
    RecordView,
    RunView,
    SourceView,
    key_view,
    source_view,
    source_views,
)
from harvesters.errors import require
from harvesters.ledger import operators
from harvesters.ledger.models import AuditEntry, LogLine, Outcome, RunRequest, State
from harvesters.site import ERROR_RESPONSES, NotFound, install_error_handlers
from vocab.iris import Iris
from web.middleware import MAX_PRIVATE_BODY, RequestMiddleware, SecurityMiddleware
from web.templating import POLICY

Row = TypeVar("Row")
routes = APIRouter(responses=ERROR_RESPONSES)
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows of a page.")]


def _linked(page: Listing[Row], request: Request, response: Response) -> Listing[Row]:
    """Add a Link to the next page, if there is one, with the same parameters; return *page*."""
    if page.next is not None:
        query = urlencode({**request.query_params, "after": page.next})
        response.headers["Link"] = f'<?{query}>; rel="next"'
    return page


@routes.get("/sources", tags=["sources"])
def list_sources(key: Reader, context: ContextDep) -> list[SourceView]:
    """List the sources: freshness, last run, open plan, and hold."""
    return source_views(context)


@routes.get("/sources/{name}", tags=["sources"])
def show_source(name: str, key: Reader, context: ContextDep) -> SourceView:
    """Show the status of a source."""
    return source_view(context, name)


@routes.get("/run-requests", tags=["sources"])
def list_run_requests(key: Reader, context: ContextDep) -> list[RunRequest]:
    """List the latest run requests."""
    return operators.run_requests(context.ledger)


@routes.get("/run-requests/{id}", tags=["sources"])
def show_run_request(id: int, key: Reader, context: ContextDep) -> RunRequest:
    """Show a run request: when it was claimed, and the id of its run once there is one."""
    return require(
        operators.run_request(context.ledger, id),
        NotFound("There is no queued run %(number)s.", number=id),
    )


@routes.get("/plans", tags=["plans"])
def list_plans(
    key: Reader,
    context: ContextDep,
    request: Request,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    after: str | None = None,
) -> Listing[RunView]:
    """List the plans that await approval."""
    return _linked(schemas.list_runs(context, limit, after, source, State.HELD), request, response)


@routes.get("/plans/{id}", tags=["plans"])
def show_plan(id: str, key: Reader, context: ContextDep) -> schemas.PlanView:
    """Show a plan: its changes, counted, the limits of its source, and why it awaits approval."""
    return schemas.plan_view(context, schemas.get_run(context.ledger, id))


@routes.get("/plans/{id}/records", tags=["plans"])
def list_changes(
    id: str,
    key: Reader,
    context: ContextDep,
    request: Request,
    response: Response,
    outcome: Outcome,
    limit: Limit = 50,
    after: int | None = None,
    diff: bool = True,
) -> Listing[RecordView]:
    """List the records that a plan would change in one way, each with the statements that it
    removes and adds.
    """
    run, iris = schemas.get_run(context.ledger, id), Iris(context.base) if diff else None
    page = schemas.list_records(context.ledger, run, [outcome], limit, after, diff=iris)
    return _linked(page, request, response)


@routes.get("/runs", tags=["runs"])
def list_runs(
    key: Reader,
    context: ContextDep,
    request: Request,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    state: State | None = None,
    after: str | None = None,
) -> Listing[RunView]:
    """List the runs, newest first, of one source or of all."""
    return _linked(schemas.list_runs(context, limit, after, source, state), request, response)


@routes.get("/runs/{id}", tags=["runs"])
def show_run(id: str, key: Reader, context: ContextDep) -> RunView:
    """Show a run: its counts, and why it ended as it did."""
    return schemas.run_views(context, [schemas.get_run(context.ledger, id)])[0]


@routes.get("/runs/{id}/records", tags=["runs"])
def list_records(
    id: str,
    key: Reader,
    context: ContextDep,
    request: Request,
    response: Response,
    outcome: Outcome,
    limit: Limit = 50,
    after: int | None = None,
) -> Listing[RecordView]:
    """List the records behind a count of the run."""
    run = schemas.get_run(context.ledger, id)
    page = schemas.list_records(context.ledger, run, [outcome], limit, after)
    return _linked(page, request, response)


@routes.get("/runs/{id}/log", tags=["runs"])
def show_log(
    id: str, key: Reader, context: ContextDep, limit: Limit = 50, before: int | None = None
) -> list[LogLine]:
    """Show the newest log lines of a run, newest first; *before* is the number of a line."""
    return context.ledger.log_lines(
        run=schemas.get_run(context.ledger, id).id, before=before, limit=limit
    )


@routes.get("/audit-log", tags=["acts"])
def list_acts(
    key: Reader,
    context: ContextDep,
    request: Request,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> Listing[AuditEntry]:
    """List the audit log, newest first."""
    page = schemas.list_audit_entries(context.ledger, limit, after, source)
    return _linked(page, request, response)


@routes.get("/keys", tags=["keys"])
def list_keys(key: Administrator, context: ContextDep) -> list[KeyView]:
    """List the keys, including revoked and expired ones, without their secrets."""
    return [
        key_view(stored_key, context.now()) for stored_key in operators.list_keys(context.ledger)
    ]


@routes.get("/keys/{id}", tags=["keys"])
def show_key(id: str, key: Administrator, context: ContextDep) -> KeyView:
    """Show a key."""
    return key_view(get_key(context.ledger, id), context.now())


_ROUTERS = (
    *(routes, system.routes, runs.routes, system.page_routes, authentication.routes),
    *(sources.routes, curation.routes, contributions.routes),
)


def create_admin(context: AdminContext) -> FastAPI:
    """Create the app for *context*. The first request opens the ledger."""
    app = FastAPI(
        title="Stocktake admin API",
        description="Controls the harvesters. Every request needs a key as a bearer token; see docs/reference/admin.md.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context, app.state.pages = context, create_pages(demo=context.demo)
    for router in (*_ROUTERS, operation_routes(OPERATIONS)):
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    app.add_api_route("/style.css", _style, include_in_schema=False)
    install_error_handlers(app, app.state.pages)
    app.add_middleware(SecurityMiddleware, policy=POLICY, max_body=MAX_PRIVATE_BODY, private=True)
    app.add_middleware(RequestMiddleware)
    return app


def _style() -> FileResponse:
    return FileResponse(PACKAGE_DIR / "static" / "admin.css", media_type="text/css")
