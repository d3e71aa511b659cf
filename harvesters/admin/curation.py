"""Show curators the words that no crosswalk translates, with the nearest concepts, and the
suggested topics.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.auth import ContextDep, CurrentUser, FormFields, FormOperator, User, redirect
from harvesters.admin.context import AdminContext
from harvesters.errors import SourceDefinitionError
from harvesters.inspection.curation import find_gaps, undecided
from harvesters.runs.operations import translate
from harvesters.site import MAX_NOTE_LENGTH, InvalidValue, check_note, render_errors_as_pages
from harvesters.source import decision_table, read_decision_table, read_word_table, word_table
from languages.translations import current_locale
from vocab.curated import (
    NO_CONCEPT,
    SUGGESTED,
    CuratedWord,
    concept_name,
    resolve_concept,
    short_name,
    word_fault,
)
from vocab.iris import Iris
from vocab.normalization import MAX_LENGTH, fold
from vocab.schemes import label
from web.templating import get_pages

_GAPS, _SUGGESTIONS = "/page/gaps", "/page/suggestions"
_ROWS = 30  # words, suggestions and decisions a page

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_GAPS)
def show_gaps(
    request: Request, user: CurrentUser, context: ContextDep, source: str = ""
) -> Response:
    """Show the most frequent untranslated words of one source, and the concepts that were chosen
    since its last run.
    """
    return _render_gaps(request, user, context, source)


def _render_gaps(
    request: Request,
    user: User,
    context: AdminContext,
    source: str,
    entered: Mapping[str, str] | None = None,
    problem: str = "",
) -> Response:
    """Render the page; *problem* is why the form with the values *entered* was not stored."""
    names = [item.name for item in context.sources()]
    chosen = source if source in names else next(iter(names), "")
    words, _ = read_word_table(word_table(context.source_dir, chosen)) if chosen else ([], [])
    known = {fold(item.word) for item in words}
    gaps = (
        find_gaps(context.ledger, [chosen], Iris(context.base), _ROWS + len(words), {chosen: words})
        if chosen
        else []
    )
    values = {
        "user": user,
        "sources": names,
        "source": chosen,
        "gaps": [gap for gap in gaps if fold(gap.word) not in known][:_ROWS],
        "words": [
            (item, concept_name(item.concept, current_locale().language, context.base))
            for item in words
        ],
        "faults": context.invalid_sources(),
        "name": lambda iri: label(iri, current_locale().language, context.base) or iri,
        "short": lambda iri: short_name(iri, context.base),
        "most": MAX_NOTE_LENGTH,
        "no_concept": NO_CONCEPT,
        "entered": entered or {},
        "problem": problem,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return get_pages(request).render("gaps.html", values, status)


@routes.post(_GAPS)
def choose_concept(
    form: FormFields, request: Request, user: FormOperator, context: ContextDep
) -> Response:
    """Write a word and its concept to the table of the source; on an error, show the list again."""
    source = context.source(form.get("source", ""))
    try:
        item = _read_choice(form, context)
        translate(context.reader(), source, by=user.key.display_name, **item)
    except InvalidValue as error:
        return _render_gaps(request, user, context, source.name, form, error.localized)
    except SourceDefinitionError as error:
        unwritten = InvalidValue(
            "The table of words cannot be written: %(reason)s", reason=error.reason
        )
        return _render_gaps(request, user, context, source.name, form, unwritten.localized)
    return redirect(f"{_GAPS}?source={source.name}")


def _read_choice(form: Mapping[str, str], context: AdminContext) -> dict[str, str]:
    """Return the word, the concept and the comment of a form. Raises InvalidValue."""
    chosen = (form.get("other", "").strip() or form.get("concept", "")).strip()
    concept, comment = short_name(chosen, context.base), check_note(form.get("comment", ""))
    if not concept:
        raise InvalidValue("Choose a concept, or that none of these fits.")
    if concept != NO_CONCEPT and resolve_concept(concept) is None:
        raise InvalidValue(
            "There is no concept %(concept)s. Write it as sdg:4, sdg:4.4, area:404 or action-line:C7-ehea.",
            concept=concept[:80],
        )
    word = form.get("word", "")
    if word_fault(CuratedWord(word, concept, "-")):
        raise InvalidValue("A word of 1 to %(most)s characters is needed.", most=MAX_LENGTH)
    return {"word": word, "concept": concept, "comment": comment}


@routes.get(_SUGGESTIONS)
def show_suggestions(
    request: Request, user: CurrentUser, context: ContextDep, source: str = ""
) -> Response:
    """Show the undecided suggestions of one source, the surest first, and the newest decisions."""
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
