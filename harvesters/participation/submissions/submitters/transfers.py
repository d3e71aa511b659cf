"""Use the links in mails, each once: hand a submission over to a person or an organization, or
confirm that a published record is still true.
"""

from __future__ import annotations

from datetime import timedelta

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
    Submitter,
)
from harvesters.participation.submissions import actions
from harvesters.participation.submissions.mails import send_transfer
from harvesters.participation.submissions.submitters.identity import (
    INVALID,
    SubmissionContext,
    check_address,
    open_link,
    use_link,
)
from harvesters.problems import LinkInvalid, NotAllowed
from harvesters.site import Site

LINK_AGE = timedelta(days=7)


def offer_transfer(context: Site, url: str, item: Submission, mail: str, who: str) -> str | None:
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
    link = Link(Purpose.TRANSFER, now, now + LINK_AGE, mail=address, submission=item.id)
    unsent = send_transfer(context, url, link, item)
    submissions.annotate(
        context.ledger, item.id, SubmissionEvent("offered", who, now, version=item.version), {}
    )
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
    transferred = actions.apply_change(context, item, {"submitter": submitter.id}, event)
    if former and former.organization and former.id != submitter.id:
        submissions.unname(context.ledger, item.id, former.organization)
    return transferred


UNCONFIRMED = "This link does not work: it has expired, was used before, or is mistyped. Open “Your submissions” instead."


def check_link(context: SubmissionContext, secret: str) -> Submission:
    """Return the submission that a link confirms; raise LinkInvalid if the link no longer works or
    nothing is published.
    """
    link, item = open_link(context.site, secret, Purpose.STILL_TRUE, UNCONFIRMED)
    if item is None or item.published is None or item.submitter != link.submitter:
        raise LinkInvalid(UNCONFIRMED)
    return item


def confirm_by_link(context: SubmissionContext, secret: str) -> Submission:
    """Record that the published record is still true, once for each link. Raises LinkInvalid."""
    item = check_link(context, secret)
    use_link(context.site, secret, UNCONFIRMED)
    confirm(context.site, item, SUBMITTER)
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
    actions.request_harvest(context, who)
