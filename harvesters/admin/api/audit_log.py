"""List who did what, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from harvesters.admin import pagination
from harvesters.admin.access.auth import ContextDep, Reader
from harvesters.admin.api.paging import Limit, add_next_link
from harvesters.problems import ERROR_RESPONSES

routes = APIRouter(tags=["acts"], responses=ERROR_RESPONSES)


@routes.get("/audit-log")
def list_acts(
    key: Reader,
    context: ContextDep,
    response: Response,
    limit: Limit = 50,
    source: str | None = None,
    after: Annotated[int | None, Query(ge=0)] = None,
) -> pagination.AuditPage:
    """List the audit log, newest first."""
    page = pagination.list_audit_entries(context.ledger, limit, after, source)
    add_next_link(response, page.next, limit=limit, source=source)
    return page
