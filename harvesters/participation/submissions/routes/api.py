"""Take submissions by HTTP. Every change names the version that it changes (RFC 9110, section
13.1.1, and RFC 6585).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from harvesters.errors import ParseError
from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import Content, Submission, Submitter
from harvesters.ledger.participation.submissions import new_id
from harvesters.participation.submissions import actions
from harvesters.participation.submissions.check import Check, differences
from harvesters.participation.submissions.documents import JSON, JSON_LD, TURTLE, read_document
from harvesters.participation.submissions.model import InvalidMembersError
from harvesters.participation.submissions.submitters import confirmations
from harvesters.participation.submissions.submitters.identity import (
    SESSION_AGE,
    SOURCE,
    TOKEN_PREFIX,
    SubmissionContext,
    SubmissionContextDep,
    SubmitterDep,
    confirm,
    count_write,
    request_confirmation,
)
from harvesters.problems import InvalidValue, VersionConflict, VersionRequired
from languages.request_locale import current_locale
from vocab.iris import Iris
from web.problems import MEDIA

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z", re.ASCII)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "object"}} for media in (JSON, JSON_LD, TURTLE)},
    }
}

routes = APIRouter(prefix="/submissions", tags=["submissions"])


class MailAddress(BaseModel):
    """A mail address to confirm."""

    mail: Annotated[str, Field(max_length=300)]


async def read_body(request: Request) -> bytes:
    """Return the request's body, which the middleware limits."""
    return await request.body()


Body = Annotated[bytes, Depends(read_body)]


@routes.post(
    "/confirmations",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send a link that confirms a mail address",
    dependencies=[Depends(count_write)],
)
def ask_confirmation(address: MailAddress, context: SubmissionContextDep) -> dict[str, str]:
    """The answer is the same whether the address is known or not. A demo without a mail server
    answers with the link itself.
    """
    context.source()
    link = request_confirmation(context, address.mail)
    return {"state": "shown", "link": link} if link else {"state": "sent"}


@routes.post(
    "/confirmations/{secret}",
    summary="Confirm a mail address with the secret of its link",
    dependencies=[Depends(count_write)],
)
def confirm_address(secret: str, context: SubmissionContextDep) -> dict[str, Any]:
    """The secret is the last part of the link in the mail. It works once; the token that it returns
    works for 12 hours.
    """
    _, _, session = confirm(context, secret)
    return {"token": f"{TOKEN_PREFIX}{session}", "expires_in": int(SESSION_AGE.total_seconds())}


@routes.get("", summary="List your submissions")
def list_own(context: SubmissionContextDep, submitter: SubmitterDep) -> list[dict[str, Any]]:
    """The newest come first."""
    return [
        view(context, item) for item in submissions.of_submitter(context.site.ledger, submitter.id)
    ]


@routes.get("/account", summary="Export all that is stored about you")
def export(context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """Return the account, and each submission with its history."""
    return actions.export(context, submitter)


@routes.delete(
    "/account",
    summary="Withdraw your submissions and delete all that is stored about you",
    dependencies=[Depends(count_write)],
)
def delete_account(context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """Published records leave a tombstone without personal data."""
    return {"deleted": actions.delete_account(context, submitter)}


@routes.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Submit a record",
    openapi_extra=_BODY,
    dependencies=[Depends(count_write)],
)
def create(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """The record is an initiative, event, document or post, as our own JSON, JSON-LD or Turtle. It
    waits for a moderator.

    A record with violations is refused with a message by member; likely duplicates are in the
    answer.
    """
    context.source()
    content = _read(request, body, context)
    if isinstance(content, Response):
        return content
    key = new_id()
    checked = actions.check_content(context, content, key)
    if not checked.is_valid:
        return _refusal(checked)
    submission = actions.submit(context, submitter, content, current_locale().language)
    location = {"Location": f"{context.url}/submissions/{submission.id}"}
    return _answer(context, submission, checked, HTTPStatus.CREATED, location)


@routes.post(
    "/check",
    summary="Check a record without submitting it",
    openapi_extra=_BODY,
    dependencies=[Depends(count_write)],
)
def check(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """Return the messages and the likely duplicates; nothing is stored."""
    content = _read(request, body, context)
    if isinstance(content, Response):
        return content
    checked = actions.check_content(context, content, new_id())
    return JSONResponse({"valid": checked.is_valid, "content": content, **_checked(checked)})


@routes.get("/{id}", summary="Read one of your submissions")
def read(id: str, context: SubmissionContextDep, submitter: SubmitterDep) -> Response:
    """Return its state, its content and its history. The ETag is its version."""
    submission = actions.find_own(context, submitter, id)
    checked = actions.check_content(context, submission.content, id) if submission.content else None
    return _answer(context, submission, checked, HTTPStatus.OK, {}, submitter)


@routes.put(
    "/{id}",
    summary="Change one of your submissions",
    openapi_extra=_BODY,
    dependencies=[Depends(count_write)],
)
def replace(
    id: str, request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """`If-Match` has the ETag of the version that was read. If there is a newer one, the answer has
    the differences.
    """
    submission = actions.find_own(context, submitter, id)
    content = _read(request, body, context)
    if isinstance(content, Response):
        return content
    try:
        _check_version(request, submission)
        checked = actions.check_content(context, content, id)
        if not checked.is_valid:
            return _refusal(checked)
        return _answer(context, actions.update(context, submitter, submission, content), checked)
    except VersionConflict as error:
        newest = actions.find_own(context, submitter, id)
        more = {"version": newest.version, "differences": differences(newest.content, content)}
        return _problem(error.status, error.localized, more, {"ETag": _etag(newest)})


@routes.post(
    "/{id}/confirmation",
    summary="Confirm that one of your submissions is still true",
    dependencies=[Depends(count_write)],
)
def confirm_still_true(id: str, context: SubmissionContextDep, submitter: SubmitterDep) -> Response:
    """The record shows the day as `lastReviewed` from the next run on."""
    confirmations.confirm(context.site, actions.find_own(context, submitter, id), submitter.name)
    return _answer(context, actions.find_own(context, submitter, id), None)


@routes.delete(
    "/{id}", summary="Withdraw one of your submissions", dependencies=[Depends(count_write)]
)
def withdraw(
    id: str, request: Request, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """Its content is deleted; if it was published, a tombstone stays. `If-Match` as for a change."""
    submission = actions.find_own(context, submitter, id)
    _check_version(request, submission)
    return _answer(context, actions.withdraw(context.site, submission, submitter.name), None)


def _read(request: Request, body: bytes, context: SubmissionContext) -> Content | Response:
    """Return the members that were sent, or the answer that says what is wrong with them."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    language = request.headers.get("content-language", "").strip()
    try:
        return read_document(
            body, media, context.site.base, language if _LANGUAGE.match(language) else None
        )
    except InvalidMembersError as error:
        results = [
            {"member": name, "severity": "Violation", "message": text, "rule": None}
            for name, text in error.faults.items()
        ]
        return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), {"results": results})
    except ParseError as error:
        return _problem(HTTPStatus.BAD_REQUEST, str(error), {})


def _check_version(request: Request, submission: Submission) -> None:
    sent = request.headers.get("if-match")
    if sent is None:
        raise VersionRequired("Send If-Match with the ETag of the submission that you read.")
    if len(sent) > 1_000:
        raise InvalidValue("If-Match is too long.")
    if _etag(submission) not in (tag.strip() for tag in sent.split(",")):
        raise VersionConflict(
            "Somebody else changed the submission meanwhile. Compare the two versions, and send yours again."
        )


def _etag(submission: Submission) -> str:
    return f'"{submission.version}"'


def _refusal(checked: Check) -> Response:
    text = "; ".join(
        f"{finding.member}: {finding.message}"
        for finding in checked.findings
        if finding.severity == "Violation"
    )
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, _checked(checked))


def _checked(checked: Check) -> dict[str, Any]:
    return {
        "results": [asdict(item) for item in checked.findings],
        "duplicates": [asdict(item) for item in checked.duplicates],
    }


def _problem(
    status: HTTPStatus,
    detail: str,
    more: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        **more,
    }
    return JSONResponse(body, status, headers, MEDIA)


def view(context: SubmissionContext, submission: Submission) -> dict[str, Any]:
    """Return a submission as its submitter sees it."""
    names = ("created", "updated", "waiting_since", "withdrawn", "confirmed")
    times = {name: value.isoformat() for name in names if (value := getattr(submission, name))}
    published = submission.first_accepted is not None
    return {
        "id": submission.id,
        "url": f"{context.url}/submissions/{submission.id}",
        "state": submission.state.value,
        "version": submission.version,
        "title": submission.title,
        **times,
        "record": Iris(context.site.base).record(SOURCE, submission.id) if published else None,
    }


def _answer(
    context: SubmissionContext,
    submission: Submission,
    checked: Check | None,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    submitter: Submitter | None = None,
) -> Response:
    """Return a submission, with its history if the *submitter* asks to read it."""
    body = {
        **view(context, submission),
        "content": submission.content,
        **(_checked(checked) if checked else {}),
    }
    if submitter:
        events = submissions.history(context.site.ledger, submission.id, internal=False)
        body["history"] = [
            {
                "time": event.time.isoformat(),
                "what": event.what,
                "who": actions.public_name(event.who, submitter),
                "note": event.note,
            }
            for event in events
        ]
    return JSONResponse(
        body, status, {"ETag": _etag(submission), "Vary": "Accept-Language", **(headers or {})}
    )
