"""Announce the inbox (https://www.w3.org/TR/ldn/#discovery)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.participation.submissions.submitters.identity import SubmissionContext
from harvesters.protocols.submissions import SubmissionsOptions

PATH = "/inbox"
LINK = f'<{PATH}>; rel="http://www.w3.org/ns/ldp#inbox"'


class InboxLink:
    """Add the link to the inbox to the responses of the home page, things and records, while
    *is_open*.
    """

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool]) -> None:
        self._app, self._is_open = app, is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        path = str(scope.get("path", ""))

        async def send_with_link(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_open():
                MutableHeaders(scope=message).append("Link", LINK)
            await send(message)

        is_advertised = scope["type"] == "http" and (
            path == "/" or path.startswith(("/id/", "/page/", "/record/"))
        )
        await self._app(scope, receive, send_with_link if is_advertised else send)


def takes_notifications(context: SubmissionContext) -> bool:
    """Return whether the inbox is open: submissions are, and other installations are named."""
    return context.is_open() and bool(SubmissionsOptions.of(context.source()).inboxes)
