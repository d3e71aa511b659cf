"""Locks: one run of a source at a time, and one writer of the journal, over all processes on the data folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from harvesters.errors import BusyError
from harvesters.runs.means import Means


@contextmanager
def alone(source: str, means: Means) -> Iterator[None]:
    """Hold a source's lock, which the system frees when the process dies; raises BusyError where another holds it."""
    folder = means.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{source}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"{source}: another run of it is under way; wait for it to end") from error
        yield


@contextmanager
def writing(means: Means) -> Iterator[None]:
    """Wait for the journal: what a run tells of it (its own entry's number, the quads before it) must still be so when it is written."""
    folder = means.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".journal.lock").open("w") as lock:  # no source's name begins with a dot
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
