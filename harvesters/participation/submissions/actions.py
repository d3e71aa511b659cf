"""Send, change and withdraw submissions, and export and delete all that is stored of a submitter."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import structlog

from harvesters.ledger import operators
from harvesters.ledger.participation import comments, notifications, pictures, prizes, submissions
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Change,
    Content,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.ledger.participation.submissions import new_id, picture_of
from harvesters.participation.submissions.check import Check, check, triage
from harvesters.participation.submissions.model import title_of
from harvesters.participation.submissions.submitters.identity import (
    SOURCE,
    SubmissionContext,
    count_change,
)
from harvesters.problems import InvalidValue, NotAllowed, NotFound, VersionConflict
from harvesters.site import Site

CHANGED = "Somebody else changed the submission meanwhile. Compare the two versions, and send yours again."
MAX_OPEN = 500  # submissions of one submitter that are not withdrawn
_EDITABLE = (SubmissionState.DRAFT, SubmissionState.SUBMITTED, SubmissionState.QUARANTINED,
             SubmissionState.CHANGES_REQUESTED, SubmissionState.ACCEPTED, SubmissionState.REJECTED)  # fmt: skip
log = structlog.get_logger(component="submissions")


def check_content(context: SubmissionContext, content: Content, key: str) -> Check:
    """Return the faults of a submission, and the records that it may repeat. Raises Closed."""
    return check(
        context.site.ledger, content, key, context.source(), context.site.base, context.duplicates
    )


def submit(
    context: SubmissionContext,
    submitter: Submitter,
    content: Content,
    language: str,
    seconds: float | None = None,
) -> Submission:
    """Store a valid submission for the moderators, or quarantine it; *seconds* is the age of its
    draft.

    Raises Closed, RateLimited, and InvalidValue if the submitter has too many submissions.
    """
    context.source()
    count_change(context, submitter)
    existing = submissions.of_submitter(context.site.ledger, submitter.id)
    if sum(item.state is not SubmissionState.WITHDRAWN for item in existing) >= MAX_OPEN:
        raise InvalidValue(
            "You have %(count)s submissions; more are not possible. Withdraw some, or ask the operators for a source.",
            count=MAX_OPEN,
        )
    submission, event = received(submitter, content, language, context.site.now(), seconds)
    submissions.add(context.site.ledger, submission, event)
    log.info("submission received", submission=submission.id)
    return submission


def received(
    submitter: Submitter,
    content: Content,
    language: str,
    now: datetime,
    seconds: float | None = None,
) -> tuple[Submission, SubmissionEvent]:
    """Return a new submission with the first line of its history."""
    state, reason = triage(submitter, content, seconds)
    item = Submission(
        new_id(),
        submitter.id,
        state,
        1,
        content,
        None,
        title_of(content),
        language,
        now,
        now,
        waiting_since=None if reason else now,
    )
    return item, SubmissionEvent("submitted", submitter.name, now, content=content)


def find_own(context: SubmissionContext, submitter: Submitter, id: str) -> Submission:
    """Return a submission of this submitter; raise NotFound for any other, even one that exists."""
    submission = submissions.find(context.site.ledger, id)
    if submission is None or submission.submitter != submitter.id:
        raise NotFound("You have no submission with this identifier.")
    return submission


def update(
    context: SubmissionContext, submitter: Submitter, submission: Submission, content: Content
) -> Submission:
    """Replace the content of a submission, which then waits for the moderators again; its published
    version stays until they accept the new one.

    Raises NotAllowed, VersionConflict, Closed, RateLimited.
    """
    context.source()
    count_change(context, submitter)
    if submission.state not in _EDITABLE:
        raise NotAllowed("A submission that was withdrawn or marked as spam cannot be changed.")
    now, (state, reason) = context.site.now(), triage(submitter, content)
    values = {
        "content": content,
        "title": title_of(content),
        "updated": now,
        "state": state,
        "waiting_since": None if reason else submission.waiting_since or now,
        "endorsed_by": None,
    }
    event = SubmissionEvent(
        "changed", submitter.name, now, version=submission.version + 1, content=content
    )
    return apply_change(context.site, submission, values, event)


def withdraw(
    context: Site, submission: Submission, who: str, note: str | None = None
) -> Submission:
    """Withdraw a submission: its content is deleted, and the next harvest leaves a tombstone if it
    was published.

    Raises NotAllowed if it was withdrawn before, VersionConflict.
    """
    if submission.state is SubmissionState.WITHDRAWN:
        raise NotAllowed("The submission was withdrawn before.")
    now = context.now()
    values: dict[str, Any] = {
        "content": {},
        "published": None,
        "title": "",
        "updated": now,
        "withdrawn": now,
        "state": SubmissionState.WITHDRAWN,
        "waiting_since": None,
        "endorsed_by": None,
    }
    event = SubmissionEvent("withdrawn", who, now, note, version=submission.version + 1)
    changed = apply_change(context, submission, values, event)
    submissions.forget_contents(context.ledger, submission.id)
    notifications.forget_contents(context.ledger, submission.id)
    if submission.first_accepted:
        request_harvest(context, who)
    return changed


def request_harvest(context: Site, who: str) -> None:
    """Queue a run of the source of submissions, unless one is queued already."""
    if not any(request.source == SOURCE for request in operators.waiting_requests(context.ledger)):
        operators.request_run(context.ledger, SOURCE, True, who, context.now())


def export(context: SubmissionContext, submitter: Submitter) -> dict[str, Any]:
    """Return everything that is stored about a submitter, for JSON."""
    ledger = context.site.ledger
    own = submissions.of_submitter(ledger, submitter.id)
    names = sorted({name for item in own for name in _picture_names(item)})
    stored = (pictures.find_picture(ledger, name) for name in names)
    return {
        "submitter": _to_json(submitter, empty=False),
        "submissions": [
            {
                **_to_json(item, "assigned", "endorsed_by"),
                "history": [
                    {**_to_json(event, "internal"), "who": public_name(event.who, submitter)}
                    for event in submissions.history(ledger, item.id, internal=False)
                ],
            }
            for item in own
        ],
        "pictures": {
            picture.name: b64encode(picture.content).decode() for picture in stored if picture
        },
        "prizes": prizes.of_person(ledger, submitter.id, submitter.mail),
        "comments": comments.exported_comments(ledger, submitter.id),
    }


def _picture_names(submission: Submission) -> list[str]:
    return [
        name
        for content in (submission.content, submission.published)
        if (name := picture_of(content))
    ]


def delete_account(context: SubmissionContext, submitter: Submitter) -> int:
    """Withdraw and delete everything of a submitter; return the number of submissions. Tombstones
    of published records stay.
    """
    ledger = context.site.ledger
    items = submissions.of_submitter(ledger, submitter.id)
    for item in items:
        if item.state is not SubmissionState.WITHDRAWN and item.first_accepted:
            withdraw(context.site, item, submitter.name)
    prizes.delete_person(ledger, submitter.id, submitter.mail)
    comments.delete_comments_of(ledger, submitter.id)
    submissions.delete_submitter(ledger, submitter)
    pictures.delete_unused(ledger, [name for item in items for name in _picture_names(item)])
    log.info("submitter deleted", submissions=len(items))
    return len(items)


def public_name(who: str, submitter: Submitter) -> str:
    """Return the author of an event as a submitter sees it: moderators are not named."""
    return who if who in (submitter.name, SUBMITTER) else "moderator"


def apply_change(
    context: Site, submission: Submission, values: Mapping[str, Any], event: SubmissionEvent
) -> Submission:
    """Change a submission and return the new version; raise VersionConflict if it has changed
    since.
    """
    if not submissions.change(context.ledger, submission, Change(event, values)):
        raise VersionConflict(CHANGED)
    pictures.delete_unused(context.ledger, _picture_names(submission))
    return replace(submission, version=submission.version + 1, **values)


def _to_json(
    item: Submitter | Submission | SubmissionEvent, *hidden: str, empty: bool = True
) -> dict[str, Any]:
    """Return the fields of *item* without the *hidden* ones and, unless *empty*, those without a
    value.
    """
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(item).items()
        if name not in hidden and (empty or value is not None)
    }
