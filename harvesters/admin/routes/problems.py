"""Show the problems that readers reported, and answer them."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser, check_csrf
from harvesters.admin.forms import FormFields, redirect
from harvesters.ledger import operators, outbox
from harvesters.ledger.keys import Scope
from harvesters.ledger.models import ActionType, AuditEntry
from harvesters.ledger.participation import problems
from harvesters.ledger.participation.models import ProblemState
from harvesters.problems import InvalidValue, NotFound
from harvesters.runs.reported_problems import problem_target, reader_message
from harvesters.site import render_errors_as_pages
from vocab.iris import Iris
from web.templating import get_pages

_PAGE = "/page/problems"
_MOST_CHARACTERS = 4000  # of an answer

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_problems(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the problems that nobody has answered and no harvest has fixed, oldest first."""
    waiting = [
        (item, problem_target(item, Iris(context.base)))
        for item in problems.undecided_problems(context.ledger)
    ]
    values = {"user": user, "problems": waiting, "most": _MOST_CHARACTERS}
    return get_pages(request).render("problems.html", values)


@routes.post(f"{_PAGE}/{{id}}")
def answer_problem(id: int, form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Close a problem with an answer, which is sent to the reader's address if there is one."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    answer = form.get("answer", "").strip()
    if not 1 <= len(answer) <= _MOST_CHARACTERS:
        raise InvalidValue("Write an answer of 1 to %(most)s characters.", most=_MOST_CHARACTERS)
    ledger, now = context.ledger, context.now()
    problem = problems.reported_problem(ledger, id)
    message = (
        reader_message(
            problem, ProblemState.ANSWERED, answer, context.channels.name, Iris(context.base)
        )
        if problem
        else None
    )
    if problem is None or not problems.decide_problem(
        ledger, id, ProblemState.ANSWERED, now, answer=answer
    ):
        raise NotFound("There is no open problem with this number.")
    if message is not None:
        outbox.queue_messages(ledger, [message], now)
    entry = AuditEntry(
        now, user.key.display_name, ActionType.ANSWERED.value, problem.source, note=f"problem {id}"
    )
    operators.record_audit_entry(ledger, entry)
    return redirect(_PAGE)
