"""Answer the requests of the protocol ``submissions`` from the ledger, so that its responses are
archived and read like any other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.participation import prizes, submissions

PROTOCOL = "submissions"


class SubmissionTransport(httpx.BaseTransport):
    """Answer each request with the accepted and the withdrawn submissions; nothing goes to the
    network.

    The source ``prizes`` gets the editions and nominations that are public *now*.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: str = PROTOCOL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger, self._source, self._now = ledger, source, now

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return what is published, without its authors."""
        published: Iterable[tuple[str, Mapping[str, Any] | None]] = (
            prizes.published(self._ledger, self._now())
            if self._source == prizes.SOURCE
            else submissions.published(self._ledger)
        )
        rows = list(published)
        body = {
            "accepted": {key: content for key, content in rows if content is not None},
            "withdrawn": [key for key, content in rows if content is None],
        }
        return httpx.Response(
            200, headers={"Content-Type": "application/json"}, content=orjson.dumps(body)
        )
