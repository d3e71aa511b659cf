"""The pages of the moderators: the queue of submissions, and each submission with its decisions."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from harvesters.admin.auth import ContextDep, CurrentUser, FormOperator, User
from harvesters.admin.context import AdminContext
from harvesters.admin.forms import FormFields, redirect
from harvesters.ledger import submissions
from harvesters.ledger.participation import Submission, SubmissionState, Submitter
from harvesters.ledger.submissions import find_picture, picture_of
from harvesters.participation import moderation
from harvesters.participation.check import Check, DuplicateFinder, check, differences, suspicions
from harvesters.participation.model import MEMBERS, labels, readable, shown_members
from harvesters.participation.pictures import picture_response
from harvesters.participation.submitters import SOURCE
from harvesters.problems import InvalidValue, VersionConflict
from harvesters.site import render_errors_as_pages
from web.templating import get_pages

_ROWS = 100
QUEUE = (SubmissionState.SUBMITTED,)
LISTED = tuple(state for state in SubmissionState if state is not SubmissionState.DRAFT)
routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/submissions")
def show_queue(
    request: Request,
    user: CurrentUser,
    context: ContextDep,
    state: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the submissions that wait, the oldest first, or those in another state."""
    chosen = next((item for item in LISTED if item.value == state), None)
    rows = submissions.in_states(context.ledger, (chosen,) if chosen else QUEUE, _ROWS)
    number, oldest = submissions.waiting(context.ledger)
    values = {
        "rows": rows,
        "states": LISTED,
        "chosen": chosen or QUEUE[0],
        "number_waiting": number,
        "oldest": oldest,
    }
    return get_pages(request).render("submissions.html", {"user": user, **values})


@routes.get("/page/submissions/{id}")
def show_submission(id: str, request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show a submission: its content, its changes, the findings of the rules, its history, and the
    form of the decision.
    """
    submission = moderation.find(context, id)
    checked = _check(context, submission)
    before = submission.published
    values = {
        "item": submission,
        "members": shown_members(submission.content),
        "changes": [
            (MEMBERS[name].title, readable(change["before"]), readable(change["after"]))
            for name, change in (
                differences(before, submission.content) if before is not None else {}
            ).items()
            if name in MEMBERS
        ],
        "checked": checked,
        "labels": labels(),
        "history": submissions.history(context.ledger, id, internal=True),
        "sentences_of_history": moderation.HISTORY,
        "organization": _organization(context, submission),
        "two_people": context.source(SOURCE).second_approver,
        "waits": submission.state in moderation.WAITING,
        "open": submission.state in (*moderation.WAITING, SubmissionState.CHANGES_REQUESTED),
        "suspicions": suspicions(submission.content, None)
        if submission.state is SubmissionState.QUARANTINED
        else {},
        "may_withdraw": submission.state is not SubmissionState.WITHDRAWN,
    }
    return get_pages(request).render("submission.html", {"user": user, **values})


def _organization(context: AdminContext, submission: Submission) -> str | None:
    """Return the name of the organization that submitted it, None for a person."""
    submitter: Submitter | None = (
        submissions.submitter_of(context.ledger, id=submission.submitter)
        if submission.submitter
        else None
    )
    return submitter.organization if submitter else None


def _check(context: AdminContext, submission: Submission) -> Check | None:
    if not submission.content:
        return None
    source, finder = context.source(SOURCE), DuplicateFinder()
    return check(
        context.ledger,
        submission.content,
        submission.id,
        source,
        context.base,
        finder,
        unpublished=True,
    )


@routes.get("/page/submissions/{id}/picture.webp")
def show_picture(id: str, user: CurrentUser, context: ContextDep) -> Response:
    """Return the picture of the newest version."""
    name = picture_of(moderation.find(context, id).content) or ""
    return picture_response(find_picture(context.ledger, name))


@routes.post("/page/submissions/{id}/{decision}")
def decide(
    id: str, decision: str, form: FormFields, user: FormOperator, context: ContextDep
) -> Response:
    """Carry out what a moderator decided about the version that the page showed."""
    submission = moderation.find(context, id)
    if decision not in ("comment", "assign", "unassign", "transfer") and form.get(
        "version", ""
    ) != str(submission.version):
        raise VersionConflict(
            "The submission was changed meanwhile. Read the new version, then decide."
        )
    _carry_out(context, user, submission, decision, form.get("note", ""))
    return redirect(f"/page/submissions/{quote(id, safe='')}")


def _carry_out(
    context: AdminContext, user: User, submission: Submission, decision: str, note: str
) -> None:
    if decision in ("assign", "unassign"):
        moderation.assign(context, user.key.display_name, submission, to_me=decision == "assign")
        return
    known = {
        "accept": moderation.accept,
        "changes": moderation.request_changes,
        "reject": moderation.reject,
        "spam": moderation.mark_as_spam,
        "withdraw": moderation.withdraw,
        "comment": moderation.comment,
        "transfer": moderation.transfer,
    }
    if decision not in known:
        raise InvalidValue("Unknown decision.")
    known[decision](context, user.key.display_name, submission, note)
