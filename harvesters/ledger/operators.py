"""Store keys and actions of operators: audit entries, definitions, holds, overrides, run requests and removals."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import Database, insert, insertable
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    TOMBSTONED,
    AuditEntry,
    DefinitionVersion,
    Key,
    Removal,
    RunRequest,
    Scope,
    SourceHold,
    decompress,
)
from harvesters.page_model import SourcePosition

# Scanners for secrets recognize a token by its prefix.
_TOKEN = re.compile(r"stk_(?P<id>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})\Z", re.ASCII)


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


def create_key(
    ledger: Ledger, name: str, allowed: Scope, now: datetime, days: int | None = None
) -> tuple[Key, str]:
    """Create a key that expires after *days* days, or never; return it and its token, which is not
    stored.
    """
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = Key(id, name, allowed, _hash(secret), now, now + timedelta(days=days) if days else None)
    ledger.add(key)
    return key, f"stk_{id}_{secret}"


def list_keys(ledger: Ledger) -> list[Key]:
    """Return all keys, including revoked and expired ones, the oldest first."""
    return ledger.select(Key, order=[t.key.c.created, t.key.c.id])


def find_key(ledger: Ledger, key_id: str) -> Key | None:
    return ledger.first(Key, t.key.c.id == key_id)


def revoke_key(ledger: Ledger, key: Key, now: datetime) -> Key:
    """Revoke a key for good; one that was revoked before keeps its time."""
    if key.revoked:
        return key
    ledger.update(t.key, t.key.c.id == key.id, revoked=now)
    return replace(key, revoked=now)


def check_token(ledger: Ledger, token: str, now: datetime) -> Key | None:
    """Return the key for *token*, or None if it is unknown, revoked or expired."""
    match = _TOKEN.match(token)
    if match is None:
        return None
    key = find_key(ledger, match["id"])
    # The comparison takes as long for a key that does not exist.
    is_same = compare_digest(key.hash if key else _hash(""), _hash(match["secret"]))
    return key if key and is_same and key.is_valid(now) else None


def record_use(ledger: Ledger, key: Key, now: datetime) -> None:
    """Record that a key was used, to the minute."""
    if not key.last_used or now - key.last_used >= _USE_RESOLUTION:
        ledger.update(t.key, t.key.c.id == key.id, last_used=now)


def audit_entries(ledger: Database, limit: int = 50, source: str | None = None) -> list[AuditEntry]:
    """Return the newest audit entries, of one source or of all."""
    c = t.audit_log.c
    of_source = [c.source == source] if source else []
    return ledger.select(AuditEntry, *of_source, order=[c.id.desc()], limit=limit)


def endorsements(ledger: Database, run: str) -> list[str]:
    """Return who approved a plan that needs another person's approval as well."""
    c = t.audit_log.c
    query = sa.select(c.who).where(c.run == run, c.what == "approved first")
    return ledger.scalars(query.order_by(c.id))


# ---- versions of source definitions


def save_definition(
    ledger: Database,
    source: str,
    text: str,
    who: str,
    when: datetime,
    note: str | None,
    before: str | None = None,
) -> None:
    """Store a version of a source definition, or with *before* a proposal; either takes the place of
    an earlier proposal.
    """
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.definition).where(*_is_proposal(source)))
        insert(connection, DefinitionVersion(0, source, when, who, note, text, before))


def definition_versions(ledger: Database, source: str, limit: int = 50) -> list[DefinitionVersion]:
    """Return the versions of a source definition, newest first."""
    c = t.definition.c
    of_source = (c.source == source, c.before.is_(None))
    return ledger.select(DefinitionVersion, *of_source, order=[c.id.desc()], limit=limit)


def proposed_definition(ledger: Database, source: str) -> DefinitionVersion | None:
    return ledger.first(DefinitionVersion, *_is_proposal(source))


def proposals(ledger: Database) -> list[str]:
    """Return the sources whose definition has a proposal, by name."""
    c = t.definition.c
    query = sa.select(c.source).where(c.before.is_not(None))
    return ledger.scalars(query.distinct().order_by(c.source))


def discard_proposal(ledger: Database, source: str) -> bool:
    """Delete the proposal for a source definition; return whether there was one."""
    return ledger.delete(t.definition, *_is_proposal(source)) > 0


def _is_proposal(source: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.definition.c.source == source, t.definition.c.before.is_not(None)


# ---- holds


def hold(ledger: Database, hold: SourceHold) -> None:
    """Put a source on hold, in place of an earlier hold."""
    ledger.upsert(t.hold, insertable(hold))


def release(ledger: Database, source: str) -> bool:
    """Remove the hold on a source; return whether there was one."""
    return ledger.delete(t.hold, t.hold.c.source == source) > 0


# ---- run requests


def request_run(ledger: Database, source: str, full: bool, by: str, at: datetime) -> int:
    """Request a run of a source; return the request's number. The scheduler claims it."""
    return ledger.add(RunRequest(0, source, full, at, by))


def run_requests(ledger: Database, limit: int = 50, source: str | None = None) -> list[RunRequest]:
    """Return the newest run requests, of one source or of all."""
    c = t.run_request.c
    of_source = [c.source == source] if source else []
    return ledger.select(RunRequest, *of_source, order=[c.id.desc()], limit=limit)


def run_request(ledger: Database, number: int) -> RunRequest | None:
    return ledger.first(RunRequest, t.run_request.c.id == number)


def waiting_requests(ledger: Database) -> list[RunRequest]:
    """Return the unclaimed run requests, the oldest first."""
    c = t.run_request.c
    return ledger.select(RunRequest, c.claimed.is_(None), order=[c.id])


def claimed_requests(ledger: Database) -> list[RunRequest]:
    c = t.run_request.c
    return ledger.select(RunRequest, c.claimed.is_not(None), c.run.is_(None), order=[c.id])


def claim(ledger: Database, number: int, at: datetime) -> bool:
    """Claim a run request; return whether it was unclaimed."""
    c = t.run_request.c
    return ledger.update(t.run_request, c.id == number, c.claimed.is_(None), claimed=at) > 0


def requeue(ledger: Database, number: int) -> None:
    ledger.update(t.run_request, t.run_request.c.id == number, claimed=None)


def requeue_all(ledger: Database) -> None:
    """Requeue requests claimed by a process that died."""
    ledger.update(t.run_request, t.run_request.c.run.is_(None), claimed=None)


def complete_request(ledger: Database, number: int, run: str) -> None:
    """Store the result of a run request: a run's id, or why there was none."""
    ledger.update(t.run_request, t.run_request.c.id == number, run=run)


# ---- removals


def removal(ledger: Database, run: str) -> Removal | None:
    """Return the removal that a run plans, or None."""
    return ledger.first(Removal, t.removal.c.run == run)


def archived_positions(ledger: Database, source: str, key: str) -> list[SourcePosition]:
    """Return where the responses are archived in which the listed runs of a source saw a record's
    key.
    """
    s, u = t.staged.c, t.unchanged.c
    query = sa.select(s.file, s.offset, s.length).where(
        s.source == source, s.key == key, s.file.is_not(None)
    )
    positions = {SourcePosition(*row) for row in ledger.rows(query)}
    pages = sa.select(u["file"], u["offset"], u["length"], u["keys"]).where(
        u.run.in_(_runs_of(source)), u.file.is_not(None)
    )
    for file, offset, length, keys in ledger.stream(pages):
        if key in json.loads(decompress(keys)):
            positions.add(SourcePosition(file, offset, length))
    return sorted(positions)


def erase_record(ledger: Database, source: str, key: str) -> None:
    """Delete the reasons, log lines and undo texts of a removed record; its tombstone
    stays.
    """
    s, log, runs = t.staged.c, t.run_log.c, _runs_of(source)
    seen = sa.and_(s.source == source, s.key == key, s.outcome.not_in(TOMBSTONED))
    logged = sa.and_(log.source == source, log.fields.contains(key, autoescape=True))
    with ledger.transaction() as connection:
        connection.execute(sa.delete(t.undo).where(t.undo.c.key == key, t.undo.c.run.in_(runs)))
        connection.execute(sa.update(t.staged).where(seen).values(reason=None))
        connection.execute(sa.delete(t.run_log).where(logged))


def _runs_of(source: str) -> sa.Select[tuple[str]]:
    return sa.select(t.run.c.id).where(t.run.c.source == source)
