"""Open the resources that every run needs: ledger, journal and worker pool; and lock sources, the
journal and the status file, so that each has one writer at a time.

With a SQLite ledger these are file locks in the data directory, which the system releases when a
process ends. With a PostgreSQL ledger, shared by several machines, they are advisory locks of the
database; ``check_lock`` of the yielded context raises LockLostError once such a lock is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import structlog

from harvesters.errors import DataDirectoryError, LockLostError, SourceLockedError
from harvesters.ledger.database import Fence, SharedRateLimiter
from harvesters.ledger.integrity import require_intact
from harvesters.ledger.ledger import Ledger
from harvesters.network.fetch import NetworkSettings, utc_now
from harvesters.pipeline.processes import DEFAULT_WORKERS, ChildProcesses
from harvesters.pipeline.record_processor import WorkerPool
from harvesters.runs.run_log import SCHEDULE, SCHEDULE_FILE, lock_path, source_lock_name
from journal.data_format import record_if_new
from journal.errors import JournalWriteError
from journal.files import AlreadyLockedError, FileLock, describe_holder
from journal.journal import Journal
from shapes.validate import EngineName
from vocab.iris import Iris

log = structlog.get_logger()


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
    now: Callable[[], datetime] = utc_now
    source_dir: Path | None = None
    # A file lock cannot be lost while its process runs.
    check_lock: Callable[[], None] = lambda: None
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


# ---- locks


@contextmanager
def _lock(
    name: str, file: str, context: HarvestContext, *, wait: bool = False
) -> Iterator[Fence | None]:
    """Hold a lock: *name* in a shared ledger, otherwise *file* in the data directory. Yield a
    function that raises LockLostError once the lock is lost, or None if another process holds it
    and *wait* is false.
    """
    if context.ledger.is_shared:
        with context.ledger.advisory_lock(name, wait=wait) as fence:
            yield fence
        return
    try:
        lock = _open_lock(lock_path(context.data, file), wait=wait)
    except AlreadyLockedError:
        yield None
        return
    with lock:
        yield lambda: None  # A file lock cannot be lost while its process runs.


@contextmanager
def source_lock(source: str, context: HarvestContext) -> Iterator[HarvestContext]:
    """Lock a source, and yield the context to use meanwhile.

    Raises SourceLockedError if another process holds the lock, DataDirectoryError if the lock file
    cannot be created.
    """
    file = f"{source}.lock"
    with _lock(source_lock_name(source), file, context) as fence:
        if fence is None:
            path = lock_path(context.data, file)
            holder = "" if context.ledger.is_shared else f" by {describe_holder(path)}"
            raise SourceLockedError(
                f"{source}: another run of it is in progress{holder}; wait for it to end"
            )
        yield replace(context, check_lock=_check_both(context.check_lock, fence))


def child_lock(source: str, data: Path, ledger: Ledger) -> AbstractContextManager[object]:
    """Wait until no child process of an earlier run of the source writes any more. A child whose
    parent has ended is killed at once.

    With a shared ledger nothing is locked: the child of a frozen worker waits for it, and must not
    stop the worker that resumes the run.
    """
    if ledger.is_shared:
        return nullcontext()
    return _open_lock(lock_path(data, f"{source}.child.lock"))


@dataclass(slots=True)
class ScheduleLock:
    """The lock by which other processes see that a schedule runs; one of several schedules has it."""

    context: HarvestContext
    _stack: ExitStack | None = field(default=None, init=False)
    _check: Callable[[], None] = field(default=lambda: None, init=False)

    def acquire(self) -> None:
        """Take the lock unless a process has it. It is called again every minute, since another
        schedule may have ended, and a database that restarts forgets its locks.
        """
        if self._stack:
            try:
                self._check()
                return
            except LockLostError:
                self.release()
        stack = ExitStack()
        fence = stack.enter_context(_lock(SCHEDULE, SCHEDULE_FILE, self.context))
        if fence:
            self._check, self._stack = fence, stack

    def release(self) -> None:
        """Release the lock if this process has it."""
        if self._stack:
            stack, self._stack = self._stack, None
            stack.close()


@contextmanager
def journal_lock(context: HarvestContext) -> Iterator[HarvestContext]:
    """Wait for the journal's lock, and yield the context to use meanwhile.

    A run writes its entry's number and the number of quads before it, so no other run may write
    between reading these and writing the entry.
    """
    # No source name starts with ".".
    with _lock("journal", ".journal.lock", context, wait=True) as fence:
        assert fence is not None
        context.journal.refresh()  # Read the entries of other processes and machines.
        yield replace(context, check_lock=_check_both(context.check_lock, fence))


def status_lock(context: HarvestContext) -> AbstractContextManager[object]:
    """Wait for the status file's lock, so that an older status never replaces a newer one."""
    return _lock("status", ".status.lock", context, wait=True)


def _check_both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        one()
        other()

    return check


def _open_lock(path: Path, *, wait: bool = True) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, wait=wait)
    except OSError as error:
        raise DataDirectoryError(
            f"{path}: {error.strerror}; free disk space or fix the directory, then run again"
        ) from error
