"""Store what operators did: audit entries, holds, overrides and run requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.database import LedgerPart
from harvesters.ledger.row_mapping import aware, naive, utc


class ActionType(Enum):
    """What a person did."""

    APPROVED = "approved"
    ENDORSED = "approved first"
    REJECTED = "rejected"
    UNDONE = "undone"
    HELD = "held"
    RELEASED = "released"
    REQUESTED = "requested a run"
    CLEAR_PLANNED = "planned to remove all records"
    RETIREMENT_PLANNED = "planned to retire the source"
    REMOVAL_PLANNED = "planned to remove a record"
    RESUMED = "resumed a retired source"
    ERASED = "erased a removed record"
    ANSWERED = "answered a problem"
    TRANSLATED = "chose the concept of a word"
    TOPIC_DECIDED = "decided about a suggested topic"
    PAIR_DECIDED = "decided about a pair of records"
    CLUSTERED = "published the clusters"
    DEFINED = "saved the definition"
    PROPOSED = "proposed a definition"
    DISCARDED = "discarded a proposed definition"
    RULES_SAVED = "saved the alert rules"
    SILENCED = "silenced alerts"
    UNSILENCED = "ended a silence"
    TESTED = "sent a test message"
    RESENT = "sent a message again"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action of a person or of a key's owner; *when* is UTC, *what* an ActionType's value or
    another text.
    """

    when: datetime
    who: str
    what: str
    source: str | None = None
    run: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A limit raised for one run: the next run that needs it consumes it. It expires at *until*
    (UTC).
    """

    limit: str
    value: float
    until: datetime


@dataclass(frozen=True, slots=True)
class GrantedOverride:
    """An override that was granted; *used* is the run that consumed it."""

    id: int
    source: str
    override: Override
    by: str
    granted: datetime
    used: str | None


@dataclass(frozen=True, slots=True)
class SourceHold:
    """A source whose plans all await approval."""

    source: str
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A requested run; *claimed* is when the scheduler claimed it, *run* its result."""

    id: int
    source: str
    full: bool
    requested: datetime
    by: str
    claimed: datetime | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class DefinitionVersion:
    """A version of a source definition; *note* is why it was saved, *when* is UTC.

    A proposal has the digest of the text that it would replace (*before*).
    """

    id: int
    source: str
    when: datetime
    who: str
    note: str | None
    text: str
    before: str | None = None


class OperatorActions(LedgerPart):
    """The part of the ledger for operator actions."""

    def record_audit_entry(self, act: AuditEntry) -> None:
        """Store an audit entry."""
        with self._begin() as connection:
            connection.execute(sa.insert(t.audit_log).values(_audit_row(act)))

    def audit_entries(self, limit: int = 50, source: str | None = None) -> list[AuditEntry]:
        """Return the newest audit entries, of one source or of all."""
        query = sa.select(t.audit_log).order_by(t.audit_log.c.id.desc()).limit(limit)
        with self._begin() as connection:
            rows = connection.execute(
                query.where(t.audit_log.c.source == source) if source else query
            ).all()
        return [
            AuditEntry(utc(row.when), row.who, row.what, row.source, row.run, row.note)
            for row in rows
        ]

    def endorsements(self, run: str) -> list[str]:
        """Return who approved a plan that needs another person's approval as well."""
        c = t.audit_log.c
        query = sa.select(c.who).where(c.run == run, c.what == ActionType.ENDORSED.value)
        with self._begin() as connection:
            return list(connection.scalars(query.order_by(c.id)))

    # ---- versions of source definitions

    def save_definition(
        self,
        source: str,
        text: str,
        who: str,
        when: datetime,
        note: str | None,
        before: str | None = None,
    ) -> None:
        """Store a version of a source definition, or with *before* a proposal in place of an
        earlier one.

        A version takes the place of the proposal too.
        """
        values = {
            "source": source,
            "text": text,
            "who": who,
            "when": naive(when),
            "note": note,
            "before": before,
        }
        with self._begin() as connection:
            connection.execute(_delete_proposal(source))
            connection.execute(sa.insert(t.definition).values(values))

    def definition_versions(self, source: str, limit: int = 50) -> list[DefinitionVersion]:
        """Return the versions of a source definition, newest first."""
        c = t.definition.c
        query = sa.select(t.definition).where(c.source == source, c.before.is_(None))
        return self._definitions(query.order_by(c.id.desc()).limit(limit))

    def proposed_definition(self, source: str) -> DefinitionVersion | None:
        """Return the proposal for a source definition, or None."""
        c = t.definition.c
        query = sa.select(t.definition).where(c.source == source, c.before.is_not(None))
        return next(iter(self._definitions(query)), None)

    def proposals(self) -> list[str]:
        """Return the sources whose definition has a proposal, by name."""
        c = t.definition.c
        query = sa.select(c.source).where(c.before.is_not(None)).distinct().order_by(c.source)
        with self._begin() as connection:
            return list(connection.scalars(query))

    def discard_proposal(self, source: str) -> bool:
        """Delete the proposal for a source definition; return whether there was one."""
        with self._begin() as connection:
            return connection.execute(_delete_proposal(source)).rowcount > 0

    def _definitions(self, query: sa.Select[Any]) -> list[DefinitionVersion]:
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [
            DefinitionVersion(
                row.id, row.source, utc(row.when), row.who, row.note, row.text, row.before
            )
            for row in rows
        ]

    # ---- holds

    def hold(self, hold: SourceHold) -> None:
        """Put a source on hold, in place of an earlier hold."""
        values = {
            "source": hold.source,
            "since": naive(hold.since),
            "by": hold.by,
            "reason": hold.reason,
        }
        with self._begin() as connection:
            connection.execute(sa.delete(t.hold).where(t.hold.c.source == hold.source))
            connection.execute(sa.insert(t.hold).values(values))

    def release(self, source: str) -> bool:
        """Remove the hold on a source; return whether there was one."""
        with self._begin() as connection:
            return (
                connection.execute(sa.delete(t.hold).where(t.hold.c.source == source)).rowcount > 0
            )

    def holds(self) -> dict[str, SourceHold]:
        """Return the sources on hold, by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(t.hold).order_by(t.hold.c.source)).all()
        return {
            row.source: SourceHold(row.source, utc(row.since), row.by, row.reason) for row in rows
        }

    # ---- overrides

    def grant(self, source: str, override: Override, by: str, at: datetime) -> int:
        """Store an override for a source; return its number."""
        values = {"limit": override.limit, "value": override.value, "until": naive(override.until)}
        with self._begin() as connection:
            inserted = connection.execute(
                sa.insert(t.override).values(source=source, by=by, given=naive(at), **values)
            )
            return int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0

    def overrides(self, source: str) -> list[GrantedOverride]:
        """Return all overrides granted to a source, the oldest first."""
        query = sa.select(t.override).where(t.override.c.source == source).order_by(t.override.c.id)
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [_granted_override(row) for row in rows]

    def consume(self, numbers: list[int], run: str) -> None:
        """Record that a run consumed overrides."""
        with self._begin() as connection:
            connection.execute(
                sa.update(t.override).where(t.override.c.id.in_(numbers)).values(used=run)
            )

    # ---- run requests

    def request_run(self, source: str, full: bool, by: str, at: datetime) -> int:
        """Request a run of a source; return the request's number. The scheduler claims it."""
        with self._begin() as connection:
            inserted = connection.execute(
                sa.insert(t.run_request).values(
                    source=source, full=full, by=by, requested=naive(at)
                )
            )
            return int(inserted.inserted_primary_key[0]) if inserted.inserted_primary_key else 0

    def run_requests(self, limit: int = 50, source: str | None = None) -> list[RunRequest]:
        """Return the newest run requests, of one source or of all."""
        c = t.run_request.c
        query = sa.select(t.run_request).order_by(c.id.desc()).limit(limit)
        with self._begin() as connection:
            rows = connection.execute(query.where(c.source == source) if source else query).all()
        return [_run_request(row) for row in rows]

    def run_request(self, number: int) -> RunRequest | None:
        """Return a run request by its number, or None."""
        with self._begin() as connection:
            row = connection.execute(
                sa.select(t.run_request).where(t.run_request.c.id == number)
            ).one_or_none()
        return _run_request(row) if row else None

    def waiting_requests(self) -> list[RunRequest]:
        """Return the unclaimed run requests, the oldest first."""
        with self._begin() as connection:
            rows = connection.execute(
                sa.select(t.run_request)
                .where(t.run_request.c.claimed.is_(None))
                .order_by(t.run_request.c.id)
            ).all()
        return [_run_request(row) for row in rows]

    def claimed_requests(self) -> list[RunRequest]:
        """Return the claimed run requests without a result."""
        requests = t.run_request
        query = (
            sa.select(requests)
            .where(requests.c.claimed.is_not(None), requests.c.run.is_(None))
            .order_by(requests.c.id)
        )
        with self._begin() as connection:
            rows = connection.execute(query).all()
        return [_run_request(row) for row in rows]

    def claim(self, number: int, at: datetime) -> bool:
        """Claim a run request; return whether it was unclaimed."""
        query = (
            sa.update(t.run_request)
            .where(t.run_request.c.id == number, t.run_request.c.claimed.is_(None))
            .values(claimed=naive(at))
        )
        with self._begin() as connection:
            return connection.execute(query).rowcount > 0

    def requeue(self, number: int) -> None:
        """Release a claimed run request."""
        with self._begin() as connection:
            connection.execute(
                sa.update(t.run_request).where(t.run_request.c.id == number).values(claimed=None)
            )

    def requeue_all(self) -> None:
        """Requeue requests claimed by a process that died."""
        with self._begin() as connection:
            connection.execute(
                sa.update(t.run_request).where(t.run_request.c.run.is_(None)).values(claimed=None)
            )

    def complete_request(self, number: int, run: str) -> None:
        """Store the result of a run request: a run's id, or why there was none."""
        with self._begin() as connection:
            connection.execute(
                sa.update(t.run_request).where(t.run_request.c.id == number).values(run=run)
            )


def _delete_proposal(source: str) -> sa.Delete:
    c = t.definition.c
    return sa.delete(t.definition).where(c.source == source, c.before.is_not(None))


def _audit_row(act: AuditEntry) -> dict[str, Any]:
    return {
        "when": naive(act.when),
        "who": act.who,
        "what": act.what,
        "source": act.source,
        "run": act.run,
        "note": act.note,
    }


def _granted_override(row: Any) -> GrantedOverride:
    override = Override(row.limit, row.value, utc(row.until))
    return GrantedOverride(row.id, row.source, override, row.by, utc(row.given), row.used)


def _run_request(row: Any) -> RunRequest:
    return RunRequest(
        row.id, row.source, row.full, utc(row.requested), row.by, aware(row.claimed), row.run
    )
