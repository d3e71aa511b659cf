"""Probe an external store, so that ``/health`` reports its state without a query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress

from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.errors import PublisherError
from publisher.store.external.client import FOREIGN, Client, missing_data
from publisher.store.snapshots import Snapshot

INTERVAL = 5.0  # seconds between two probes
TIMEOUT = 10.0  # seconds without a response after which the store counts as down


class StoreProbe:
    """Probe the store at *url* repeatedly. *failure* is why it cannot answer, or not with all that is
    published, by the last probe; "" if it can. *is_foreign* is whether it follows another journal
    than *journal*.

    *snapshot* returns what is published, None before the first.
    """

    def __init__(self, url: str, journal: Journal, snapshot: Callable[[], Snapshot | None]) -> None:
        self.failure, self.is_foreign = "", False
        self._url, self._journal, self._snapshot = url, journal, snapshot

    async def run(self) -> None:
        """Probe until cancelled; log the start and end of an outage."""
        outage = Outage(
            "SPARQL store does not answer queries", "SPARQL store answers queries again"
        )
        with closing(Client(self._url)) as client:
            while True:
                self.failure = await asyncio.to_thread(self.check, client)
                if self.failure:
                    outage.failed(self.failure, host=client.host)
                else:
                    outage.over()
                await asyncio.sleep(INTERVAL)

    def check(self, client: Client) -> str:
        """Return why the store cannot answer, "" if it can."""
        try:
            state = client.state(TIMEOUT)
        except (PublisherError, ValueError) as error:
            return str(error)
        if (snapshot := self._snapshot()) is None:
            return ""  # nothing is answered yet
        with suppress(JournalError):  # reported elsewhere
            entry = self._journal.entry(state.position) if state else None
            self.is_foreign = bool(state and entry and entry.id != state.entry)
        return (
            FOREIGN if self.is_foreign else missing_data(state, snapshot.position, snapshot.entry)
        )
