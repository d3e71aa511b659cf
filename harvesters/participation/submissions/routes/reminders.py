"""The page of a reminder's link: a person confirms that what is published is still true."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.responses import Response

from harvesters.participation.submissions.model import shown_members
from harvesters.participation.submissions.routes.form import ROOT, FormDep, PagesDep, Writing
from harvesters.participation.submissions.submitters import confirmations
from harvesters.participation.submissions.submitters.identity import SOURCE, SubmissionContextDep
from harvesters.site import render_errors_as_pages
from vocab.iris import Iris

routes = APIRouter(
    prefix=f"{ROOT}/still-true",
    include_in_schema=False,
    dependencies=[Depends(render_errors_as_pages)],
)


@routes.get("/{secret}")
def show_reminder(secret: str, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show what is published; the button confirms it, so that a program that follows links does
    not.
    """
    item = confirmations.check_link(context, secret)
    members = shown_members(item.published or {})
    return pages.render("still_true.html", {"item": item, "members": members, "secret": secret})


@routes.post("/{secret}", dependencies=[Writing])
def confirm(secret: str, form: FormDep, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Record that it is still true, once."""
    item = confirmations.confirm_by_link(context, secret)
    return pages.render("confirmed.html", {"record": Iris("/").record(SOURCE, item.id)})
