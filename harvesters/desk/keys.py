"""Keys: who may ask the desk for what; a key is shown once, and only its hash is kept."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest

_FORM = re.compile(r"stk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})\Z", re.ASCII)  # the beginning lets scanners for secrets find it


class Scope(IntEnum):
    """What a key allows; each scope allows also what is below it."""

    READ = 1
    OPERATE = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Give the scope's name as it is written.

        >>> Scope.OPERATE.word, scope("operate") is Scope.OPERATE
        ('operate', True)
        """
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; times are UTC. *expires* and *revoked* are None where it does not, or is not."""

    id: str
    name: str
    scope: Scope
    hash: str = field(repr=False)
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None

    @property
    def who(self) -> str:
        """Give the name under which acts are kept: names may be given twice, ids never."""
        return f"{self.name} ({self.id})"

    def opens(self, now: datetime) -> bool:
        """Tell whether the key is still good."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def scope(word: str) -> Scope | None:
    """Find the scope that *word* names, or None."""
    return next((it for it in Scope if it.word == word), None)


def mint(name: str, allowed: Scope, created: datetime, expires: datetime | None = None) -> tuple[Key, str]:
    """Make a key: what is kept of it, and the token, which is told once and kept nowhere."""
    number, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    return Key(number, name, allowed, digest(secret), created, expires), f"stk_{number}_{secret}"


def digest(secret: str) -> str:
    """Give what is kept of a secret: its SHA-256, in hexadecimal; 256 random bits need no slow hash (docs/decisions/0016)."""
    return sha256(secret.encode()).hexdigest()


def split(token: str) -> tuple[str, str] | None:
    """Give a token's id and secret, None where it has not the form of a key."""
    match = _FORM.match(token)
    return (match["id"], match["secret"]) if match else None


def fits(key: Key | None, secret: str) -> bool:
    """Tell whether *secret* is that of *key*; the time that it takes tells neither how much was right nor whether there is such a key."""
    return compare_digest(key.hash if key else digest(""), digest(secret)) and key is not None
