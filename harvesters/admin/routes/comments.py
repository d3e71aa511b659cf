"""The page of the comments that wait for a moderator, and the forms that decide about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from harvesters.admin.auth import ContextDep, CurrentUser, FormOperator
from harvesters.admin.forms import FormFields, redirect
from harvesters.ledger.participation import SubmissionState
from harvesters.ledger.submissions import comments_in, count_comments, find_comment
from harvesters.participation import comments
from harvesters.problems import NotFound
from harvesters.site import render_errors_as_pages
from web.templating import get_pages

_ROWS = 100
_LISTED = (
    SubmissionState.SUBMITTED,
    SubmissionState.QUARANTINED,
    SubmissionState.ACCEPTED,
    SubmissionState.REJECTED,
    SubmissionState.SPAM,
)

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/comments")
def show_comments(
    request: Request,
    user: CurrentUser,
    context: ContextDep,
    state: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the comments that wait, the oldest first, or those in another state."""
    chosen = next((item for item in _LISTED if item.value == state), SubmissionState.SUBMITTED)
    values = {
        "rows": comments_in(context.ledger, chosen, _ROWS),
        "states": _LISTED,
        "chosen": chosen,
        "waits": chosen in comments.WAITING,
        "may_reject": chosen in (*comments.WAITING, SubmissionState.ACCEPTED),
        "number_waiting": count_comments(context.ledger, SubmissionState.SUBMITTED),
    }
    return get_pages(request).render("comments.html", {"user": user, **values})


@routes.post("/page/comments/{id}/{decision}")
def decide_comment(
    id: str, decision: str, form: FormFields, user: FormOperator, context: ContextDep
) -> Response:
    """Carry out what a moderator decided."""
    comment = find_comment(context.ledger, id)
    if comment is None or comment.state is SubmissionState.DRAFT:
        raise NotFound("There is no comment with this identifier.")
    comments.decide(context, user.key.display_name, comment, decision, form.get("note", ""))
    return redirect(f"/page/comments?state={comment.state.value}")
