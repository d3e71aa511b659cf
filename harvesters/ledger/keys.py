"""Store and find keys in the ledger."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Scope as Scope
from harvesters.problems import KeyNotFound

# Scanners for secrets recognize a token by its prefix.
_TOKEN = re.compile(r"stk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})\Z", re.ASCII)


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
        return self.revoked is None and (self.expires is None or now < self.expires)


def parse_scope(label: str) -> Scope | None:
    """Return the scope with this label, or None.

    >>> parse_scope("operate") is Scope.OPERATE
    True
    """
    return next((scope for scope in Scope if scope.label == label), None)


def _hash(secret: str) -> str:
    # Nobody can guess 256 random bits, so a slow hash would only keep the server busy.
    return sha256(secret.encode()).hexdigest()


_USE_RESOLUTION = timedelta(minutes=1)  # Without it, each read would be a write.
MAX_NAME_LENGTH = 100  # characters: the name is stored with each audit entry


def is_valid_name(name: str) -> bool:
    """Return whether *name* can be a key's name. Names appear in lists and logs, so they must be
    printable.
    """
    return 0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and name == name.strip()


def create(
    ledger: Ledger, name: str, allowed: Scope, now: datetime, days: int | None = None
) -> tuple[Key, str]:
    """Create a key that expires after *days* days, or never; return it and its token, which is not
    stored.
    """
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    expires = now + timedelta(days=days) if days else None
    key = Key(id, name, allowed, _hash(secret), now, expires)
    ledger.execute(sa.insert(t.key).values(**asdict(key) | {"scope": key.scope.label}))
    return key, f"stk_{id}_{secret}"


def list_keys(ledger: Ledger, *where: sa.ColumnElement[bool]) -> list[Key]:
    """Return all keys, including revoked and expired ones, the oldest first."""
    query = sa.select(t.key).where(*where).order_by(t.key.c.created, t.key.c.id)
    return [
        Key(**{**row._mapping, "scope": Scope[row.scope.upper()]}) for row in ledger.rows(query)
    ]


def find(ledger: Ledger, key_id: str) -> Key | None:
    return next(iter(list_keys(ledger, t.key.c.id == key_id)), None)


def get(ledger: Ledger, key_id: str) -> Key:
    """Return the key with this id; raise KeyNotFound, whose message does not repeat the id, since
    it may be a whole token.
    """
    key = find(ledger, key_id)
    if key is None:
        raise KeyNotFound(
            "There is no key with that identifier. `stocktake keys list` shows the identifiers."
        )
    return key


def revoke(ledger: Ledger, key_id: str, now: datetime) -> Key:
    """Revoke a key for good; one that was revoked before keeps its time. Raises KeyNotFound."""
    key = get(ledger, key_id)
    if key.revoked:
        return key
    ledger.update(t.key, t.key.c.id == key_id, revoked=now)
    return replace(key, revoked=now)


def check(ledger: Ledger, token: str, now: datetime) -> Key | None:
    """Return the key for *token*, or None if it is unknown, revoked or expired."""
    match = _TOKEN.match(token)
    if match is None:
        return None
    key = find(ledger, match["id"])
    # The comparison takes as long for a key that does not exist.
    is_same = compare_digest(key.hash if key else _hash(""), _hash(match["secret"]))
    return key if key and is_same and key.is_valid(now) else None


def record_use(ledger: Ledger, key: Key, now: datetime) -> None:
    """Record that a key was used, to the minute."""
    if not key.last_used or now - key.last_used >= _USE_RESOLUTION:
        ledger.update(t.key, t.key.c.id == key.id, last_used=now)
