"""Lock sources, the journal and the status file, so that each has one writer at a time.

With a SQLite ledger these are file locks in the data directory, which the system releases when a
process ends. With a PostgreSQL ledger, shared by several machines, they are advisory locks of the
database; ``check_lock`` of the yielded context raises LockLostError once such a lock is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from harvesters.errors import DataDirectoryError, SourceLockedError
from harvesters.runs.context import HarvestContext
from journal.file_lock import AlreadyLockedError, FileLock, describe_holder


def source_lock_name(source: str) -> str:
    """Return the name of a source's advisory lock."""
    return f"source {source}"


@contextmanager
def source_lock(source: str, context: HarvestContext) -> Iterator[HarvestContext]:
    """Lock a source, and yield the context to use meanwhile.

    Raises SourceLockedError if another process holds the lock, DataDirectoryError if the lock file
    cannot be created.
    """
    if not context.ledger.is_shared:
        path = _lock_path(context.data, f"{source}.lock")
        try:
            lock = _open_lock(path, wait=False)
        except AlreadyLockedError as error:
            raise SourceLockedError(
                _busy_message(source, f" by {describe_holder(path)}")
            ) from error
        with lock:
            yield context
        return
    with context.ledger.advisory_lock(source_lock_name(source), wait=False) as fence:
        if fence is None:
            raise SourceLockedError(_busy_message(source))
        yield replace(context, check_lock=_check_both(context.check_lock, fence))


def _busy_message(source: str, holder: str = "") -> str:
    return f"{source}: another run of it is in progress{holder}; wait for it to end"


@contextmanager
def journal_lock(context: HarvestContext) -> Iterator[HarvestContext]:
    """Wait for the journal's lock, and yield the context to use meanwhile.

    A run writes its entry's number and the number of quads before it, so no other run may write
    between reading these and writing the entry.
    """
    if not context.ledger.is_shared:
        # no source name starts with "."
        with _open_lock(_lock_path(context.data, ".journal.lock")):
            context.journal.refresh()
            yield context
        return
    with context.ledger.advisory_lock("journal", wait=True) as fence:
        assert fence is not None
        context.journal.refresh()  # read the entries of other machines
        yield replace(context, check_lock=_check_both(context.check_lock, fence))


@contextmanager
def status_lock(context: HarvestContext) -> Iterator[None]:
    """Wait for the status file's lock, so that an older status never replaces a newer one."""
    shared = (
        context.ledger.advisory_lock("status", wait=True)
        if context.ledger.is_shared
        else nullcontext()
    )
    with _open_lock(_lock_path(context.data, ".status.lock")), shared:
        yield


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
