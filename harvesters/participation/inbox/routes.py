"""Serve /inbox (https://www.w3.org/TR/ldn/#receiver)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harvesters.admin.errors import NotFound
from harvesters.ledger.participation import notifications
from harvesters.notifications.coar import MEDIA_TYPE
from harvesters.option_schema import option_names
from harvesters.participation.inbox.receive import receive
from harvesters.participation.submissions.errors import UnsupportedMedia
from harvesters.participation.submissions.routes.api import Body
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
    SubmissionContextDep,
    count_write,
)
from harvesters.protocols.submissions import OPTIONS

PATH = "/inbox"
LINK = f'<{PATH}>; rel="http://www.w3.org/ns/ldp#inbox"'
_BODY = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}}
routes = APIRouter(prefix=PATH, tags=["inbox"])


@routes.get("", summary="Describe the inbox")
def describe(context: SubmissionContextDep) -> Response:
    """It contains nothing that is public: each notification is read at the address that its sender
    got.
    """
    container = {
        "@context": "http://www.w3.org/ns/ldp",
        "@id": f"{context.url}{PATH}",
        "@type": "Container",
        "contains": [],
    }
    return JSONResponse(container, HTTPStatus.OK, {"Accept-Post": MEDIA_TYPE}, MEDIA_TYPE)


@routes.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Send a notification",
    openapi_extra=_BODY,
    dependencies=[Depends(count_write)],
)
def post(request: Request, body: Body, context: SubmissionContextDep) -> Response:
    """An Offer becomes a submission that waits for a moderator; Accept, Reject and TentativeAccept
    answer an offer; Undo withdraws one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise UnsupportedMedia("Send %(types)s.", types=MEDIA_TYPE)
    item = receive(context, body)
    return Response(None, HTTPStatus.CREATED, {"Location": f"{context.url}{PATH}/{item.key}"})


@routes.get("/{key}", summary="Read a notification that you sent")
def read(key: str, context: SubmissionContextDep) -> Response:
    """The address is the Location of the answer to it."""
    item = notifications.find_notification(context.admin.ledger, key=key, sent=False)
    if item is None:
        raise NotFound("There is no such notification.")
    return JSONResponse(dict(item.body), media_type=MEDIA_TYPE)


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
    return context.is_open() and bool(option_names(context.source(), OPTIONS, "inboxes"))
