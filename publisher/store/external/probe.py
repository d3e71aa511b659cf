"""Probe an external store, so that ``/health`` reports its state without a query."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from journal.outage import Outage
from publisher.store.external.client import TABLE
from publisher.store.external.endpoint import Endpoint

INTERVAL = 5.0  # seconds between two probes
TIMEOUT = 10.0  # seconds without a response after which the store counts as down


class StoreProbe:
    """Probe the store at *endpoint* repeatedly. *failure* is the reason of the last failed probe,
    "" if it succeeded.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.failure = ""
        self._endpoint = endpoint

    async def run(self) -> None:
        """Probe until cancelled; log the start and end of an outage."""
        outage = Outage("SPARQL store does not answer", "SPARQL store answers again")
        auth = (self._endpoint.user, self._endpoint.password) if self._endpoint.user else None
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, auth=auth) as client:
            while True:
                self.failure = await self._ask(client)
                if self.failure:
                    outage.failed(self.failure, host=urlsplit(self._endpoint.url).netloc)
                else:
                    outage.over()
                await asyncio.sleep(INTERVAL)

    async def _ask(self, client: httpx.AsyncClient) -> str:
        """Return why the store does not answer, "" if it does."""
        try:
            response = await client.post(
                self._endpoint.url, data={"query": "ASK {}"}, headers={"Accept": TABLE}
            )
        except httpx.TransportError as error:
            return str(error) or f"no answer within {TIMEOUT:g} s"
        return "" if response.is_success else f"it answers {response.status_code}"
