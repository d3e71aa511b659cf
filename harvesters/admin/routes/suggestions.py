"""Show the suggested topics that nobody has decided, and store whether a curator confirms or
refuses one.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser
from harvesters.inspection.topic_queue import undecided
from harvesters.site import MAX_NOTE_LENGTH, render_errors_as_pages
from harvesters.source import decision_table, read_decision_table
from languages.request_locale import current_locale
from vocab.curated_topics import SUGGESTED
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
