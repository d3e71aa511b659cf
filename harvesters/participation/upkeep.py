"""Ask submitters once a year whether what is published is still true, and delete what was stored
long enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Message
from harvesters.ledger.participation import prizes, submissions, subscriptions
from harvesters.ledger.participation.comments import prune_comments
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
)
from harvesters.ledger.participation.pictures import prune_pictures
from harvesters.notifications.delivery import MAIL, Channels
from harvesters.participation.submissions.mails import TOPIC
from languages.request_locale import use_language
from languages.translations import gettext

RETENTION = timedelta(days=90)  # of delivered messages
# of spam and of what is quarantined, after the last change
QUARANTINE_RETENTION = timedelta(days=90)
PICTURE_RETENTION = timedelta(days=1)  # of pictures that no submission has, after they were sent
DRAFT_RETENTION = timedelta(days=30)  # of submissions that were not sent, after their last change
PRIZE_RETENTION = timedelta(days=365)  # of who voted and reviewed, after the results of an edition
CONFIRMATION_AGE = timedelta(hours=24)  # of a subscription that nobody confirms
AGE = timedelta(days=365)  # since the last confirmation
LINK_AGE = timedelta(days=60)
_AT_ONCE = 100  # messages of a round
log = structlog.get_logger(component="submissions")


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
            Purpose.STILL_TRUE, now, now + LINK_AGE, submitter=item.submitter, submission=item.id
        )
        address = f"{channels.public_url}/submit/still-true/{submissions.create_link(ledger, link)}"
        outbox.queue_messages(ledger, [_message(item, mail, address)], now)
    if due:
        log.info("reminders queued", messages=len(due))
    return len(due)


def _message(item: Submission, mail: str, address: str) -> Message:
    with use_language(item.language):
        subject = gettext("Is it still true? %(title)s") % {"title": item.title}
        lines = [
            gettext("You reported “%(title)s”. Nobody confirmed it for a year.")
            % {"title": item.title},
            gettext(
                "Open this link to confirm that it is still true, to correct or to withdraw it. It works once, for 60 days:"
            ),
            address,
        ]
    return Message(MAIL, mail, TOPIC, subject, "\n\n".join(lines) + "\n")


def prune(ledger: Ledger, now: datetime) -> None:
    """Delete messages, drafts, what is quarantined, unused pictures, and who took part in a contest."""
    outbox.prune_messages(ledger, now - RETENTION)
    prune_comments(ledger, now - DRAFT_RETENTION, now - QUARANTINE_RETENTION)
    submissions.prune(ledger, now, now - DRAFT_RETENTION, now - QUARANTINE_RETENTION)
    prune_pictures(ledger, now - PICTURE_RETENTION)
    prizes.forget_persons(ledger, (now - PRIZE_RETENTION).date())
    subscriptions.prune_subscriptions(ledger, now - CONFIRMATION_AGE)
