"""The pages below /submit/comments: a comment on a post is written, confirmed by mail, and deleted
by its author.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from harvesters.participation.comments import actions
from harvesters.participation.comments.actions import CommentedPost
from harvesters.participation.submissions.routes.form import (
    ROOT,
    FormDep,
    PagesDep,
    Writing,
    check_trap,
    first,
    open_session,
    redirect,
    require_session,
    session_of,
)
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SubmissionContext,
    SubmissionContextDep,
    check_csrf,
)
from harvesters.problems import InvalidValue, NotAllowed
from harvesters.site import render_errors_as_pages
from web.sessions import csrf_token
from web.templating import Pages

PATH = f"{ROOT}/comments"
routes = APIRouter(
    prefix=PATH, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


def _form_page(
    pages: Pages,
    context: SubmissionContext,
    request: Request,
    post: CommentedPost,
    text: str,
    mail: str = "",
    error: str = "",
) -> Response:
    values = {
        "post": post,
        "text": text,
        "mail": mail,
        "error": error,
        "most": actions.MAX_TEXT,
        "csrf": csrf_token(request.cookies[COOKIE]) if session_of(request, context) else "",
    }
    return pages.render(
        "comment.html", values, HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    )


@routes.get("")
def show_form(
    request: Request,
    context: SubmissionContextDep,
    pages: PagesDep,
    about: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    """Show the form of a comment."""
    return _form_page(pages, context, request, actions.find_post(context, about), "")


@routes.post("", dependencies=[Writing])
def write(
    form: FormDep, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show what was written below a post again, with who writes it; then send it, or a link that
    sends it.
    """
    check_trap(form)
    post = actions.find_post(context, first(form, "about"))
    text = first(form, "text")
    mail = first(form, "mail")
    submitter = session_of(request, context)
    if not first(form, "send"):
        return _form_page(pages, context, request, post, text)
    if submitter is not None:
        check_csrf(request.cookies[COOKIE], first(form, "csrf"))
    try:
        if submitter is None:
            link = actions.request_comment(context, post, text, mail)
            return pages.render("sent.html", {"secret": None, "link": link})
        actions.send_comment(context, submitter, post, text)
    except (InvalidValue, NotAllowed) as error:
        return _form_page(pages, context, request, post, text, mail, error.localized)
    return redirect("/mine")


@routes.get("/confirm/{secret}")
def show_confirmation(secret: str, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show the comment that the link sends; the button does it, so that a program that follows
    links does not.
    """
    return pages.render(
        "confirm_comment.html",
        {"secret": secret, "comment": actions.find_draft(context, secret)},
    )


@routes.post("/confirm/{secret}", dependencies=[Writing])
def confirm(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Send a comment to the moderators, and begin a session."""
    submitter, session = actions.confirm_comment(context, secret)
    return open_session(request, context, submitter, session, None)


@routes.post("/{id}/delete", dependencies=[Writing])
def delete(id: str, form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """Delete a comment of the session's person."""
    actions.delete_own(context, require_session(request, context, form), id)
    return redirect("/mine")
