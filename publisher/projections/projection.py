"""A projection of the journal that reads the store, and the time slices in which it is updated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import structlog

from publisher.projections.quad_source import QuadSource

log = structlog.get_logger(component="projections")


class Projection(Protocol):
    """An index of what the store holds, updated from the entries that changed it.

    Applying an entry again changes nothing, so that after a crash it continues from its checkpoint. Readers see only
    what ``show`` published: the whole state at one entry.
    """

    name: str
    errors: tuple[type[Exception], ...]  # raised if its files cannot be written; it is then rebuilt
    snapshot_wait: float  # seconds that a snapshot of new data waits for it

    @property
    def checkpoint(self) -> int:
        """Return the number of the last entry that is stored, 0 if none is."""

    @property
    def position(self) -> int:
        """Return the number of the entry that readers see, -1 if nothing is shown."""

    def advance(self, source: QuadSource, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*, where *source* is; yield between batches."""

    def show(self, seconds: float) -> None:
        """Publish what is stored; takes about *seconds*, and continues at the next call if it is not done."""

    def reset(self) -> None:
        """Delete what is stored, so that it is rebuilt."""

    def close(self) -> None:
        """Close the files; what was not stored is lost."""


class SlicedProjection:
    """Updates *projection* in slices of time. A failure is logged, and the projection rebuilt: others do not notice."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.error = ""  # why it could not be written last, "" if it could
        self._work: Iterator[None] | None = None

    def step(self, source: QuadSource, position: int, entry: str, seconds: float) -> bool:
        """Work for about *seconds* toward *position*, where *source* is; return whether readers see that position."""
        try:
            is_level = self._step(source, position, entry, time.monotonic() + seconds)
        except self.projection.errors as error:
            name, self.error = self.projection.name, f"{type(error).__name__}: {error}"
            log.error("projection cannot be written; rebuilding", projection=name, error=self.error)
            self._work = None
            self.projection.reset()
            return False
        self.error = ""
        return is_level

    def _step(self, source: QuadSource, position: int, entry: str, until: float) -> bool:
        projection = self.projection
        while projection.checkpoint < position:
            before = projection.checkpoint
            self._work = self._work or projection.advance(source, position, entry)
            if next(self._work, self) is self:
                self._work = None
                if projection.checkpoint == before:
                    return False
            elif time.monotonic() > until:
                return False
        if projection.checkpoint == position and projection.position != position:
            projection.show(max(0.0, until - time.monotonic()))
        return projection.position == position

    def progress(self) -> dict[str, object]:
        """Return its position, and the error if it could not be written."""
        return {"position": self.projection.position, **({"error": self.error} if self.error else {})}

    def close(self) -> None:
        """Stop the work and close the projection."""
        self._work = None
        self.projection.close()
