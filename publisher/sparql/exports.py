"""A queue of queries too large to wait for. The queue is a folder; each export is a subfolder whose
state file is replaced atomically.

If the server is killed, running exports are requeued at the next start. A result gets its name only
when complete.
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

from journal.atomic_file import replace_file
from publisher.errors import StoreBusy, TooManyQueries
from publisher.limits import Limits
from publisher.store.workers.query_request import QueryRequest

RETENTION = timedelta(days=1)  # of results
MAX_QUEUED = 50  # of all clients
MAX_PER_CLIENT = 50  # within a day
MAX_STORED_RESULTS = 10  # multiples of the largest result: limit of all results together
MAX_ATTEMPTS = 3  # an export that crashes the server is not retried for ever
# 16 random bytes: whoever knows the id may read and delete
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")


class ExportState(Enum):
    """The state of an export."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """An export. *serialized_query* is the packed QueryRequest. Times are ISO 8601 in UTC.

    *rows*, *size* and *sha256* are of the result so far.

    *position* is the journal entry of the data, *suffix* the result's format, *reason* the cause of
    a failure.
    """

    id: str
    serialized_query: str
    client: str
    requested: str
    state: ExportState = ExportState.QUEUED
    tries: int = 0
    started: str | None = None
    ended: str | None = None
    position: int | None = None
    suffix: str | None = None
    rows: int | None = None
    size: int = 0
    sha256: str | None = None
    reason: str | None = None

    @property
    def open(self) -> bool:
        """Return whether the export is queued or running."""
        return self.state in (ExportState.QUEUED, ExportState.RUNNING)

    @property
    def expires(self) -> str | None:
        """Return when it will be deleted, None while it is open."""
        return (datetime.fromisoformat(self.ended) + RETENTION).isoformat() if self.ended else None

    @property
    def query(self) -> QueryRequest:
        """Return its query."""
        return QueryRequest.unpack(self.serialized_query.encode())


class ExportQueue:
    """The queue in *folder*; *now* returns the time."""

    def __init__(
        self, folder: Path, limits: Limits, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder, self._limits, self.now = folder, limits, now

    def add(self, query_request: QueryRequest, client: str) -> Export:
        """Queue a query; raises TooManyQueries if *client* has too many exports, StoreBusy if the
        queue is full.
        """
        stored = self.all()
        waiting = [export for export in stored if export.open]
        own = [export.open for export in stored if export.client == client]
        if self._limits.exports and sum(own) >= self._limits.exports:
            raise TooManyQueries(
                f"{sum(own)} exports of your address are queued or running; wait for one, or delete it"
            )
        if self._limits.exports and len(own) >= MAX_PER_CLIENT:
            raise TooManyQueries(
                f"{len(own)} exports of your address are stored; delete those that you have downloaded"
            )
        if (
            len(waiting) >= MAX_QUEUED
            or sum(export.size for export in stored)
            >= MAX_STORED_RESULTS * self._limits.export_size
        ):
            raise StoreBusy(
                f"{len(waiting)} exports are waiting and {len(stored) - len(waiting)} are stored: the queue is full"
            )
        export = self.save(
            Export(
                secrets.token_urlsafe(16), query_request.pack().decode(), client, self.timestamp()
            )
        )
        os.utime(self.folder)  # the exporter watches this timestamp
        return export

    def get(self, name: str) -> Export | None:
        """Return the export *name*, None if it does not exist or was deleted."""
        file = self.folder / name / "state.json"
        if not _ID.match(name) or not file.is_file():
            return None
        stored = json.loads(file.read_text())
        return Export(**{**stored, "state": ExportState(stored["state"])})

    def all(self) -> list[Export]:
        """Return all exports, the oldest first."""
        names = (
            [path.name for path in self.folder.iterdir() if path.is_dir()]
            if self.folder.is_dir()
            else []
        )
        return sorted(
            (export for name in names if (export := self.get(name))),
            key=lambda export: (export.requested, export.id),
        )

    def save(self, export: Export) -> Export:
        """Write an export's state atomically."""
        folder = self.folder / export.id
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(
            folder / "state.json", json.dumps({**asdict(export), "state": export.state.value})
        )
        return export

    def result(self, export: Export) -> Path:
        """Return the path of its result."""
        return self.folder / export.id / "result"

    def delete(self, name: str) -> None:
        """Delete an export with its result."""
        if _ID.match(name):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ahead(self, export: Export) -> int:
        """Return the number of exports that run before this one."""
        return sum(
            other.open and (other.requested, other.id) < (export.requested, export.id)
            for other in self.all()
        )

    def changed(self) -> int:
        """Return a number that changes when an export is added or deleted."""
        return self.folder.stat().st_mtime_ns

    def next(self) -> Export | None:
        """Return the oldest queued export."""
        return next((export for export in self.all() if export.state is ExportState.QUEUED), None)

    def recover(self) -> None:
        """Requeue exports that were running when the server stopped."""
        for export in self.all():
            if export.state is ExportState.RUNNING:
                (self.folder / export.id / "part").unlink(missing_ok=True)
                if export.tries >= MAX_ATTEMPTS:
                    self.fail(
                        export,
                        f"the server stopped {MAX_ATTEMPTS} times while this export was running",
                    )
                else:
                    self.save(
                        replace(export, state=ExportState.QUEUED, started=None, rows=None, size=0)
                    )

    def fail(self, export: Export, reason: str) -> Export:
        """Save the export as failed."""
        return self.save(
            replace(
                export,
                state=ExportState.FAILED,
                ended=self.timestamp(),
                reason=reason,
                rows=None,
                size=0,
            )
        )

    def delete_expired(self) -> None:
        """Delete exports past their retention."""
        now = self.now()
        for export in self.all():
            if export.expires and datetime.fromisoformat(export.expires) <= now:
                self.delete(export.id)

    def timestamp(self) -> str:
        """Return the current time in the stored format."""
        return self.now().isoformat(timespec="microseconds")
