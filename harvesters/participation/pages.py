"""The pages of a person's own submissions below /submit, and those that links in mails open: sign
in, hand a submission over, and confirm that it is still true.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hmac import compare_digest
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import FileResponse, JSONResponse, Response

from harvesters.errors import require
from harvesters.ledger import submissions
from harvesters.ledger.participation import SUBMITTER, Link, Purpose, SubmissionState
from harvesters.ledger.submissions import picture_of
from harvesters.participation import actions, drafts
from harvesters.participation.drafts import SUMMARY
from harvesters.participation.model import labels, shown_members
from harvesters.participation.moderation import HISTORY
from harvesters.participation.openid import SignIn
from harvesters.participation.submitters import (
    SESSION,
    SOURCE,
    SubmissionContext,
    SubmissionContextDep,
    begin_session,
    confirm,
    open_link,
    request_confirmation,
    use_link,
)
from harvesters.participation.tables import (
    CSV,
    MAX_ROWS,
    XLSX,
    RowResult,
    count_outcomes,
    read_table,
    submit_rows,
)
from harvesters.participation.uploads import picture_response
from harvesters.participation.visitor import (
    ROOT,
    STYLE,
    FileDep,
    FormDep,
    Own,
    Person,
    RendererDep,
    Sender,
    Trap,
    Visitor,
    Writing,
    first,
    open_session,
    page_routes,
    redirect,
)
from harvesters.site import InvalidValue, NotFound, RequestRefused, VersionConflict, check_same_site
from languages.translations import current_locale
from vocab.iris import Iris
from web.sessions import SessionCookie
from web.templating import PageRenderer

UPLOAD_PATH, SIGN_IN_PATH = f"{ROOT}/upload", f"{ROOT}/sign-in"
_SUFFIXES = {"csv": CSV, "xlsx": XLSX}
_EXPIRED = (
    "This sign-in has expired, was used before, or was begun in another browser. Sign in again."
)
# The time to sign in at the provider.
SIGN_IN = SessionCookie("sign-in", SIGN_IN_PATH, timedelta(minutes=10))
Word = Annotated[str, Query(max_length=4_000)]
routes = page_routes()


@routes.get("/style.css")
def style() -> Response:
    return FileResponse(STYLE, media_type="text/css")


@routes.get("")
def start(visitor: Visitor, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Explain what can be submitted and who decides, or that submissions are closed."""
    source = context.submission_source() if context.is_open() else None
    return show("start.html", source=source, session=visitor is not None)


@routes.post("", dependencies=[Writing, Trap])
def begin(visitor: Visitor, context: SubmissionContextDep) -> Response:
    return redirect("draft", drafts.begin(context, submitter=visitor), "type")


# ---- sessions


@routes.get("/confirm/{secret}")
def show_confirmation(secret: str, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Show what the link does. A button does it, so that a program that follows links does not."""
    _, linked = open_link(context, secret, Purpose.CONFIRM)
    draft = linked if linked and linked.state is SubmissionState.DRAFT else None
    return show("confirm.html", secret=secret, draft=draft)


@routes.post("/confirm/{secret}", dependencies=[Writing])
def confirm_address(
    secret: str, form: FormDep, request: Request, context: SubmissionContextDep
) -> Response:
    """Confirm an address once, send the draft of its link, and begin a session."""
    submitter, link, session = confirm(context, secret)
    return open_session(request, context, submitter, session, link.submission)


def _sign_in(context: SubmissionContext, secret: str = "") -> SignIn:
    context.submission_source()
    if context.provider is None:
        raise NotFound("There is no provider to sign in with. Ask for a link instead.")
    return SignIn(context.provider, secret, f"{context.channels.public_url}{SIGN_IN_PATH}/answer")


@routes.get("/sign-in", dependencies=[Writing])
def begin_sign_in(
    request: Request, context: SubmissionContextDep, show: RendererDep, draft: Word = ""
) -> Response:
    """Show the link to the provider, and bind the sign-in to this browser; with *draft*, signing in
    sends that draft.
    """
    check_same_site(request)
    sign_in = _sign_in(context)
    now, id = context.now(), drafts.open_draft(context, draft).id if draft else None
    sign_in.secret = submissions.create_link(
        context.ledger, Link(Purpose.SIGN_IN, now, now + SIGN_IN.age, submission=id)
    )
    response = show("sign_in.html", address=sign_in.address())
    SIGN_IN.set(request, response, sign_in.secret)
    return response


@routes.get("/sign-in/answer", dependencies=[Writing])
def finish_sign_in(
    request: Request,
    context: SubmissionContextDep,
    state: Word = "",
    code: Word = "",
    iss: Annotated[str | None, Query(max_length=4_000)] = None,
    error: Word = "",
) -> Response:
    """Check the answer of the provider, once, and begin a session."""
    secret, now = SIGN_IN.secret(request), context.now()
    sign_in = _sign_in(context, secret)
    is_own = compare_digest(sign_in.derive("state").encode(), state.encode(errors="replace"))
    link, _ = open_link(context, secret if is_own else "", Purpose.SIGN_IN, _EXPIRED)
    use_link(context, secret, _EXPIRED)
    if error or not code:
        raise InvalidValue("You did not sign in at the provider. Try again, or ask for a link.")
    submitter, session = begin_session(context, sign_in.mail(code, iss, now))
    response = open_session(request, context, submitter, session, link.submission)
    SIGN_IN.delete(response)
    return response


@routes.post("/mine/sign-out")
def sign_out(sender: Sender, request: Request, context: SubmissionContextDep) -> Response:
    submissions.end_link(context.ledger, SESSION.secret(request))
    response = redirect()
    SESSION.delete(response)
    return response


# ---- a person's own submissions


@routes.get("/mine")
def show_all(person: Person, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Show a person's own submissions."""
    ledger = context.ledger
    return show(
        "mine.html",
        rows=[
            item
            for item in submissions.of_submitter(ledger, person.id)
            if item.state is not SubmissionState.DRAFT
        ],
        submitter=person,
    )


@routes.post("/mine", dependencies=[Writing, Trap])
def identify(form: FormDep, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Send a link to an address, whether it is known or not."""
    try:
        link = request_confirmation(context, first(form, "mail"))
    except InvalidValue as error:
        return show("sign-in.html", error=error.localized, mail=first(form, "mail"))
    return show("sent.html", secret=None, link=link)


@routes.get("/mine/export")
def export(person: Person, context: SubmissionContextDep) -> Response:
    """Return everything that is stored about a person."""
    return JSONResponse(
        actions.export(context, person),
        headers={"Content-Disposition": 'attachment; filename="submissions.json"'},
    )


@routes.post("/mine/delete", dependencies=[Writing])
def delete_account(
    form: FormDep, sender: Sender, context: SubmissionContextDep, show: RendererDep
) -> Response:
    """Withdraw and delete everything of a person."""
    require(first(form, "sure"), InvalidValue("Tick the box if you want to delete everything."))
    actions.delete_account(context, sender)
    response = show("deleted.html")
    SESSION.delete(response)
    return response


async def measure_quality(id: str, request: Request, context: SubmissionContextDep) -> int | None:
    """Return the quality of the published record in percent, None without a session or a record."""
    return (
        await context.quality(Iris(context.base).record(SOURCE, id))
        if SESSION.secret(request)
        else None
    )


@routes.get("/mine/{id}")
def show_one(
    id: str,
    person: Person,
    context: SubmissionContextDep,
    show: RendererDep,
    score: Annotated[int | None, Depends(measure_quality)],
) -> Response:
    """Show the state of a submission, the findings of the rules, and its history."""
    item = actions.find_own(context, person, id)
    events = submissions.history(context.ledger, id, internal=False)
    return show(
        "mine_submission.html",
        item=item,
        members=shown_members(item.content),
        checked=actions.check_content(context, item.content, id) if item.content else None,
        labels=labels(),
        history=[(event, actions.public_name(event.who, person)) for event in events],
        sentences=HISTORY,
        record=Iris("/").record(SOURCE, item.id) if item.first_accepted and not item.post else None,
        score=score if item.published is not None else None,
        open=item.state not in (SubmissionState.WITHDRAWN, SubmissionState.SPAM),
    )


@routes.get("/mine/{id}/picture.webp")
def show_picture(item: Own, context: SubmissionContextDep) -> Response:
    name = picture_of(item.content) or ""
    return picture_response(submissions.find_picture(context.ledger, name))


@routes.post("/mine/{id}/change", dependencies=[Writing])
def change(sender: Sender, item: Own, context: SubmissionContextDep) -> Response:
    return redirect("draft", drafts.begin_change(context, sender, item), SUMMARY)


@routes.post("/mine/{id}/confirm", dependencies=[Writing])
def confirm_still_true(sender: Sender, item: Own, context: SubmissionContextDep) -> Response:
    actions.confirm(context, item, sender.name)
    return redirect("mine", item.id)


@routes.post("/mine/{id}/withdraw", dependencies=[Writing])
def withdraw(sender: Sender, item: Own, form: FormDep, context: SubmissionContextDep) -> Response:
    require(first(form, "version") == str(item.version), VersionConflict(actions.CHANGED))
    actions.withdraw(context, item, sender.name)
    return redirect("mine", item.id)


@routes.post("/mine/{id}/transfer", dependencies=[Writing])
def offer(
    sender: Sender, item: Own, form: FormDep, context: SubmissionContextDep, show: RendererDep
) -> Response:
    link = actions.offer_transfer(context, item, first(form, "mail"), sender.name)
    return show("transfer_sent.html", item=item, link=link)


# ---- links in mails: a page shows what its link does, and a button does it, so that a program that
# follows links does not


@routes.get("/transfer/{secret}")
def show_transfer(secret: str, context: SubmissionContextDep, show: RendererDep) -> Response:
    _, item = actions.check_transfer(context, secret)
    return show("transfer.html", item=item, secret=secret)


@routes.post("/transfer/{secret}", dependencies=[Writing])
def take(secret: str, form: FormDep, request: Request, context: SubmissionContextDep) -> Response:
    """Take the submission over, once, and begin a session of the address that got the link."""
    link, item = actions.check_transfer(context, secret)
    submitter, session = begin_session(context, str(link.mail))
    actions.take_over(context, secret, submitter)
    return open_session(request, context, submitter, session, item.id)


@routes.get("/still-true/{secret}")
def show_reminder(secret: str, context: SubmissionContextDep, show: RendererDep) -> Response:
    item = actions.check_link(context, secret)
    return show(
        "still_true.html", item=item, members=shown_members(item.published or {}), secret=secret
    )


@routes.post("/still-true/{secret}", dependencies=[Writing])
def confirm_by_link(
    secret: str, form: FormDep, context: SubmissionContextDep, show: RendererDep
) -> Response:
    """Record that it is still true, once."""
    item = actions.check_link(context, secret)
    use_link(context, secret, actions.UNCONFIRMED)
    actions.confirm(context, item, SUBMITTER)
    return show("confirmed.html", record=Iris("/").record(SOURCE, item.id))


# ---- tables


@routes.get("/upload")
def show_upload(person: Person, context: SubmissionContextDep, show: RendererDep) -> Response:
    """Show the form for a file."""
    context.submission_source()
    return _upload_page(show)


@routes.post("/upload", dependencies=[Writing])
def send_upload(
    form: FormDep,
    file: FileDep,
    sender: Sender,
    context: SubmissionContextDep,
    show: RendererDep,
) -> Response:
    """Check a file or submit its rows, and show the result of each row."""
    if file is None:
        return _upload_page(show, InvalidValue("Choose a file."))
    media = _SUFFIXES.get(str(file.filename).rpartition(".")[2].lower(), "")
    dry_run, language = first(form, "then") != "send", current_locale().language
    try:
        rows = read_table(file.file.read(), media)
        results = submit_rows(context, sender, rows, language, dry_run=dry_run)
    except RequestRefused as error:
        return _upload_page(show, error)
    return _upload_page(show, results=results, dry_run=dry_run)


def _upload_page(
    show: PageRenderer,
    error: RequestRefused | None = None,
    results: Sequence[RowResult] = (),
    *,
    dry_run: bool = True,
) -> Response:
    return show(
        "upload.html",
        error.status if error else HTTPStatus.OK,
        error=error.localized if error else "",
        results=results,
        counts=count_outcomes(results),
        dry_run=dry_run,
        labels=labels(),
        max_rows=MAX_ROWS,
    )
