"""Counts by facet, as linked bars and as tables with their queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from languages.translations import format_number, isolate
from languages.translations import gettext as _
from publisher.portal.coverage import Coverage, facet_coverage
from publisher.portal.data_table import DataTable, count_table
from publisher.portal.embeds import embed_path
from publisher.portal.facet_labels import FacetLabels, facet_title, figure_title
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import ThingCount

SPARSE = 20  # a panel that covers less than one thing in this number comes last
MAX_BARS = 12  # bars of a short list
CLEAR = 2  # times as many initiatives as the next code has make the largest one a finding
_NO_FINDING = ("status", "coverage", "language")  # what most initiatives have says little
_YEARS = ("year", "prizeyear")
_NUMBERED = ("line", "goal", "target", *_YEARS)  # sorted by code, not by count


class FacetBar(NamedTuple):
    """A code with its name, its count and the URL that it links."""

    code: str
    name: str
    value: ThingCount
    href: str


class FacetPanel(NamedTuple):
    """The counts of a facet: *bars* are those of all codes, *query* is the URL of the query behind
    them.

    *coverage* is None if it says nothing or was not requested.
    """

    facet: str
    title: str
    bars: tuple[FacetBar, ...]
    query: str
    table: DataTable
    coverage: Coverage | None = None
    embed: str = ""  # the path of its embed, "" if there is none
    finding: str = ""  # which code has the most initiatives, "" if the things are others

    @property
    def short(self) -> Sequence[FacetBar]:
        """Return the bars of a short list."""
        return self.bars if self.facet in _NUMBERED else self.bars[:MAX_BARS]

    @property
    def ranked(self) -> Sequence[FacetBar]:
        """Return the bars as a figure shows them: the largest first, years the newest first."""
        if self.facet in _YEARS:
            return self.bars[::-1]
        return sorted(self.bars, key=lambda bar: -bar.value)

    @property
    def largest(self) -> int:
        """Return the greatest number."""
        return max((bar.value for bar in self.bars), default=1)


def facet_panels(
    tables: FacetIndex, filters: Filter, facets: Iterable[str], names: FacetLabels
) -> list[FacetPanel]:
    """Count the filtered things by each of *facets*; empty facets are left out."""
    counts = tables.counts_once(filters)
    return [
        facet_panel(tables, name, counts[name], filters, names)._replace(
            coverage=facet_coverage(tables, filters, name)
        )
        for name in facets
        if counts.get(name)
    ]


def most_complete(panels: Iterable[FacetPanel], most: int) -> list[FacetPanel]:
    """Return the first *most* panels; panels with a single bar or low coverage come last."""
    ranked = list(panels)
    full = [
        item
        for item in ranked
        if len(item.bars) > 1
        and (item.coverage is None or item.coverage.part * SPARSE >= item.coverage.all)
    ]
    return [*full, *(item for item in ranked if item not in full)][:most]


def facet_panel(
    tables: FacetIndex,
    facet: str,
    counts: Mapping[str, ThingCount],
    filters: Filter,
    names: FacetLabels,
) -> FacetPanel:
    """Return the panel of one facet."""
    ranked = sorted(counts.items(), key=lambda pair: sort_key(facet, *pair))
    bars = tuple(
        FacetBar(code, names.short(facet, code), things, names.page(facet, code))
        for code, things in ranked
    )
    text = filter_query.counts(filters, facet, names.iris, has_parts=tables.has_parts)
    initiatives = filters.codes("kind") == ("initiative",)
    title = figure_title(facet) if initiatives else facet_title(facet)
    table = count_table(facet, title, (facet,), ranked, text)
    embed = embed_path("bars", facet, filters) if initiatives else ""
    finding = largest_bar(bars) if initiatives and facet not in _NO_FINDING else ""
    return FacetPanel(facet, title, bars, query_page_url(text), table, embed=embed, finding=finding)


def largest_bar(bars: Sequence[FacetBar]) -> str:
    """Return which of *bars* has the most initiatives; "" unless it has CLEAR times as many as the
    next one, and for fewer than two bars.
    """
    ranked = sorted(bars, key=lambda bar: -bar.value)
    if len(ranked) < 2 or ranked[0].value < CLEAR * ranked[1].value:
        return ""
    first = ranked[0]
    return _("{name} has the most initiatives ({count})").format(
        name=isolate(first.name), count=format_number(first.value)
    )


def sort_key(facet: str, code: str, things: int) -> tuple[object, ...]:
    """Return the sort key of a code: numbers by their value, others by their count.

    >>> sorted(["C10", "C7-ehea", "C2"], key=lambda code: sort_key("line", code, 1))
    ['C2', 'C7-ehea', 'C10']
    """
    if facet not in _NUMBERED:
        return (-things, code)
    head, _, tail = code.removeprefix("C").partition("-")
    whole, _, part = head.partition(".")
    return (
        int(whole) if whole.isdigit() else 1 << 30,
        int(part) if part.isdigit() else -1 if not part else 1 << 30,
        part,
        tail,
        code,
    )


def query_page_url(text: str) -> str:
    """Return the URL of the query page with *text* in its editor."""
    return "/sparql?show=" + quote(text)
