"""Record that a submitter confirms what is published: it is still true."""

from __future__ import annotations

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Purpose,
    Submission,
    SubmissionEvent,
    SubmissionState,
)
from harvesters.participation.submissions.actions import request_harvest
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
    open_link,
    use_link,
)
from harvesters.problems import LinkInvalid, NotAllowed
from harvesters.site import Site

INVALID = "This link does not work: it has expired, was used before, or is mistyped. Open “Your submissions” instead."


def check_link(context: SubmissionContext, secret: str) -> Submission:
    """Return the submission that a link confirms; raise LinkInvalid if it does not work any more,
    or nothing is published.
    """
    link, item = open_link(context.site, secret, Purpose.STILL_TRUE, INVALID)
    if item is None or item.published is None or item.submitter != link.submitter:
        raise LinkInvalid(INVALID)
    return item


def confirm_by_link(context: SubmissionContext, secret: str) -> Submission:
    """Record that what is published is still true, once for each link. Raises LinkInvalid."""
    item = check_link(context, secret)
    use_link(context.site, secret, INVALID)
    confirm(context.site, item, SUBMITTER)
    return item


def confirm(context: Site, item: Submission, who: str) -> None:
    """Record that what is published is still true, and queue a run that publishes this. Raises
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
