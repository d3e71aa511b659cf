"""Resumption tokens, which contain all that the next page needs, so that the server keeps no state.

A token outlives restarts and releases, and every publisher of the journal accepts it: its positions
in the journal never change. Its checksum is no protection: it detects truncated tokens and those of
another journal. A forged token gives access to public data only.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import astuple, dataclass, fields

import orjson

from journal.journal import Journal
from publisher.feeds.oai.errors import OaiError

_SIGNATURE_BYTES = 16  # first bytes of SHA-256
_MAX_NUMBER = 2**53  # of a number


@dataclass(frozen=True, slots=True)
class ResumptionToken:
    """The rest of a list: of *verb*, *prefix* and the set *set_name*, the changes numbered above
    *after* up to *last*.

    The list is that of the change *sequence*; *id* is the beginning of the id of journal entry
    *entry*. *done* of *total* records were on earlier pages.
    """

    verb: str
    prefix: str
    set_name: str
    after: int
    last: int
    sequence: int
    entry: int
    id: str
    done: int
    total: int


def signing_key(journal: Journal) -> bytes:
    """Return the key that signs the tokens of *journal*; all publishers of a journal have the same."""
    first = journal.entry(1)
    return first.id.encode() if first else b""


def write_token(token: ResumptionToken, secret: bytes) -> str:
    """Serialize a token for a URL."""
    payload = orjson.dumps(astuple(token))
    return urlsafe_b64encode(_signature(payload, secret) + payload).decode().rstrip("=")


def read_token(text: str, verb: str, secret: bytes) -> ResumptionToken:
    """Parse a token of *verb*; raises OaiError if it was not issued for this journal."""
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        if hmac.compare_digest(
            data[:_SIGNATURE_BYTES], _signature(data[_SIGNATURE_BYTES:], secret)
        ):
            token = ResumptionToken(*orjson.loads(data[_SIGNATURE_BYTES:]))
            if token.verb == verb and _is_valid(token):
                return token
    except (binascii.Error, ValueError, TypeError):
        pass
    raise OaiError(
        "badResumptionToken", "The token is none of ours for this verb; begin the list again"
    )


def _is_valid(token: ResumptionToken) -> bool:
    """Return whether the fields of a token have the right types."""
    values = [(item.type, getattr(token, item.name)) for item in fields(token)]
    return all(
        isinstance(value, str) if kind == "str" else type(value) is int and 0 <= value < _MAX_NUMBER
        for kind, value in values
    )


def _signature(payload: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, payload, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
