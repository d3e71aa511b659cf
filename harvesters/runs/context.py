"""Open the resources that every run needs: ledger, journal and worker pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from harvesters.ledger.database import SharedRateLimiter
from harvesters.ledger.integrity import require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.processes import DEFAULT_WORKERS, ChildProcesses
from harvesters.pipeline.worker_pool import WorkerPool
from journal.data_format import record_if_new
from journal.errors import JournalWriteError
from journal.journal import Journal
from shapes.validate import EngineName
from vocab.iris import Iris

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _no_lock_check() -> None:
    """Do nothing, since a file lock cannot be lost while its process runs."""


@dataclass(frozen=True, slots=True)
class HarvestContext:
    """The resources that all runs share.

    *data* is the data directory (archive, locks, status file). *now* returns UTC in whole seconds.
    *source_dir* is the directory of the source definitions, None if unknown. *check_lock* raises
    LockLostError if the lock of the run is lost; it is called before each write that others rely
    on. *children* are the processes in which runs collect their pages; if None, this process does.
    *name* is the installation's, in mails.
    """

    data: Path
    ledger: Ledger
    journal: Journal
    iris: Iris
    pool: WorkerPool
    network: NetworkSettings = field(default_factory=NetworkSettings)
    now: Callable[[], datetime] = _now
    source_dir: Path | None = None
    check_lock: Callable[[], None] = _no_lock_check
    children: ChildProcesses | None = None
    name: str = "Stocktake"


def _recover_journal(journal: Journal) -> None:
    """Recover from a crash. If the journal is not writable, log a warning: it can still be read."""
    try:
        aside = journal.recover()
    except JournalWriteError as error:
        log.warning("journal not writable; nothing can be published", reason=str(error))
        return
    if aside:
        log.warning(
            "incomplete journal entry moved aside",
            file=str(aside),
            action="none: the entry is written again",
        )


@contextmanager
def open_context(
    data: Path,
    ledger: str,
    base: str,
    network: NetworkSettings,
    engine: EngineName = "rust",
    source_dir: Path | None = None,
    workers: int = DEFAULT_WORKERS,
    dask: str = "",
    children: ChildProcesses | None = None,
    name: str = "Stocktake",
) -> Iterator[HarvestContext]:
    """Open ledger, journal and worker pool, recover from a crash, and close them on exit.

    With a shared ledger, all its users share one rate limiter instead of that of *network*. *workers*
    and *dask* choose the executor of the ``WorkerPool``.
    """
    data.mkdir(parents=True, exist_ok=True)
    record_if_new(data)
    journal = Journal(data / "journal")
    _recover_journal(journal)
    iris = Iris(base)
    require_intact(ledger)
    database = Ledger(ledger)
    if database.is_shared:
        network = replace(network, rate_limiter=SharedRateLimiter(database))
    try:
        with WorkerPool(base, engine, workers, dask) as pool:
            yield HarvestContext(
                data,
                database,
                journal,
                iris,
                pool,
                network,
                source_dir=source_dir,
                children=children,
                name=name,
            )
    finally:
        database.close()
