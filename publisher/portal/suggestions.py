"""The concepts, registries and organizations that the words of a search match, with their numbers of
initiatives; ``/search/suggest``, what a person who types may mean; and things whose titles are
alike.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from rapidfuzz import fuzz, process
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import LANGUAGES, TranslatableText, current_locale, kind_name
from languages.translations import gettext as _
from publisher.data.properties import facet_of_concept
from publisher.data.tables import NONE, DifferentCounts, FacetIndex, make_filter
from publisher.errors import QuotaExceeded
from publisher.limits import Limits
from publisher.pages import Pages, PagesDep, ServiceDep, TablesDep, require_searcher
from publisher.portal.entity_statistics import PARTY
from publisher.portal.facet_labels import FacetLabels, NamesDep, facet_title
from publisher.store.search.index import fold, tokens
from publisher.store.search.query import SearchRequest, parse_clauses
from publisher.store.search.searcher import Marker, Searcher, best_text
from publisher.store.workers.pool import RateLimiter
from web.endpoints import format_parameter, get, other_contents, problems, whole_number
from web.middleware import client_key
from web.respond import HTML, JSON, choose_format, respond

MAX_CARDS = 6  # topics above the results of a search
_TARGETS, _PARTIES = 2, 3  # largest number of targets, and of organizations, among them
_CONSIDERED = 6  # organizations considered; those with the most initiatives are shown
LONGEST = 100  # characters of a text that is completed
DEFAULT, MAX_SUGGESTIONS = 8, 20  # suggestions, without and with the parameter
# The largest number of topics among the suggestions, and the number of letters from which titles
# are searched: shorter texts begin too many words.
_TOPICS, _LETTERS = 5, 3
# The suggestions of a client in so many seconds: five a second, more than anybody types.
REQUESTS, WINDOW = 300, 60
MIN_RATIO = 0.8  # similarity of two titles that are alike: a year or a word may differ
_COMPARED = 50  # best results of a search that are compared
_MAX_WORDS = 12  # words of a title that are searched
_MAX_LENGTH = 300  # characters of a title that are compared: the time grows with their product
# Weights by facet: people look for action lines and goals more than for targets, whose labels have
# many words.
_WEIGHT = {"line": 1.3, "goal": 1.2, "target": 0.4}


TopicCard = dict[str, Any]  # the members of TopicCard in schemas.toml


def topic_cards(
    search: Searcher,
    tables: FacetIndex,
    names: FacetLabels,
    words: str,
    *,
    loose: bool = False,
    most: int = MAX_CARDS,
) -> list[TopicCard]:
    """Return the cards of topics that match *words* and have initiatives, best first; *loose*
    accepts similar words.
    """
    if not parse_clauses(words):
        return []
    counts = tables.counts_once(make_filter(kind="initiative"))
    cards = [
        *_concepts(search, counts, names, words, loose),
        *_registries(counts, names, words),
        *_organizations(search, tables, names, words),
    ]
    return cards[:most]


def common_topics(
    search: Searcher, tables: FacetIndex, names: FacetLabels, most: int
) -> list[TopicCard]:
    counts = tables.counts_once(make_filter(kind="initiative"))
    cards = [
        card
        for iri in (search.topics.topics if search.topics else ())
        if (card := _concept(iri, counts, names)) and card["facet"] in ("line", "goal", "region")
    ]
    return sorted(cards, key=lambda card: (-card["initiatives"], card["iri"]))[:most]


def _concepts(
    search: Searcher, counts: DifferentCounts, names: FacetLabels, words: str, loose: bool
) -> list[TopicCard]:
    hits = search.topics.search(words, fuzzy=loose) if search.topics else {}
    ranked = [
        (card, score * _WEIGHT.get(card["facet"], 1.0))
        for iri, score in hits.items()
        if (card := _concept(iri, counts, names))
    ]
    cards = [card for card, _score in sorted(ranked, key=lambda pair: -pair[1])]
    targets = [card for card in cards if card["facet"] == "target"][:_TARGETS]
    return [card for card in cards if card["facet"] != "target" or card in targets]


def _concept(iri: str, counts: DifferentCounts, names: FacetLabels) -> TopicCard | None:
    """Return the card of a concept; None without initiatives."""
    facet, code = facet_of_concept(iri, names.iris) or ("", "")
    things = counts.get(facet, {}).get(code, NONE)
    return _card(facet, code, iri, names.short(facet, code), things, names) if things else None


def _card(facet: str, code: str, iri: str, name: str, things: int, names: FacetLabels) -> TopicCard:
    return {
        "facet": facet,
        "code": code,
        "iri": iri,
        "name": name,
        "label": facet_title(facet),
        "initiatives": things,
        "page": names.page(facet, code),
    }


def _registries(counts: DifferentCounts, names: FacetLabels, words: str) -> Iterator[TopicCard]:
    patterns = [
        (fold(word), clause.is_prefix)
        for group in parse_clauses(words)
        for clause in group
        if not clause.is_negated
        for word, _run in clause.words
    ]
    for code, title in sorted(names.sources.items() if patterns else ()):
        known = [fold(word) for word, _run in tokens(f"{title} {code}")]
        things = counts.get("source", {}).get(code, NONE)
        if things and all(
            word in known or (begin and any(item.startswith(word) for item in known))
            for word, begin in patterns
        ):
            yield _card("source", code, names.iris.source(code), title, things, names)


def _organizations(
    search: Searcher, tables: FacetIndex, names: FacetLabels, words: str
) -> list[TopicCard]:
    """Return the organizations with the most initiatives; of several with the same name, the first."""
    mark, stem = Marker(words), f"{names.iris.base}id/{PARTY}/"
    cards: dict[str, TopicCard] = {}
    request = SearchRequest(words, "title", kind=PARTY)
    for entry in search.find_entries(request, _CONSIDERED, similar=False):
        title = best_text(entry.titles, mark, current_locale().language)
        things = tables.count_different(replace(make_filter(kind="initiative"), party=entry.thing))
        name = title[0] if title else ""
        if things and name and (name not in cards or things > cards[name]["initiatives"]):
            page = f"/page/{PARTY}/" + entry.thing.removeprefix(stem)
            cards[name] = {
                "facet": PARTY,
                "code": entry.thing,
                "iri": entry.thing,
                "name": name,
                "label": _("Organization"),
                "initiatives": things,
                "page": page,
            }
    return sorted(cards.values(), key=lambda card: -card["initiatives"])[:_PARTIES]


_SUGGESTION_FORMATS = {"json": JSON, "html": HTML}
router = APIRouter()


def build_rate_limiter(limits: Limits) -> RateLimiter:
    """Return the rate limiter of suggestions, without limit if queries have none."""
    return RateLimiter(
        replace(limits, budget=REQUESTS if limits.budget else 0, window=WINDOW), time.monotonic
    )


async def limit_suggestions(request: Request) -> None:
    limiter: RateLimiter = request.app.state.suggestion_limiter
    client = client_key(request.scope)
    try:
        limiter.admit(client)
    except QuotaExceeded as spent:
        raise QuotaExceeded(
            TranslatableText(
                "this address has asked for {count} suggestions within {seconds} seconds; wait, or search without them",
                count=REQUESTS,
                seconds=WINDOW,
            ),
            spent.wait,
        ) from spent
    limiter.charge(client, 1)


@get(
    router,
    "/search/suggest",
    operation_id="suggest",
    dependencies=[Depends(limit_suggestions)],
    summary="Complete the text of a search: topics that it names, then titles that begin with it",
    tags=["find"],
    response_description="The suggestions",
    responses=other_contents([HTML], "SuggestionsJson") | problems(400, 406, 429, 503),
)
def suggest(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    tables: TablesDep,
    names: NamesDep,
    q: Annotated[
        str,
        Query(
            max_length=LONGEST,
            description="What was typed so far; without it, the most common topics",
        ),
    ] = "",
    limit: Annotated[
        int,
        Query(ge=1, le=MAX_SUGGESTIONS, description="The largest number of suggestions"),
        whole_number(DEFAULT),
    ] = DEFAULT,
    format: Annotated[str | None, format_parameter(_SUGGESTION_FORMATS)] = None,
    lang: Annotated[
        str | None,
        Query(
            description="The language of names; without it, Accept-Language",
            json_schema_extra={"enum": list(LANGUAGES)},
        ),
    ] = None,
) -> Response:
    """The script of the pages reads this while a person types."""
    data_format, typed = choose_format(request, _SUGGESTION_FORMATS, format), q.lstrip()
    matches = suggestions(require_searcher(service), tables, pages, names, typed, limit)
    content = (
        pages.page("suggest.html", typed=typed, suggestions=matches)
        if data_format is HTML
        else orjson.dumps({"query": typed, "suggestions": matches})
    )
    # Labels are in the language of the request, as pages are.
    headers = {"Vary": "Accept-Language, Cookie", "Content-Language": current_locale().language}
    return respond(request, content, data_format, headers=None if data_format is HTML else headers)


def suggestions(
    search: Searcher, tables: FacetIndex, pages: Pages, names: FacetLabels, typed: str, most: int
) -> list[dict[str, Any]]:
    """Return at most *most* suggestions for the text *typed* so far, topics first; without a text,
    the most common topics. *kind* is the facet or the kind of thing, *label* its name.
    """
    words = tokens(typed)
    begun = typed if typed[-1:].isspace() or typed.endswith("*") else f"{typed}*"
    cards = (
        topic_cards(search, tables, names, begun, most=min(_TOPICS, most))
        if words
        else common_topics(search, tables, names, most)
    )
    topics: list[dict[str, Any]] = [
        {
            "text": card["name"],
            "language": None,
            "kind": card["facet"],
            "label": card["label"],
            "initiatives": card["initiatives"],
            "page": card["page"],
        }
        for card in cards
    ]
    if not words or not (words[-1][1] or len(words[-1][0]) >= _LETTERS) or len(topics) >= most:
        return topics
    marker, known = Marker(begun), {card["iri"] for card in cards}
    entries = search.find_entries(SearchRequest(begun, "title"), most, similar=False)
    things: list[dict[str, Any]] = [
        {
            "text": title[0],
            "language": title[1],
            "kind": entry.kind,
            "label": kind_name(entry.kind),
            "initiatives": None,
            "page": pages.path(entry.thing),
        }
        for entry in entries
        if entry.thing not in known
        and (title := best_text(entry.titles, marker, current_locale().language))
    ]
    return [*topics, *things][:most]


def similar_titles(
    search: Searcher, title: str, limit: int, min_ratio: float = MIN_RATIO
) -> list[tuple[str, str]]:
    """Return the IRIs and titles of the things with the titles most similar to *title*, the most similar
    first.

    *min_ratio* is the least similarity, from 0 to 1.
    """
    words = re.findall(r"\w+", title[:_MAX_LENGTH])[:_MAX_WORDS]
    request = SearchRequest(" OR ".join(words), field="title")
    entries = search.find_entries(request, _COMPARED) if words else ()
    known = [(entry.thing, text) for entry in entries for text, _tag in entry.titles]
    ranked = process.extract(
        title[:_MAX_LENGTH],
        [text[:_MAX_LENGTH] for _thing, text in known],
        scorer=fuzz.ratio,
        processor=str.casefold,
        score_cutoff=100 * min_ratio,
        limit=None,
    )
    best: dict[str, str] = {}
    for _text, _score, index in ranked:
        best.setdefault(*known[index])
    return list(best.items())[:limit]
