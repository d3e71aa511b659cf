"""Remapping: what was archived is mapped, described and judged again as today's code does it; no registry is asked.

The replies of the last complete sweep and of all good runs after it are read again, the newest first, so that of a record the newest
word counts. What comes out as it stands is left alone, and so is what is no longer at its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError, LockLostError, PlanError
from harvesters.ledger.models import Run, State
from harvesters.network.fetch import Fetch
from harvesters.network.retry import RetryPolicy
from harvesters.pipeline.page_processor import Watch
from harvesters.pipeline.record_processor import Task
from harvesters.protocols.registry import Protocol
from harvesters.replay import Replay
from harvesters.runs.commit import belong_together, finish
from harvesters.runs.context import Means
from harvesters.runs.harvest import conclude, fail, page_reader, rules
from harvesters.runs.locks import alone
from harvesters.runs.plan import Plan
from harvesters.source import Source

_GOOD = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE)  # whose records are published, as far as they came
_SMOOTH = {"asked", "answered", "unchanged", "redirected", "retried"}  # outcomes of requests that all have a reply in the archive
_AT_ONCE = RetryPolicy(max_attempts=3, wait_initial=0.0, wait_max=0.0)  # an archive is not asked to wait

log = structlog.get_logger()


def remap(source: Source, means: Means, *, dry_run: bool = False, watch: Watch = lambda _: None) -> Plan:
    """Map one source's archived replies again: plan, guard and commit as a harvest does, or show the plan alone.

    Raises PlanError where there is nothing to map again or a harvest is still open, ArchiveError where replies are missing.
    """
    protocol, _ = check_compatible(source)
    with alone(source.name, means) as means:
        belong_together(means)
        _clear(source, means, dry_run=dry_run)
        heard = means.ledger.fetched_runs(source.name, _GOOD)
        if not heard:
            raise PlanError(f"{source.name}: no complete run of it is archived; `stocktake harvest {source.name}` makes one")
        validators = means.ledger.validators(source.name)
        run = _begun(source, means, heard)
        try:
            run = _collected(source, means, protocol, run, heard, watch)
            return conclude(source, means, run, validators, dry_run=dry_run)
        except LockLostError:
            raise
        except HarvestError as error:
            means.ledger.delete_run(run) if dry_run else fail(run, means, str(error))
            raise


def _clear(source: Source, means: Means, *, dry_run: bool) -> None:
    """End what a crash left of an earlier remapping; a harvest that is open is the harvest's to end."""
    opened = means.ledger.open_run(source.name)
    if opened is None:
        return
    if opened.heard is None or dry_run:
        again = "harvest" if opened.heard is None else "remap"
        raise PlanError(f"{source.name}: {opened.id} was cut off and is still open; `stocktake {again} {source.name}` brings it to its end")
    if opened.state is State.COMMITTING:
        finish(opened, source, means)
    else:
        fail(opened, means, "cut off, then begun anew")


def _begun(source: Source, means: Means, heard: list[Run]) -> Run:
    now = max(filter(None, (means.now(), means.ledger.latest_time(source.name))))
    run = means.ledger.create_run(source.name, now, rules(source, means), sweep=False, since=None)
    run = replace(run, heard=heard[0].heard or heard[0].started)
    means.ledger.save(run)
    return run


def _collected(source: Source, means: Means, protocol: Protocol, run: Run, heard: list[Run], watch: Watch) -> Run:
    """Stage every page of the archived runs, the newest first; of a key that comes again the first one counts."""

    def page() -> tuple[int, Mapping[str, int]]:
        means.fence()
        return 0, {}

    for old in heard:
        log.debug("remapping", source=source.name, run=old.id)
        whole = set(old.network) <= _SMOOTH
        replay = Replay(means.data / "archive", f"{source.name}/{old.id}.warc.gz", means.journal.store, whole)
        door = Fetch(means.contact, 0.0, means.allow, replay, {}, _AT_ONCE, replay, robots=False)
        door.now = lambda at=old.started: at  # type: ignore[misc]  # what the protocol asked for then
        with door:
            task = Task(run, source, means.iris.base, means.bench.name, tried=False, anew=True)
            reader = page_reader(means, task, protocol, door, old.since, page, watch)
            reader.collect()
            run = reader.run
    return run
