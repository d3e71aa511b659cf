"""The pages that sign a person in with the provider of OpenID Connect: the way there, and the
answer.
"""

from __future__ import annotations

from datetime import timedelta
from hmac import compare_digest
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import Link, Purpose
from harvesters.participation.submissions import drafts
from harvesters.participation.submissions.routes.form import ROOT, PagesDep, Writing, open_session
from harvesters.participation.submissions.submitters.identity import (
    SubmissionContext,
    SubmissionContextDep,
    begin_session,
)
from harvesters.participation.submissions.submitters.openid import SignIn
from harvesters.participation.submissions.submitters.provider import OpenIDProvider
from harvesters.problems import InvalidValue, LinkInvalid, NotFound
from harvesters.site import check_same_site, render_errors_as_pages

PATH = f"{ROOT}/sign-in"
COOKIE = "sign-in"
AGE = timedelta(minutes=10)  # for a person to sign in at the provider
Word = Annotated[str, Query(max_length=4_000)]

routes = APIRouter(
    prefix=PATH, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


def _provider(context: SubmissionContext) -> OpenIDProvider:
    context.source()
    if context.provider is None:
        raise NotFound("There is no provider to sign in with. Ask for a link instead.")
    return context.provider


def _sign_in(context: SubmissionContext, secret: str) -> SignIn:
    return SignIn(_provider(context), secret, f"{context.url}{PATH}/answer")


@routes.get("", dependencies=[Writing])
def begin(
    request: Request, context: SubmissionContextDep, pages: PagesDep, draft: Word = ""
) -> Response:
    """Show where the person goes on, and bind the sign-in to this browser; with *draft*, the answer
    sends that draft.
    """
    check_same_site(request)
    _provider(context)
    now, id = context.site.now(), drafts.open_draft(context, draft).id if draft else None
    secret = submissions.create_link(
        context.site.ledger, Link(Purpose.SIGN_IN, now, now + AGE, submission=id)
    )
    response = pages.render("sign_in.html", {"address": _sign_in(context, secret).address()})
    secure, age = request.url.scheme == "https", int(AGE.total_seconds())
    response.set_cookie(
        COOKIE, secret, max_age=age, path=PATH, secure=secure, httponly=True, samesite="lax"
    )
    return response


@routes.get("/answer", dependencies=[Writing])
def finish(
    request: Request,
    context: SubmissionContextDep,
    state: Word = "",
    code: Word = "",
    iss: Annotated[str | None, Query(max_length=4_000)] = None,
    error: Word = "",
) -> Response:
    """Check the answer of the provider, once, and begin a session as the link in a mail does."""
    secret, ledger, now = request.cookies.get(COOKIE, ""), context.site.ledger, context.site.now()
    sign_in = _sign_in(context, secret)
    link = submissions.find_link(context.site.ledger, secret, Purpose.SIGN_IN) if secret else None
    is_own = link is not None and compare_digest(
        sign_in.derive("state").encode(), state.encode(errors="replace")
    )
    if (
        link is None
        or not is_own
        or link.expires <= now
        or not submissions.use_link(ledger, secret, now)
    ):
        raise LinkInvalid(
            "This sign-in has expired, was used before, or was begun in another browser. Sign in again."
        )
    if error or not code:
        raise InvalidValue("You did not sign in at the provider. Try again, or ask for a link.")
    submitter, session = begin_session(context, sign_in.mail(code, iss, now))
    response = open_session(request, context, submitter, session, link.submission)
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return response
