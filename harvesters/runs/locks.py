"""Lock sources, the journal and the status file, so that each has one writer at a time.

With a SQLite ledger these are file locks in the data directory, which the system releases when a
process ends. With a PostgreSQL ledger, shared by several machines, they are advisory locks of the
database; ``check_lock`` of the yielded context raises LockLostError once such a lock is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harvesters.errors import DataDirectoryError, LockLostError, SourceLockedError
from harvesters.ledger.database import Fence
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, State
from journal.files import AlreadyLockedError, FileLock, describe_holder, is_locked

if TYPE_CHECKING:
    # It imports modules that a listing of runs does not need.
    from harvesters.runs.context import HarvestContext

# No source has such a name, since names have no spaces and do not start with a dot.
_SCHEDULE, _SCHEDULE_FILE = "the schedule", ".schedule.lock"


def source_lock_name(source: str) -> str:
    """Return the name of a source's advisory lock."""
    return f"source {source}"


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
        lock = _open_lock(_lock_path(context.data, file), wait=wait)
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
            path = _lock_path(context.data, file)
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
    return _open_lock(_lock_path(data, f"{source}.child.lock"))


def interrupted_runs(ledger: Ledger, data: Path, runs: Iterable[Run]) -> set[str]:
    """Return the ids of those of *runs* that have not ended and that no process executes any more.

    *data* is the data directory.
    """
    running = [run for run in runs if run.state is State.RUNNING]
    if ledger.is_shared and running:
        locked = ledger.locked_names({source_lock_name(run.source) for run in running})
        return {run.id for run in running if source_lock_name(run.source) not in locked}
    return {run.id for run in running if not is_locked(_lock_path(data, f"{run.source}.lock"))}


def is_schedule_running(ledger: Ledger, data: Path) -> bool:
    """Return whether a schedule claims the run requests of the ledger."""
    if ledger.is_shared:
        return bool(ledger.locked_names({_SCHEDULE}))
    return is_locked(_lock_path(data, _SCHEDULE_FILE))


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
        fence = stack.enter_context(_lock(_SCHEDULE, _SCHEDULE_FILE, self.context))
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


def _lock_path(data: Path, name: str) -> Path:
    return data / "locks" / name


def _open_lock(path: Path, *, wait: bool = True) -> FileLock:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, wait=wait)
    except OSError as error:
        raise DataDirectoryError(
            f"{path}: {error.strerror}; free disk space or fix the directory, then run again"
        ) from error
