"""Keyring: the keys that the ledger holds."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from harvesters.desk.errors import NoSuchKey
from harvesters.desk.keys import Key, Scope, fits, mint, split
from harvesters.ledger import tables as t
from harvesters.ledger.book import Ledger
from harvesters.ledger.rows import aware, naive, utc

_NOTED = timedelta(minutes=1)  # how exact the last use is: reading would else be a write each time
LONGEST = 100  # letters of a name: it stands in each act
_TIMES = ("created", "expires", "revoked", "last_used")


def good(name: str) -> bool:
    """Tell whether *name* can be a key's name: it is shown in lists and logs, so all of it must be seen."""
    return 0 < len(name) <= LONGEST and name.isprintable() and name == name.strip()


def create(ledger: Ledger, name: str, allowed: Scope, now: datetime, days: int | None = None) -> tuple[Key, str]:
    """Make a key that ends after *days*, or never; give it and its token, which is kept nowhere."""
    key, token = mint(name, allowed, now, now + timedelta(days=days) if days else None)
    row = {**asdict(key), "scope": key.scope.word, **{time: naive(getattr(key, time)) for time in _TIMES}}
    with ledger.transaction() as connection:
        connection.execute(sa.insert(t.key).values(**row))
    return key, token


def listed(ledger: Ledger) -> list[Key]:
    """List all keys, also those that are no longer good, the oldest first."""
    with ledger.transaction() as connection:
        return [_key(row) for row in connection.execute(sa.select(t.key).order_by(t.key.c.created, t.key.c.id)).all()]


def find(ledger: Ledger, number: str) -> Key | None:
    """Give the key with this id, None where there is none."""
    with ledger.transaction() as connection:
        row = connection.execute(sa.select(t.key).where(t.key.c.id == number)).one_or_none()
    return _key(row) if row else None


def get(ledger: Ledger, number: str) -> Key:
    """Give the key with this id; raise NoSuchKey, which does not repeat what may be a whole key."""
    key = find(ledger, number)
    if key is None:
        raise NoSuchKey("there is no key with that id; `stocktake keys list` shows the ids")
    return key


def revoke(ledger: Ledger, number: str, now: datetime) -> Key:
    """End a key for good; one that was revoked before keeps its time. Raises NoSuchKey."""
    key = get(ledger, number)
    if key.revoked:
        return key
    with ledger.transaction() as connection:
        connection.execute(sa.update(t.key).where(t.key.c.id == number).values(revoked=naive(now)))
    return replace(key, revoked=now)


def check(ledger: Ledger, token: str, now: datetime) -> Key | None:
    """Give the key that *token* is, None where it is none, is revoked or has expired."""
    parts = split(token)
    if parts is None:
        return None
    key = find(ledger, parts[0])
    return key if fits(key, parts[1]) and key is not None and key.opens(now) else None


def note(ledger: Ledger, key: Key, now: datetime) -> None:
    """Note that a key was used, to the minute."""
    if key.last_used and now - key.last_used < _NOTED:
        return
    with ledger.transaction() as connection:
        connection.execute(sa.update(t.key).where(t.key.c.id == key.id).values(last_used=naive(now)))


def _key(row: sa.Row[tuple[object, ...]]) -> Key:
    it = row._mapping
    times = {time: aware(it[time]) for time in _TIMES[1:]}
    return Key(it["id"], it["name"], Scope[it["scope"].upper()], it["hash"], utc(it["created"]), **times)
