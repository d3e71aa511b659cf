"""The first start of an installation: five steps that the front page and ``/health`` have until all
are done; and what is loaded after each start.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from starlette.datastructures import State

from publisher.data.tables import open_facet_index
from publisher.errors import PublisherError
from publisher.store.descriptions import SourceStatus, source_statuses
from publisher.store.query_service import QueryService
from publisher.store.releases import release_numbers
from publisher.store.search.searcher import open_searcher
from vocab.provenance import Freshness

_MARK = "first-start"  # the file in the store's folder that says that the first start is over
_RETIRED = f"#{Freshness.RETIRED.value}"
_POLL_SECONDS = 0.2  # seconds between checks for the first snapshot with indexes

log = structlog.get_logger(component="warm-up")


# A step of the first start: its "name" and "state" (done, active or waiting), and "done" of "total"
# parts, which is 0 if it has no parts, or they are unknown.
Step = dict[str, Any]


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
        steps = await self._steps() if self.active else []
        if all(step["state"] == "done" for step in (steps if self._release else steps[:-1])):
            if self.active:
                self.active = False
                with suppress(OSError):  # a full disk: the file is written after the next start
                    self._mark.touch()
            return []
        return steps

    async def _steps(self) -> list[Step]:
        service, snapshot = self._service, self._service.snapshot
        statuses: dict[str, SourceStatus] = {}
        # If the store is busy, the steps are right when the page is loaded again in a moment.
        with suppress(PublisherError):
            statuses = await source_statuses(service) if snapshot else {}
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
        # The first step that is not done is active, and so are all that have begun.
        first = next((name for name, is_done, *_ in parts if not is_done), "")
        return [
            {
                "name": name,
                "state": "done" if is_done else "active" if name == first or done else "waiting",
                "done": done,
                "total": total,
            }
            for name, is_done, done, total in parts
        ]


async def warm_up(service: QueryService, state: State) -> None:
    """Load what the first search and the first list would wait for, once it exists: the topics that
    words are compared with, which take more than a second of processor time, and the facet tables.
    ``is_warm`` of *state* is False until then.
    """
    state.is_warm = False
    while (snapshot := service.snapshot) is None or min(snapshot.text, snapshot.columns) < 0:
        await asyncio.sleep(_POLL_SECONDS)
    (error,) = await asyncio.gather(asyncio.to_thread(_load, snapshot.path), return_exceptions=True)
    if isinstance(error, Exception):  # the requests that need the indexes report what is wrong
        log.warning("indexes not loaded", reason=f"{type(error).__name__}: {error}")
    state.is_warm = True


def _load(path: str) -> None:
    open_facet_index(path)
    if searcher := open_searcher(path):
        _ = searcher.languages, searcher.topics
