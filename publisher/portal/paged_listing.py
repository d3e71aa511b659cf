"""Shelves: things of one kind a page at a time, with a passage of each and how many there are of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from publisher.facets.filter_query import Filter
from publisher.facets.queries import FacetIndex, ListItem
from publisher.languages.request_locale import visit
from publisher.search.searcher import open_searcher
from publisher.search.snippet import best_text, build_marker

PER = 25  # things of a page
LONG = 260  # characters of a passage


@dataclass(frozen=True, slots=True)
class Item:
    """A thing with its title and the beginning of its text in the language that fits best; each with its tag."""

    line: ListItem
    title: tuple[str, str | None]
    text: tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Shelved:
    """A page of things: its *number* from 1 and that of the *last*."""

    items: tuple[Item, ...]
    total: int
    number: int
    last: int


def shelved(tables: FacetIndex, generation: str, it: Filter, order: str, number: int) -> Shelved:
    """List a page of what is wanted."""
    total = tables.total(it)
    return Shelved(told(tables.listed(it, order, PER, (number - 1) * PER), generation), total, number, max(1, -(-total // PER)))


def told(lines: Sequence[ListItem], generation: str) -> tuple[Item, ...]:
    """Give lines with the titles and texts that the index of texts has of them."""
    search, language, mark = open_searcher(generation), visit().language, build_marker("")
    entries = search.entries(line.iri for line in lines) if search else [None] * len(lines)
    found = []
    for line, entry in zip(lines, entries, strict=True):
        title = best_text(entry.titles, mark, language) if entry else None
        text = best_text(entry.texts, mark, language) if entry else None
        found.append(Item(line, title or (line.title or line.iri.rpartition("/")[2], line.language), _cut(text)))
    return tuple(found)


def _cut(text: tuple[str, str | None] | None) -> tuple[str, str | None]:
    if text is None or len(text[0]) <= LONG:
        return text or ("", None)
    return f"{text[0][:LONG].rpartition(' ')[0] or text[0][:LONG]} …", text[1]


def by_year(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Give years with their numbers, the newest first."""
    return sorted(counts.items(), reverse=True)
