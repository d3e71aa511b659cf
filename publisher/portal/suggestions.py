"""Suggestions for a search by the beginning of its last word: topics first, then titles."""

from __future__ import annotations

from dataclasses import dataclass

from languages.request_locale import current_locale
from languages.term_titles import kind_name
from publisher.pages import Pages
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.topic_cards import common_topics, topic_cards
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.search.index import tokens
from publisher.projections.search.query import SearchRequest
from publisher.projections.search.searcher import Marker, Searcher, best_text

TOPICS = 5  # largest number of topics among the suggestions
_LETTERS = 3  # from which titles are searched: shorter texts begin too many words


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A topic or a thing: *kind* is the facet or the kind of thing, *label* its name; *initiatives*
    is how many a topic has.
    """

    text: str
    language: str | None
    kind: str
    label: str
    initiatives: int | None
    page: str


def suggestions(
    search: Searcher, tables: FacetIndex, pages: Pages, names: FacetLabels, typed: str, most: int
) -> list[Suggestion]:
    """Return at most *most* suggestions for the text *typed* so far; without a text, the most
    common topics.
    """
    words = tokens(typed)
    if not words:
        cards = common_topics(search, tables, names, most)
    else:
        begun = typed if typed[-1:].isspace() or typed.endswith("*") else f"{typed}*"
        cards = topic_cards(search, tables, names, begun, most=min(TOPICS, most))
    matches = [
        Suggestion(card.name, None, card.facet, card.label, card.initiatives, card.page)
        for card in cards
    ]
    if words and (words[-1][1] or len(words[-1][0]) >= _LETTERS) and len(matches) < most:
        mark, known = Marker(begun), {card.iri for card in cards}
        for entry in search.find_entries(SearchRequest(begun, "title"), most, similar=False):
            title = best_text(entry.titles, mark, current_locale().language)
            if title and entry.thing not in known and len(matches) < most:
                matches.append(
                    Suggestion(
                        title[0],
                        title[1],
                        entry.kind,
                        kind_name(entry.kind),
                        None,
                        pages.path(entry.thing),
                    )
                )
    return matches
