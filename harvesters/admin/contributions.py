"""The pages of what people contribute: submissions, reported problems, and the prizes with their
editions, experts and nominations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from harvesters.admin.actions import find_prize_edition
from harvesters.admin.context import (
    AdminContext,
    ContextDep,
    CurrentUser,
    FormFields,
    FormOperator,
    RendererDep,
    redirect,
)
from harvesters.errors import require
from harvesters.ledger import prizes, submissions
from harvesters.ledger.participation import Submission, SubmissionState, Submitter
from harvesters.ledger.submissions import find_picture, picture_of
from harvesters.participation import contest, moderation
from harvesters.participation.check import Check, DuplicateFinder, check, differences, suspicions
from harvesters.participation.model import MEMBERS, choices, labels, readable, shown_members
from harvesters.participation.prize_routes import text_of
from harvesters.participation.submitters import SOURCE
from harvesters.participation.uploads import picture_response
from harvesters.runs.operations import MAX_ANSWER_LENGTH
from harvesters.runs.reported_problems import problem_target
from harvesters.site import InvalidValue, Site, VersionConflict, render_errors_as_pages
from vocab.iris import Iris

_ROWS = 100
QUEUE = (SubmissionState.SUBMITTED,)
LISTED = tuple(state for state in SubmissionState if state is not SubmissionState.DRAFT)
routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/submissions")
def show_queue(
    show: RendererDep,
    context: ContextDep,
    state: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show the submissions that wait, the oldest first, or those in another state."""
    chosen = next((item for item in LISTED if item.value == state), None)
    rows = submissions.in_states(context.ledger, (chosen,) if chosen else QUEUE, _ROWS)
    number, oldest = submissions.waiting(context.ledger)
    return show(
        "submissions.html",
        rows=rows,
        states=LISTED,
        chosen=chosen or QUEUE[0],
        number_waiting=number,
        oldest=oldest,
    )


@routes.get("/page/submissions/{id}")
def show_submission(id: str, show: RendererDep, context: ContextDep) -> Response:
    """Show a submission: its content, its changes, the findings of the rules, its history, and the
    form of the decision.
    """
    submission = moderation.find(context, id)
    checked = _check(context, submission)
    before = submission.published
    return show(
        "submission.html",
        item=submission,
        members=shown_members(submission.content),
        changes=[
            (MEMBERS[name].title, readable(change["before"]), readable(change["after"]))
            for name, change in (
                differences(before, submission.content) if before is not None else {}
            ).items()
            if name in MEMBERS
        ],
        checked=checked,
        labels=labels(),
        history=submissions.history(context.ledger, id, internal=True),
        sentences_of_history=moderation.HISTORY,
        organization=_organization(context, submission),
        two_people=context.source(SOURCE).second_approver,
        waits=submission.state in moderation.WAITING,
        open=submission.state in (*moderation.WAITING, SubmissionState.CHANGES_REQUESTED),
        suspicions=suspicions(submission.content, None)
        if submission.state is SubmissionState.QUARANTINED
        else {},
        may_withdraw=submission.state is not SubmissionState.WITHDRAWN,
    )


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
    require(decision in _DECISIONS, InvalidValue("Unknown decision."))
    carry_out, is_of_version = _DECISIONS[decision]
    if is_of_version and form.get("version", "") != str(submission.version):
        raise VersionConflict(
            "The submission was changed meanwhile. Read the new version, then decide."
        )
    carry_out(context, user.key.display_name, submission, form.get("note", ""))
    return redirect(f"/page/submissions/{quote(id, safe='')}")


# What carries a decision out, and whether it is about the version that the page showed.
_DECISIONS: Mapping[str, tuple[Callable[[Site, str, Submission, str], object], bool]] = {
    "accept": (moderation.accept, True),
    "changes": (moderation.request_changes, True),
    "reject": (moderation.reject, True),
    "spam": (moderation.mark_as_spam, True),
    "withdraw": (moderation.withdraw, True),
    "comment": (moderation.comment, False),
    "transfer": (moderation.transfer, False),
    "assign": (moderation.assign, False),
    "unassign": (moderation.unassign, False),
}


@routes.get("/page/prizes")
def show_editions(show: RendererDep, context: ContextDep) -> Response:
    """Show the editions with the numbers of their nominations, and the form that adds one."""
    rows = [
        (item, len(prizes.nominations(context.ledger, edition=item.id)))
        for item in prizes.editions(context.ledger)
    ]
    return show("prizes.html", rows=rows, text=text_of)


@routes.get("/page/prizes/{edition}")
def show_edition(edition: str, show: RendererDep, context: ContextDep) -> Response:
    """Show the nominations by category, the best score first, and the experts."""
    chosen = find_prize_edition(context.ledger, edition)
    return show(
        "prize-edition.html",
        edition=chosen,
        rows=contest.rank(context.ledger, chosen),
        experts=prizes.experts(context.ledger, chosen.id),
        stages=dict(choices("prize-stage", context.base)),
        categories=dict(choices("prize-category", context.base)),
        may_decide=not chosen.takes_nominations(context.now()),
        text=text_of,
    )


@routes.get("/page/problems")
def show_problems(show: RendererDep, context: ContextDep) -> Response:
    """Show the problems that nobody has answered and no harvest has fixed, oldest first."""
    waiting = [
        (item, problem_target(item, Iris(context.base)))
        for item in context.ledger.undecided_problems()
    ]
    return show("problems.html", problems=waiting, most=MAX_ANSWER_LENGTH)
