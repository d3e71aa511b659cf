"""Store and find keys in the ledger."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from harvesters.admin.access.keys import Key, Scope, create_key, parse_token, verify_secret
from harvesters.admin.errors import KeyNotFound
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger

_USE_RESOLUTION = timedelta(minutes=1)  # otherwise each read would be a write
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
    key, token = create_key(name, allowed, now, now + timedelta(days=days) if days else None)
    ledger.execute(sa.insert(t.key).values(**asdict(key) | {"scope": key.scope.label}))
    return key, token


def list_keys(ledger: Ledger) -> list[Key]:
    """Return all keys, including revoked and expired ones, the oldest first."""
    return _select(ledger)


def find(ledger: Ledger, key_id: str) -> Key | None:
    """Return the key with this id, or None."""
    return next(iter(_select(ledger, t.key.c.id == key_id)), None)


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
    parts = parse_token(token)
    if parts is None:
        return None
    key = find(ledger, parts[0])
    return key if verify_secret(key, parts[1]) and key is not None and key.is_valid(now) else None


def record_use(ledger: Ledger, key: Key, now: datetime) -> None:
    """Record that a key was used, to the minute."""
    if key.last_used and now - key.last_used < _USE_RESOLUTION:
        return
    ledger.update(t.key, t.key.c.id == key.id, last_used=now)


def _select(ledger: Ledger, *where: sa.ColumnElement[bool]) -> list[Key]:
    query = sa.select(t.key).where(*where).order_by(t.key.c.created, t.key.c.id)
    return [
        Key(**{**row._mapping, "scope": Scope[row.scope.upper()]}) for row in ledger.rows(query)
    ]
