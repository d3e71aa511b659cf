"""Paged lists of one kind of thing, with the beginning of each text and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from languages.request_locale import current_locale
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex, ListItem, open_facet_index
from publisher.projections.facets.thing_count import ThingCount
from publisher.projections.search.searcher import Marker, best_text, open_searcher
from publisher.store.query_service import QueryService

PAGE_SIZE = 25  # things on a page
EXCERPT_LENGTH = 260  # characters of a text's beginning


@dataclass(frozen=True, slots=True)
class ListingItem:
    """A thing with its title and the beginning of its text in the language that fits best; each
    with its tag.
    """

    line: ListItem
    title: tuple[str, str | None]
    text: tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of things: its *number* from 1 and that of the *last*."""

    items: tuple[ListingItem, ...]
    total: ThingCount
    number: int
    last: int


def listing_page(
    tables: FacetIndex, snapshot: str, filters: Filter, order: str, number: int
) -> ListingPage:
    """Return a page of the filtered things."""
    total = tables.count_different(filters)
    return ListingPage(
        listing_items(
            tables.list_things(filters, order, PAGE_SIZE, (number - 1) * PAGE_SIZE), snapshot
        ),
        total,
        number,
        max(1, -(-total.records // PAGE_SIZE)),
    )


def published_kinds(service: QueryService) -> frozenset[str]:
    """Return the kinds of items that are published, ``prize`` where there are prizes, and
    ``vocabulary`` where an entry is published, since the first is the vocabulary.
    """
    tables = open_facet_index(service.snapshot.path) if service.snapshot else None
    counts = tables.counts_once(Filter()) if tables else {}
    is_filled = service.snapshot is not None and service.snapshot.position > 0
    return frozenset(
        [
            *counts.get("kind", ()),
            *(["prize"] if counts.get("prize") else []),
            *(["vocabulary"] if is_filled else []),
        ]
    )


def listing_items(lines: Sequence[ListItem], snapshot: str) -> tuple[ListingItem, ...]:
    """Return list items with their titles and texts from the search index."""
    search, language, mark = open_searcher(snapshot), current_locale().language, Marker("")
    entries = search.entries(line.iri for line in lines) if search else [None] * len(lines)
    items = []
    for line, entry in zip(lines, entries, strict=True):
        title = best_text(entry.titles, mark, language) if entry else None
        text = best_text(entry.texts, mark, language) if entry else None
        items.append(
            ListingItem(
                line,
                title or (line.title or line.iri.rpartition("/")[2], line.language),
                _excerpt(text),
            )
        )
    return tuple(items)


def _excerpt(text: tuple[str, str | None] | None) -> tuple[str, str | None]:
    if text is None or len(text[0]) <= EXCERPT_LENGTH:
        return text or ("", None)
    return f"{text[0][:EXCERPT_LENGTH].rpartition(' ')[0] or text[0][:EXCERPT_LENGTH]} …", text[1]


def by_year(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return years with their counts, newest first."""
    return sorted(counts.items(), reverse=True)
