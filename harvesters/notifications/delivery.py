"""Deliver queued messages by mail and signed webhook, and to the inboxes of other installations.

A message is tried again until its receiver accepts it or refuses it for good. Mail goes by SMTP, with TLS unless the setting says
otherwise.

Source: https://www.rfc-editor.org/rfc/rfc5321 (SMTP), https://www.rfc-editor.org/rfc/rfc8314 (TLS).
"""

from __future__ import annotations

import base64
import hmac
import json
import math
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import structlog

from harvesters.errors import DeliveryError
from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import QueuedMessage
from harvesters.ledger.participation import FOLLOW_TOPIC
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications import coar
from harvesters.runs.reported_problems import mark_problem_sent
from vocab.addresses import is_mail_address
from web.outbound_client import Deadline, GuardedTransport, PrivateAddressError, create_client

Tls = Literal["starttls", "implicit", "none"]
MAIL_TIMEOUT_SECONDS = 20.0  # of each reply of the server
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_REFUSED = range(500, 600)  # reply codes that a second attempt does not change


@dataclass(frozen=True, slots=True)
class MailServer:
    """How to reach the mail server; *sender* is the address that messages come from."""

    host: str
    port: int
    tls: Tls
    sender: str
    user: str = ""
    password: str = ""


def parse_mail_server(url: str) -> MailServer:
    """Parse the URL of a mail server; raise ValueError with what is wrong.

    ``smtp:`` uses STARTTLS (``tls=none`` turns it off), ``smtps:`` TLS from the start.

    >>> parse_mail_server("smtp://ann:s%40fe@mail.example?from=alerts@example.org")
    MailServer(host='mail.example', port=587, tls='starttls', sender='alerts@example.org', user='ann', password='s@fe')
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    sender = query.get("from", [""])[0]
    tls: Tls = "implicit" if parts.scheme == "smtps" else "starttls"
    if query.get("tls") == ["none"] and parts.scheme == "smtp":
        tls = "none"
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or set(query) - {"from", "tls"}:
        raise ValueError("use smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS, or smtps:")
    if not is_mail_address(sender):
        raise ValueError("add the address that mail comes from: ?from=alerts@example.org")
    if query.get("tls", ["none"]) != ["none"] or ("tls" in query and tls != "none"):
        raise ValueError("tls has one value, none, with smtp: only")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(parts.hostname, parts.port or _PORTS[tls], tls, sender, user, password)


def send_mail(queued: QueuedMessage, server: MailServer, name: str) -> None:
    """Send one message over a connection of its own; raise DeliveryError. Its Message-ID is the same
    at each attempt.
    """
    message = _compose(queued, server.sender, name)
    address, context = (server.host, server.port), ssl.create_default_context()
    try:
        with (
            smtplib.SMTP_SSL(*address, timeout=MAIL_TIMEOUT_SECONDS, context=context)
            if server.tls == "implicit"
            else smtplib.SMTP(*address, timeout=MAIL_TIMEOUT_SECONDS)
        ) as connection:
            if server.tls == "starttls":
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
            connection.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise DeliveryError(_answer(code, text), is_permanent=code in _REFUSED) from error
    except smtplib.SMTPDataError as error:
        answer = _answer(error.smtp_code, error.smtp_error)
        raise DeliveryError(answer, is_permanent=error.smtp_code in _REFUSED) from error
    except (smtplib.SMTPException, OSError) as error:
        # A reply to the connection, the sign-in or the sender is of all messages.
        reason = (
            _answer(error.smtp_code, error.smtp_error)
            if isinstance(error, smtplib.SMTPResponseException)
            else str(error) or type(error).__name__
        )
        raise DeliveryError(
            f"mail server {server.host}:{server.port}: {reason}", is_unreachable=True
        ) from error


def _compose(queued: QueuedMessage, sender: str, name: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Address(name, addr_spec=sender)
    message["To"] = queued.address
    message["Subject"] = " ".join(queued.subject.split())
    message["Date"] = format_datetime(queued.created)
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = f"<{queued.id}.{queued.created:%Y%m%dT%H%M%S}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    # Mail programs end a subscription with one click: https://www.rfc-editor.org/rfc/rfc8058
    if unsubscribe := queued.data.get("unsubscribe"):
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(queued.text)
    return message


def _answer(code: int, text: bytes | str) -> str:
    answer = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(answer.split())}"[:500]


TIMEOUT_SECONDS = 15.0  # of a whole request
_GONE = 410  # status by which a receiver ends its subscription


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a webhook: HMAC-SHA-256 over id, timestamp (seconds) and body.

    >>> sign("secret", "1", 1700000000, b"{}")
    'v1,PgYwgCReYGi/nHIJstsSuGGjDNi/hpmSB4ghtTP1cA4='
    """
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret.encode(), signed, sha256)).decode()


def derive_secret(secret: str, topic: str) -> str:
    """Return the secret that signs the webhooks of one subscription, so that its receiver cannot
    sign those of others.

    >>> derive_secret("a long secret", "follow 1")
    'at-VOWAvmzP-tClyiR-WuVlrFNgoVKIV9DOiwagsHqM'
    """
    return (
        base64.urlsafe_b64encode(hmac.digest(secret.encode(), topic.encode(), sha256))
        .decode()
        .rstrip("=")
    )


def send_webhook(
    queued: QueuedMessage, secret: str, now: datetime, network: NetworkSettings
) -> None:
    """Post a message; raise DeliveryError.

    ``Webhook-Id`` is the same at each attempt, so that a receiver can drop a second delivery.
    """
    body = json.dumps({"id": str(queued.id), **queued.data}, ensure_ascii=False).encode()
    id, timestamp = str(queued.id), math.floor(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "Webhook-Id": id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": sign(secret, id, timestamp, body),
    }
    post(queued.address, body, headers, network)


def post(url: str, body: bytes, headers: Mapping[str, str], network: NetworkSettings) -> None:
    """Post a body; raise DeliveryError unless the answer is a success. Private addresses are
    refused unless *network* allows their host.
    """
    guarded = network.transport or GuardedTransport(network.allow, Deadline(TIMEOUT_SECONDS))
    try:
        with (
            create_client(guarded, TIMEOUT_SECONDS) as client,
            client.stream(
                "POST", url, content=body, headers={**headers, "User-Agent": network.agent}
            ) as response,
        ):
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        text = str(error) or type(error).__name__
        is_private = isinstance(error.__cause__, PrivateAddressError)
        raise DeliveryError(
            f"no answer: {text}", is_permanent=is_private or isinstance(error, httpx.InvalidURL)
        ) from error
    if not 200 <= status < 300:
        raise DeliveryError(f"the receiver answered {status}", is_permanent=status == _GONE)


MAIL, WEBHOOK = "mail", "webhook"
MAX_AGE = timedelta(days=7)  # A message that is older and not delivered waits for a person.
_BATCH_SIZE = 50  # messages of one round
_LEASE = timedelta(minutes=30)  # longer than a round takes
_FIRST_DELAY, _LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=6)

log = structlog.get_logger(component="notifications")


@dataclass(frozen=True, slots=True)
class Channels:
    """The settings for sending messages. Without *mail*, mails wait; without *secret*, webhooks.

    *name* is the installation's; *network* has the settings of requests to webhooks.
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
    unreachable: DeliveryError | None = None
    for queued in outbox.claim_messages(ledger, now(), now() + _LEASE, _BATCH_SIZE):
        try:
            if unreachable and queued.channel == MAIL:
                raise unreachable
            _send(queued, channels, now())
        except DeliveryError as error:
            unreachable = error if error.is_unreachable else unreachable
            _postpone(queued, error, ledger, now())
            if error.is_permanent and outbox.end_subscription(ledger, queued.topic):
                log.info(
                    "subscription ended: its receiver refuses messages",
                    topic=queued.topic,
                )
        else:
            outbox.settle_message(ledger, queued.id, sent=now())
            mark_problem_sent(ledger, queued.topic, now())
            delivered += 1
            log.info("message delivered", message=queued.id, channel=queued.channel)
    return delivered


def _send(queued: QueuedMessage, channels: Channels, now: datetime) -> None:
    if queued.channel == MAIL:
        if channels.mail is None:
            raise DeliveryError("no mail server is set: STOCKTAKE_SMTP_URL")
        send_mail(queued, channels.mail, channels.name)
    elif queued.channel == coar.CHANNEL:
        headers = {"Content-Type": coar.MEDIA_TYPE}
        post(queued.address, queued.text.encode(), headers, channels.network)
    elif not channels.secret:
        raise DeliveryError("no secret to sign webhooks is set: STOCKTAKE_WEBHOOK_SECRET")
    else:
        topic = queued.topic
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
        channel=queued.channel,
        reason=str(error),
        next="none: send it again on the admin pages" if is_last else str(now + delay),
    )
