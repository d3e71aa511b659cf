"""Tokens: where a list goes on, told by the token alone and signed, so that no server remembers a harvest.

A token outlives restarts and releases: it names places in the journal, which never move, and its key lies beside that of the releases.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import orjson

from publisher.oai.errors import OaiError

NAME = "tokens.key"
_BYTES = 32  # of the key
_SIGNATURE = 16  # bytes of SHA-256 that are kept


@dataclass(frozen=True, slots=True)
class Token:
    """A list that goes on: of *verb*, *prefix* and *of* (a set), behind the number *after* up to *last*.

    It is the list as it was at *place* of the journal whose *entry* had the id that begins with *id*. *done* of *total* records were given.
    """

    verb: str
    prefix: str
    of: str
    after: int
    last: int
    place: int
    entry: int
    id: str
    done: int
    total: int


def key(folder: Path) -> bytes:
    """Read the key in *folder*, or make one there that only its owner can read."""
    path = folder / NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{NAME}.{os.getpid()}.part"
        with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)  # unlike a rename it fails where another process was first
        part.unlink()
        return path.read_bytes()


def write(token: Token, secret: bytes) -> str:
    """Write a token for the address."""
    told = orjson.dumps(astuple(token))
    return urlsafe_b64encode(_sign(told, secret) + told).decode().rstrip("=")


def read(text: str, verb: str, secret: bytes) -> Token:
    """Read a token that was given for *verb*; raises OaiError where it is none of ours."""
    try:
        data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        if hmac.compare_digest(data[:_SIGNATURE], _sign(data[_SIGNATURE:], secret)):
            token = Token(*orjson.loads(data[_SIGNATURE:]))
            if token.verb == verb:
                return token
    except (binascii.Error, ValueError, TypeError):
        pass
    raise OaiError("badResumptionToken", "The token is none of ours for this verb; begin the list again")


def _sign(told: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, told, hashlib.sha256).digest()[:_SIGNATURE]
