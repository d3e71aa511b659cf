"""Probe an external store, so that ``/health`` reports its state without a query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.store.external.client import TABLE
from publisher.store.external.endpoint import Endpoint
from publisher.store.external.state import ASK, State, foreign_data, missing_data, parse_state
from publisher.store.snapshots import Snapshot

INTERVAL = 5.0  # seconds between two probes
TIMEOUT = 10.0  # seconds without a response after which the store counts as down


class StoreProbe:
    """Probe the store at *endpoint* repeatedly. *failure* is why it cannot answer, or not with all
    that is published, by the last probe; "" if it can. *is_foreign* is whether it follows another
    journal than *journal*.

    *snapshot* returns what is published, None before the first.
    """

    def __init__(
        self, endpoint: Endpoint, journal: Journal, snapshot: Callable[[], Snapshot | None]
    ) -> None:
        self.failure, self.is_foreign = "", False
        self._endpoint, self._journal, self._snapshot = endpoint, journal, snapshot

    async def run(self) -> None:
        """Probe until cancelled; log the start and end of an outage."""
        outage = Outage(
            "SPARQL store does not answer queries", "SPARQL store answers queries again"
        )
        auth = (self._endpoint.user, self._endpoint.password) if self._endpoint.user else None
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, auth=auth) as client:
            while True:
                self.failure = await self.check(client)
                if self.failure:
                    outage.failed(self.failure, host=urlsplit(self._endpoint.url).netloc)
                else:
                    outage.over()
                await asyncio.sleep(INTERVAL)

    async def check(self, client: httpx.AsyncClient) -> str:
        """Return why the store cannot answer, "" if it can."""
        try:
            response = await client.post(
                self._endpoint.url, data={"query": ASK}, headers={"Accept": TABLE}
            )
        except httpx.TransportError as error:
            return str(error) or f"no answer within {TIMEOUT:g} s"
        if not response.is_success:
            return f"it answers {response.status_code}"
        if (snapshot := self._snapshot()) is None:
            return ""  # nothing is answered yet
        try:
            rows = response.json()["results"]["bindings"]
            state = parse_state((row["name"]["value"], row["value"]["value"]) for row in rows)
        except (ValueError, KeyError, TypeError):
            return "it answers a query with something other than a result in JSON"
        foreign = await asyncio.to_thread(self._foreign_data, state) if state else ""
        self.is_foreign = bool(foreign)
        return foreign or missing_data(state, snapshot.position, snapshot.entry)

    def _foreign_data(self, state: State) -> str:
        with suppress(JournalError):  # reported elsewhere
            entry = next(iter(self._journal.entries(after=state.position - 1)), None)
            return foreign_data(state, entry.id if entry else None)
        return ""
