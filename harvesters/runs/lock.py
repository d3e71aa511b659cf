"""Locks: one run of a source at a time, and one writer of the journal, over all processes on the data folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harvesters.errors import BusyError, FolderError
from harvesters.runs.means import Means


@contextmanager
def alone(source: str, means: Means) -> Iterator[None]:
    """Hold a source's lock, which the system frees when the process dies.

    Raises BusyError where another holds it, FolderError where there can be no lock.
    """
    try:
        with _locked(means.data, f"{source}.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError as error:
        raise BusyError(f"{source}: another run of it is under way; wait for it to end") from error


@contextmanager
def writing(means: Means) -> Iterator[None]:
    """Wait for the journal: what a run tells of it (its own entry's number, the quads before it) must still be so when it is written."""
    with _locked(means.data, ".journal.lock"):  # no source's name begins with a dot
        yield


@contextmanager
def telling(means: Means) -> Iterator[None]:
    """Wait for the status file: what was looked up first must not be written last."""
    with _locked(means.data, ".status.lock"):
        yield


@contextmanager
def _locked(data: Path, name: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    try:
        (data / "locks").mkdir(parents=True, exist_ok=True)
        lock = (data / "locks" / name).open("w")
    except OSError as error:
        raise FolderError(f"{data / 'locks' / name}: {error.strerror}; make room or mend the folder, then run again") from error
    with lock:
        fcntl.flock(lock, how)
        yield
