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
from harvesters.pipeline.page_processor import ProgressCallback
from harvesters.pipeline.record_processor import ProcessingTask
from harvesters.protocols.registry import Protocol
from harvesters.replay import Replay
from harvesters.runs.commit import check_ledger_matches_journal, finish_commit
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import fail, finalize, page_reader, rules_digest
from harvesters.runs.locks import source_lock
from harvesters.runs.plan import Plan
from harvesters.source import Source

_PUBLISHED_STATES = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE)  # whose records are published, as far as they came
_ARCHIVED_OUTCOMES = {
    "asked",
    "answered",
    "unchanged",
    "redirected",
    "retried",
}  # outcomes of requests that all have a reply in the archive
_NO_DELAY = RetryPolicy(max_attempts=3, wait_initial=0.0, wait_max=0.0)  # an archive is not asked to wait

log = structlog.get_logger()


def remap(source: Source, means: HarvestContext, *, dry_run: bool = False, watch: ProgressCallback = lambda _: None) -> Plan:
    """Map one source's archived replies again: plan, guard and commit as a harvest does, or show the plan alone.

    Raises PlanError where there is nothing to map again or a harvest is still open, ArchiveError where replies are missing.
    """
    protocol, _ = check_compatible(source)
    with source_lock(source.name, means) as means:
        check_ledger_matches_journal(means)
        _close_interrupted(source, means, dry_run=dry_run)
        heard = means.ledger.fetched_runs(source.name, _PUBLISHED_STATES)
        if not heard:
            raise PlanError(f"{source.name}: no complete run of it is archived; `stocktake harvest {source.name}` makes one")
        validators = means.ledger.validators(source.name)
        run = _create_run(source, means, heard)
        try:
            run = _collect(source, means, protocol, run, heard, watch)
            return finalize(source, means, run, validators, dry_run=dry_run)
        except LockLostError:
            raise
        except HarvestError as error:
            means.ledger.delete_run(run) if dry_run else fail(run, means, str(error))
            raise


def _close_interrupted(source: Source, means: HarvestContext, *, dry_run: bool) -> None:
    """End what a crash left of an earlier remapping; a harvest that is open is the harvest's to end."""
    opened = means.ledger.open_run(source.name)
    if opened is None:
        return
    if opened.heard is None or dry_run:
        again = "harvest" if opened.heard is None else "remap"
        raise PlanError(f"{source.name}: {opened.id} was cut off and is still open; `stocktake {again} {source.name}` brings it to its end")
    if opened.state is State.COMMITTING:
        finish_commit(opened, source, means)
    else:
        fail(opened, means, "cut off, then begun anew")


def _create_run(source: Source, means: HarvestContext, heard: list[Run]) -> Run:
    now = max(filter(None, (means.now(), means.ledger.latest_time(source.name))))
    run = means.ledger.create_run(source.name, now, rules_digest(source, means), sweep=False, since=None)
    run = replace(run, heard=heard[0].heard or heard[0].started)
    means.ledger.save(run)
    return run


def _collect(source: Source, means: HarvestContext, protocol: Protocol, run: Run, heard: list[Run], watch: ProgressCallback) -> Run:
    """Stage every page of the archived runs, the newest first; of a key that comes again the first one counts."""

    def page() -> tuple[int, Mapping[str, int]]:
        means.check_lock()
        return 0, {}

    for old in heard:
        log.debug("remapping", source=source.name, run=old.id)
        whole = set(old.network) <= _ARCHIVED_OUTCOMES
        replay = Replay(means.data / "archive", f"{source.name}/{old.id}.warc.gz", means.journal.store, whole)
        door = Fetch(means.contact, 0.0, means.allow_hosts, replay, {}, _NO_DELAY, replay, robots=False)
        door.now = lambda at=old.started: at  # type: ignore[misc]  # what the protocol asked for then
        with door:
            task = ProcessingTask(run, source, means.iris.base, means.pool.name, rules_unchanged=False, is_remap=True)
            reader = page_reader(means, task, protocol, door, old.since, page, watch)
            reader.collect()
            run = reader.run
    return run
