"""The pages below /submit/comments: write a comment on a post, confirm it by mail, and delete it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from harvesters.participation.comments import actions
from harvesters.participation.comments.actions import CommentedPost
from harvesters.participation.submissions.routes.own import open_session
from harvesters.participation.submissions.routes.visitor import (
    FormDep,
    PagesDep,
    Sender,
    Trap,
    Visitor,
    Writing,
    first,
    page_routes,
    redirect,
)
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SubmissionContextDep,
    check_csrf,
)
from harvesters.problems import InvalidValue, NotAllowed
from web.sessions import csrf_token
from web.templating import Pages

routes = page_routes("/comments")


def _form_page(
    pages: Pages,
    request: Request,
    visitor: Visitor,
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
        "csrf": csrf_token(request.cookies[COOKIE]) if visitor else "",
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return pages.render("comment.html", values, status)


@routes.get("")
def show_form(
    request: Request,
    visitor: Visitor,
    context: SubmissionContextDep,
    pages: PagesDep,
    about: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    return _form_page(pages, request, visitor, actions.find_post(context, about), "")


@routes.post("", dependencies=[Writing, Trap])
def write(
    form: FormDep,
    request: Request,
    visitor: Visitor,
    context: SubmissionContextDep,
    pages: PagesDep,
) -> Response:
    """Show the text that was written below a post, and ask for its author; then send it, or mail a
    link that sends it.
    """
    post = actions.find_post(context, first(form, "about"))
    text, mail = first(form, "text"), first(form, "mail")
    if not first(form, "send"):
        return _form_page(pages, request, visitor, post, text)
    try:
        if visitor is None:
            link = actions.request_comment(context, post, text, mail)
            return pages.render("sent.html", {"secret": None, "link": link})
        check_csrf(request.cookies[COOKIE], first(form, "csrf"))
        actions.send_comment(context, visitor, post, text)
    except (InvalidValue, NotAllowed) as error:
        return _form_page(pages, request, visitor, post, text, mail, error.localized)
    return redirect("mine")


@routes.get("/confirm/{secret}")
def show_confirmation(secret: str, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show the comment that the link sends. A button sends it, so that a program that follows links
    does not.
    """
    values = {"secret": secret, "comment": actions.find_draft(context, secret)}
    return pages.render("confirm_comment.html", values)


@routes.post("/confirm/{secret}", dependencies=[Writing])
def confirm(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    submitter, session = actions.confirm_comment(context, secret)
    return open_session(request, context, submitter, session, None)


@routes.post("/{id}/delete", dependencies=[Writing])
def delete(id: str, sender: Sender, context: SubmissionContextDep) -> Response:
    actions.delete_own(context, sender, id)
    return redirect("mine")
