"""Show sources, request runs, set and remove holds."""

from __future__ import annotations

from fastapi import APIRouter

from harvesters.admin.access.auth import ContextDep, Reader
from harvesters.admin.schemas import (
    RunRequestView,
    SourceView,
    run_request_view,
    source_view,
    source_views,
)
from harvesters.ledger import operators
from harvesters.problems import ERROR_RESPONSES, NotFound

routes = APIRouter(tags=["sources"], responses=ERROR_RESPONSES)


@routes.get("/sources")
def list_sources(key: Reader, context: ContextDep) -> list[SourceView]:
    """List the sources: freshness, last run, open plan, and hold."""
    return source_views(context)


@routes.get("/sources/{name}")
def show_source(name: str, key: Reader, context: ContextDep) -> SourceView:
    """Show the status of a source."""
    return source_view(context, name)


@routes.get("/run-requests")
def list_run_requests(key: Reader, context: ContextDep) -> list[RunRequestView]:
    """List the latest run requests."""
    return [run_request_view(request) for request in operators.run_requests(context.ledger)]


@routes.get("/run-requests/{id}")
def show_run_request(id: int, key: Reader, context: ContextDep) -> RunRequestView:
    """Show a run request: when it was claimed, and the id of its run once there is one."""
    request = operators.run_request(context.ledger, id)
    if request is None:
        raise NotFound("There is no queued run %(number)s.", number=id)
    return run_request_view(request)
