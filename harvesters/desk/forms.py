"""Forms: what a person does on the desk's pages; each form carries its session's token, and leads back to a page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl, quote

import structlog
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from harvesters.desk import deeds, listing, plans
from harvesters.desk.errors import NoKey, SignedOut, Wrong
from harvesters.desk.gate import COOKIE, Guest, Here, known, meant, page, same_site
from harvesters.desk.keys import Scope, scope
from harvesters.desk.office import Office
from harvesters.desk.pages import ROOT, local
from harvesters.desk.sessions import LIFE
from harvesters.desk.sheets import key_page
from harvesters.ledger.decisions import Override

_LARGEST = 16_384  # bytes of a form: a note of 2,000 letters, each of which may take nine as it is sent
log = structlog.get_logger(room="desk")

routes = APIRouter(include_in_schema=False, dependencies=[Depends(page)])


async def fields(request: Request) -> Mapping[str, str]:
    """Read a form of this site as its browser sends it (application/x-www-form-urlencoded)."""
    same_site(request)
    sent = bytearray()
    async for chunk in request.stream():
        sent += chunk
        if len(sent) > _LARGEST:
            raise Wrong(f"a form has at most {_LARGEST:,} bytes")
    try:
        return dict(parse_qsl(sent.decode("ascii"), keep_blank_values=True, strict_parsing=bool(sent), errors="strict", max_num_fields=20))
    except ValueError as error:
        raise Wrong("this is no form as a browser sends it") from error


Fields = Annotated[Mapping[str, str], Depends(fields)]


def _to(path: str) -> Response:
    return RedirectResponse(ROOT + path, HTTPStatus.SEE_OTHER)


@routes.post("/sign-in")
def sign_in(form: Fields, request: Request, office: Here) -> Response:
    """Begin a session with a key."""
    try:
        key = known(request, form.get("key", "").strip())
    except NoKey as error:
        raise SignedOut(str(error), shown=True) from error
    if old := request.cookies.get(COOKIE):
        office.sessions.end(old)
    log.info("signed in", who=key.who)
    response = RedirectResponse(local(form.get("path", "")), HTTPStatus.SEE_OTHER)
    secure, age = request.url.scheme == "https", int(LIFE.total_seconds())
    response.set_cookie(COOKIE, office.sessions.begin(key.id), max_age=age, path=ROOT, secure=secure, httponly=True, samesite="strict")
    return response


@routes.post("/sign-out")
def sign_out(form: Fields, request: Request, visitor: Guest, office: Here) -> Response:
    """End the session."""
    meant(visitor, form.get("csrf", ""), Scope.READ)
    office.sessions.end(request.cookies[COOKIE])
    response = _to("/")
    response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="strict")
    return response


@routes.post("/page/sources/{name}/runs")
def run_now(name: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Ask for a run now."""
    meant(visitor, form.get("csrf", ""), Scope.OPERATE)
    deeds.ask(office, visitor.key, name, full=form.get("full") == "yes", supersede=form.get("supersede", ""))
    return _to("/")


@routes.post("/page/sources/{name}/hold")
def hold(name: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Hold a source."""
    meant(visitor, form.get("csrf", ""), Scope.OPERATE)
    deeds.hold(office, visitor.key, name, form.get("reason", ""))
    return _to("/")


@routes.post("/page/sources/{name}/release")
def release(name: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Release a source."""
    meant(visitor, form.get("csrf", ""), Scope.OPERATE)
    deeds.release(office, visitor.key, name)
    return _to("/")


@routes.post("/page/plans/{id}/approve")
def approve(id: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Approve a plan."""
    meant(visitor, form.get("csrf", ""), Scope.OPERATE)
    run = listing.run(office.ledger, id)
    deeds.approve(office, visitor.key, run, form.get("note", ""), _override(form, office))
    return _to(f"/page/runs/{quote(id, safe='')}")


@routes.post("/page/plans/{id}/reject")
def reject(id: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Reject a plan."""
    meant(visitor, form.get("csrf", ""), Scope.OPERATE)
    deeds.reject(office, visitor.key, listing.run(office.ledger, id), form.get("note", ""))
    return _to(f"/page/runs/{quote(id, safe='')}")


@routes.post("/page/keys")
def make_key(form: Fields, request: Request, visitor: Guest, office: Here) -> Response:
    """Make a key, and show it this once."""
    meant(visitor, form.get("csrf", ""), Scope.ADMIN)
    allowed, days = scope(form.get("scope", "")), form.get("days", "")
    if allowed is None or (days and not (days.isdecimal() and 1 <= int(days[:9]) <= deeds.DAYS)):
        raise Wrong(f"a key has a scope and is good for 1 to {deeds.DAYS:,} days, or until it is revoked")
    _, token = deeds.make_key(office, visitor.key, form.get("name", "").strip(), allowed, int(days) if days else None)
    return key_page(request, visitor, office, token)


@routes.post("/page/keys/{id}/revoke")
def revoke_key(id: str, form: Fields, visitor: Guest, office: Here) -> Response:
    """Revoke a key."""
    meant(visitor, form.get("csrf", ""), Scope.ADMIN)
    deeds.end_key(office, visitor.key, id)
    return _to("/page/keys")


def _override(form: Mapping[str, str], office: Office) -> Override | None:
    """Read what the source may do once more: a limit, its value, and for how many days."""
    limit = form.get("limit", "")
    if not limit:
        return None
    try:
        value, days = float(form.get("value", "")), int(form.get("days", ""))
        until = office.now() + timedelta(days=days)
    except (ValueError, OverflowError) as error:
        raise Wrong("an override has a limit, a number and days") from error
    return plans.override(office, limit, value, until)
