"""The lock of the one process that writes a store on this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from publisher.errors import StoreBusy


def ignore_report(_reason: str) -> None:
    """Ignore the report."""


def writer_lock(path: Path, report: Callable[[str], None] = ignore_report) -> TextIO:
    """Wait until no other process writes this store; the returned file holds the lock until it is closed.

    While another process holds it, *report* is called with the reason, which names that process; then with "".
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Without its command, which names folders: this reason is public, in /health.
        other = path.read_text().strip() or "unknown"
        report(f"process {other} writes this store ({path.parent.name}/): another server uses the same data folder")
        fcntl.flock(file, fcntl.LOCK_EX)
        report("")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def require_unlocked(path: Path) -> None:
    """Raise StoreBusy, which names the process, if another process holds the lock at *path*; a missing file is no lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError as error:
        raise StoreBusy(f"a server follows the journal here ({_holder(path)}); end it, then run this again") from error


def _holder(path: Path) -> str:
    """Return the process that wrote its number into the lock at *path*, with its command."""
    number = path.read_text().strip()
    if not number.isdecimal():
        return "process unknown"
    try:
        command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return f"process {number}"
    return f"process {number}: {command[:200]}"
