"""Runs: one source, from its card to the journal."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b

from harvesters.archive import Archive
from harvesters.commit import commit, finish
from harvesters.errors import BusyError, HarvestError
from harvesters.fetch import Fetch, Validator
from harvesters.ledger.account import Run, State
from harvesters.mappings.table import Reader
from harvesters.means import Means
from harvesters.pairs import pair
from harvesters.plan import Plan, draw
from harvesters.protocols.table import Protocol
from harvesters.refine import Refiner
from harvesters.source import Source
from harvesters.stage import Desk, Watch
from shapes.rules import shapes_digest

VERSION = "1"  # of describing: raise it when the same record is to be described anew
_GOOD = (State.COMMITTED, State.UNCHANGED)
_SWEEP = timedelta(days=7)  # how often a source that tells its changes is read in full all the same
_OVERLAP = timedelta(hours=1)  # asked again, since the source's clock is not ours; digests drop what is known


def harvest(source: Source, means: Means, *, full: bool = False, dry_run: bool = False, watch: Watch = lambda _: None) -> Plan:
    """Harvest one source: collect, map, judge, plan, and commit unless the guard holds the plan or it is a dry run.

    The plan's run tells how it ended. Raises HarvestError where the source could not be read; the last good data stays.
    A run that a crash cut off is taken up where its last page was kept.
    """
    protocol, reader = pair(source)
    with _alone(source, means):
        run = _begin(source, means, protocol, full=full)
        if run.state is State.COMMITTING:  # a crash came between plan and settlement
            finish(run, source, means)
            run = _begin(source, means, protocol, full=full)
        try:
            run, seen = _collect(source, means, protocol, reader, run, watch, full=full)
            return _conclude(source, means, run, seen, dry_run=dry_run)
        except HarvestError as error:
            means.ledger.drop(replace(run, state=State.FAILED, ended=means.now(), reason=str(error)))
            raise


@contextmanager
def _alone(source: Source, means: Means) -> Iterator[None]:
    """Hold the source's lock, which the system frees when the process dies."""
    folder = means.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{source.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{source.name}: another run of it is under way; wait for it to end") from error
        yield


def rules(source: Source, means: Means) -> str:
    """Give the digest of all that decides how this source's records are described and judged, in hexadecimal."""
    card = (source.mapping, source.language, sorted(source.fields.items()), sorted(source.options.items()))
    told = repr((VERSION, card, means.iris.base, shapes_digest(means.iris.base)))
    return blake2b(told.encode(), digest_size=16).hexdigest()


def _begin(source: Source, means: Means, protocol: Protocol, *, full: bool) -> Run:
    """Take up the run that a crash cut off, or begin a new one: incremental where the protocol can and the last is fresh."""
    now, digest = means.now(), rules(source, means)
    if opened := means.ledger.open_run(source.name):
        if opened.state is State.COMMITTING or opened.rules == digest:
            return opened
        means.ledger.drop(replace(opened, state=State.FAILED, ended=now, reason="cut off, then begun anew: mapping or shapes have changed"))
    if held := means.ledger.last_run(source.name, [State.HELD]):
        means.ledger.drop(held)  # this run's plan takes its place
    last = means.ledger.last_run(source.name, _GOOD)
    sweep = means.ledger.last_run(source.name, _GOOD, sweeps=True)
    fresh = last and sweep and last.rules == digest and now - sweep.started < _SWEEP
    since = last.started - _OVERLAP if last and fresh and protocol.incremental and not full else None
    return means.ledger.begin(source.name, now, digest, sweep=since is None, since=since)


def _collect(
    source: Source, means: Means, protocol: Protocol, reader: Reader, run: Run, watch: Watch, *, full: bool
) -> tuple[Run, dict[str, Validator]]:
    """Stage every page; give the run as it stands after the last one, and what to ask "changed since?" with next time."""
    if run.pages and run.cursor is None:
        return run, {}
    archive = Archive(means.data / "archive", source.name, run.id, run.archived)
    tried = run.rules == _last_rules(source, means)
    known = means.ledger.validators(source.name) if tried and not run.pages and not full else {}
    door = Fetch(means.contact, source.pause, means.allow, archive, known, means.patience, means.transport)
    with closing(archive), door:
        refiner = Refiner(run, source.mapping, reader.prepare(source, means.words), means.iris, means.bench, tried)
        desk = Desk(means.ledger, refiner, run, watch)
        for page in protocol.collect(source, door, run.since, run.cursor):
            desk.take(page, archive.length)
        desk.clear()
    return desk.run, door.seen


def _last_rules(source: Source, means: Means) -> str | None:
    last = means.ledger.last_run(source.name, _GOOD)
    return last.rules if last else None


def _conclude(source: Source, means: Means, run: Run, seen: dict[str, Validator], *, dry_run: bool) -> Plan:
    plan = draw(run, means.ledger, source.limits)
    if dry_run:
        means.ledger.forget(run)
        return plan
    if plan.held:
        held = replace(run, state=State.HELD, planned=means.now(), ended=means.now(), counts=plan.counts, reason=plan.held)
        means.ledger.save(held)
        return replace(plan, run=held)
    done = commit(plan, source, means)
    means.ledger.set_validators(source.name, seen)
    return replace(plan, run=done)
