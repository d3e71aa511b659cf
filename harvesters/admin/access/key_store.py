"""Store and find keys in the ledger."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from harvesters.admin.access.keys import Key, Scope, create_key, parse_token, verify_secret
from harvesters.admin.errors import KeyNotFound
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.row_mapping import aware, naive, utc

_USE_RESOLUTION = timedelta(minutes=1)  # otherwise each read would be a write
MAX_NAME_LENGTH = 100  # characters: the name is stored with each audit entry
_TIME_COLUMNS = ("created", "expires", "revoked", "last_used")


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
    row = {
        **asdict(key),
        "scope": key.scope.label,
        **{time: naive(getattr(key, time)) for time in _TIME_COLUMNS},
    }
    with ledger.transaction() as connection:
        connection.execute(sa.insert(t.key).values(**row))
    return key, token


def list_keys(ledger: Ledger) -> list[Key]:
    """Return all keys, including revoked and expired ones, the oldest first."""
    with ledger.transaction() as connection:
        return [
            _row_to_key(row)
            for row in connection.execute(
                sa.select(t.key).order_by(t.key.c.created, t.key.c.id)
            ).all()
        ]


def find(ledger: Ledger, key_id: str) -> Key | None:
    """Return the key with this id, or None."""
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(t.key).where(t.key.c.id == key_id)).one_or_none()
    return _row_to_key(row) if row else None


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
    with ledger.transaction() as connection:
        connection.execute(sa.update(t.key).where(t.key.c.id == key_id).values(revoked=naive(now)))
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
    with ledger.transaction() as connection:
        connection.execute(
            sa.update(t.key).where(t.key.c.id == key.id).values(last_used=naive(now))
        )


def _row_to_key(row: sa.Row[tuple[object, ...]]) -> Key:
    values = row._mapping
    times = {time: aware(values[time]) for time in _TIME_COLUMNS[1:]}
    return Key(
        values["id"],
        values["name"],
        Scope[values["scope"].upper()],
        values["hash"],
        utc(values["created"]),
        **times,
    )
