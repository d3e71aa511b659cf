"""Take, show and publish the pictures of submissions: by form, by HTTP, and at the address that the
records name.
"""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, Response

from harvesters.ledger.participation import pictures as store
from harvesters.ledger.participation.models import Content, Submission
from harvesters.ledger.participation.submissions import picture_of
from harvesters.participation.submissions import actions, drafts
from harvesters.participation.submissions.model import InvalidMembersError
from harvesters.participation.submissions.pictures import (
    MAX_FILE,
    MEDIA_TYPES,
    encode_picture,
    picture_response,
)
from harvesters.participation.submissions.questions import PICTURE, Form, fingerprint
from harvesters.participation.submissions.routes.api import Body
from harvesters.participation.submissions.routes.form import (
    ROOT,
    PagesDep,
    Writing,
    first,
    redirect,
    require_session,
)
from harvesters.participation.submissions.routes.questions import (
    find_question,
    next_page,
    question_page,
)
from harvesters.participation.submissions.routes.uploads import read_upload
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
    SubmissionContextDep,
    SubmitterDep,
    count_change,
    count_write,
)
from harvesters.problems import HTTPProblem, InvalidValue, NotFound, UnsupportedMedia
from harvesters.site import render_errors_as_pages
from languages.translations import gettext
from vocab.iris import Iris

API_PATH, FORM_PATH = "/submissions/pictures", f"{ROOT}/picture"
_FORM_AROUND_FILE = 65_536  # bytes: the text of the picture and the other fields
UPLOADS = {API_PATH: MAX_FILE, FORM_PATH: MAX_FILE + _FORM_AROUND_FILE}
MAX_UNUSED = 20  # pictures of one submitter that no submission has
_NAME = re.compile(r"[0-9a-f]{64}\.webp\Z", re.ASCII)
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES
        },
    }
}

routes = APIRouter(tags=["submissions"])
pages = APIRouter(
    prefix=ROOT, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


@routes.post(
    API_PATH,
    status_code=HTTPStatus.CREATED,
    summary="Send a picture for a record",
    openapi_extra=_FILE,
    dependencies=[Depends(count_write)],
)
def send_picture(
    request: Request, body: Body, context: SubmissionContextDep, submitter: SubmitterDep
) -> Response:
    """The body is a JPEG, PNG, WebP or GIF file. Its pixels are stored as WebP, without metadata; a
    record names `id` of the answer.

    A picture that no record names is deleted after a day.
    """
    context.source()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise UnsupportedMedia("Send %(types)s.", types=", ".join(MEDIA_TYPES))
    count_change(context, submitter)
    if store.count_unused(context.site.ledger, submitter.id) >= MAX_UNUSED:
        raise InvalidValue(
            "You sent %(count)s pictures that no record names. Name them, or wait a day.",
            count=MAX_UNUSED,
        )
    picture = encode_picture(body)
    store.add_picture(context.site.ledger, picture, context.site.now(), submitter.id)
    about = {
        "id": Iris(context.site.base).picture(picture.name),
        "width": picture.width,
        "height": picture.height,
    }
    return JSONResponse({**about, "bytes": len(picture.content)}, HTTPStatus.CREATED)


@routes.get("/picture/{name}", summary="Read the picture of a published record")
def read_picture(name: str, context: SubmissionContextDep) -> Response:
    """The picture is there as long as an accepted submission has it."""
    picture = (
        store.find_picture(context.site.ledger, name, published=True) if _NAME.match(name) else None
    )
    if picture is None:
        raise NotFound("There is no picture at this address.")
    headers = {
        "Cache-Control": "public, max-age=3600",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": f'"{name[:64]}"',
    }
    return picture_response(picture, headers)


def unpublished_response(context: SubmissionContext, item: Submission) -> Response:
    """Return the picture of the newest version of a submission; raise NotFound."""
    picture = store.find_picture(context.site.ledger, picture_of(item.content) or "")
    if picture is None:
        raise NotFound("There is no picture at this address.")
    return picture_response(picture)


@pages.get("/draft/{secret}/picture.webp")
def show_draft_picture(secret: str, context: SubmissionContextDep) -> Response:
    """Return the picture of a draft."""
    return unpublished_response(context, drafts.open_draft(context, secret))


@pages.get("/mine/{id}/picture.webp")
def show_own_picture(id: str, request: Request, context: SubmissionContextDep) -> Response:
    """Return the picture of a submission to its submitter."""
    return unpublished_response(
        context, actions.find_own(context, require_session(request, context), id)
    )


@pages.post("/picture", dependencies=[Writing])
def answer(
    sent: Annotated[FormData, Depends(read_upload)],
    context: SubmissionContextDep,
    templates: PagesDep,
) -> Response:
    """Save the picture of a draft with its text, and go to the next question; show the page again
    with messages if it is not valid.
    """
    form: Form = {name: [str(value)] for name, value in sent.items() if isinstance(value, str)}
    secret = first(form, "draft")
    draft = drafts.open_draft(context, secret)
    question = find_question(draft, PICTURE)
    show_again = partial(question_page, context, templates, secret, draft, question)
    if first(form, "was") != fingerprint(draft.content, question):
        return show_again({}, form, HTTPStatus.PRECONDITION_FAILED)
    former = picture_of(draft.content)
    try:
        name = None if first(form, "remove") else _stored_name(context, sent.get("file")) or former
        caption = {drafts.language_of(draft): first(form, "picture-caption")}
        content = drafts.merged(
            draft,
            {"picture": {"id": name, "caption": caption} if name else None},
            context.site.base,
        )
    except InvalidMembersError as error:
        return show_again(error.faults, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    except HTTPProblem as error:
        return show_again({"picture": error.localized}, form, error.status)
    return _save(context, templates, secret, draft, content, form)


def _save(
    context: SubmissionContext,
    templates: Any,
    secret: str,
    draft: Submission,
    content: Content,
    form: Form,
) -> Response:
    question, former = find_question(draft, PICTURE), picture_of(draft.content)
    if not drafts.save(context, draft, content):
        newest = drafts.open_draft(context, secret)
        return question_page(
            context, templates, secret, newest, question, {}, form, HTTPStatus.PRECONDITION_FAILED
        )
    if former:
        store.delete_unused(context.site.ledger, [former])
    if picture_of(content) and not content["picture"].get("caption"):
        faults = {
            "picture-caption": gettext("Say what the picture shows, for those who cannot see it.")
        }
        saved = drafts.open_draft(context, secret)
        return question_page(
            context,
            templates,
            secret,
            saved,
            question,
            faults,
            None,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        )
    return redirect(f"/draft/{quote(secret, safe='')}/{next_page(content, question, form)}")


def _stored_name(context: SubmissionContext, file: Any) -> str | None:
    """Store the file of a form; return the name of the picture, None if no file was chosen."""
    if not isinstance(file, UploadFile) or not file.filename:
        return None
    picture = encode_picture(file.file.read())
    store.add_picture(context.site.ledger, picture, context.site.now())
    return picture.name
