"""The concepts, registries and organizations that the words of a search match, with their numbers
of initiatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from languages.request_locale import current_locale
from languages.translations import gettext as _
from publisher.portal.entity_statistics import PARTY
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.projections.facets.facets import facet_of_concept
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import DifferentCounts, FacetIndex
from publisher.projections.facets.thing_count import NONE
from publisher.projections.search.index import fold, tokens
from publisher.projections.search.query import SearchRequest, parse_clauses
from publisher.projections.search.searcher import Marker, Searcher, best_text

MAX_CARDS = 6  # cards of a search
_TARGETS, _PARTIES = 2, 3  # largest number of targets, and of organizations, among them
_CONSIDERED = 6  # organizations considered; those with the most initiatives are shown
_ORGANIZATION = "organization"
# Weights by facet: people look for action lines and goals more than for targets, whose labels have
# many words.
_WEIGHT = {"line": 1.3, "goal": 1.2, "target": 0.4}


@dataclass(frozen=True, slots=True)
class TopicCard:
    """A topic with its *name* and *label* in the language of the visit; *initiatives* is how many
    have it, *page* is its page's path.

    *facet* and *code* are those of the search; of an organization *facet* is ``organization`` and
    *code* its IRI.
    """

    facet: str
    code: str
    iri: str
    name: str
    label: str
    initiatives: int
    page: str


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
    counts = tables.counts_once(Filter().with_codes("kind", "initiative"))
    cards = [
        *_concepts(search, counts, names, words, loose),
        *_registries(counts, names, words),
        *_organizations(search, tables, names, words),
    ]
    return cards[:most]


def common_topics(
    search: Searcher, tables: FacetIndex, names: FacetLabels, most: int
) -> list[TopicCard]:
    """Return the action lines, goals and regions with the most initiatives."""
    counts = tables.counts_once(Filter().with_codes("kind", "initiative"))
    iris = [
        iri
        for iri in (search.topics.topics if search.topics else ())
        if (item := facet_of_concept(iri, names.iris)) and item[0] != "target"
    ]
    cards = [
        card
        for iri in iris
        if (card := _concept(iri, counts, names)) and card.facet in ("line", "goal", "region")
    ]
    return sorted(cards, key=lambda card: (-card.initiatives, card.iri))[:most]


def _concepts(
    search: Searcher, counts: DifferentCounts, names: FacetLabels, words: str, loose: bool
) -> list[TopicCard]:
    hits = search.topics.search(words, fuzzy=loose) if search.topics else {}
    ranked = [
        (card, score * _WEIGHT.get(card.facet, 1.0))
        for iri, score in hits.items()
        if (card := _concept(iri, counts, names))
    ]
    cards = [card for card, _score in sorted(ranked, key=lambda pair: -pair[1])]
    targets = [card for card in cards if card.facet == "target"][:_TARGETS]
    return [card for card in cards if card.facet != "target" or card in targets]


def _concept(iri: str, counts: DifferentCounts, names: FacetLabels) -> TopicCard | None:
    """Return the card of a concept; None without initiatives."""
    facet, code = facet_of_concept(iri, names.iris) or ("", "")
    things = counts.get(facet, {}).get(code, NONE)
    return (
        TopicCard(
            facet,
            code,
            iri,
            names.short(facet, code),
            facet_title(facet),
            things,
            names.page(facet, code),
        )
        if things
        else None
    )


def _registries(counts: DifferentCounts, names: FacetLabels, words: str) -> Iterator[TopicCard]:
    patterns = [
        (fold(word), clause.is_prefix)
        for group in parse_clauses(words)
        for clause in group
        if not clause.is_negated
        for word, _run in clause.words
    ]
    for code, title in sorted(names.sources.items()):
        known = {fold(word) for word, _run in tokens(f"{title} {code}")}
        if all(
            word in known or (begin and any(item.startswith(word) for item in known))
            for word, begin in patterns
        ):
            things = counts.get("source", {}).get(code, NONE)
            if patterns and things:
                yield TopicCard(
                    "source",
                    code,
                    names.iris.source(code),
                    title,
                    facet_title("source"),
                    things,
                    names.page("source", code),
                )


def _organizations(
    search: Searcher, tables: FacetIndex, names: FacetLabels, words: str
) -> list[TopicCard]:
    """Return the organizations with the most initiatives; of several with the same name, the first."""
    mark, stem = Marker(words), f"{names.iris.base}id/{PARTY}/"
    cards: dict[str, TopicCard] = {}
    request = SearchRequest(words, "title", kind=_ORGANIZATION)
    for entry in search.find_entries(request, _CONSIDERED, similar=False):
        title = best_text(entry.titles, mark, current_locale().language)
        initiatives = tables.count_different(
            Filter(party=entry.thing).with_codes("kind", "initiative")
        )
        if (
            title
            and initiatives
            and (title[0] not in cards or initiatives > cards[title[0]].initiatives)
        ):
            page = f"/page/{PARTY}/" + entry.thing.removeprefix(stem)
            cards[title[0]] = TopicCard(
                _ORGANIZATION,
                entry.thing,
                entry.thing,
                title[0],
                _("Organization"),
                initiatives,
                page,
            )
    return sorted(cards.values(), key=lambda card: -card.initiatives)[:_PARTIES]
