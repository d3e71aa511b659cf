"""Ask submitters once a year whether their published records are still true, and delete what has
been stored long enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from harvesters.ledger import outbox, prizes, readers, submissions
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Message
from harvesters.ledger.participation import SUBMITTER, Link, Purpose, SubmissionEvent
from harvesters.ledger.submissions import prune_comments, prune_pictures
from harvesters.notifications.delivery import MAIL, Channels
from harvesters.participation.submitters import TOPIC
from languages.request_locale import use_language
from languages.translations import gettext

RETENTION = timedelta(days=90)  # delivered messages
QUARANTINE_RETENTION = timedelta(days=90)  # spam and quarantined texts, after their last change
PICTURE_RETENTION = timedelta(days=1)  # pictures that no submission names, after they were sent
DRAFT_RETENTION = timedelta(days=30)  # submissions that were not sent, after their last change
PRIZE_RETENTION = timedelta(days=365)  # voters and reviewers, after the results of an edition
CONFIRMATION_AGE = timedelta(hours=24)  # subscriptions that nobody confirmed
AGE = timedelta(days=365)  # time since the last confirmation after which a submitter is asked
LINK_AGE = timedelta(days=60)
_AT_ONCE = 100  # messages a round
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
        message = Message(MAIL, mail, TOPIC, subject, "\n\n".join(lines) + "\n")
        outbox.queue_messages(ledger, [message], now)
    if due:
        log.info("reminders queued", messages=len(due))
    return len(due)


def prune(ledger: Ledger, now: datetime) -> None:
    """Delete old messages, drafts, quarantined texts, unused pictures, and the voters of contests."""
    outbox.prune_messages(ledger, now - RETENTION)
    prune_comments(ledger, now - DRAFT_RETENTION, now - QUARANTINE_RETENTION)
    submissions.prune(ledger, now, now - DRAFT_RETENTION, now - QUARANTINE_RETENTION)
    prune_pictures(ledger, now - PICTURE_RETENTION)
    prizes.forget_persons(ledger, (now - PRIZE_RETENTION).date())
    readers.prune_subscriptions(ledger, now - CONFIRMATION_AGE)
