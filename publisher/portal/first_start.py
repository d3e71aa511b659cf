"""The first start of an installation: five steps that the front page and ``/health`` show until all
are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from publisher.errors import PublisherError
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import release_numbers
from publisher.store.source_status import SourceStatus, source_statuses
from vocab.freshness import Freshness

_MARK = "first-start"  # below the store's folder: the first start is over
_RETIRED = f"#{Freshness.RETIRED.value}"


class StepState(Enum):
    """The progress of a step."""

    DONE = "done"
    ACTIVE = "active"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the first start: *done* of *total* parts; *total* is 0 if it has no parts, or they
    are unknown.
    """

    name: str
    state: StepState
    done: int = 0
    total: int = 0


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
        if not self.active:
            return []
        steps = await self._steps()
        if all(step.state is StepState.DONE for step in (steps if self._release else steps[:-1])):
            self.active = False
            with suppress(OSError):  # a full disk: the file is written after the next start
                self._mark.touch()
        return steps if self.active else []

    async def _steps(self) -> list[Step]:
        service, snapshot = self._service, self._service.snapshot
        statuses: Sequence[SourceStatus] = []
        if snapshot is not None:
            # the store is busy: the page is loaded again in a moment
            with suppress(PublisherError):
                statuses = list((await source_statuses(service)).values())
        active = [
            item for item in statuses if not item.properties.get("freshness", "").endswith(_RETIRED)
        ]
        attempted = sum("lastAttempt" in item.properties for item in active)
        position = snapshot.position if snapshot else 0
        is_current = bool(snapshot and position and not service.behind)
        has_indexes = bool(snapshot and position and snapshot.is_indexed)
        released = release_numbers(service.data / "releases")
        reported = any((service.data / "reports").glob("release-*"))
        harvested = bool(active) and attempted == len(active)
        parts = (
            ("server", True, 0, 0),
            ("harvest", harvested, attempted, len(active)),
            ("store", harvested and is_current, position, position + service.behind),
            ("search", harvested and is_current and has_indexes, 0, 0),
            ("release", bool(released) and reported, len(released[:1]) + reported, 2),
        )
        return _ordered(parts)


def _ordered(parts: Sequence[tuple[str, bool, int, int]]) -> list[Step]:
    """Return the steps with their states: the first step that is not done is in progress, as are
    those that have begun.
    """
    steps, before = [], True
    for name, whole, done, total in parts:
        state = (
            StepState.DONE if whole else StepState.ACTIVE if before or done else StepState.WAITING
        )
        steps.append(Step(name, state, done, total))
        before = before and whole
    return steps
