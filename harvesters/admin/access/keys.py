"""Define keys and scopes. A token is shown once; only the hash of its secret is stored."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest

# the prefix lets secret scanners find it
_TOKEN = re.compile(r"stk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})\Z", re.ASCII)


class Scope(IntEnum):
    """The scope of a key; each one includes those below it. SUBMIT is for organizations, and opens
    no admin page.
    """

    SUBMIT = 0
    READ = 1
    OPERATE = 2
    ADMIN = 3

    @property
    def label(self) -> str:
        """Return the scope's name in lower case.

        >>> Scope.OPERATE.label, parse_scope("operate") is Scope.OPERATE
        ('operate', True)
        """
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key; times are UTC. *expires* and *revoked* are None for a key that does not expire
    or is not revoked.
    """

    id: str
    name: str
    scope: Scope
    hash: str = field(repr=False)
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None

    @property
    def display_name(self) -> str:
        """Return the name for the audit log: names may occur twice, ids never."""
        return f"{self.name} ({self.id})"

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def parse_scope(label: str) -> Scope | None:
    """Return the scope with this label, or None."""
    return next((scope for scope in Scope if scope.label == label), None)


def create_key(
    name: str, allowed: Scope, created: datetime, expires: datetime | None = None
) -> tuple[Key, str]:
    """Create a key; return what is stored, and the token, which is shown once."""
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return Key(
        key_id, name, allowed, hash_secret(secret), created, expires
    ), f"stk_{key_id}_{secret}"


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal; 256 random bits need no slow hash
    (docs/decisions/0016).
    """
    return sha256(secret.encode()).hexdigest()


def parse_token(token: str) -> tuple[str, str] | None:
    """Return the id and the secret in a token, or None if it is malformed."""
    match = _TOKEN.match(token)
    return (match["id"], match["secret"]) if match else None


def verify_secret(key: Key | None, secret: str) -> bool:
    """Return whether *secret* is that of *key*, in a time that depends neither on the secret nor on
    whether the key exists.
    """
    return (
        compare_digest(key.hash if key else hash_secret(""), hash_secret(secret))
        and key is not None
    )
