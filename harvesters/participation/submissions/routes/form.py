"""The pages below /submit: a form with one question a page, the link that confirms an address, and
what is a person's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.comments import comments_of
from harvesters.ledger.participation.models import Submission, SubmissionState, Submitter
from harvesters.participation.submissions import actions, drafts
from harvesters.participation.submissions.check import differences
from harvesters.participation.submissions.model import (
    MEMBERS,
    labels,
    labels_of,
    readable,
    shown_members,
)
from harvesters.participation.submissions.moderation import HISTORY
from harvesters.participation.submissions.pages import STYLE
from harvesters.participation.submissions.questions import (
    SUMMARY,
    Form,
    questions_of,
    values_of,
    without_internal,
)
from harvesters.participation.submissions.submitters import confirmations
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SESSION_AGE,
    SOURCE,
    SubmissionContext,
    SubmissionContextDep,
    check_confirmation,
    check_csrf,
    confirm,
    count_write,
    find_session,
    request_confirmation,
)
from harvesters.participation.submissions.submitters.organizations import match_names, rename
from harvesters.problems import InvalidValue, NotFound, VersionConflict
from harvesters.site import read_fields, render_errors_as_pages
from vocab.iris import Iris
from web.sessions import csrf_token
from web.templating import Pages, get_pages

ROOT = "/submit"
MAX_BODY = 262_144  # bytes: a text of 20,000 characters, percent-encoded in a form, with the rest
_MAX_FIELDS = 400  # of a form: the countries
_TRAP = "website"  # a field that persons do not see; programs fill it in

routes = APIRouter(
    prefix=ROOT, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


async def read_form(request: Request) -> Form:
    """Read a form of this site, whose fields may have several values. Raises CSRFError,
    InvalidValue.
    """
    return await read_fields(request, MAX_BODY, _MAX_FIELDS)


FormDep = Annotated[Form, Depends(read_form)]
PagesDep = Annotated[Pages, Depends(get_pages)]
Writing = Depends(count_write)


def first(form: Form, name: str) -> str:
    """Return the first value of a field, without white space around it; "" if there is none."""
    return next(iter(form.get(name, ())), "").strip()


def redirect(path: str) -> Response:
    """Return the redirection to a page of the form, by GET."""
    return RedirectResponse(f"{ROOT}{path}", HTTPStatus.SEE_OTHER)


def check_trap(form: Form) -> None:
    """Refuse a form whose hidden field a program filled in."""
    if first(form, _TRAP):
        raise InvalidValue("Leave the hidden field empty.")


@routes.get("/style.css")
def style() -> Response:
    """Return what these pages add to the style of the portal."""
    return FileResponse(STYLE, media_type="text/css")


@routes.get("")
def start(request: Request, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Say what can be submitted, and who decides; or that nothing can be."""
    source = context.source() if context.is_open() else None
    return pages.render(
        "start.html", {"source": source, "session": session_of(request, context) is not None}
    )


@routes.post("", dependencies=[Writing])
def begin(form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """Begin a draft, and go to its first question."""
    check_trap(form)
    return redirect(f"/draft/{drafts.begin(context, submitter=session_of(request, context))}/type")


@routes.get("/draft/{secret}/summary")
def summary(
    secret: str, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Show the answers, what the rules say of them, and records that may be the same."""
    return _summary(request, context, pages, secret, drafts.open_draft(context, secret))


@routes.post("/draft/{secret}/summary", dependencies=[Writing])
def send(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Send a draft: at once in a session, else when its author confirms an address."""
    draft = drafts.open_draft(context, secret)
    check_trap(form)
    submitter, mail = session_of(request, context), first(form, "mail")
    try:
        drafts.check_pace(context, draft)
        if submitter is None:
            link = request_confirmation(context, mail, draft.id)
            return pages.render("sent.html", {"secret": secret, "link": link})
        if first(form, "replace"):
            drafts.rebase(context, submitter, draft)
            draft = drafts.open_draft(context, secret)
        sent = drafts.send(context, submitter, draft)
    except VersionConflict as error:
        return _conflict(context, pages, secret, draft, error)
    except InvalidValue as error:
        return _summary(request, context, pages, secret, draft, error.localized, mail)
    return redirect(f"/mine/{sent.id}")


def _summary(
    request: Request,
    context: SubmissionContext,
    pages: Pages,
    secret: str,
    draft: Submission,
    error: str = "",
    mail: str = "",
) -> Response:
    content = without_internal(draft.content)
    key = (draft.content.get(drafts.REPLACES) or {}).get("id", draft.id)
    checked = actions.check_content(context, content, key) if content.get("type") else None
    language = drafts.language_of(draft)
    answers = [
        (
            question,
            [(field, answer_texts(content, field, language, context)) for field in question.fields],
            drafts.findings_of(checked, question) if checked else {},
        )
        for question in questions_of(draft.content)
    ]
    values: dict[str, Any] = {
        "answers": answers,
        "checked": checked,
        "labels": labels(),
        "error": error,
        "mail": mail,
        "secret": secret,
    }
    values["organizations"] = match_names(content, context.organizations)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return pages.render(
        "summary.html",
        {**values, "session": session_of(request, context), "licence": context.source().licence},
        status,
    )


def answer_texts(
    content: Mapping[str, Any], field: Any, language: str, context: SubmissionContext
) -> list[str]:
    """Return the answer of a field as a reader sees it."""
    values = values_of(content, field, language)
    return (
        labels_of(values, field.choices, context.site.base)
        if field.choices and field.member != "why"
        else values
    )


def _conflict(
    context: SubmissionContext, pages: Pages, secret: str, draft: Submission, error: VersionConflict
) -> Response:
    """Show what somebody else changed meanwhile; the draft is kept."""
    newest = submissions.find(context.site.ledger, draft.content[drafts.REPLACES]["id"])
    if newest is None:
        raise NotFound("You have no submission with this identifier.")
    changed = [
        (labels()[name], readable(change["before"]), readable(change["after"]))
        for name, change in differences(newest.content, without_internal(draft.content)).items()
        if name in MEMBERS
    ]
    return pages.render(
        "conflict.html",
        {"changes": changed, "secret": secret, "why": error.localized},
        error.status,
    )


@routes.post("/draft/{secret}/use-name", dependencies=[Writing])
def take_name(secret: str, form: FormDep, context: SubmissionContextDep) -> Response:
    """Replace a name of the draft's organizations by that of the register, and show the summary."""
    draft = drafts.open_draft(context, secret)
    before, after = first(form, "before"), first(form, "after")
    if after not in [item.name for item in context.organizations(before)]:
        raise InvalidValue("The register has no such organization.")
    if not drafts.save(context, draft, rename(draft.content, before, after)):
        raise VersionConflict("Somebody else changed this meanwhile")
    return redirect(f"/draft/{quote(secret, safe='')}/{SUMMARY}")


@routes.get("/confirm/{secret}")
def show_confirmation(secret: str, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show what the link does; the button does it, so that a program that follows links does not."""
    link = check_confirmation(context, secret)
    draft = submissions.find(context.site.ledger, link.submission) if link.submission else None
    return pages.render(
        "confirm.html",
        {
            "secret": secret,
            "draft": draft if draft and draft.state is SubmissionState.DRAFT else None,
        },
    )


@routes.post("/confirm/{secret}", dependencies=[Writing])
def confirm_address(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Confirm an address once, send the draft of its link, and begin a session."""
    submitter, link, session = confirm(context, secret)
    return open_session(request, context, submitter, session, link.submission)


def open_session(
    request: Request, context: SubmissionContext, submitter: Submitter, session: str, id: str | None
) -> Response:
    """Send the draft with this *id*, if there is one, set the cookie of a session, and go to what
    is the submitter's own.
    """
    path, submission = "/mine", submissions.find(context.site.ledger, id) if id else None
    if submission and submission.state is SubmissionState.DRAFT:
        path = _sent_path(context, submitter, submission)
    elif submission and submission.submitter == submitter.id:
        path = f"/mine/{submission.id}"
    response = redirect(path)
    secure, age = request.url.scheme == "https", int(SESSION_AGE.total_seconds())
    response.set_cookie(
        COOKIE, session, max_age=age, path=ROOT, secure=secure, httponly=True, samesite="lax"
    )
    return response


def _sent_path(context: SubmissionContext, submitter: Submitter, draft: Submission) -> str:
    """Send a draft; return the path of its page, or that of the draft if it cannot be sent as it
    is.
    """
    try:
        return f"/mine/{drafts.send(context, submitter, draft).id}"
    except (InvalidValue, VersionConflict, NotFound):
        return f"/draft/{drafts.create_link(context, draft)}/{SUMMARY}"


def session_of(request: Request, context: SubmissionContext) -> Submitter | None:
    """Return the submitter of the request's session, None without one."""
    return find_session(context, request.cookies.get(COOKIE, ""))


@routes.get("/mine")
def show_own(request: Request, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Show a person's own submissions; without a session, ask for the e-mail address."""
    submitter = session_of(request, context)
    if submitter is None:
        return pages.render("identify.html", {"error": "", "mail": ""})
    rows = [
        item
        for item in submissions.of_submitter(context.site.ledger, submitter.id)
        if item.state is not SubmissionState.DRAFT
    ]
    values = {
        "rows": rows,
        "submitter": submitter,
        "comments": comments_of(context.site.ledger, submitter.id),
    }
    return pages.render("mine.html", {**values, "csrf": csrf_token(request.cookies[COOKIE])})


@routes.post("/mine", dependencies=[Writing])
def identify(form: FormDep, context: SubmissionContextDep, pages: PagesDep) -> Response:
    """Send a link to an address, whether it is known or not."""
    check_trap(form)
    try:
        link = request_confirmation(context, first(form, "mail"))
    except InvalidValue as error:
        return pages.render(
            "identify.html",
            {"error": error.localized, "mail": first(form, "mail")},
            HTTPStatus.UNPROCESSABLE_ENTITY,
        )
    return pages.render("sent.html", {"secret": None, "link": link})


@routes.get("/mine/export")
def export(request: Request, context: SubmissionContextDep) -> Response:
    """Return everything that is stored about a person."""
    submitter = require_session(request, context)
    headers = {"Content-Disposition": 'attachment; filename="submissions.json"'}
    return JSONResponse(actions.export(context, submitter), headers=headers)


@routes.post("/mine/delete", dependencies=[Writing])
def delete_account(
    form: FormDep, request: Request, context: SubmissionContextDep, pages: PagesDep
) -> Response:
    """Withdraw and delete everything of a person."""
    submitter = require_session(request, context, form)
    if not first(form, "sure"):
        raise InvalidValue("Tick the box if you want to delete everything.")
    actions.delete_account(context, submitter)
    return _without_cookie(pages.render("deleted.html", {}))


@routes.post("/mine/sign-out")
def sign_out(form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """End the session."""
    require_session(request, context, form)
    submissions.end_link(context.site.ledger, request.cookies[COOKIE])
    return _without_cookie(redirect(""))


def _without_cookie(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="lax")
    return response


async def measure_quality(id: str, request: Request, context: SubmissionContextDep) -> int | None:
    """Return the quality of the published record in percent, None without a session or a record."""
    return (
        await context.quality(Iris(context.site.base).record(SOURCE, id))
        if request.cookies.get(COOKIE)
        else None
    )


@routes.get("/mine/{id}")
def show_submission(
    id: str,
    request: Request,
    context: SubmissionContextDep,
    pages: PagesDep,
    score: Annotated[int | None, Depends(measure_quality)],
) -> Response:
    """Show the state of a submission, what the rules say of it, and its history."""
    submitter = session_of(request, context)
    if submitter is None:
        return pages.render("identify.html", {"error": "", "mail": ""})
    item = actions.find_own(context, submitter, id)
    events = submissions.history(context.site.ledger, id, internal=False)
    values = {
        "item": item,
        "members": shown_members(item.content),
        "checked": actions.check_content(context, item.content, id) if item.content else None,
        "labels": labels(),
        "history": [(event, actions.public_name(event.who, submitter)) for event in events],
        "sentences": HISTORY,
        "record": Iris("/").record(SOURCE, item.id) if item.first_accepted else None,
        "score": score if item.published is not None else None,
        "open": item.state not in (SubmissionState.WITHDRAWN, SubmissionState.SPAM),
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return pages.render("mine_submission.html", values)


@routes.post("/mine/{id}/change", dependencies=[Writing])
def change(id: str, form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """Begin a draft that changes a submission."""
    submitter = require_session(request, context, form)
    secret = drafts.begin_change(context, submitter, actions.find_own(context, submitter, id))
    return redirect(f"/draft/{secret}/{SUMMARY}")


@routes.post("/mine/{id}/confirm", dependencies=[Writing])
def confirm_still_true(
    id: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Record that what is published is still true."""
    submitter = require_session(request, context, form)
    confirmations.confirm(context.site, actions.find_own(context, submitter, id), submitter.name)
    return redirect(f"/mine/{quote(id, safe='')}")


@routes.post("/mine/{id}/withdraw", dependencies=[Writing])
def withdraw(id: str, form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """Withdraw a submission."""
    submitter = require_session(request, context, form)
    item = actions.find_own(context, submitter, id)
    if first(form, "version") != str(item.version):
        raise VersionConflict(
            "Somebody else changed the submission meanwhile. Compare the two versions, and send yours again."
        )
    actions.withdraw(context.site, item, submitter.name)
    return redirect(f"/mine/{quote(id, safe='')}")


def require_session(
    request: Request, context: SubmissionContext, form: Form | None = None
) -> Submitter:
    """Return the submitter of the session; a *form* must be of this session. Raises NotFound,
    CSRFError.
    """
    submitter = session_of(request, context)
    if submitter is None:
        raise NotFound("Your session has ended. Open “Your submissions” and ask for a link.")
    if form is not None:
        check_csrf(request.cookies[COOKIE], first(form, "csrf"))
    return submitter
