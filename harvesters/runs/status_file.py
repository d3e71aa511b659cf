"""Status: how each source fares, a small file beside the journal that is replaced whole and that no release contains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from harvesters.errors import DataDirectoryError, HarvestError, SourceDefinitionError
from harvesters.ledger.models import Run, State
from harvesters.runs.commit import is_deferred, run_statistics
from harvesters.runs.context import HarvestContext
from harvesters.runs.due_times import frozen_after, late_after, next_due
from harvesters.runs.locks import status_lock
from harvesters.runs.publish_vocabularies import VOCABULARY as VOCABULARY
from harvesters.source import Source, load
from journal.errors import JournalWriteError
from journal.store import Store
from vocab.describe import quads
from vocab.freshness import FreshnessInputs
from vocab.provenance import SourceStatus, describe_source_statuses

_FAILED = (State.FAILED, State.INCOMPLETE)
_SUCCESSFUL = (State.COMMITTED, State.UNCHANGED)
_ENDED = (*_SUCCESSFUL, *_FAILED, State.HELD, State.REJECTED, State.SUPERSEDED)
_PUBLISHING_STATES = (State.COMMITTED, State.INCOMPLETE)
_FIRST_RUNS = 20  # runs looked at first for a success; ten times as many each time after

log = structlog.get_logger()

Sources = Mapping[str, Source | None]  # by name; None where a card cannot be read


def write_status(means: HarvestContext) -> None:
    """Write ``status.nq`` from the ledger and the cards: one graph, all sources; nothing is written where nothing has changed.

    Raises DataDirectoryError where it cannot be written; the last one stays.
    """
    with status_lock(means):  # runs of other sources may end at the same time
        at = means.now()
        lines = quads(describe_source_statuses(source_statuses(means, at), means.iris, at), means.iris.status)
        _replace_file(means.data / "status.nq", "".join(line + "\n" for line in sorted(lines)).encode(), means.journal.store)


def update_status(means: HarvestContext) -> None:
    """Write the status as ``write`` does; where it cannot be told, what was done before stands all the same, and the log says why."""
    try:
        write_status(means)
    except HarvestError as error:
        log.error("status file not written", reason=str(error))


def _replace_file(file: Path, text: bytes, store: Store | None) -> None:
    """Replace the file, and before it the one that other machines read, so that what the store did not take is tried again."""
    part = file.with_suffix(".part")
    try:
        if file.exists() and file.read_bytes() == text:
            return
        part.write_bytes(text)
        if store:
            store.replace(file.name, part)
        part.replace(file)
    except JournalWriteError as error:
        raise DataDirectoryError(str(error)) from error
    except OSError as error:
        raise DataDirectoryError(f"{file}: {error.strerror}; free space or fix the folder, and the next run writes it") from error


def source_statuses(means: HarvestContext, at: datetime) -> list[SourceStatus]:
    """Tell how each source fares that has a card or was ever tried, by name."""
    cards = _load_sources(means.source_dir)
    names = {*means.ledger.sources(), *(cards or {})} - {VOCABULARY}
    return [_source_status(means, name, cards, at) for name in sorted(names)]


def _load_sources(folder: Path | None) -> Sources | None:
    """Read all cards; None where there is no folder of cards, so that a wrong path retires nothing."""
    if folder is None or not folder.is_dir():
        return None
    return {card.stem: _load_source(card) for card in sorted(folder.glob("*.toml"))}


def _load_source(card: Path) -> Source | None:
    try:
        return load(card)
    except SourceDefinitionError:
        return None


def _source_status(means: HarvestContext, name: str, cards: Sources | None, at: datetime) -> SourceStatus:
    ledger = means.ledger
    last, plan = _last_fetched_run(means, name), ledger.last_run(name, [State.HELD])
    last = _public_run(last, means) if last else None
    good, sweep = ledger.last_run(name, _SUCCESSFUL, fetched_only=True), ledger.last_run(name, _SUCCESSFUL, full_only=True)
    source, retired = (cards or {}).get(name), cards is not None and _is_retired(name, cards)
    hold, change, success = ledger.holds().get(name), _last_change(means, name), (good.ended or good.started) if good else None
    every = source.every if source and not retired else None
    return SourceStatus(
        source=name,
        attempt=last.started if last else None,
        success=success,
        outcome=last.state.value if last else None,
        published=ledger.count_published(name),
        reason=last.reason if last else None,
        marks=FreshnessInputs(
            success=success,
            failures=_count_failures(means, name),
            late_from=late_after(every, success) if every and success else None,
            frozen_from=frozen_after(every, change) if every and change else None,
            held=hold is not None,
            retired=retired,
        ),
        run=last.id if last else None,
        plan=plan.id if plan else None,
        account=run_statistics(replace(last, entry=None)) if last and (last.entry is None or is_deferred(last)) else None,
        sweep=sweep.started if sweep else None,
        change=change,
        due=next_due(every, at) if every else None,
        missing=ledger.count_missing(name),
        hold=(hold.reason or f"held by {hold.by}") if hold else None,
    )


def _public_run(run: Run, means: HarvestContext) -> Run:
    """Give a run as it may be published: its reason names files by their place in the data folder, not by the machine's."""
    place = rf"(?<![\w.:/-]){re.escape(str(means.data.resolve()))}/"
    return replace(run, reason=re.sub(place, "", run.reason)) if run.reason else run


def _last_fetched_run(means: HarvestContext, name: str) -> Run | None:
    """Give the run that asked the source and ended last.

    One whose commit was refused is among them: nothing of it is published yet, and that is to be told.
    """
    last = means.ledger.last_run(name, (*_ENDED, State.COMMITTING), fetched_only=True)
    return (
        last
        if last is None or last.state is not State.COMMITTING or is_deferred(last)
        else means.ledger.last_run(name, _ENDED, fetched_only=True)
    )


def _is_retired(name: str, cards: Sources) -> bool:
    """Tell whether a card is disabled or gone; one that cannot be read is a fault to mend, not a farewell."""
    card = cards.get(name)
    return name not in cards or (card is not None and not card.enabled)


def _last_change(means: HarvestContext, name: str) -> datetime | None:
    """Give when a run of the source last wrote a journal entry."""
    found = [
        run
        for state in _PUBLISHING_STATES
        if (run := means.ledger.last_run(name, [state], fetched_only=True)) is not None and run.entry is not None
    ]
    newest: Run | None = max(found, key=lambda run: run.number, default=None)
    return (newest.ended or newest.started) if newest else None


def _count_failures(means: HarvestContext, name: str) -> int:
    """Count the runs since the last success that failed, were incomplete or not written; held ones are no failures of the source."""
    limit = _FIRST_RUNS
    while True:
        runs = means.ledger.runs(name, limit)
        since = next((number for number, run in enumerate(runs) if run.state in _SUCCESSFUL), None)
        if since is not None or len(runs) < limit:
            return sum(1 for run in runs[:since] if run.state in _FAILED or is_deferred(run))
        limit *= 10
