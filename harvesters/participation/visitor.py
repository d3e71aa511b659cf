"""The dependencies that the pages below /submit share: the person of the session, the form that was
sent, and the draft or submission that it is about.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from harvesters.errors import require
from harvesters.ledger import submissions
from harvesters.ledger.participation import Submission, SubmissionState, Submitter
from harvesters.participation import actions, drafts
from harvesters.participation.drafts import SUMMARY, Form
from harvesters.participation.submitters import (
    SESSION,
    SubmissionContext,
    SubmissionContextDep,
    count_write,
    find_session,
)
from harvesters.site import (
    InvalidValue,
    NotFound,
    SessionRequired,
    VersionConflict,
    check_same_site,
    check_session,
    read_fields,
    render_errors_as_pages,
)
from web.templating import POLICY as BASE_POLICY
from web.templating import PageRenderer

PACKAGE_DIR = Path(__file__).parent
STYLE = PACKAGE_DIR / "static" / "submit.css"
SCRIPT = PACKAGE_DIR / "static" / "form.js"
POLICY = f"{BASE_POLICY}; script-src 'self'; connect-src 'self'"  # for form.js
ROOT = "/submit"
MAX_BODY = 262_144  # bytes: a form has a text of 20,000 characters, percent-encoded, and more
_MAX_FIELDS = 400  # fields of a form: the countries are the most
_TRAP = "website"  # a field that only programs see and fill in


def open_page(request: Request) -> PageRenderer:
    return PageRenderer(request, {"csrf": SESSION.token(request)})


RendererDep = Annotated[PageRenderer, Depends(open_page)]


def page_routes(path: str = "") -> APIRouter:
    """Return a router for pages, which the description of the API leaves out."""
    return APIRouter(
        prefix=f"{ROOT}{path}",
        include_in_schema=False,
        dependencies=[Depends(render_errors_as_pages)],
    )


async def read_sent(request: Request) -> AsyncIterator[tuple[Form, UploadFile | None]]:
    """Yield the texts of a form of this site, whose fields may have several values, and its file,
    None if there is none; close the file. Raises CSRFError, InvalidValue.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        yield await read_fields(request, MAX_BODY, _MAX_FIELDS), None
        return
    check_same_site(request)
    try:
        sent = await request.form(max_files=1, max_fields=_MAX_FIELDS)
    except (HTTPException, ValueError) as error:
        raise InvalidValue("The request body is not a valid form.") from error
    try:
        file = sent.get("file")
        texts = {name: [value] for name, value in sent.items() if isinstance(value, str)}
        yield texts, file if isinstance(file, UploadFile) and file.filename else None
    finally:
        await sent.close()


Sent = Annotated[tuple[Form, UploadFile | None], Depends(read_sent)]


def texts_of(sent: Sent) -> Form:
    return sent[0]


def file_of(sent: Sent) -> UploadFile | None:
    return sent[1]


def first(form: Form, name: str) -> str:
    """Return the first value of a field, without white space around it; "" if there is none."""
    return next(iter(form.get(name, ())), "").strip()


def redirect(*segments: str) -> Response:
    path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
    return RedirectResponse(f"{ROOT}{path}", HTTPStatus.SEE_OTHER)


def session_of(request: Request, context: SubmissionContextDep) -> Submitter | None:
    """Return the submitter of the request's session, None without one."""
    return find_session(context, SESSION.secret(request))


FormDep = Annotated[Form, Depends(texts_of)]
FileDep = Annotated[UploadFile | None, Depends(file_of)]
Visitor = Annotated[Submitter | None, Depends(session_of)]


def require_session(visitor: Visitor) -> Submitter:
    """Return the submitter of the session. Raises SessionRequired, whose page asks for the e-mail
    address.
    """
    why = "Your session has ended. Open “Your submissions” and ask for a link."
    return require(visitor, SessionRequired(why, token_sent=False))


Person = Annotated[Submitter, Depends(require_session)]


def require_sender(person: Person, form: FormDep, request: Request) -> Submitter:
    """Return the submitter of the session that sent this form. Raises SessionRequired, CSRFError."""
    check_session(SESSION, request, first(form, "csrf"))
    return person


def find_own(id: str, person: Person, context: SubmissionContextDep) -> Submission:
    return actions.find_own(context, person, id)


def find_draft(secret: str, context: SubmissionContextDep) -> Submission:
    return drafts.open_draft(context, secret)


def check_trap(form: FormDep) -> None:
    """Refuse a form whose hidden field a program filled in."""
    require(not first(form, _TRAP), InvalidValue("Leave the hidden field empty."))


Sender = Annotated[Submitter, Depends(require_sender)]
Own = Annotated[Submission, Depends(find_own)]
Draft = Annotated[Submission, Depends(find_draft)]
Writing, Trap = Depends(count_write), Depends(check_trap)


def open_session(
    request: Request, context: SubmissionContext, submitter: Submitter, session: str, id: str | None
) -> Response:
    """Send the draft with this *id*, if there is one, set the cookie of a session, and redirect to
    the submitter's own pages.
    """
    submission = submissions.find(context.ledger, id) if id else None
    segments: tuple[str, ...] = ("mine",)
    if submission and submission.state is SubmissionState.DRAFT:
        try:
            segments = ("mine", drafts.send(context, submitter, submission).id)
        except (InvalidValue, VersionConflict, NotFound):  # the summary shows what is wrong
            segments = ("draft", drafts.create_link(context, submission), SUMMARY)
    elif submission and submission.submitter == submitter.id:
        segments = ("mine", submission.id)
    response = redirect(*segments)
    SESSION.set(request, response, session)
    return response
