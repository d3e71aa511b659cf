"""A registry on loopback with scripted responses, page by page, for faults that the demo does not
simulate.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

SIZE = 50  # records a page, where the client does not say


def keys(count: int, scheme: str = "https") -> list[str]:
    """Return so many keys, which are addresses as many registries' are."""
    return [f"{scheme}://registry.example/projects/{number}" for number in range(count)]


@dataclass(slots=True)
class Feed:
    """The registry: *listed* are its keys, *total* is what it claims (None: what it has); use it as
    a context.

    An answer in which the key *poison* would be breaks off in its middle; *page* replaces every
    answer by a web page.
    """

    listed: Sequence[str]
    total: int | None = None
    poison: str = ""
    page: bool = False
    _server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> Feed:
        """Begin to answer."""
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Answer", (_Answer,), {"feed": self})
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def definition(self) -> dict[str, Any]:
        """Return its source definition."""
        options = {
            "records": "results",
            "total": "total",
            "page": "page",
            "limit": "size",
            "size": SIZE,
            "key": "id",
        }
        return {
            "title": "Projects",
            "protocol": "json",
            "mapping": "fields",
            "url": f"http://127.0.0.1:{self._server.server_port}/api",
            "licence": "https://creativecommons.org/licenses/by/4.0/",
            "pause": 0,
            "options": options,
            "fields": {"key": "id", "title@en": "name", "pages": "id"},
        }

    def answer(self, asked: dict[str, list[str]]) -> tuple[str, bytes]:
        """Return the media type and the body of an answer."""
        if self.page:
            return "text/html", b"<!DOCTYPE html><title>Under maintenance</title><p>Back soon."
        number, size = int(asked.get("page", ["1"])[0]), int(asked.get("size", [str(SIZE)])[0])
        some = self.listed[(number - 1) * size : number * size]
        rows = [{"id": key, "name": f"Project {key.rpartition('/')[2]}"} for key in some]
        total = len(self.listed) if self.total is None else self.total
        body = json.dumps({"total": total, "results": rows}).encode()
        return "application/json", body[: len(body) // 2] if self.poison in some else body


class _Answer(BaseHTTPRequestHandler):
    feed: Feed

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/robots.txt":
            self.send_error(404)
            return
        media, body = self.feed.answer(parse_qs(url.query))
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
