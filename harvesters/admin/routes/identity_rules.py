"""Decide about all waiting pairs that a rule covers, after a look at them."""

from __future__ import annotations

from math import inf
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser, check_csrf
from harvesters.admin.forms import FormFields, redirect
from harvesters.admin.routes.identity import PAGE
from harvesters.errors import IdentityError
from harvesters.ledger.keys import Scope
from harvesters.ledger.ledger import Ledger
from harvesters.matching.clusters import classify_stored
from harvesters.matching.entities import KINDS
from harvesters.matching.pairs import Judgement
from harvesters.matching.rules import PairRule, check_rule, covered_pairs
from harvesters.matching.scoring import FEATURES
from harvesters.matching.stored import StoredPair, current_decisions
from harvesters.problems import InvalidValue
from harvesters.runs.operations import decide_pairs
from harvesters.site import MAX_NOTE_LENGTH, check_note, render_errors_as_pages
from web.templating import get_pages

_RULE = f"{PAGE}/rule"
_ROWS = 50  # pairs on a page
_NAMES = ("kind", "least", "most", "agree", "differ", "silent")

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_RULE)
def show_rule(request: Request, user: CurrentUser, context: ContextDep) -> Response:
    """Show the form of a rule, and the pairs that it covers."""
    query = request.query_params
    conditions = [(name, value) for name, value in query.multi_items() if name in _NAMES and value]
    pairs = _covered(_read_rule(query), context.ledger) if conditions else []
    values = {
        "user": user,
        "query": query,
        "kinds": KINDS,
        "known": sorted(FEATURES),
        "asked": urlencode(conditions),
        "pairs": pairs[:_ROWS],
        "count": len(pairs),
        "judgements": list(Judgement),
        "most": MAX_NOTE_LENGTH,
    }
    return get_pages(request).render("identity-rule.html", values)


@routes.post(_RULE)
def decide_by_rule(form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Store one decision about each pair that the rule covers, if their number is still the one
    that the page showed.
    """
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    reason, chosen = check_note(form.get("reason", "")), form.get("judgement", "")
    if chosen not in set(Judgement):
        raise InvalidValue("Choose whether the two are one thing.")
    if not reason:
        raise InvalidValue("A decision by rule needs a reason.")
    pairs = _covered(_read_rule(QueryParams(form.get("rule", ""))), context.ledger)
    if str(len(pairs)) != form.get("count"):
        raise InvalidValue("The pairs have changed since they were shown; look at them again.")
    decide_pairs(
        context.reader(),
        [pair.pair for pair in pairs],
        Judgement(chosen),
        by=user.key.display_name,
        reason=reason,
        note=f"{len(pairs)} pairs by rule {form.get('rule', '')}",
    )
    return redirect(f"{PAGE}?status=decided")


def _covered(rule: PairRule, ledger: Ledger) -> list[StoredPair]:
    try:
        check_rule(rule)
    except IdentityError as error:
        raise InvalidValue(
            "A rule needs known features, bits or registries as its conditions."
        ) from error
    stored, scored, _ = classify_stored(ledger)
    return covered_pairs(rule, stored, scored, current_decisions(ledger))


def _read_rule(query: QueryParams) -> PairRule:
    """Return the rule of the parameters of a form. Raises InvalidValue for bits that are no number."""
    try:
        least, most = float(query.get("least") or -inf), float(query.get("most") or inf)
    except ValueError as error:
        raise InvalidValue("Bits are a number, such as 12.5.") from error
    return PairRule(
        query.get("kind", ""),
        least,
        most,
        *(frozenset(query.getlist(name)) for name in ("agree", "differ", "silent")),
    )
