"""The lock of the one process that writes a store on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from journal.file_lock import FileLock, describe_holder, is_locked
from publisher.errors import StoreBusy


def ignore_report(_reason: str) -> None:
    """Ignore the report."""


def writer_lock(path: Path, report: Callable[[str], None] = ignore_report) -> FileLock:
    """Wait until no other process writes this store; return the lock.

    While another process holds it, *report* is called with the reason, which names that process; then with "".
    """
    waited = False

    def report_holder(process: str) -> None:
        # Without its command, which names folders: this reason is public, in /health.
        nonlocal waited
        waited = True
        report(f"process {process or 'unknown'} writes this store ({path.parent.name}/): another server uses the same data folder")

    lock = FileLock(path, on_wait=report_holder)
    if waited:
        report("")
    return lock


def require_unlocked(path: Path) -> None:
    """Raise StoreBusy, which names the process, if another process holds the lock at *path*; a missing file is no lock."""
    if is_locked(path):
        raise StoreBusy(f"a server follows the journal here ({describe_holder(path)}); end it, then run this again")
