"""The API of submissions, one by one or as a table, and of their pictures. Every change names the
version that it changes (RFC 9110, section 13.1.1, and RFC 6585).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from harvesters.errors import ParseError, require
from harvesters.ledger import submissions
from harvesters.ledger import submissions as store
from harvesters.ledger.participation import Content, Submission, Submitter
from harvesters.ledger.submissions import new_id
from harvesters.participation import actions
from harvesters.participation.check import Check, differences, violation
from harvesters.participation.model import InvalidMembersError
from harvesters.participation.submitters import (
    SESSION,
    SOURCE,
    TOKEN_PREFIX,
    SubmissionContext,
    SubmissionContextDep,
    SubmitterDep,
    confirm,
    count_change,
    count_write,
    request_confirmation,
)
from harvesters.participation.tables import (
    CSV,
    XLSX,
    RowResult,
    count_outcomes,
    read_table,
    submit_rows,
    template_csv,
    template_xlsx,
)
from harvesters.participation.uploads import (
    JSON,
    JSON_LD,
    MEDIA_TYPES,
    TURTLE,
    encode_picture,
    picture_response,
    read_document,
)
from harvesters.reasons import other
from harvesters.site import (
    InvalidValue,
    RequestRefused,
    UnsupportedMedia,
    VersionConflict,
    VersionRequired,
)
from languages.translations import current_locale
from vocab.iris import Iris

UPLOAD_PATH, PICTURE_PATH = "/submissions/upload", "/submissions/pictures"
MAX_UNUSED = 20  # pictures of one submitter that no submission names
_NAME = re.compile(r"[0-9a-f]{64}\.webp\Z", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z", re.ASCII)


def body_of(media: Iterable[str], **schema: str) -> dict[str, Any]:
    """Return the description of a body of these media types for OpenAPI."""
    content = {name: {"schema": schema} for name in media}
    return {"requestBody": {"required": True, "content": content}}


_BODY = body_of((JSON, JSON_LD, TURTLE), type="object")
_WRITE = [Depends(count_write)]
routes = APIRouter(prefix="/submissions", tags=["submissions"])
published_pictures = APIRouter(tags=["submissions"])


class MailAddress(BaseModel):
    """A mail address to confirm."""

    mail: Annotated[str, Field(max_length=300)]


async def read_body(request: Request) -> bytes:
    """Return the request's body, which the middleware limits."""
    return await request.body()


Body = Annotated[bytes, Depends(read_body)]


def media_type(request: Request) -> str:
    """Return the media type of the request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


# ---- tables


@routes.get("/template.csv", summary="Download the template of a table as CSV")
def csv_template() -> Response:
    """Return the header, with columns for texts in the language of the request."""
    return Response(
        template_csv(current_locale().language),
        media_type=f"{CSV}; charset=utf-8",
        headers=_attachment("submissions.csv"),
    )


@routes.get("/template.xlsx", summary="Download the template of a table as a workbook")
def xlsx_template(context: SubmissionContextDep) -> Response:
    """Return an empty table whose cells offer the values that they may have."""
    content = template_xlsx(context.base, current_locale().language)
    return Response(content, media_type=XLSX, headers=_attachment("submissions.xlsx"))


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept-Language"}


@routes.post(
    "/upload",
    summary="Submit the rows of a table",
    openapi_extra=body_of((CSV, XLSX), type="string", format="binary"),
    dependencies=_WRITE,
)
def upload(
    request: Request,
    body: Body,
    context: SubmissionContextDep,
    submitter: SubmitterDep,
    dry_run: Annotated[bool, Query()] = False,
) -> Response:
    """Each row is stored for the moderators, already known, or refused with the member and what to
    correct.

    With `dry_run=true` nothing is stored. A corrected file may be sent again: rows that were sent
    before stay as they are.
    """
    rows = read_table(body, media_type(request))
    results = submit_rows(context, submitter, rows, current_locale().language, dry_run=dry_run)
    described = [_row(context, result) for result in results]
    return JSONResponse({"dry_run": dry_run, **count_outcomes(results), "rows": described})


def _row(context: SubmissionContext, result: RowResult) -> dict[str, Any]:
    return {
        "row": result.number,
        "outcome": result.outcome.value,
        "title": result.title,
        "id": result.id,
        "url": f"{context.channels.public_url}/submissions/{result.id}" if result.id else None,
        **_checked(Check(result.findings, result.duplicates)),
    }


# ---- pictures


@routes.post(
    "/pictures",
    status_code=HTTPStatus.CREATED,
    summary="Send a picture for a record",
    openapi_extra=body_of(MEDIA_TYPES, type="string", format="binary"),
    dependencies=_WRITE,
)
def send_picture(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """The body is a JPEG, PNG, WebP or GIF file. Its pixels are stored as WebP, without metadata; a
    record names it by the `id` of the response.

    A picture that no record names is deleted after a day.
    """
    context.submission_source()
    if media_type(request) not in MEDIA_TYPES:
        raise UnsupportedMedia("Send %(types)s.", types=", ".join(MEDIA_TYPES))
    count_change(context, submitter)
    if store.count_unused(context.ledger, submitter.id) >= MAX_UNUSED:
        raise InvalidValue(
            "You sent %(count)s pictures that no record names. Name them, or wait a day.",
            count=MAX_UNUSED,
        )
    picture = encode_picture(body)
    store.add_picture(context.ledger, picture, context.now(), submitter.id)
    return JSONResponse(
        {
            "id": Iris(context.base).picture(picture.name),
            "width": picture.width,
            "height": picture.height,
            "bytes": len(picture.content),
        },
        HTTPStatus.CREATED,
    )


@published_pictures.get("/picture/{name}", summary="Read the picture of a published record")
def read_picture(name: str, context: SubmissionContextDep) -> Response:
    """The picture is there as long as an accepted submission has it."""
    known = _NAME.match(name)
    picture = store.find_picture(context.ledger, name, published=True) if known else None
    return picture_response(
        picture,
        {
            "Cache-Control": "public, max-age=3600",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "ETag": f'"{name[:64]}"',
        },
    )


# ---- transfers and confirmations


@routes.post(
    "/{id}/transfer",
    status_code=HTTPStatus.ACCEPTED,
    summary="Hand one of your submissions over",
    dependencies=_WRITE,
)
def offer(
    id: str, address: MailAddress, context: SubmissionContextDep, submitter: SubmitterDep
) -> dict[str, str]:
    """A link is sent to the address, which works once, for 7 days. Until it is used, the submission
    stays yours.
    """
    item = actions.find_own(context, submitter, id)
    return _sent(actions.offer_transfer(context, item, address.mail, submitter.name))


def _sent(link: str | None) -> dict[str, str]:
    return {"state": "shown", "link": link} if link else {"state": "sent"}


@routes.post(
    "/transfers/{secret}",
    summary="Take over a submission with the secret of its link",
    dependencies=_WRITE,
)
def take(secret: str, context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """The submission belongs to the organization or person whose token is sent."""
    return view(context, actions.take_over(context, secret, submitter))


@routes.post(
    "/confirmations",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send a link that confirms a mail address",
    dependencies=_WRITE,
)
def ask_confirmation(address: MailAddress, context: SubmissionContextDep) -> dict[str, str]:
    """The answer is the same whether the address is known or not. A demo without a mail server
    answers with the link itself.
    """
    context.submission_source()
    return _sent(request_confirmation(context, address.mail))


@routes.post(
    "/confirmations/{secret}",
    summary="Confirm a mail address with the secret of its link",
    dependencies=_WRITE,
)
def confirm_address(secret: str, context: SubmissionContextDep) -> dict[str, Any]:
    """The secret is the last part of the link in the mail. It works once; the token that it returns
    works for 12 hours.
    """
    _, _, session = confirm(context, secret)
    return {"token": f"{TOKEN_PREFIX}{session}", "expires_in": int(SESSION.age.total_seconds())}


# ---- submissions


@routes.get("", summary="List your submissions")
def list_own(context: SubmissionContextDep, submitter: SubmitterDep) -> list[dict[str, Any]]:
    """The newest come first."""
    return [view(context, item) for item in submissions.of_submitter(context.ledger, submitter.id)]


@routes.get("/account", summary="Export all that is stored about you")
def export(context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """Return the account, and each submission with its history."""
    return actions.export(context, submitter)


@routes.delete(
    "/account",
    summary="Withdraw your submissions and delete all that is stored about you",
    dependencies=_WRITE,
)
def delete_account(context: SubmissionContextDep, submitter: SubmitterDep) -> dict[str, Any]:
    """Published records leave a tombstone without personal data."""
    return {"deleted": actions.delete_account(context, submitter)}


@routes.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Submit a record",
    openapi_extra=_BODY,
    dependencies=_WRITE,
)
def create(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """The record is an initiative, event, document or post, as our own JSON, JSON-LD or Turtle. It
    waits for a moderator.

    A record with violations is refused with a message by member; likely duplicates are in the
    answer.
    """
    context.submission_source()
    content = _read(request, body, context)
    checked = _check_valid(context, content, new_id())
    submission = actions.submit(context, submitter, content, current_locale().language)
    location = {"Location": f"{context.channels.public_url}/submissions/{submission.id}"}
    return _answer(context, submission, checked, HTTPStatus.CREATED, location)


@routes.post(
    "/check",
    summary="Check a record without submitting it",
    openapi_extra=_BODY,
    dependencies=_WRITE,
)
def check(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """Return the messages and the likely duplicates; nothing is stored."""
    content = _read(request, body, context)
    checked = actions.check_content(context, content, new_id())
    return JSONResponse({"valid": checked.is_valid, "content": content, **_checked(checked)})


@routes.get("/{id}", summary="Read one of your submissions")
def read(id: str, context: SubmissionContextDep, submitter: SubmitterDep) -> Response:
    """Return its state, its content and its history. The ETag is its version."""
    submission = actions.find_own(context, submitter, id)
    checked = actions.check_content(context, submission.content, id) if submission.content else None
    return _answer(context, submission, checked, submitter=submitter)


@routes.put(
    "/{id}", summary="Change one of your submissions", openapi_extra=_BODY, dependencies=_WRITE
)
def replace(
    id: str, request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """`If-Match` has the ETag of the version that was read. If there is a newer one, the answer has
    the differences.
    """
    submission = actions.find_own(context, submitter, id)
    content = _read(request, body, context)
    try:
        _check_version(request, submission)
        checked = _check_valid(context, content, id)
        return _answer(context, actions.update(context, submitter, submission, content), checked)
    except VersionConflict as error:
        newest = actions.find_own(context, submitter, id)
        changed = differences(newest.content, content)
        error.extensions = {"version": newest.version, "differences": changed}
        error.headers = {"ETag": _etag(newest)}
        raise


@routes.post(
    "/{id}/confirmation",
    summary="Confirm that one of your submissions is still true",
    dependencies=_WRITE,
)
def confirm_still_true(id: str, context: SubmissionContextDep, submitter: SubmitterDep) -> Response:
    """The record shows the day as `lastReviewed` from the next run on."""
    actions.confirm(context, actions.find_own(context, submitter, id), submitter.name)
    return _answer(context, actions.find_own(context, submitter, id), None)


@routes.delete("/{id}", summary="Withdraw one of your submissions", dependencies=_WRITE)
def withdraw(
    id: str, request: Request, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """Its content is deleted; if it was published, a tombstone stays. `If-Match` as for a change."""
    submission = actions.find_own(context, submitter, id)
    _check_version(request, submission)
    return _answer(context, actions.withdraw(context, submission, submitter.name), None)


def _read(request: Request, body: bytes, context: SubmissionContext) -> Content:
    """Return the members that were sent; raise RequestRefused with the fault of each."""
    language = request.headers.get("content-language", "").strip()
    try:
        return read_document(
            body,
            media_type(request),
            context.base,
            language if _LANGUAGE.match(language) else None,
        )
    except InvalidMembersError as error:
        results = [asdict(violation(*fault)) for fault in error.faults.items()]
        raise InvalidValue(other(str(error)), {"results": results}) from error
    except ParseError as error:
        raise RequestRefused(other(str(error))) from error


def _check_valid(context: SubmissionContext, content: Content, key: str) -> Check:
    """Return the check of a submission; raise InvalidValue, with its results, for a violation."""
    checked = actions.check_content(context, content, key)
    require(checked.is_valid, InvalidValue(other(checked.violations), _checked(checked)))
    return checked


def _check_version(request: Request, submission: Submission) -> None:
    sent = require(
        request.headers.get("if-match"),
        VersionRequired("Send If-Match with the ETag of the submission that you read."),
    )
    require(len(sent) <= 1_000, InvalidValue("If-Match is too long."))
    if _etag(submission) not in (tag.strip() for tag in sent.split(",")):
        raise VersionConflict(actions.CHANGED)


def _etag(submission: Submission) -> str:
    return f'"{submission.version}"'


def _checked(checked: Check) -> dict[str, Any]:
    return {
        "results": [asdict(item) for item in checked.findings],
        "duplicates": [asdict(item) for item in checked.duplicates],
    }


def view(context: SubmissionContext, submission: Submission) -> dict[str, Any]:
    """Return a submission as its submitter sees it."""
    names = ("created", "updated", "waiting_since", "withdrawn", "confirmed")
    times = {name: value.isoformat() for name in names if (value := getattr(submission, name))}
    is_record = submission.first_accepted is not None and not submission.post
    return {
        "id": submission.id,
        "url": f"{context.channels.public_url}/submissions/{submission.id}",
        "state": submission.state.value,
        "version": submission.version,
        "title": submission.title,
        **times,
        "record": Iris(context.base).record(SOURCE, submission.id) if is_record else None,
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
        events = submissions.history(context.ledger, submission.id, internal=False)
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
