"""The lock that lets only one process on this machine write a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from journal.file_lock import FileLock, describe_holder, is_locked
from publisher.errors import StoreBusy


def ignore_report(_reason: str) -> None:
    """Ignore the report."""


def writer_lock(path: Path, report: Callable[[str], None] = ignore_report) -> FileLock:
    """Wait for the lock at *path* and return it.

    While another process holds it, *report* receives the reason with the id of that process;
    afterwards "".
    """
    waited = False

    def report_holder(process: str) -> None:
        # Without the command line, which contains paths: /health publishes this reason.
        nonlocal waited
        waited = True
        report(
            f"process {process or 'unknown'} writes this store ({path.parent.name}/): another server uses the same data folder"
        )

    lock = FileLock(path, on_wait=report_holder)
    if waited:
        report("")
    return lock


def require_unlocked(path: Path) -> None:
    """Raise StoreBusy, which names the process, if another process holds the lock at *path*; a
    missing file means unlocked.
    """
    if is_locked(path):
        raise StoreBusy(
            f"a server uses this data folder ({describe_holder(path)}); stop it, then run this command again"
        )
