"""Show the problems that readers reported; an operation answers them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser
from harvesters.ledger.participation import problems
from harvesters.runs.operations import MAX_ANSWER_LENGTH
from harvesters.runs.reported_problems import problem_target
from harvesters.site import render_errors_as_pages
from vocab.iris import Iris
from web.templating import get_pages

_PAGE = "/page/problems"

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_problems(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the problems that nobody has answered and no harvest has fixed, oldest first."""
    waiting = [
        (item, problem_target(item, Iris(context.base)))
        for item in problems.undecided_problems(context.ledger)
    ]
    values = {"user": user, "problems": waiting, "most": MAX_ANSWER_LENGTH}
    return get_pages(request).render("problems.html", values)
