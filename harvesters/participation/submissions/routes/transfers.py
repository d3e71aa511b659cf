"""Hand submissions over, by form and by HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.participation.submissions import actions
from harvesters.participation.submissions.routes.api import MailAddress, view
from harvesters.participation.submissions.routes.form import (
    ROOT,
    FormDep,
    PagesDep,
    Writing,
    first,
    open_session,
    require_session,
)
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContextDep,
    SubmitterDep,
    begin_session,
    count_write,
)
from harvesters.participation.submissions.submitters.transfers import (
    check_transfer,
    offer_transfer,
    take_over,
)
from harvesters.site import render_errors_as_pages

routes = APIRouter(prefix="/submissions", tags=["submissions"], dependencies=[Depends(count_write)])
pages = APIRouter(
    prefix=ROOT, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


@routes.post(
    "/{id}/transfer", status_code=HTTPStatus.ACCEPTED, summary="Hand one of your submissions over"
)
def offer(
    id: str, address: MailAddress, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, str]:
    """A link is sent to the address, which works once, for 7 days. Until it is used, the submission
    stays yours.
    """
    item = actions.find_own(context, submitter, id)
    link = offer_transfer(context.site, context.url, item, address.mail, submitter.name)
    return {"state": "shown", "link": link} if link else {"state": "sent"}


@routes.post("/transfers/{secret}", summary="Take over a submission with the secret of its link")
def take(secret: str, context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """The submission belongs to the organization or person whose token is sent."""
    return view(context, take_over(context.site, secret, submitter))


@pages.post("/mine/{id}/transfer", dependencies=[Writing])
def offer_by_form(
    id: str, form: FormDep, request: Request, context: SubmissionContextDep, templates: PagesDep
) -> Response:
    """Send a link to the address of the form."""
    submitter = require_session(request, context, form)
    item = actions.find_own(context, submitter, id)
    link = offer_transfer(context.site, context.url, item, first(form, "mail"), submitter.name)
    return templates.render("transfer_sent.html", {"item": item, "link": link})


@pages.get("/transfer/{secret}")
def show_transfer(secret: str, context: SubmissionContextDep, templates: PagesDep) -> Response:
    """Show what is handed over; the button takes it, so that a program that follows links does not."""
    _, item = check_transfer(context.site, secret)
    return templates.render("transfer.html", {"item": item, "secret": secret})


@pages.post("/transfer/{secret}", dependencies=[Writing])
def take_by_form(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Take the submission over, once, and begin a session of the address that the link was sent to."""
    link, item = check_transfer(context.site, secret)
    submitter, session = begin_session(context, str(link.mail))
    take_over(context.site, secret, submitter)
    return open_session(request, context, submitter, session, item.id)
