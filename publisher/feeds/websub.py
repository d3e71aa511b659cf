"""Notify a WebSub hub of each commit.

Source: https://www.w3.org/TR/websub/ (section 7). The hub manages subscriptions and deliveries;
requests go only to the hub. The last entry that it was notified of is stored in a file, so that no
change is missed while we or the hub are down.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from urllib.parse import urlencode

import httpx
import structlog

from journal.atomic_file import replace_file
from publisher.errors import NotReady
from publisher.feeds.sets import FEED_FAMILIES, feed_path
from publisher.history import change_reader
from publisher.store.query_service import QueryService

POLL_SECONDS = 1.0  # seconds between checks for new entries
MAX_RETRY_SECONDS = 600.0  # the longest pause before a failed notification is retried
BATCH_SIZE = 100  # feeds in one request
FILE_NAME = "hub.json"

logger = structlog.get_logger(component="hub")

Sleep = Callable[[float], Awaitable[None]]


class WebSubNotifier:
    """Notifies *hub* with *client* of changed feeds of *service*."""

    def __init__(
        self,
        hub: str,
        service: QueryService,
        client: httpx.AsyncClient,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._hub, self._service, self._client, self._sleep = hub, service, client, sleep
        self._file = service.data / FILE_NAME

    async def run(self) -> None:
        """Run until cancelled."""
        wait = POLL_SECONDS
        while True:
            await self._sleep(wait)
            try:
                await self.step()
                wait = POLL_SECONDS
            except (httpx.HTTPError, OSError) as error:
                wait = min(2 * wait, MAX_RETRY_SECONDS)
                logger.warning(
                    "WebSub hub not notified; retrying",
                    hub=self._hub,
                    error=str(error),
                    seconds=wait,
                )

    async def step(self) -> int:
        """Notify the hub of new changes; return the number of feeds. Raises httpx.HTTPError if the
        hub rejects it.
        """
        try:
            horizon = await asyncio.to_thread(change_reader.read_watermark, self._service)
        except NotReady:
            return 0
        entry = await asyncio.to_thread(self._last_entry)
        if entry is None:  # first start: existing changes are not announced
            await asyncio.to_thread(self._save, horizon.entry)
            return 0
        feeds = (
            await asyncio.to_thread(self._changed_feeds, entry, horizon.entry)
            if entry < horizon.entry
            else []
        )
        for start in range(0, len(feeds), BATCH_SIZE):
            await self._publish(feeds[start : start + BATCH_SIZE])
        if entry != horizon.entry:
            await asyncio.to_thread(self._save, horizon.entry)
        return len(feeds)

    async def _publish(self, feeds: Sequence[str]) -> None:
        form = [
            ("hub.mode", "publish"),
            *(("hub.url", f"{self._service.iris.base}{feed}") for feed in feeds),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        (
            await self._client.post(self._hub, content=urlencode(form), headers=headers)
        ).raise_for_status()

    def _changed_feeds(self, after: int, upto: int) -> list[str]:
        """Return the paths of the changed feeds, without the leading slash."""
        changed = change_reader.open_history(self._service).changed_sets(after, upto)
        return [f"{feed_path(name)[1:]}.atom" for name in sorted(_with_feeds(changed))]

    def _last_entry(self) -> int | None:
        try:
            return int(json.loads(self._file.read_bytes())["entry"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _save(self, entry: int) -> None:
        replace_file(self._file, json.dumps({"entry": entry}))


def _with_feeds(sets: set[str]) -> Iterator[str]:
    """Return those of *sets* that have feeds."""
    return (
        name
        for name in sets
        if name == change_reader.ALL or (":" in name and name.partition(":")[0] in FEED_FAMILIES)
    )
