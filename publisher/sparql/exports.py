"""Exports: questions too large to wait for, in a queue that is a folder: one folder each, its state a file that is replaced whole.

Kill the server at any point: what was at work is put back into the queue, and a result has its name only when it is whole.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from publisher.errors import StoreBusy, TooManyQueries
from publisher.limits import Limits
from publisher.store.workers.query_request import QueryRequest

RETENTION = timedelta(days=1)  # how long a result is kept
MAX_QUEUED = 50  # exports that wait at most, of all clients
MAX_PER_CLIENT = 50  # that one client has had within the day
MAX_STORED_RESULTS = 10  # times the largest result: what all results hold at most
MAX_ATTEMPTS = 3  # times that an export is begun: one that takes the server down with it must not do so for ever
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")  # 16 random bytes: who has it may read and delete


class ExportState(Enum):
    """How far an export is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """One export. *question* is packed; times are ISO 8601 in UTC; *rows*, *size* and *sha256* are the result's, or its progress so far.

    *position* is the journal entry that it shows, *suffix* the format that the result has, *reason* why it failed.
    """

    id: str
    question: str
    client: str
    asked: str
    state: ExportState = ExportState.QUEUED
    tries: int = 0
    began: str | None = None
    ended: str | None = None
    position: int | None = None
    suffix: str | None = None
    rows: int | None = None
    size: int = 0
    sha256: str | None = None
    reason: str | None = None

    @property
    def open(self) -> bool:
        """Tell whether it still waits or is at work."""
        return self.state in (ExportState.QUEUED, ExportState.RUNNING)

    @property
    def expires(self) -> str | None:
        """Tell when it will be deleted; None while it is open."""
        return (datetime.fromisoformat(self.ended) + RETENTION).isoformat() if self.ended else None

    @property
    def asks(self) -> QueryRequest:
        """Give its question."""
        return QueryRequest.unpack(self.question.encode())


class ExportQueue:
    """The queue in *folder*; *now* gives the time."""

    def __init__(self, folder: Path, limits: Limits, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.folder, self._limits, self.now = folder, limits, now

    def add(self, question: QueryRequest, client: str) -> Export:
        """Put a question into the queue; raise TooManyQueries where *client* has too many open, StoreBusy where all together have."""
        kept = self.all()
        waiting = [export for export in kept if export.open]
        own = [export.open for export in kept if export.client == client]
        if self._limits.exports and sum(own) >= self._limits.exports:
            raise TooManyQueries(f"{sum(own)} exports of this address are under way already; wait for one, or delete it")
        if self._limits.exports and len(own) >= MAX_PER_CLIENT:
            raise TooManyQueries(f"{len(own)} exports of this address are kept already; delete those that you have fetched")
        if len(waiting) >= MAX_QUEUED or sum(export.size for export in kept) >= MAX_STORED_RESULTS * self._limits.export_size:
            raise StoreBusy(f"{len(waiting)} exports wait and {len(kept) - len(waiting)} are kept; there is no room for more now")
        export = self.save(Export(secrets.token_urlsafe(16), question.pack().decode(), client, self.stamp()))
        os.utime(self.folder)  # whoever answers them looks at this
        return export

    def get(self, name: str) -> Export | None:
        """Give the export *name*, None where there is none, or none any more."""
        file = self.folder / name / "export.json"
        if not _ID.match(name) or not file.is_file():
            return None
        told = json.loads(file.read_text())
        return Export(**{**told, "state": ExportState(told["state"])})

    def all(self) -> list[Export]:
        """List them, the oldest first."""
        names = [path.name for path in self.folder.iterdir() if path.is_dir()] if self.folder.is_dir() else []
        return sorted((export for name in names if (export := self.get(name))), key=lambda export: (export.asked, export.id))

    def save(self, export: Export) -> Export:
        """Write an export's state, whole or not at all."""
        home = self.folder / export.id
        home.mkdir(parents=True, exist_ok=True)
        part = home / "export.part"
        with part.open("w") as file:
            json.dump({**asdict(export), "state": export.state.value}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(home / "export.json")
        return export

    def result(self, export: Export) -> Path:
        """Give where its result lies once it is done."""
        return self.folder / export.id / "result"

    def drop(self, name: str) -> None:
        """Delete an export with its result."""
        if _ID.match(name):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ahead(self, export: Export) -> int:
        """Count those that are answered before it."""
        return sum(other.open and (other.asked, other.id) < (export.asked, export.id) for other in self.all())

    def changed(self) -> int:
        """Tell when one was last put in or deleted, as a number that differs each time."""
        return self.folder.stat().st_mtime_ns

    def next(self) -> Export | None:
        """Give the oldest that waits."""
        return next((export for export in self.all() if export.state is ExportState.QUEUED), None)

    def recover(self) -> None:
        """Put back what was at work when the server ended."""
        for export in self.all():
            if export.state is ExportState.RUNNING:
                (self.folder / export.id / "part").unlink(missing_ok=True)
                if export.tries >= MAX_ATTEMPTS:
                    self.fail(export, f"the server ended {MAX_ATTEMPTS} times while it was at work")
                else:
                    self.save(replace(export, state=ExportState.QUEUED, began=None, rows=None, size=0))

    def fail(self, export: Export, reason: str) -> Export:
        """Note why it cannot be answered."""
        return self.save(replace(export, state=ExportState.FAILED, ended=self.stamp(), reason=reason, rows=None, size=0))

    def sweep(self) -> None:
        """Delete what ended a day ago."""
        now = self.now()
        for export in self.all():
            if export.expires and datetime.fromisoformat(export.expires) <= now:
                self.drop(export.id)

    def stamp(self) -> str:
        """Give the time as it is written."""
        return self.now().isoformat(timespec="microseconds")
