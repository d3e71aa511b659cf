"""Locks: one run of a source at a time, and one writer of the journal.

On a ledger of its own these are locks of the data folder, which the system frees when a process dies; on a ledger that machines
share they are the ledger's, and the means that are given know how to find out that they were lost.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from harvesters.errors import DataDirectoryError, SourceLockedError
from harvesters.runs.context import HarvestContext


def source_lock_name(source: str) -> str:
    """Return the name of a source's lock in a ledger that machines share."""
    return f"source {source}"


@contextmanager
def source_lock(source: str, means: HarvestContext) -> Iterator[HarvestContext]:
    """Hold a source's lock; go on with the means that are given.

    Raises SourceLockedError where another holds it, DataDirectoryError where there can be no lock.
    """
    busy = f"{source}: another run of it is under way; wait for it to end"
    if not means.ledger.is_shared:
        with _file_lock(means.data, f"{source}.lock", busy):
            yield means
        return
    with means.ledger.advisory_lock(source_lock_name(source), wait=False) as fence:
        if fence is None:
            raise SourceLockedError(busy)
        yield replace(means, check_lock=_check_both(means.check_lock, fence))


@contextmanager
def journal_lock(means: HarvestContext) -> Iterator[HarvestContext]:
    """Wait for the journal: what a run tells of it (its own entry's number, the quads before it) must still be so when it is written."""
    if not means.ledger.is_shared:
        with _file_lock(means.data, ".journal.lock"):  # no source's name begins with a dot
            means.journal.refresh()
            yield means
        return
    with means.ledger.advisory_lock("journal", wait=True) as fence:
        assert fence is not None
        means.journal.refresh()  # the head that a run counts on is the last one, on whichever machine it was written
        yield replace(means, check_lock=_check_both(means.check_lock, fence))


@contextmanager
def status_lock(means: HarvestContext) -> Iterator[None]:
    """Wait for the status file: what was looked up first must not be written last."""
    shared = means.ledger.advisory_lock("status", wait=True) if means.ledger.is_shared else nullcontext()
    with _file_lock(means.data, ".status.lock"), shared:
        yield


def _check_both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        one()
        other()

    return check


@contextmanager
def _file_lock(data: Path, name: str, busy: str = "") -> Iterator[None]:
    """Hold a lock; wait for it, or raise SourceLockedError with the text *busy*, where there is one."""
    try:
        (data / "locks").mkdir(parents=True, exist_ok=True)
        lock = (data / "locks" / name).open("w")
    except OSError as error:
        raise DataDirectoryError(f"{data / 'locks' / name}: {error.strerror}; free space or fix the folder, then run again") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise SourceLockedError(busy) from error
        yield
