"""The admin pages of prizes: editions, their experts, and the stage of each nomination."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.auth import (
    ContextDep,
    CurrentUser,
    FormAdministrator,
    FormOperator,
    User,
)
from harvesters.admin.context import AdminContext
from harvesters.admin.forms import FormFields, redirect
from harvesters.errors import PrizeError
from harvesters.ledger import operators, prizes
from harvesters.ledger.models import AuditEntry
from harvesters.ledger.participation import STAGES, Edition
from harvesters.participation import contest
from harvesters.participation.contest import parse_edition
from harvesters.participation.model import choices
from harvesters.participation.prize_routes import text_of
from harvesters.problems import InvalidValue, NotFound
from harvesters.site import render_errors_as_pages
from vocab.addresses import is_mail_address
from web.templating import get_pages

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get("/page/prizes")
def show_editions(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the editions with the numbers of their nominations, and the form that adds one."""
    rows = [
        (item, len(prizes.nominations(context.ledger, item.id)))
        for item in prizes.editions(context.ledger)
    ]
    return get_pages(request).render("prizes.html", {"user": user, "rows": rows, "text": text_of})


@routes.post("/page/prizes")
def add_edition(form: FormFields, user: FormAdministrator, context: ContextDep) -> Response:
    """Add an edition, or replace it."""
    try:
        edition = parse_edition(form.get("edition", "").strip(), form.get("text", ""))
    except PrizeError as error:
        raise InvalidValue("The edition is not valid: %(reason)s", reason=str(error)) from error
    prizes.put_edition(context.ledger, edition)
    _record(context, user, "prize edition added", edition.id)
    return redirect(_path(edition))


@routes.get("/page/prizes/{edition}")
def show_edition(
    edition: str, request: Request, user: CurrentUser, context: ContextDep
) -> Response:
    """Show the nominations by category, the best score first, and the experts."""
    chosen = _find(context, edition)
    values = {
        "edition": chosen,
        "rows": contest.rank(context.ledger, chosen),
        "experts": prizes.experts(context.ledger, chosen.id),
        "stages": dict(choices("prize-stage", context.base)),
        "categories": dict(choices("prize-category", context.base)),
        "may_decide": not chosen.takes_nominations(context.now()),
        "text": text_of,
    }
    return get_pages(request).render("prize-edition.html", {"user": user, **values})


@routes.post("/page/prizes/{edition}/stage")
def decide_stage(
    edition: str, form: FormFields, user: FormOperator, context: ContextDep
) -> Response:
    """Set the stage of a nomination, and the special prize that it gets."""
    chosen, id = _find(context, edition), form.get("nomination", "")
    stage = next((item for item in STAGES if item.value == form.get("stage")), None)
    if stage is None:
        raise InvalidValue("Choose one of the stages.")
    special = form.get("special") or None
    contest.set_stage(context.ledger, chosen, id, stage, special, context.now(), context.base)
    _record(context, user, "prize stage decided", f"{chosen.id} {id}: {stage.value}")
    return redirect(_path(chosen))


@routes.post("/page/prizes/{edition}/experts")
def change_experts(
    edition: str, form: FormFields, user: FormAdministrator, context: ContextDep
) -> Response:
    """Add or remove an expert, who scores the nominations; reviews stay."""
    chosen, mail = _find(context, edition), form.get("mail", "").strip().lower()
    if not is_mail_address(mail):
        raise InvalidValue("Write a mail address.")
    is_removed = form.get("do") == "remove"
    (prizes.remove_expert if is_removed else prizes.add_expert)(context.ledger, chosen.id, mail)
    _record(context, user, f"prize expert {'removed' if is_removed else 'added'}", chosen.id)
    return redirect(_path(chosen))


def _find(context: AdminContext, edition: str) -> Edition:
    """Return an edition, even one that is not announced yet; raise NotFound."""
    if (stored := prizes.find_edition(context.ledger, edition)) is None:
        raise NotFound("There is no such edition of the prizes.")
    return stored


def _path(edition: Edition) -> str:
    return f"/page/prizes/{quote(edition.id, safe='')}"


def _record(context: AdminContext, user: User, action: str, note: str) -> None:
    operators.record_audit_entry(
        context.ledger,
        AuditEntry(context.now(), user.key.display_name, action, prizes.SOURCE, note=note),
    )
