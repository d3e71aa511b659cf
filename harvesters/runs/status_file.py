"""Write the status of each source to ``status.nq`` in the data directory. No release contains this
file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
import structlog

from harvesters.errors import DataDirectoryError, HarvestError
from harvesters.ledger import tables as t
from harvesters.ledger.models import ENDED_STATES, INTERNAL, PUBLISHED_RUNS, SUCCESSFUL, Run, State
from harvesters.runs.commit import run_statistics
from harvesters.runs.context import HarvestContext, status_lock
from harvesters.source import Source, frozen_after, late_after, load_all, next_due
from journal.errors import JournalWriteError
from journal.files import replace_file
from journal.store import Store
from vocab.describe import quads
from vocab.provenance import FreshnessInputs, SourceStatus, describe_source_statuses

log = structlog.get_logger()

Sources = Mapping[str, Source | None]  # by name; None if the definition is invalid


def write_status(context: HarvestContext) -> None:
    """Write ``status.nq`` from the ledger and the source definitions: one graph for all sources.

    An unchanged file is not written again. Raises DataDirectoryError if it cannot be written; the
    old file stays.
    """
    with status_lock(context):  # runs of other sources may end at the same time
        now = context.now()
        with context.ledger.one_transaction():
            ran, statuses = context.ledger.sources(), source_statuses(context, now)
        # A definition that never ran and is not scheduled, such as a broken one, is not public.
        public = [item for item in statuses if item.due or item.source in ran]
        lines = quads(describe_source_statuses(public, context.iris, now), context.iris.status)
        _replace_file(
            context.data / "status.nq",
            "".join(line + "\n" for line in sorted(lines)).encode(),
            context.journal.store,
        )


def update_status(context: HarvestContext) -> None:
    """Write the status file; log an error if that fails."""
    try:
        write_status(context)
    except HarvestError as error:
        log.error("status file not written", reason=str(error))


def _replace_file(file: Path, text: bytes, store: Store | None) -> None:
    """Replace the file in the object store, if any, then the local one, so that a failed upload is
    tried again.
    """
    try:
        if file.exists() and file.read_bytes() == text:
            return
        replace_file(file, text, before=partial(store.replace, file.name) if store else None)
    except JournalWriteError as error:
        raise DataDirectoryError(str(error)) from error
    except OSError as error:
        raise DataDirectoryError(
            f"{file}: {error.strerror}; free disk space or fix the directory; the next run writes it"
        ) from error


def source_statuses(context: HarvestContext, now: datetime) -> list[SourceStatus]:
    """Return the status of each source that has a definition or a run, sorted by name."""
    sources = _load_sources(context.source_dir)
    names = {*context.ledger.sources(), *(sources or {})} - INTERNAL
    return [_source_status(context, name, sources, now) for name in sorted(names)]


def _load_sources(folder: Path | None) -> Sources | None:
    """Load all source definitions; None if there is no directory, so that a wrong path retires no
    source.
    """
    if folder is None or not folder.is_dir():
        return None
    definitions = load_all(folder)
    return {**definitions.sources, **dict.fromkeys(definitions.errors)}


def _source_status(
    context: HarvestContext, name: str, sources: Sources | None, now: datetime
) -> SourceStatus:
    ledger = context.ledger
    last, plan = _last_fetched_run(context, name), ledger.last_run(name, [State.HELD])
    last = _public_run(last, context) if last else None
    good = ledger.last_run(name, SUCCESSFUL, fetched_only=True)
    last_full = ledger.last_run(name, SUCCESSFUL, full_only=True)
    source = (sources or {}).get(name)
    # An invalid definition does not retire a source.
    is_disabled = sources is not None and (
        name not in sources or (source is not None and not source.enabled)
    )
    retired = is_disabled or ledger.is_retired(name)
    hold = ledger.holds().get(name)
    wrote = ledger.last_run(name, PUBLISHED_RUNS, fetched_only=True, wrote_only=True)
    change = (wrote.ended or wrote.started) if wrote else None
    success = (good.ended or good.started) if good else None
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
            failures=_count_failures(context, name),
            late_from=_late_time(context, name, every, success) if every else None,
            frozen_from=frozen_after(every, change) if every and change else None,
            is_held=hold is not None,
            retired=retired,
        ),
        run=last.id if last else None,
        plan=plan.id if plan else None,
        account=run_statistics(replace(last, entry=None))
        if last and (last.entry is None or last.is_deferred)
        else None,
        full_harvest=last_full.started if last_full else None,
        change=change,
        due=next_due(every, now) if every else None,
        missing=ledger.count_missing(name),
        hold=(hold.reason or f"held by {hold.by}") if hold else None,
    )


def _late_time(
    context: HarvestContext, name: str, every: str, success: datetime | None
) -> datetime | None:
    """Return when the source becomes late: before its first success, at the first due time after
    its definition was put into the directory.
    """
    if success or context.source_dir is None:
        return late_after(every, success) if success else None
    try:
        placed = (context.source_dir / f"{name}.toml").stat().st_ctime
    except OSError:
        return None
    return next_due(every, datetime.fromtimestamp(placed, UTC))


def _public_run(run: Run, context: HarvestContext) -> Run:
    """Return a run for publication: paths in its reason are relative to the data directory."""
    prefix = rf"(?<![\w.:/-]){re.escape(str(context.data.resolve()))}/"
    reasons = (reason.map_texts(lambda text: re.sub(prefix, "", text)) for reason in run.reasons)
    return replace(run, reasons=tuple(reasons))


def _last_fetched_run(context: HarvestContext, name: str) -> Run | None:
    """Return the run that fetched from the source and ended last, which may be one with a deferred
    commit.
    """
    last = context.ledger.last_run(name, (*ENDED_STATES, State.COMMITTING), fetched_only=True)
    return (
        last
        if last is None or last.state is not State.COMMITTING or last.is_deferred
        else context.ledger.last_run(name, ENDED_STATES, fetched_only=True)
    )


def _count_failures(context: HarvestContext, name: str) -> int:
    """Count the failed, incomplete and deferred runs since the last success. Held plans do not
    count.
    """
    good, run = context.ledger.last_run(name, SUCCESSFUL), t.run.c
    is_deferred = sa.and_(run.state == State.COMMITTING, run.ended.is_not(None))
    has_failed = sa.or_(run.state.in_((State.FAILED, State.INCOMPLETE)), is_deferred)
    is_later = run.number > (good.number if good else 0)
    return context.ledger.count(t.run, run.source == name, is_later, has_failed)
