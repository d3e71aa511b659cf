"""Check notifications and carry them out.

Sources: https://www.w3.org/TR/ldn/ and https://coar-notify.net/specification/1.0.0/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from harvesters.errors import HarvestError, ParseError, require
from harvesters.ledger import submissions
from harvesters.ledger.participation import Notification, SubmissionState, Submitter
from harvesters.ledger.submissions import new_id
from harvesters.notifications import coar
from harvesters.notifications.coar import ANSWERS, MEDIA_TYPE, NotificationKind
from harvesters.participation import actions
from harvesters.participation.api import Body, body_of, media_type
from harvesters.participation.model import InvalidMembersError
from harvesters.participation.submitters import SubmissionContext, SubmissionContextDep, count_write
from harvesters.participation.uploads import JSON, read_document
from harvesters.protocols.submissions import SubmissionsOptions
from harvesters.site import InvalidValue, NotFound, RequestRefused, UnsupportedMedia
from vocab.iris import is_web

PATH = "/inbox"


_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}:[^\s<>\"{}|\\^`]{1,500}\Z")
_CONTEXT = "https://www.w3.org/ns/activitystreams"


class MalformedNotification(RequestRefused):
    """The body is not a notification."""


class UnknownOrigin(RequestRefused):
    """The notification does not come from an installation that the operator named."""

    status = HTTPStatus.FORBIDDEN


class Replayed(RequestRefused):
    status = HTTPStatus.CONFLICT


def receive(context: SubmissionContext, body: bytes) -> Notification:
    """Store a notification and carry it out.

    Raises MalformedNotification, UnknownOrigin, Replayed, Closed, and InvalidValue if it cannot be
    carried out; then nothing is stored.
    """
    known = SubmissionsOptions.of(context.submission_source()).inboxes
    item = _read(body, context, known)
    if not coar.add_notification(context.ledger, item):
        raise Replayed(
            "A notification with this id was received before. Each notification needs an id of its own."
        )
    try:
        _CARRIED_OUT[NotificationKind(item.kind)](context, item)
    except HarvestError:
        coar.delete_notification(context.ledger, item.id)
        raise
    return item


def _read(body: bytes, context: SubmissionContext, known: tuple[str, ...]) -> Notification:
    try:
        sent = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise MalformedNotification("The body is not JSON: %(error)s", error=error) from error
    if not isinstance(sent, dict):
        raise MalformedNotification("A notification is a JSON object.")
    contexts = sent.get("@context")
    if _CONTEXT not in (contexts if isinstance(contexts, list) else [contexts]):
        raise MalformedNotification("@context: it must contain %(context)s.", context=_CONTEXT)
    id = _text(sent, "id")
    if not _ID.match(id):
        raise MalformedNotification("id: write an IRI, such as urn:uuid:… with a new number.")
    inbox, target = _text(sent, "origin", "inbox"), _text(sent, "target", "inbox")
    if inbox not in known:
        raise UnknownOrigin(
            "origin.inbox: this installation takes no notifications from %(inbox)s.",
            inbox=inbox[:200],
        )
    if target != f"{context.channels.public_url}/inbox":
        raise MalformedNotification(
            "target.inbox: this inbox is %(inbox)s.", inbox=f"{context.channels.public_url}/inbox"
        )
    types = sent.get("type")
    kinds = [
        kind
        for kind in NotificationKind
        if kind.value in (types if isinstance(types, list) else [types])
    ]
    if len(kinds) != 1:
        raise MalformedNotification(
            "type: it must contain one of %(kinds)s.", kinds=", ".join(NotificationKind)
        )
    return Notification(
        id, False, inbox, kinds[0].value, _text(sent, "object", "id"), sent, context.now()
    )


def _text(sent: Mapping[str, Any], *path: str) -> str:
    value: Any = sent
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value or len(value) > 2_000:
        raise MalformedNotification(
            "%(name)s: this member is required, as text.", name=".".join(path)
        )
    return value


def _offer(context: SubmissionContext, item: Notification) -> None:
    """Submit the record in the object, and answer that it waits for a moderator."""
    ledger, about = context.ledger, item.body["object"]
    if about.get("mediaType") != JSON or not isinstance(about.get("content"), str):
        raise InvalidValue(
            "object: an offer has the record as text in content, and application/json as mediaType."
        )
    try:
        content = read_document(about["content"].encode(errors="replace"), JSON, context.base, None)
    except (ParseError, InvalidMembersError) as error:
        raise InvalidValue("object.content: %(error)s", error=error) from error
    # A picture names a file that only the sender has.
    content = {name: value for name, value in content.items() if name != "picture"}
    checked = actions.check_content(context, content, new_id())
    require(checked.is_valid, InvalidValue("object.content: %(error)s", error=checked.violations))
    now = context.now()
    submitter = submissions.ensure_submitter(
        ledger, Submitter(new_id(), None, item.inbox, "en", now)
    )
    submission = actions.submit(context, submitter, content, "en")
    coar.update_notification(ledger, item.id, submission=submission.id)
    coar.answer(
        ledger, context.channels.public_url, submission.id, NotificationKind.TENTATIVE_ACCEPT, now
    )


def _announce(context: SubmissionContext, item: Notification) -> None:
    """Check the announcement, which an operator reads."""
    if not is_web(item.object):
        raise InvalidValue("object.id: write the web address of what is announced.")


def _answered(context: SubmissionContext, item: Notification) -> None:
    """Store the answer to an offer of this installation."""
    ledger, offer_id = context.ledger, _text(item.body, "inReplyTo")
    offer = require(
        coar.find_notification(
            ledger, id=offer_id, sent=True, inbox=item.inbox, kind=NotificationKind.OFFER.value
        ),
        InvalidValue(
            "inReplyTo: this installation made no such offer to %(inbox)s.", inbox=item.inbox
        ),
    )
    if NotificationKind.UNDO.value == offer.answer:
        raise InvalidValue("inReplyTo: the offer was undone.")
    coar.update_notification(ledger, offer.id, answer=item.kind)


def _undo(context: SubmissionContext, item: Notification) -> None:
    """Withdraw the submission of an offer by the same installation."""
    ledger = context.ledger
    offer = coar.find_notification(
        ledger, id=item.object, sent=False, inbox=item.inbox, kind=NotificationKind.OFFER.value
    )
    if offer is None or offer.submission is None:
        raise InvalidValue("object.id: %(inbox)s made no such offer.", inbox=item.inbox)
    submission = submissions.find(ledger, offer.submission)
    if submission is not None and submission.state is not SubmissionState.WITHDRAWN:
        actions.withdraw(context, submission, item.inbox)
    coar.update_notification(ledger, offer.id, answer=NotificationKind.UNDO.value)


_CARRIED_OUT: Mapping[NotificationKind, Callable[[SubmissionContext, Notification], None]] = {
    NotificationKind.OFFER: _offer, NotificationKind.ANNOUNCE: _announce, NotificationKind.UNDO: _undo, **dict.fromkeys(ANSWERS, _answered),
}  # fmt: skip


_BODY = body_of((MEDIA_TYPE,), type="object")
routes = APIRouter(prefix=PATH, tags=["inbox"])


@routes.get("", summary="Describe the inbox")
def describe(context: SubmissionContextDep) -> Response:
    """It lists no notifications: only their senders can read them."""
    container = {
        "@context": "http://www.w3.org/ns/ldp",
        "@id": f"{context.channels.public_url}{PATH}",
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
    if media_type(request) != MEDIA_TYPE:
        raise UnsupportedMedia("Send %(types)s.", types=MEDIA_TYPE)
    item = receive(context, body)
    return Response(
        None, HTTPStatus.CREATED, {"Location": f"{context.channels.public_url}{PATH}/{item.key}"}
    )


@routes.get("/{key}", summary="Read a notification that you sent")
def read(key: str, context: SubmissionContextDep) -> Response:
    """Its address is the `Location` of the response to your request."""
    item = require(
        coar.find_notification(context.ledger, key=key, sent=False),
        NotFound("There is no such notification."),
    )
    return JSONResponse(dict(item.body), media_type=MEDIA_TYPE)
