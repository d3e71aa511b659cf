"""Views: what the desk's answers hold; times are UTC, and no answer holds a key but the one that tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from harvesters.desk.keys import Key
from harvesters.ledger.account import Run, State
from harvesters.ledger.decisions import Act, Errand


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key, without what opens the door; *state* is good, expired or revoked."""

    id: str
    name: str
    scope: str
    state: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made; *key* is told this once."""

    id: str
    name: str
    scope: str
    expires: datetime | None
    key: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: its times, how it ended and why, and its numbers by the names that the account has."""

    id: str
    source: str
    number: int
    state: str
    kind: str
    since: datetime | None
    started: datetime
    planned: datetime | None
    ended: datetime | None
    pages: int
    claimed: int | None
    entry: int | None
    reason: str | None
    counts: dict[str, int]
    network: dict[str, int]


@dataclass(frozen=True, slots=True)
class HoldView:
    """That a source's plans all wait for a person."""

    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source and how it stands; *freshness* is live, late, failing, frozen or retired, *failures* those since the last success."""

    name: str
    title: str
    protocol: str
    mapping: str
    url: str
    every: str
    enabled: bool
    freshness: str
    published: int
    last_run: str | None
    outcome: str | None
    reason: str | None
    last_attempt: datetime | None
    last_success: datetime | None
    failures: int
    next_due: datetime | None
    open_plan: str | None
    hold: HoldView | None


@dataclass(frozen=True, slots=True)
class ErrandView:
    """A run that was asked for; *run* is what came of it."""

    id: int
    source: str
    full: bool
    asked: datetime
    by: str
    taken: datetime | None
    run: str | None


@dataclass(frozen=True, slots=True)
class ActView:
    """What a person did."""

    when: datetime
    who: str
    what: str
    source: str | None
    run: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record behind a number; *other* is the key of the same thing before or after.

    Of an open plan also what it is called, and the statements that it loses and gains, one a string.
    """

    seq: int
    key: str | None
    outcome: str
    reason: str | None
    other: str | None
    title: str | None
    removed: list[str]
    added: list[str]


def key_view(key: Key, now: datetime) -> KeyView:
    """Show a key."""
    state = "revoked" if key.revoked else "good" if key.opens(now) else "expired"
    return KeyView(key.id, key.name, key.scope.word, state, key.created, key.expires, key.revoked, key.last_used)


def run_view(run: Run) -> RunView:
    """Show a run."""
    kind = "sweep" if run.sweep else "changes"
    return RunView(
        id=run.id,
        source=run.source,
        number=run.number,
        state=run.state.value,
        kind=kind,
        since=run.since,
        started=run.started,
        planned=run.planned,
        ended=run.ended,
        pages=run.pages,
        claimed=run.claimed,
        entry=None if run.state is State.COMMITTING else run.entry,
        reason=run.reason,
        counts=run.counts,
        network=run.network,
    )


def errand_view(it: Errand) -> ErrandView:
    """Show a run that was asked for."""
    return ErrandView(it.id, it.source, it.full, it.asked, it.by, it.taken, it.run)


def act_view(it: Act) -> ActView:
    """Show an act."""
    return ActView(it.when, it.who, it.what, it.source, it.run, it.note)
