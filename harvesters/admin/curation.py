"""Show curators what waits for them, and take their decisions: the words that no crosswalk translates, with the nearest concepts, the
suggested topics, and the pairs of records that may be one thing; publish the clusters that result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from math import inf
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from starlette.datastructures import QueryParams
from starlette.responses import Response

from harvesters.admin.context import (
    AdminContext,
    ContextDep,
    CurrentUser,
    FormFields,
    FormOperator,
    RendererDep,
    redirect,
)
from harvesters.errors import IdentityError, SourceDefinitionError, require
from harvesters.inspection.curation import find_gaps, undecided
from harvesters.ledger.ledger import Ledger
from harvesters.matching.clusters import (
    PairRule,
    Status,
    check_rule,
    classify_stored,
    covered_pairs,
)
from harvesters.matching.entities import KINDS, Entity
from harvesters.matching.match import (
    Judgement,
    StoredPair,
    current_decisions,
    decision_history,
    find_pair,
    read_sides,
)
from harvesters.matching.scoring import FEATURES
from harvesters.runs.operations import decide_pairs, translate
from harvesters.runs.publish_graphs import change_kind, plan_clusters
from harvesters.site import (
    MAX_NOTE_LENGTH,
    InvalidValue,
    check_note,
    render_errors_as_pages,
)
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
from vocab.lookup import MAX_LENGTH, fold
from vocab.schemes import label
from web.templating import PageRenderer

_GAPS, _SUGGESTIONS = "/page/gaps", "/page/suggestions"
_ROWS = 30  # words, suggestions and decisions a page

routes = APIRouter(include_in_schema=False, dependencies=[Depends(render_errors_as_pages)])


@routes.get(_GAPS)
def show_gaps(show: RendererDep, context: ContextDep, source: str = "") -> Response:
    """Show the most frequent untranslated words of one source, and the concepts that were chosen
    since its last run.
    """
    return _render_gaps(show, context, source)


def _render_gaps(
    show: PageRenderer,
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
    return show(
        "gaps.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        sources=names,
        source=chosen,
        gaps=[gap for gap in gaps if fold(gap.word) not in known][:_ROWS],
        words=[
            (item, concept_name(item.concept, current_locale().language, context.base))
            for item in words
        ],
        faults=context.invalid_sources(),
        name=lambda iri: label(iri, current_locale().language, context.base) or iri,
        short=lambda iri: short_name(iri, context.base),
        most=MAX_NOTE_LENGTH,
        no_concept=NO_CONCEPT,
        entered=entered or {},
        problem=problem,
    )


@routes.post(_GAPS)
def choose_concept(
    form: FormFields, show: RendererDep, user: FormOperator, context: ContextDep
) -> Response:
    """Write a word and its concept to the table of the source; on an error, show the list again."""
    source = context.source(form.get("source", ""))
    try:
        item = _read_choice(form, context)
        translate(context.reader(), source, by=user.key.display_name, **item)
    except InvalidValue as error:
        return _render_gaps(show, context, source.name, form, error.localized)
    except SourceDefinitionError as error:
        unwritten = InvalidValue(
            "The table of words cannot be written: %(reason)s", reason=error.reason
        )
        return _render_gaps(show, context, source.name, form, unwritten.localized)
    return redirect(f"{_GAPS}?source={source.name}")


def _read_choice(form: Mapping[str, str], context: AdminContext) -> dict[str, str]:
    """Return the word, the concept and the comment of a form. Raises InvalidValue."""
    chosen = (form.get("other", "").strip() or form.get("concept", "")).strip()
    concept, comment = short_name(chosen, context.base), check_note(form.get("comment", ""))
    require(concept, InvalidValue("Choose a concept, or that none of these fits."))
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
def show_suggestions(show: RendererDep, context: ContextDep, source: str = "") -> Response:
    """Show the undecided suggestions of one source, the surest first, and the newest decisions."""
    names = [item.name for item in context.sources()]
    chosen = source if source in names else next(iter(names), "")
    decisions, _ = (
        read_decision_table(decision_table(context.source_dir, chosen)) if chosen else ([], [])
    )
    waiting = (
        undecided(context.ledger, context.source_dir, chosen, Iris(context.base)) if chosen else []
    )
    return show(
        "suggestions.html",
        sources=names,
        source=chosen,
        total=len(waiting),
        suggestions=waiting[:_ROWS],
        decisions=sorted(
            (item for item in decisions if item.decision != SUGGESTED),
            key=lambda item: item.day,
            reverse=True,
        )[:_ROWS],
        faults=context.invalid_sources(),
        name=lambda concept: concept_name(concept, current_locale().language, context.base),
        short=lambda iri: short_name(iri, context.base),
        most=MAX_NOTE_LENGTH,
    )


PAGE = "/page/identity"
_PAIRS = 50  # pairs on a page
_RULE = f"{PAGE}/rule"
_NAMES = ("kind", "least", "most", "agree", "differ", "silent")


@routes.get(PAGE)
def show_pairs(
    show: RendererDep,
    context: ContextDep,
    status: str = Status.QUEUED.value,
    after: int = 0,
) -> Response:
    """Show the pairs of one status, the highest score first. A pair that a person is unsure about
    stays queued.
    """
    chosen = Status(status) if status in set(Status) else Status.QUEUED
    rated, _ = classify_stored(context.ledger)
    pairs = [(item, item.score.bits) for item, status in rated if status is chosen]
    start = max(0, after)
    return show(
        "identity.html",
        states=list(Status),
        counts=Counter(status for _, status in rated),
        chosen=chosen,
        pairs=pairs[start : start + _PAIRS],
        decisions=current_decisions(context.ledger),
        next=start + _PAIRS if start + _PAIRS < len(pairs) else None,
    )


@routes.get(f"{PAGE}/publish")
def show_changes(show: RendererDep, context: ContextDep) -> Response:
    """Show what publishing would change."""
    changes = plan_clusters(context.reader())
    rows = [(change.graph, change_kind(change)) for change in changes[:_PAIRS]]
    counts = Counter(map(change_kind, changes))
    return show("identity-publish.html", changes=rows, counts=counts, base=context.base)


@routes.get(f"{PAGE}/pairs/{{id}}")
def show_pair(id: str, show: RendererDep, context: ContextDep) -> Response:
    """Show both sides of a pair, the bits of each feature, and all decisions about it."""
    pair = find_pair(context.ledger, id)
    rated, _ = classify_stored(context.ledger)
    return show(
        "identity-pair.html",
        pair=pair,
        status=next(status for item, status in rated if item.pair == pair.pair),
        fields=_compare(read_sides(context.ledger, pair, Iris(context.base)), context),
        history=[
            decision for decision in decision_history(context.ledger) if decision.pair == pair.pair
        ],
        latest=current_decisions(context.ledger).get(pair.pair),
        judgements=list(Judgement),
        most=MAX_NOTE_LENGTH,
    )


@routes.get(f"{PAGE}/next")
def show_next_pair(user: CurrentUser, context: ContextDep) -> Response:
    """Redirect to the next pair that waits for a decision; without one, to the list."""
    ledger = context.ledger
    waiting = covered_pairs(PairRule(), classify_stored(ledger)[0], current_decisions(ledger))
    return redirect(f"{PAGE}/pairs/{waiting[0].id}" if waiting else PAGE)


def _compare(sides: Sequence[Entity], context: AdminContext) -> list[dict[str, object]]:
    """Return the fields of both sides, and whether they differ where both say something; none if
    one side is no longer published.
    """
    if len(sides) != 2:
        return []
    first, second = (_fields(side, context.base) for side in sides)
    return [
        {
            "name": name,
            "first": one,
            "second": other,
            "differs": one and other and set(one) != set(other),
        }
        for name, one, other in ((name, first[name], second[name]) for name in first)
        if one or other
    ]


def _fields(side: Entity, base: str) -> Mapping[str, Sequence[str]]:
    language = current_locale().language
    concepts: Iterable[tuple[str, set[str]]] = (
        ("Countries", side.countries),
        ("Type", side.classes),
    )
    return {
        "Name": sorted(side.names),
        "Registry": [side.source],
        "Identifiers": sorted(f"{scheme} {value}" for scheme, value in side.identifiers),
        **{
            name: sorted(label(iri, language, base) or iri for iri in values)
            for name, values in concepts
        },
        "Start": [side.start] if side.start else [],
        "Organizations": sorted(" ".join(words) for words in side.parties),
        "Web": sorted(side.pages),
    }


@routes.get(_RULE)
def show_rule(show: RendererDep, context: ContextDep) -> Response:
    """Show the form of a rule, and the pairs that it covers."""
    query = show.request.query_params
    conditions = [(name, value) for name, value in query.multi_items() if name in _NAMES and value]
    pairs = _covered(_read_rule(query), context.ledger) if conditions else []
    return show(
        "identity-rule.html",
        query=query,
        kinds=KINDS,
        known=sorted(FEATURES),
        asked=urlencode(conditions),
        pairs=pairs[:_PAIRS],
        count=len(pairs),
        judgements=list(Judgement),
        most=MAX_NOTE_LENGTH,
    )


@routes.post(_RULE)
def decide_by_rule(form: FormFields, user: FormOperator, context: ContextDep) -> Response:
    """Store one decision about each pair that the rule covers, unless their number has changed
    since the page showed it.
    """
    reason, chosen = check_note(form.get("reason", "")), form.get("judgement", "")
    require(chosen in set(Judgement), InvalidValue("Choose whether the two are one thing."))
    require(reason, InvalidValue("A decision by rule needs a reason."))
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
    return covered_pairs(rule, classify_stored(ledger)[0], current_decisions(ledger))


def _read_rule(query: QueryParams) -> PairRule:
    """Return the rule that a form describes. Raises InvalidValue for bits that are not a number."""
    try:
        least, most = float(query.get("least") or -inf), float(query.get("most") or inf)
    except ValueError as error:
        raise InvalidValue("Write the bits as a number, such as 12.5.") from error
    return PairRule(
        query.get("kind", ""),
        least,
        most,
        *(frozenset(query.getlist(name)) for name in ("agree", "differ", "silent")),
    )
