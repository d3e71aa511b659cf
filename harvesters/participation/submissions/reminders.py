"""Ask submitters once a year whether what is published is still true."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from harvesters.errors import HarvestError
from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Message
from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import (
    SUBMITTER,
    Link,
    Purpose,
    Submission,
    SubmissionEvent,
)
from harvesters.notifications.delivery import MAIL, Channels
from harvesters.participation.submissions.mails import TOPIC
from journal.outage import Outage
from languages.request_locale import use_language
from languages.translations import gettext

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


def create_reminder(channels: Channels, now: Callable[[], datetime]) -> Callable[[Ledger], None]:
    """Return the function that sends due reminders; it logs once while the ledger cannot be used."""
    outage = Outage("cannot remind submitters", "submitters are reminded again")

    def remind(ledger: Ledger) -> None:
        try:
            send_reminders(ledger, channels, now())
        except HarvestError as error:
            outage.failed(str(error))
        else:
            outage.over()

    return remind
