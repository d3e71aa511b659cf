"""Show sources, request runs, set and remove holds."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from harvesters.admin import actions
from harvesters.admin.access.auth import ContextDep, Operator, Reader
from harvesters.admin.schemas import (
    RunRequestView,
    SourceView,
    run_request_view,
    source_view,
    source_views,
)
from harvesters.ledger import operators
from harvesters.problems import ERROR_RESPONSES
from harvesters.site import MAX_NOTE_LENGTH

routes = APIRouter(tags=["sources"], responses=ERROR_RESPONSES)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunOptions:
    """A run now; *full* reads all, not only changes since the last run. *supersede* is the id of
    the plan that awaits approval.
    """

    full: bool = False
    supersede: Annotated[str, Field(max_length=200)] = ""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class HoldRequest:
    """Why a source is put on hold."""

    reason: Annotated[str, Field(max_length=MAX_NOTE_LENGTH)] = ""


@routes.get("/sources")
def list_sources(key: Reader, context: ContextDep) -> list[SourceView]:
    """List the sources: freshness, last run, open plan, and hold."""
    return source_views(context)


@routes.get("/sources/{name}")
def show_source(name: str, key: Reader, context: ContextDep) -> SourceView:
    """Show the status of a source."""
    return source_view(context, name)


@routes.post("/sources/{name}/runs", status_code=HTTPStatus.ACCEPTED)
def run_now(
    name: str,
    key: Operator,
    context: ContextDep,
    response: Response,
    body: RunOptions | None = None,
) -> RunRequestView:
    """Request a run; the scheduler claims it within seconds. The Location header names the request.

    409 if a plan of the source awaits approval that `supersede` does not name: the run would
    supersede it.
    """
    body = body or RunOptions()
    run_request = actions.request_run(context, key, name, full=body.full, supersede=body.supersede)
    response.headers["Location"] = f"/admin/run-requests/{run_request.id}"
    return run_request_view(run_request)


@routes.put("/sources/{name}/hold")
def hold(
    name: str, key: Operator, context: ContextDep, body: HoldRequest | None = None
) -> SourceView:
    """Put a source on hold: its next plans await approval."""
    actions.hold(context, key, name, body.reason if body else "")
    return source_view(context, name)


@routes.delete("/sources/{name}/hold")
def release(name: str, key: Operator, context: ContextDep) -> SourceView:
    """Remove the hold on a source; 409 if it is not on hold."""
    actions.release(context, key, name)
    return source_view(context, name)


@routes.get("/run-requests")
def list_run_requests(key: Reader, context: ContextDep) -> list[RunRequestView]:
    """List the latest run requests."""
    return [run_request_view(request) for request in operators.run_requests(context.ledger)]


@routes.get("/run-requests/{id}")
def show_run_request(id: int, key: Reader, context: ContextDep) -> RunRequestView:
    """Show a run request: when it was claimed, and the id of its run once there is one."""
    return run_request_view(actions.get_run_request(context, id))
