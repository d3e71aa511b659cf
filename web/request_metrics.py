"""Count requests, measure how long they take, by route and status, and trace them.

Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds


class RequestMetrics:
    """The counters of requests in a registry of their own, so that several apps in one process do
    not share them.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stocktake_http_requests",
            "Requests by the first part of the path and by status",
            ["path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "stocktake_http_request_seconds",
            "Seconds from a request to the end of its response",
            ["path"],
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.cached_pages = Counter(
            "stocktake_page_cache",
            "Pages that came from the page cache (hit) or not (miss)",
            ["result"],
            registry=self.registry,
        )


class RequestMetricsMiddleware:
    """Measure the requests of *app*. *paths* are the first parts of its paths; all others are
    counted together as "other". *open_span* is called as ``journal.tracing.open_span``.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: RequestMetrics,
        paths: Collection[str],
        open_span: Callable[..., AbstractContextManager[Any]],
    ) -> None:
        self._app, self._metrics, self._paths = app, metrics, frozenset(paths)
        self._open_span = open_span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when its response has ended."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status, started = 500, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        first = scope["path"].split("/", 2)[1].partition(".")[0]
        path = f"/{first if first in self._paths else 'other'}"
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "http.route": path,
        }
        try:
            with self._open_span(
                f"{scope['method']} {path}", attributes, Headers(scope=scope)
            ) as span:
                await self._app(scope, receive, sending)
                span.set({"http.response.status_code": status})
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.fail(f"status {status}")
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - started)
