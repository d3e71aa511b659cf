"""Serve /inbox (https://www.w3.org/TR/ldn/#receiver)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from harvesters.admin.errors import NotFound
from harvesters.ledger.participation import notifications
from harvesters.notifications.coar import MEDIA_TYPE
from harvesters.participation.inbox.link import PATH
from harvesters.participation.inbox.receive import receive
from harvesters.participation.submissions.errors import UnsupportedMedia
from harvesters.participation.submissions.routes.api import Body
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContextDep,
    count_write,
)

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
