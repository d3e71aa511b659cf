"""Hand a submission over: the receiver, a person or an organization, takes it with a link that
works once.
"""

from __future__ import annotations

from datetime import timedelta

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import (
    Change,
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
    check_address,
    open_link,
    use_link,
)
from harvesters.problems import LinkInvalid, NotAllowed, VersionConflict
from harvesters.site import Site

LINK_AGE = timedelta(days=7)


def offer_transfer(context: Site, url: str, item: Submission, mail: str, who: str) -> str | None:
    """Send a link to an address with which its owner takes the submission; until then nothing
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
    """Return the link with this secret, unused, and its submission; raise LinkInvalid."""
    link, item = open_link(context, secret, Purpose.TRANSFER)
    if item is None or item.state is SubmissionState.WITHDRAWN:
        raise LinkInvalid(INVALID)
    return link, item


def take_over(context: Site, secret: str, submitter: Submitter) -> Submission:
    """Assign the submission of a link to *submitter*, once: the former one has it no more, and is
    not named in its history.

    Raises LinkInvalid, VersionConflict.
    """
    _, item = check_transfer(context, secret)
    now = context.now()
    use_link(context, secret)
    former = submissions.submitter_of(context.ledger, id=item.submitter) if item.submitter else None
    event = SubmissionEvent("taken over", submitter.name, now, version=item.version + 1)
    if not submissions.change(context.ledger, item, Change(event, {"submitter": submitter.id})):
        raise VersionConflict(actions.CHANGED)
    if former and former.organization and former.id != submitter.id:
        submissions.unname(context.ledger, item.id, former.organization)
    transferred = submissions.find(context.ledger, item.id)
    if transferred is None:
        raise LinkInvalid(INVALID)
    return transferred
