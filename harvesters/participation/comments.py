"""Comments of readers on posts: write, confirm by mail, decide, and their pages below /submit/comments.

They are off by default, in the ledger and never in the journal, so that they can be deleted.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import Query, Request
from starlette.responses import Response

from harvesters.errors import LedgerError, require
from harvesters.ledger import submissions
from harvesters.ledger.models import AuditEntry
from harvesters.ledger.participation import Comment, Purpose, SubmissionState, Submitter
from harvesters.ledger.prizes import published_statements
from harvesters.ledger.submissions import new_id
from harvesters.participation.check import record_title, triage
from harvesters.participation.model import InvalidMembersError, normalize
from harvesters.participation.submitters import (
    INVALID,
    SESSION,
    SOURCE,
    SubmissionContext,
    SubmissionContextDep,
    confirm,
    count_change,
    open_link,
    queue_mail,
    reachable_author,
    request_confirmation,
)
from harvesters.participation.visitor import (
    FormDep,
    RendererDep,
    Sender,
    Trap,
    Visitor,
    Writing,
    first,
    open_session,
    page_routes,
    redirect,
)
from harvesters.payloads.value_parsing import strip_contacts
from harvesters.site import (
    Closed,
    InvalidValue,
    LinkInvalid,
    NotAllowed,
    NotFound,
    Site,
    check_note,
    check_session,
)
from languages.translations import current_locale
from vocab.iris import encode
from web.templating import PageRenderer

MAX_TEXT = 2_000  # characters
MAX_WAITING = 20  # comments of one person that no moderator has decided about
SHOWN = 200  # comments below a post
WAITING = (SubmissionState.SUBMITTED, SubmissionState.QUARANTINED)
CONFIRM_PATH = "/submit/comments/confirm"
_DECISIONS = {
    "accept": (SubmissionState.ACCEPTED, "accepted"),
    "reject": (SubmissionState.REJECTED, "rejected"),
    "spam": (SubmissionState.SPAM, "marked as spam"),
}


def find_post(context: SubmissionContext, path: str) -> tuple[str, str]:
    """Return the path of a published post, ``post/{source}/{key}`` as in the address of its page,
    and its title, "" without one. Raises NotFound if it is not one, and Closed if comments are off.
    """
    require_on(context)
    parts = path.split("/", 2)
    source, key = (unquote(part) for part in parts[1:3]) if len(parts) == 3 else ("", "")
    statements = published_statements(context.ledger, source, key) if parts[0] == "post" else None
    if statements is None or not any(
        f"/id/post/{encode(source)}/{encode(key)}> " in line for line in statements
    ):
        raise NotFound("There is no post with this address.")
    return f"post/{encode(source)}/{encode(key)}", record_title(statements)


def require_on(context: SubmissionContext) -> None:
    """Raise Closed unless the operators switched comments on."""
    if not context.comments:
        raise Closed(
            "Nothing can be commented on here: the operators have not switched comments on."
        )


def clean_text(text: str) -> str:
    """Return a text without HTML, invisible characters, mail addresses and telephone numbers.

    Raises InvalidValue for an empty text and for one that is too long.
    """
    if len(text) > MAX_TEXT:
        raise InvalidValue(
            "It has %(count)s characters; at most %(limit)s are possible.",
            count=len(text),
            limit=MAX_TEXT,
        )
    try:
        content = normalize({"type": "Post", "content": {"en": text}}, "", None)
    except InvalidMembersError as error:
        raise InvalidValue("Write a comment.") from error
    return require(
        strip_contacts(content.get("content", {}).get("en", "")), InvalidValue("Write a comment.")
    )


def find_draft(context: SubmissionContext, secret: str) -> Comment:
    """Return the comment that a link sends; raise LinkInvalid if the link no longer works."""
    require_on(context)
    link, _ = open_link(context, secret, Purpose.CONFIRM)
    draft = submissions.find_comment(context.ledger, link.submission or "")
    return require(
        draft if draft and draft.state is SubmissionState.DRAFT else None, LinkInvalid(INVALID)
    )


def shown_comments(context: SubmissionContext, post: str) -> list[tuple[datetime, str]] | None:
    """Return the time and the text of each accepted comment on a post; None if comments are off, or
    the ledger does not answer.
    """
    if not context.comments:
        return None
    try:
        return [
            (item.created, item.text)
            for item in submissions.comments(
                context.ledger, SHOWN, post=post, state=SubmissionState.ACCEPTED
            )
        ]
    except LedgerError:
        return None


def decide(context: Site, who: str, comment: Comment, decision: str, note: str) -> None:
    """Accept a comment, reject it with a reason, or mark it as spam. One that was accepted can be
    rejected later.

    Raises InvalidValue, and NotAllowed if it was decided before.
    """
    require(decision in _DECISIONS, InvalidValue("Unknown decision."))
    state, what = _DECISIONS[decision]
    reason, now = check_note(note) or None, context.now()
    if decision == "reject" and reason is None:
        raise InvalidValue("Write the reason: the author reads it.")
    is_possible = comment.state in WAITING or (
        comment.state is SubmissionState.ACCEPTED and decision == "reject"
    )
    values = {"state": state, "decided": now, "decided_by": who, "reason": reason}
    if not is_possible or not submissions.change_comment(context.ledger, comment, **values):
        raise NotAllowed("The comment was decided before.")
    text = ": ".join(filter(None, (comment.id, reason)))
    context.ledger.add(AuditEntry(now, who, f"comment {what}", SOURCE, note=text))
    submitter = reachable_author(context, comment.submitter) if decision == "reject" else None
    if submitter:
        mail, about = str(submitter.mail), {"title": comment.title, "note": str(reason)}
        queue_mail(context.ledger, mail, "comment rejected", submitter.language, now, **about)


def _new(context: SubmissionContext, post: tuple[str, str], text: str) -> Comment:
    require_on(context)
    language, now = current_locale().language, context.now()
    return Comment(
        new_id(),
        *post,
        clean_text(text),
        language,
        SubmissionState.DRAFT,
        None,
        now,
    )


def _admit(context: SubmissionContext, submitter: Submitter, comment: Comment) -> SubmissionState:
    """Return the state in which a comment of this person waits. Raises NotAllowed, RateLimited."""
    own = submissions.comments(context.ledger, submitter=submitter.id)
    if sum(item.state in WAITING for item in own) >= MAX_WAITING:
        raise NotAllowed(
            "%(count)s of your comments wait for a moderator; more are not possible.",
            count=MAX_WAITING,
        )
    count_change(context, submitter)
    return triage(submitter, {"content": {comment.language: comment.text}})


routes = page_routes("/comments")


def _form_page(
    show: PageRenderer,
    visitor: Visitor,
    post: tuple[str, str],
    text: str,
    mail: str = "",
    error: str = "",
) -> Response:
    return show(
        "comment.html",
        path=post[0],
        post_title=post[1],
        text=text,
        mail=mail,
        error=error,
        most=MAX_TEXT,
        csrf=SESSION.token(show.request) if visitor else "",
    )


@routes.get("")
def show_form(
    visitor: Visitor,
    context: SubmissionContextDep,
    show: RendererDep,
    about: Annotated[str, Query(max_length=2_000)] = "",
) -> Response:
    return _form_page(show, visitor, find_post(context, about), "")


@routes.post("", dependencies=[Writing, Trap])
def write(
    form: FormDep,
    request: Request,
    visitor: Visitor,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    """Show the text that was written below a post, and ask for its author; then send it, or mail a
    link that sends it.
    """
    post = find_post(context, first(form, "about"))
    text, mail = first(form, "text"), first(form, "mail")
    if not first(form, "send"):
        return _form_page(show, visitor, post, text)
    if visitor is not None:
        check_session(SESSION, request, first(form, "csrf"))
    try:
        draft = _new(context, post, text)
        if visitor is None:
            link = request_confirmation(context, mail, draft.id, CONFIRM_PATH)
            context.ledger.add(draft)
            return show("sent.html", secret=None, link=link)
        state = _admit(context, visitor, draft)
        sent = replace(draft, submitter=visitor.id, state=state)
        context.ledger.add(sent)
    except (InvalidValue, NotAllowed) as error:
        return _form_page(show, visitor, post, text, mail, error.localized)
    return redirect("mine")


@routes.get("/confirm/{secret}")
def show_confirmation(secret: str, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Show the comment that the link sends. A button sends it, so that a program that follows links
    does not.
    """
    return show("confirm_comment.html", secret=secret, comment=find_draft(context, secret))


@routes.post("/confirm/{secret}", dependencies=[Writing])
def confirm_by_link(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    draft = find_draft(context, secret)
    submitter, _, session = confirm(context, secret)
    state = _admit(context, submitter, draft)
    submissions.change_comment(context.ledger, draft, submitter=submitter.id, state=state)
    return open_session(request, context, submitter, session, None)


@routes.post("/{id}/delete", dependencies=[Writing])
def delete(id: str, sender: Sender, context: SubmissionContextDep) -> Response:
    if not submissions.delete_comments(context.ledger, sender.id, id):
        raise NotFound("You have no comment with this identifier.")
    return redirect("mine")
