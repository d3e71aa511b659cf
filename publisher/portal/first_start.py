"""The first start of an installation: five steps that the front page and ``/health`` show until all
are done.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from publisher.errors import PublisherError
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import release_numbers
from publisher.store.source_status import SourceStatus, source_statuses
from vocab.freshness import Freshness

_MARK = "first-start"  # below the store's folder: the first start is over
_RETIRED = f"#{Freshness.RETIRED.value}"


class Step(NamedTuple):
    """A step of the first start: its *state* is done, active or waiting; *done* of *total* parts,
    which is 0 if it has no parts, or they are unknown.
    """

    name: str
    state: str
    done: int
    total: int


class FirstStart:
    """Follows the first start of the installation of *service*; with *release*, a release and its
    report belong to it.

    The first start is over once all steps were done, also after the server is started again: a new
    source does not begin another.
    """

    def __init__(self, service: QueryService, *, release: bool = False) -> None:
        self._service, self._release = service, release
        self._mark = service.data / "store" / _MARK
        self.active = not self._mark.exists()

    async def steps(self) -> list[Step]:
        """Return the five steps; none once the first start is over."""
        steps = await self._steps() if self.active else []
        if all(step.state == "done" for step in (steps if self._release else steps[:-1])):
            if self.active:
                self.active = False
                with suppress(OSError):  # a full disk: the file is written after the next start
                    self._mark.touch()
            return []
        return steps

    async def _steps(self) -> list[Step]:
        service, snapshot = self._service, self._service.snapshot
        statuses: dict[str, SourceStatus] = {}
        if snapshot is not None:
            # the store is busy: the page is loaded again in a moment
            with suppress(PublisherError):
                statuses = await source_statuses(service)
        active = [
            status.properties
            for status in statuses.values()
            if not status.properties.get("freshness", "").endswith(_RETIRED)
        ]
        attempted = sum("lastAttempt" in properties for properties in active)
        position = snapshot.position if snapshot else 0
        is_harvested = bool(active) and attempted == len(active)
        is_stored = is_harvested and position > 0 and not service.behind
        is_indexed = is_stored and snapshot is not None and snapshot.is_indexed
        released = bool(release_numbers(service.data / "releases"))
        reported = any((service.data / "reports").glob("release-*"))
        parts = (
            ("server", True, 0, 0),
            ("harvest", is_harvested, attempted, len(active)),
            ("store", is_stored, position, position + service.behind),
            ("search", is_indexed, 0, 0),
            ("release", released and reported, released + reported, 2),
        )
        steps, is_next = [], True  # the first step that is not done is active, and those begun
        for name, is_done, done, total in parts:
            state = "done" if is_done else "active" if is_next or done else "waiting"
            steps.append(Step(name, state, done, total))
            is_next = is_next and is_done
        return steps
