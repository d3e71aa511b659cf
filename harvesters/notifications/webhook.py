"""Send signed webhooks through the guarded client.

Source: https://www.standardwebhooks.com (headers and signature).
"""

from __future__ import annotations

import base64
import hmac
import json
import math
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import httpx

from harvesters.errors import DeliveryError
from harvesters.ledger.models import QueuedMessage
from harvesters.network.settings import NetworkSettings
from web.outbound_client import Deadline, GuardedTransport, PrivateAddressError, create_client

TIMEOUT_SECONDS = 15.0  # for a whole request
TOLERANCE_SECONDS = 300  # age of a timestamp that a receiver should accept
_GONE = 410  # the receiver ends the subscription


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


def verify(
    secret: str, id: str, timestamp: str, signatures: str, body: bytes, now: datetime
) -> bool:
    """Return whether a webhook is from who knows the *secret*, and recent; for receivers and tests."""
    if not timestamp.isdecimal() or abs(now.timestamp() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = sign(secret, id, int(timestamp), body)
    return any(hmac.compare_digest(expected, signature) for signature in signatures.split())


def send_webhook(
    queued: QueuedMessage, secret: str, now: datetime, network: NetworkSettings
) -> None:
    """Post a message; raise DeliveryError.

    ``Webhook-Id`` is the same at each attempt, so that a receiver can drop a second delivery.
    """
    body = json.dumps({"id": str(queued.id), **queued.message.data}, ensure_ascii=False).encode()
    id, timestamp = str(queued.id), math.floor(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "Webhook-Id": id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": sign(secret, id, timestamp, body),
    }
    post(queued.message.address, body, headers, network)


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
