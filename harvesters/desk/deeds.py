"""Deeds: what an operator does, by the API or by a page; each is written down with who did it and when."""

from __future__ import annotations

import structlog

from harvesters.desk import keyring
from harvesters.desk.errors import Missing, Wrong
from harvesters.desk.keys import Key, Scope
from harvesters.desk.office import Office
from harvesters.ledger.account import Run
from harvesters.ledger.decisions import Act, Deed, Errand, Override
from harvesters.runs import decide, status

NOTE = 2_000  # letters of a note: a paragraph, not a file
DAYS = 36_500  # days at most that a key may be good
log = structlog.get_logger(room="desk")


def ask(office: Office, key: Key, source: str, *, full: bool, supersede: str = "") -> Errand:
    """Ask for a run now; the schedule takes it up.

    *supersede* names the plan of the source that waits for approval, if there is one: the run supersedes it.
    Raises Missing, Wrong for a source that is disabled, and PlanError for a waiting plan that is not named.
    """
    if not office.source(source).enabled:
        raise Wrong(f"{source} is disabled by its card; set enabled = true there")
    at, ledger = office.now(), office.ledger
    decide.check_supersede(ledger, source, supersede or None)
    number = ledger.ask_for(source, full, key.who, at)
    ledger.note(Act(at, key.who, Deed.ASKED.value, source, note=_asked(supersede, full=full)))
    _tell(key, Deed.ASKED.value, source=source, errand=number)
    return errand(office, number)


def _asked(supersede: str, *, full: bool) -> str | None:
    return ", ".join([*(["full"] if full else []), *([f"supersedes {supersede}"] if supersede else [])]) or None


def errand(office: Office, number: int) -> Errand:
    """Give an errand by its number; raise Missing."""
    found = office.ledger.errand(number)
    if found is None:
        raise Missing(f"there is no errand {number}")
    return found


def hold(office: Office, key: Key, source: str, reason: str) -> None:
    """Have a source's plans wait for a person."""
    office.source(source)
    with office.deciding() as means:
        decide.hold(means, source, by=key.who, reason=_note(reason))
        status.tell(means)
    _tell(key, Deed.HELD.value, source=source)


def release(office: Office, key: Key, source: str) -> None:
    """Let a source's plans pass again; raise PlanError where it is not on hold."""
    office.source(source)
    with office.deciding() as means:
        decide.release(means, source, by=key.who)
        status.tell(means)
    _tell(key, Deed.RELEASED.value, source=source)


def approve(office: Office, key: Key, run: Run, note: str, override: Override | None) -> Run:
    """Have a plan committed as it is; raise PlanError where it is no longer open."""
    source = office.source(run.source)
    with office.deciding() as means:
        done = decide.approve(means, source, run.id, by=key.who, override=override, note=_note(note))
        status.tell(means)
    _tell(key, Deed.APPROVED.value, source=run.source, run=run.id)
    return done


def reject(office: Office, key: Key, run: Run, reason: str) -> Run:
    """Have a plan dropped; raise PlanError where it is no longer open."""
    source = office.source(run.source)
    with office.deciding() as means:
        done = decide.reject(means, source, run.id, by=key.who, reason=_note(reason))
        status.tell(means)
    _tell(key, Deed.REJECTED.value, source=run.source, run=run.id)
    return done


def make_key(office: Office, key: Key, name: str, allowed: Scope, days: int | None) -> tuple[Key, str]:
    """Make a key; give it and its token."""
    if not keyring.good(name):
        raise Wrong(f"a key's name has 1 to {keyring.LONGEST} letters that can be seen")
    made, token = keyring.create(office.ledger, name, allowed, office.now(), days)
    office.ledger.note(Act(office.now(), key.who, "key created", note=f"{made.who}, {allowed.word}"))
    _tell(key, "key created", key=made.id)
    return made, token


def end_key(office: Office, key: Key, number: str) -> Key:
    """Revoke a key; raise NoSuchKey."""
    gone = keyring.revoke(office.ledger, number, office.now())
    office.ledger.note(Act(office.now(), key.who, "key revoked", note=gone.who))
    _tell(key, "key revoked", key=gone.id)
    return gone


def _note(text: str) -> str:
    if len(text) > NOTE:
        raise Wrong(f"a note has at most {NOTE:,} letters; this has {len(text):,}")
    return text.strip()


def _tell(by: Key, what: str, **more: str | int | None) -> None:
    log.info(what, who=by.who, **more)
