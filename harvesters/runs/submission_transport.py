"""Answer the requests of the protocol ``submissions`` from the ledger, so that its responses are archived and read like any other's."""

from __future__ import annotations

import httpx
import orjson

from harvesters.ledger import submissions
from harvesters.ledger.ledger import Ledger

PROTOCOL = "submissions"


class SubmissionTransport(httpx.BaseTransport):
    """Answer each request with the accepted and the withdrawn submissions; nothing goes to the network."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return what is published, without its authors."""
        rows = list(submissions.published(self._ledger))
        body = {
            "accepted": {key: content for key, content in rows if content is not None},
            "withdrawn": [key for key, content in rows if content is None],
        }
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=orjson.dumps(body))
