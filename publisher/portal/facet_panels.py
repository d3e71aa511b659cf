"""Counts by facet, as linked bars and as tables with their queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from languages.translations import format_number, isolate
from languages.translations import gettext as _
from publisher.http.pages.charts.data_table import DataTable, count_table
from publisher.portal.coverage import Coverage, facet_coverage
from publisher.portal.embeds import embed_path
from publisher.portal.facet_labels import FacetLabels, facet_title, figure_title
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import ThingCount

SPARSE = 20  # a panel that covers less than one thing in this number comes last
MAX_BARS = 12  # bars of a panel; its table has all
_NUMBERED = ("line", "goal", "target", "year", "prizeyear")  # sorted by code, not by count


class FacetBar(NamedTuple):
    """A code with its name, its count and the URL that it links."""

    code: str
    name: str
    value: ThingCount
    href: str


class FacetPanel(NamedTuple):
    """The counts of a facet: *bars* are the first of *all* codes, *query* is the URL of the query
    behind them.

    *coverage* is None if it says nothing or was not requested.
    """

    facet: str
    title: str
    bars: tuple[FacetBar, ...]
    code_count: int
    query: str
    table: DataTable
    coverage: Coverage | None = None
    embed: str = ""  # the path of its embed, "" if there is none
    finding: str = ""  # which code has the most initiatives, "" if the things are others

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
        facet_panel(name, counts[name], filters, names)._replace(
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
    facet: str, counts: Mapping[str, ThingCount], filters: Filter, names: FacetLabels
) -> FacetPanel:
    """Return the panel of one facet. Its table counts records, as its query does."""
    ranked = sorted(counts.items(), key=lambda pair: sort_key(facet, *pair))
    visible = ranked if facet in _NUMBERED else ranked[:MAX_BARS]
    bars = tuple(
        FacetBar(code, names.short(facet, code), things, names.page(facet, code))
        for code, things in visible
    )
    text = filter_query.counts(filters, facet, names.iris)
    initiatives = filters.codes("kind") == ("initiative",)
    title = figure_title(facet) if initiatives else facet_title(facet)
    records = sorted(
        ((code, things.records) for code, things in counts.items()),
        key=lambda pair: sort_key(facet, *pair),
    )
    table = count_table(facet, title, (facet,), records, text)
    embed = embed_path("bars", facet, filters) if initiatives else ""
    finding = largest_bar(bars) if initiatives else ""
    return FacetPanel(
        facet, title, bars, len(ranked), query_page_url(text), table, embed=embed, finding=finding
    )


def largest_bar(bars: Sequence[FacetBar]) -> str:
    """Return which of *bars* has the most initiatives; "" if several have the same number, and for
    fewer than two bars.
    """
    ranked = sorted(bars, key=lambda bar: -bar.value)
    if len(ranked) < 2 or ranked[0].value == ranked[1].value:
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
