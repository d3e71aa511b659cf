"""Say which runs a process executes, by its locks, and keep their log lines in the ledger, while they
are written to standard error as well.

``record_line`` is a processor of structlog: it passes every event on. Lines are stored by the
thread of the run, at most once a second and at its end, so that pages show a run that is in
progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from harvesters.errors import LedgerError
from harvesters.ledger.models import LogLine, Run, State
from journal.files import is_locked

if TYPE_CHECKING:  # Every process has this log; only those of runs have a ledger.
    from harvesters.ledger.ledger import Ledger

# No source has such a name, since names have no spaces and do not start with a dot.
SCHEDULE, SCHEDULE_FILE = "the schedule", ".schedule.lock"


def source_lock_name(source: str) -> str:
    """Return the name of a source's advisory lock."""
    return f"source {source}"


def lock_path(data: Path, name: str) -> Path:
    """Return the file of a lock in the data directory."""
    return data / "locks" / name


def interrupted_runs(ledger: Ledger, data: Path, runs: Iterable[Run]) -> set[str]:
    """Return the ids of those of *runs* that have not ended and that no process executes any more.

    *data* is the data directory.
    """
    running = [run for run in runs if run.state is State.RUNNING]
    if ledger.is_shared and running:
        locked = ledger.locked_names({source_lock_name(run.source) for run in running})
        return {run.id for run in running if source_lock_name(run.source) not in locked}
    return {run.id for run in running if not is_locked(lock_path(data, f"{run.source}.lock"))}


def is_schedule_running(ledger: Ledger, data: Path) -> bool:
    """Return whether a schedule claims the run requests of the ledger."""
    if ledger.is_shared:
        return bool(ledger.locked_names({SCHEDULE}))
    return is_locked(lock_path(data, SCHEDULE_FILE))


# ---- log lines

MAX_LINES = 2_000  # lines of a run, so that a registry that fails on every page fills no ledger
_PAUSE = 1.0  # seconds between two writes
_OMITTED = ("level", "source", "run", "timestamp")  # fields that have columns of their own


@dataclass(slots=True)
class RunLog:
    """The log of one run. Lines wait until the run has an id. With *is_kept* false, as for a dry
    run, they are dropped.
    """

    ledger: Ledger
    source: str
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    run: str = ""
    is_kept: bool = True
    _lines: list[LogLine] = field(default_factory=list)
    _count: int = 0
    _written: float = field(init=False)

    def __post_init__(self) -> None:
        """Wait for some lines before the first write."""
        self._written = self.clock()

    def add(self, level: str, event: str, **fields: Any) -> None:
        """Add a line; store the lines if the last write was a while ago."""
        self._count += 1
        if self._count > MAX_LINES + 1:
            return
        if self._count == MAX_LINES + 1:
            level, event = "warning", "log truncated: the run has more lines"
            fields = {"limit": MAX_LINES}
        self._lines.append(LogLine(self.run, self.source, self.now(), level, event, fields))
        # A transaction that the run rolls back must not delete lines.
        if self.clock() - self._written >= _PAUSE and not self.ledger.is_joined:
            self.flush()

    def flush(self) -> None:
        """Store the lines. If the ledger cannot be written, they wait for the next time."""
        self._written = self.clock()
        if not self.is_kept or not self.run or not self._lines:
            return
        lines = [replace(line, run=self.run) for line in self._lines]
        with suppress(LedgerError):
            self.ledger.append_log(lines)
            self._lines.clear()


_current: ContextVar[RunLog | None] = ContextVar("run_log", default=None)


def assign_run(run: str) -> None:
    """Set the run that the lines of this thread belong to, until the end of ``keep_log``. Outside
    of ``keep_log``, do nothing.
    """
    if run_log := _current.get():
        structlog.contextvars.bind_contextvars(run=run)
        run_log.run = run


def record_line(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Add an event to the log of the run of this thread, and pass it on; a processor of structlog."""
    if run_log := _current.get():
        fields = {
            key: value
            for key, value in event.items()
            if key not in (*_OMITTED, "event", "exc_info")
        }
        run_log.add(str(event.get("level", name)), str(event.get("event", "")), **fields)
    return event


@contextmanager
def keep_log(ledger: Ledger, source: str, *, is_kept: bool = True) -> Iterator[RunLog]:
    """Keep the lines that this thread logs in the context as the log of a run of *source*."""
    run_log = RunLog(ledger, source, is_kept=is_kept)
    token = _current.set(run_log)
    try:
        yield run_log
    finally:
        _current.reset(token)
        structlog.contextvars.unbind_contextvars("run")
        run_log.flush()
