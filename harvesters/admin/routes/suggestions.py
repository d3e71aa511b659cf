"""Show the suggested topics that nobody has decided, and store whether a curator confirms or
refuses one.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser, check_csrf
from harvesters.admin.forms import FormFields, redirect
from harvesters.errors import SourceDefinitionError
from harvesters.inspection.topic_queue import add_decision, undecided
from harvesters.ledger import operators
from harvesters.ledger.keys import Scope
from harvesters.ledger.models import ActionType, AuditEntry
from harvesters.problems import InvalidValue
from harvesters.site import MAX_NOTE_LENGTH, check_note, render_errors_as_pages
from harvesters.source import decision_table, read_decision_table
from languages.request_locale import current_locale
from vocab.curated_topics import SUGGESTED, TopicDecision
from vocab.curated_words import concept_name, short_name
from vocab.iris import Iris
from web.templating import get_pages

_PAGE = "/page/suggestions"
_ROWS = 30  # suggestions, and decisions

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_suggestions(
    request: Request, user: CurrentUser, context: ContextDep, source: str = ""
) -> Response:
    """Show the surest undecided suggestions of one source, and the newest decisions."""
    names = [item.name for item in context.sources()]
    chosen = source if source in names else next(iter(names), "")
    decisions, _ = (
        read_decision_table(decision_table(context.source_dir, chosen)) if chosen else ([], [])
    )
    waiting = (
        undecided(context.ledger, context.source_dir, chosen, Iris(context.base)) if chosen else []
    )
    values = {
        "user": user,
        "sources": names,
        "source": chosen,
        "total": len(waiting),
        "suggestions": waiting[:_ROWS],
        "decisions": sorted(
            (item for item in decisions if item.decision != SUGGESTED),
            key=lambda item: item.day,
            reverse=True,
        )[:_ROWS],
        "faults": context.invalid_sources(),
        "name": lambda concept: concept_name(concept, current_locale().language, context.base),
        "short": lambda iri: short_name(iri, context.base),
        "most": MAX_NOTE_LENGTH,
    }
    return get_pages(request).render("suggestions.html", values)


@routes.post(_PAGE)
def decide(form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Write a decision to the table of the source."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    source, comment = context.source(form.get("source", "")), check_note(form.get("comment", ""))
    day = f"{context.now():%Y-%m-%d}"
    key, concept, decision = (form.get(name, "") for name in ("record", "concept", "decision"))
    item = TopicDecision(key, concept, decision, user.key.display_name, day, comment)
    try:
        add_decision(context.source_dir, source.name, item, context.base)
    except SourceDefinitionError as error:
        raise InvalidValue(
            "The decision cannot be stored: %(reason)s", reason=error.reason
        ) from error
    note = f"{item.key[:200]}: {item.concept}, {item.decision}"
    entry = AuditEntry(
        context.now(), item.author, ActionType.TOPIC_DECIDED.value, source.name, note=note
    )
    operators.record_audit_entry(context.ledger, entry)
    return redirect(f"{_PAGE}?source={source.name}")
