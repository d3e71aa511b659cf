"""Send, change, withdraw, hand over and confirm submissions, and export and delete all that is stored
of a submitter. Submitters are asked once a year whether their published records are still true.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from harvesters.errors import require
from harvesters.ledger import operators, outbox, prizes, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import (
    SUBMITTER,
    Content,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.ledger.submissions import new_id, prune_pictures
from harvesters.notifications import coar
from harvesters.notifications.delivery import Channels
from harvesters.participation.check import Check, check, triage
from harvesters.participation.model import title_of
from harvesters.participation.submitters import (
    INVALID,
    SOURCE,
    SubmissionContext,
    check_address,
    count_change,
    open_link,
    queue_mail,
    send_link,
    use_link,
)
from harvesters.site import InvalidValue, LinkInvalid, NotAllowed, NotFound, Site, VersionConflict

CHANGED = "Somebody else changed the submission meanwhile. Compare the two versions, and send yours again."
TOO_MANY = "You have %(count)s submissions; more are not possible. Withdraw some, or ask the operators for a source."
MAX_OPEN = 500  # submissions of one submitter that are not withdrawn
_EDITABLE = (SubmissionState.DRAFT, SubmissionState.SUBMITTED, SubmissionState.QUARANTINED,
             SubmissionState.CHANGES_REQUESTED, SubmissionState.ACCEPTED, SubmissionState.REJECTED)  # fmt: skip
log = structlog.get_logger(component="submissions")


def check_content(context: SubmissionContext, content: Content, key: str) -> Check:
    """Return the faults of a submission, and the records that it may repeat. Raises Closed."""
    return check(
        context.ledger, content, key, context.submission_source(), context.base, context.duplicates
    )


def submit(
    context: SubmissionContext,
    submitter: Submitter,
    content: Content,
    language: str,
    seconds: float | None = None,
    post: str | None = None,
) -> Submission:
    """Store a valid submission for the moderators, or quarantine it; *seconds* is the age of its
    draft, *post* what it comments on.

    Raises Closed, RateLimited, and InvalidValue if the submitter has too many submissions.
    """
    context.submission_source()
    count_change(context, submitter)
    existing = submissions.of_submitter(context.ledger, submitter.id)
    if sum(item.state is not SubmissionState.WITHDRAWN for item in existing) >= MAX_OPEN:
        raise InvalidValue(TOO_MANY, count=MAX_OPEN)
    submission, event = new_submission(
        new_id(), submitter, content, language, context.now(), seconds, post
    )
    submissions.add(context.ledger, (submission, event))
    log.info("submission received", submission=submission.id)
    return submission


def new_submission(
    id: str,
    submitter: Submitter,
    content: Content,
    language: str,
    now: datetime,
    seconds: float | None = None,
    post: str | None = None,
) -> tuple[Submission, SubmissionEvent]:
    """Return a new submission with the first line of its history."""
    state = triage(submitter, content, seconds)
    item = Submission(
        id,
        submitter.id,
        state,
        1,
        content,
        None,
        title_of(content),
        language,
        now,
        now,
        waiting_since=now if state is SubmissionState.SUBMITTED else None,
        post=post,
    )
    return item, SubmissionEvent("submitted", submitter.name, now, content=content)


def find_own(context: SubmissionContext, submitter: Submitter, id: str) -> Submission:
    """Return a submission of this submitter; raise NotFound for any other, even one that exists."""
    item = submissions.find(context.ledger, id)
    return require(
        item if item and item.submitter == submitter.id else None,
        NotFound("You have no submission with this identifier."),
    )


def update(
    context: SubmissionContext, submitter: Submitter, submission: Submission, content: Content
) -> Submission:
    """Replace the content of a submission, which then waits for the moderators again; its published
    version stays until they accept the new one.

    Raises NotAllowed, VersionConflict, Closed, RateLimited.
    """
    context.submission_source()
    count_change(context, submitter)
    if submission.state not in _EDITABLE:
        raise NotAllowed("A submission that was withdrawn or marked as spam cannot be changed.")
    now, state = context.now(), triage(submitter, content)
    values = {
        "content": content,
        "title": title_of(content),
        "updated": now,
        "state": state,
        "waiting_since": (
            submission.waiting_since or now if state is SubmissionState.SUBMITTED else None
        ),
        "endorsed_by": None,
    }
    event = SubmissionEvent(
        "changed", submitter.name, now, version=submission.version + 1, content=content
    )
    return apply_change(context, submission, values, event)


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
    coar.forget_contents(context.ledger, submission.id)
    if submission.first_accepted and not submission.post:
        request_harvest(context, who)
    return changed


def request_harvest(context: Site, who: str) -> None:
    """Queue a run of the source of submissions, unless one is queued already."""
    if not any(request.source == SOURCE for request in operators.waiting_requests(context.ledger)):
        operators.request_run(context.ledger, SOURCE, True, who, context.now())


def export(context: SubmissionContext, submitter: Submitter) -> dict[str, Any]:
    """Return everything that is stored about a submitter, for JSON."""
    ledger = context.ledger
    own = submissions.of_submitter(ledger, submitter.id)
    names = sorted({name for item in own for name in submissions.picture_names(item)})
    stored = (submissions.find_picture(ledger, name) for name in names)
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
    }


def delete_account(context: SubmissionContext, submitter: Submitter) -> int:
    """Withdraw and delete everything of a submitter; return the number of submissions. Tombstones
    of published records stay.
    """
    ledger = context.ledger
    items = submissions.of_submitter(ledger, submitter.id)
    for item in items:
        if item.state is not SubmissionState.WITHDRAWN and item.first_accepted:
            withdraw(context, item, submitter.name)
    prizes.delete_person(ledger, submitter.id, submitter.mail)
    submissions.delete_submitter(ledger, submitter)
    submissions.delete_unused(
        ledger, [name for item in items for name in submissions.picture_names(item)]
    )
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
    require(submissions.change(context.ledger, submission, event, values), VersionConflict(CHANGED))
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


TRANSFER_LINK_AGE = timedelta(days=7)


def offer_transfer(context: Site, item: Submission, mail: str, who: str) -> str | None:
    """Send a link with which the owner of an address takes the submission over; until then nothing
    changes.

    A demo without a mail server returns the link. Raises InvalidValue, RateLimited, NotAllowed,
    Closed.
    """
    if item.state in (SubmissionState.DRAFT, SubmissionState.WITHDRAWN, SubmissionState.SPAM):
        raise NotAllowed(
            "The state of the submission is “%(state)s”; this is not possible any more.",
            state=item.state.value,
        )
    address, now = check_address(context, mail), context.now()
    link = Link(Purpose.TRANSFER, now, now + TRANSFER_LINK_AGE, mail=address, submission=item.id)
    page, title = "/submit/transfer", item.title
    unsent = send_link(context, page, link, "transfer", item.language, title=title)
    event = SubmissionEvent("offered", who, now, version=item.version)
    submissions.annotate(context.ledger, item.id, event, {})
    return unsent


def check_transfer(context: Site, secret: str) -> tuple[Link, Submission]:
    """Return the link with this secret and its submission, without using it; raise LinkInvalid."""
    link, item = open_link(context, secret, Purpose.TRANSFER)
    if item is None or item.state is SubmissionState.WITHDRAWN:
        raise LinkInvalid(INVALID)
    return link, item


def take_over(context: Site, secret: str, submitter: Submitter) -> Submission:
    """Assign the submission of a link to *submitter*, once. The former submitter loses it, and is
    no longer named in its history.

    Raises LinkInvalid, VersionConflict.
    """
    _, item = check_transfer(context, secret)
    use_link(context, secret)
    former = submissions.submitter_of(context.ledger, id=item.submitter) if item.submitter else None
    event = SubmissionEvent("taken over", submitter.name, context.now(), version=item.version + 1)
    transferred = apply_change(context, item, {"submitter": submitter.id}, event)
    if former and former.organization and former.id != submitter.id:
        submissions.unname(context.ledger, item.id, former.organization)
    return transferred


UNCONFIRMED = "This link does not work: it has expired, was used before, or is mistyped. Open “Your submissions” instead."


def check_link(context: SubmissionContext, secret: str) -> Submission:
    """Return the submission that a link confirms; raise LinkInvalid if the link no longer works or
    nothing is published.
    """
    link, item = open_link(context, secret, Purpose.STILL_TRUE, UNCONFIRMED)
    if item is None or item.published is None or item.submitter != link.submitter:
        raise LinkInvalid(UNCONFIRMED)
    return item


def confirm(context: Site, item: Submission, who: str) -> None:
    """Record that the published record is still true, and queue a run that publishes this. Raises
    NotAllowed if nothing is published.
    """
    if item.published is None or item.state is SubmissionState.WITHDRAWN:
        raise NotAllowed("Nothing of it is published, so there is nothing to confirm.")
    now = context.now()
    submissions.annotate(
        context.ledger,
        item.id,
        SubmissionEvent("confirmed", who, now, version=item.version),
        {"confirmed": now},
    )
    request_harvest(context, who)


# ---- once a year, and what has been stored long enough

RETENTION = timedelta(days=90)  # delivered messages
QUARANTINE_RETENTION = timedelta(days=90)  # spam and quarantined texts, after their last change
PICTURE_RETENTION = timedelta(days=1)  # pictures that no submission names, after they were sent
DRAFT_RETENTION = timedelta(days=30)  # submissions that were not sent, after their last change
PRIZE_RETENTION = timedelta(days=365)  # voters and reviewers, after the results of an edition
CONFIRMATION_AGE = timedelta(hours=24)  # subscriptions that nobody confirmed
AGE = timedelta(days=365)  # time since the last confirmation after which a submitter is asked
REMINDER_LINK_AGE = timedelta(days=60)
_AT_ONCE = 100  # messages a round


def send_reminders(ledger: Ledger, channels: Channels, now: datetime) -> int:
    """Queue a message to each submitter whose record was not confirmed for a year; return how many
    were queued.
    """
    if channels.mail is None or not channels.public_url:
        return 0
    due = submissions.to_remind(ledger, now - AGE, now - AGE, _AT_ONCE)
    for item, mail in due:
        event = SubmissionEvent("reminded", SUBMITTER, now, version=item.version)
        submissions.annotate(ledger, item.id, event, {"reminded": now})
        link = Link(
            Purpose.STILL_TRUE,
            now,
            now + REMINDER_LINK_AGE,
            submitter=item.submitter,
            submission=item.id,
        )
        address = f"{channels.public_url}/submit/still-true/{submissions.create_link(ledger, link)}"
        about = {"title": item.title, "link": address}
        queue_mail(ledger, mail, "reminder", item.language, now, **about)
    if due:
        log.info("reminders queued", messages=len(due))
    return len(due)


def prune(ledger: Ledger, now: datetime) -> None:
    """Delete old messages, drafts, quarantined texts, unused pictures, and the voters of contests."""
    outbox.prune_messages(ledger, now - RETENTION)
    submissions.prune(ledger, now, now - DRAFT_RETENTION, now - QUARANTINE_RETENTION)
    prune_pictures(ledger, now - PICTURE_RETENTION)
    prizes.forget_persons(ledger, (now - PRIZE_RETENTION).date())
    outbox.prune_subscriptions(ledger, now - CONFIRMATION_AGE)
