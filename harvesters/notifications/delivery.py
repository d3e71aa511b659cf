"""Deliver queued messages. A message is kept until its receiver took it, or refused it for good."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from harvesters.errors import DeliveryError, HarvestError
from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import QueuedMessage
from harvesters.ledger.participation import prizes, problems, submissions, subscriptions
from harvesters.ledger.participation.comments import prune_comments
from harvesters.ledger.participation.models import FOLLOW_TOPIC
from harvesters.ledger.participation.pictures import prune_pictures
from harvesters.network.settings import NetworkSettings
from harvesters.notifications import coar
from harvesters.notifications.mail import MailSender, MailServer, open_mail
from harvesters.notifications.webhook import derive_secret, post, send_webhook
from journal.outage import Outage

MAIL, WEBHOOK = "mail", "webhook"
MAX_AGE = timedelta(days=7)  # of a message that no attempt delivered: then it waits for a person
RETENTION = timedelta(days=90)  # of delivered messages
# of spam and of what is quarantined, after the last change
QUARANTINE_RETENTION = timedelta(days=90)
PICTURE_RETENTION = timedelta(days=1)  # of pictures that no submission has, after they were sent
DRAFT_RETENTION = timedelta(days=30)  # of submissions that were not sent, after their last change
PRIZE_RETENTION = timedelta(days=365)  # of who voted and reviewed, after the results of an edition
CONFIRMATION_AGE = timedelta(hours=24)  # of a subscription that nobody confirms
_BATCH_SIZE = 50  # messages of one round
_LEASE = timedelta(minutes=30)  # longer than a round can take
_FIRST_DELAY, _LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=6)

log = structlog.get_logger(component="notifications")


@dataclass(frozen=True, slots=True)
class Channels:
    """How messages are sent. Without *mail* or a *secret*, messages of that kind wait.

    *name* is the installation's; *network* is how webhooks are sent.
    """

    mail: MailServer | None = None
    secret: str = ""
    name: str = "Stocktake"
    network: NetworkSettings = field(default_factory=NetworkSettings)
    public_url: str = ""


def deliver(ledger: Ledger, channels: Channels, now: Callable[[], datetime]) -> int:
    """Send the messages that are due; return how many were delivered.

    A mail server that does not answer ends the round for mail: the other messages stay due.
    """
    delivered = 0
    with ExitStack() as stack:
        mail = (
            stack.enter_context(open_mail(channels.mail, channels.name)) if channels.mail else None
        )
        unreachable: DeliveryError | None = None
        for queued in outbox.claim_messages(ledger, now(), now() + _LEASE, _BATCH_SIZE):
            try:
                if unreachable and queued.message.channel == MAIL:
                    raise unreachable
                _send(queued, mail, channels, now())
            except DeliveryError as error:
                unreachable = error if error.is_unreachable else unreachable
                _postpone(queued, error, ledger, now())
                if error.is_permanent and subscriptions.end_subscription(
                    ledger, queued.message.topic
                ):
                    log.info(
                        "subscription ended: its receiver refuses messages",
                        topic=queued.message.topic,
                    )
            else:
                outbox.settle_message(ledger, queued.id, sent=now())
                problems.mark_problem_sent(ledger, queued.message.topic, now())
                delivered += 1
                log.info("message delivered", message=queued.id, channel=queued.message.channel)
    return delivered


def _send(
    queued: QueuedMessage, mail: MailSender | None, channels: Channels, now: datetime
) -> None:
    if queued.message.channel == MAIL:
        if mail is None:
            raise DeliveryError("no mail server is set: STOCKTAKE_SMTP_URL")
        mail.send(queued)
    elif queued.message.channel == coar.CHANNEL:
        headers = {"Content-Type": coar.MEDIA_TYPE}
        post(queued.message.address, queued.message.text.encode(), headers, channels.network)
    elif not channels.secret:
        raise DeliveryError("no secret to sign webhooks is set: STOCKTAKE_WEBHOOK_SECRET")
    else:
        topic = queued.message.topic
        secret = (
            derive_secret(channels.secret, topic)
            if topic.startswith(FOLLOW_TOPIC)
            else channels.secret
        )
        send_webhook(queued, secret, now, channels.network)


def _postpone(queued: QueuedMessage, error: DeliveryError, ledger: Ledger, now: datetime) -> None:
    """Store the error; the next attempt is due after a delay that doubles, or never."""
    delay = min(_FIRST_DELAY * 2 ** min(queued.attempts - 1, 16), _LONGEST_DELAY)
    is_last = error.is_permanent or now + delay - queued.created > MAX_AGE
    outbox.settle_message(ledger, queued.id, due=None if is_last else now + delay, error=str(error))
    log.warning(
        "message not delivered",
        message=queued.id,
        channel=queued.message.channel,
        reason=str(error),
        next="none: send it again on the admin pages" if is_last else str(now + delay),
    )


def deliver_due(
    ledger: Ledger, channels: Channels, now: Callable[[], datetime], outage: Outage
) -> None:
    """Deliver due messages; log once while the ledger cannot be used."""
    try:
        deliver(ledger, channels, now)
    except HarvestError as error:
        outage.failed(str(error))
    else:
        outage.over()


def prune(ledger: Ledger, now: Callable[[], datetime], outage: Outage) -> None:
    """Delete what has been kept long enough; log once while the ledger cannot be used."""
    try:
        outbox.prune_messages(ledger, now() - RETENTION)
        prune_comments(ledger, now() - DRAFT_RETENTION, now() - QUARANTINE_RETENTION)
        submissions.prune(ledger, now(), now() - DRAFT_RETENTION, now() - QUARANTINE_RETENTION)
        prune_pictures(ledger, now() - PICTURE_RETENTION)
        prizes.forget_persons(ledger, (now() - PRIZE_RETENTION).date())
        subscriptions.prune_subscriptions(ledger, now() - CONFIRMATION_AGE)
    except HarvestError as error:
        outage.failed(str(error))
    else:
        outage.over()
