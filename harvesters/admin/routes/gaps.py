"""Show the words that no crosswalk translates, with the nearest concepts, and store which one a
curator chooses.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from harvesters.admin.access.auth import ContextDep, CurrentUser, check_csrf, render_errors_as_pages
from harvesters.admin.access.keys import Scope
from harvesters.admin.actions import MAX_NOTE_LENGTH, check_note
from harvesters.admin.errors import InvalidValue
from harvesters.admin.forms import FormFields, redirect
from harvesters.admin.pages import get_pages
from harvesters.errors import SourceDefinitionError
from harvesters.inspection.crosswalk_gaps import find_gaps
from harvesters.inspection.curated_crosswalks import add_word
from harvesters.ledger.operator_actions import ActionType, AuditEntry
from harvesters.source import read_word_table, word_table
from languages.request_locale import current_locale
from vocab.curated_words import CuratedWord, concept_name, fault_of, resolve_concept, short_name
from vocab.iris import Iris
from vocab.normalization import MAX_LENGTH, fold
from vocab.schemes import label

_PAGE = "/page/gaps"
_ROWS = 30  # words

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_PAGE)
def show_gaps(
    request: Request, user: CurrentUser, context: ContextDep, source: str = ""
) -> Response:
    """Show the most frequent untranslated words of one source, and the concepts that were chosen
    since its last run.
    """
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
    }
    return get_pages(request).render("gaps.html", values)


@routes.post(_PAGE)
def choose_concept(form: FormFields, user: CurrentUser, context: ContextDep) -> Response:
    """Write a word and its concept to the table of the source."""
    check_csrf(user, form.get("csrf", ""), Scope.OPERATE)
    source = context.source(form.get("source", ""))
    concept = short_name(
        (form.get("other", "").strip() or form.get("concept", "")).strip(), context.base
    )
    comment = check_note(form.get("comment", ""))
    if resolve_concept(concept) is None:
        raise InvalidValue(
            "There is no concept %(concept)s. Write it as sdg:4, sdg:4.4, area:404 or action-line:C7-ehea.",
            concept=concept[:80],
        )
    item = CuratedWord(
        form.get("word", ""), concept, user.key.display_name, f"{context.now():%Y-%m-%d}", comment
    )
    if fault_of(item):
        raise InvalidValue("A word of 1 to %(most)s characters is needed.", most=MAX_LENGTH)
    try:
        add_word(context.source_dir, source.name, item, context.base)
    except SourceDefinitionError as error:
        raise InvalidValue(
            "The table of words cannot be written: %(reason)s", reason=error.reason
        ) from error
    note = f"{item.word[:200]}: {concept}"
    context.ledger.operators.record_audit_entry(
        AuditEntry(context.now(), item.author, ActionType.TRANSLATED.value, source.name, note=note)
    )
    return redirect(f"{_PAGE}?source={source.name}")
