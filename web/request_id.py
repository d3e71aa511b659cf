"""Name each request in the log, so that the lines about it can be found."""

from __future__ import annotations

import re
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")


class RequestIdMiddleware:
    """Add the id of the request as ``request`` to each log line of *app*: the ``X-Request-ID`` of a
    reverse proxy, or a new one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        sent = Headers(scope=scope).get("x-request-id", "")
        with structlog.contextvars.bound_contextvars(
            request=sent if _REQUEST_ID.match(sent) else uuid4().hex
        ):
            await self._app(scope, receive, send)
