"""Count the things that begin in each year, by another facet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from languages.translations import format_number, isolate
from languages.translations import gettext as _
from publisher.portal.coverage import Coverage, coverage
from publisher.portal.data_table import DataTable, count_table
from publisher.portal.embeds import embed_path
from publisher.portal.facet_labels import FacetLabels, trend_title
from publisher.portal.facet_panels import query_page_url, sort_key
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from web.charts.bars import SERIES, column_chart

# years in the chart; other years are errors of registries, which stay in the data
EARLIEST, LATEST = 1990, 2040


@dataclass(frozen=True, slots=True)
class Trend:
    """Counts by year and by a facet: *series* are by name, largest first; the others are added up.

    *outside* counts the initiatives whose year is not drawn.
    """

    facet: str
    title: str
    years: tuple[str, ...]
    series: dict[str, dict[str, int]]
    hrefs: dict[str, str]
    outside: int
    query: str
    table: DataTable
    coverage: Coverage
    embed: str = ""  # the path of its embed, "" if there is none
    # which series has the most initiatives in these years, "" if several have the same number
    finding: str = ""

    def chart(self) -> Markup:
        """Draw it."""
        return column_chart(self.years, self.series, self.title)


def count_trend(tables: FacetIndex, filters: Filter, facet: str, names: FacetLabels) -> Trend:
    """Count the filtered things by year and by a facet."""
    counts = tables.cross_once(filters, "year", facet)
    years = sorted({year for year, _code in counts})
    drawn = [year for year in years if EARLIEST <= int(year) <= LATEST]
    whole: dict[str, int] = {}
    for (_year, code), things in counts.items():
        whole[code] = whole.get(code, 0) + things
    ranked = sorted(whole, key=lambda code: sort_key("", code, whole[code]))
    own = ranked[: SERIES - 1] if len(ranked) > SERIES else ranked
    series = {
        names.short(facet, code): {year: counts.get((year, code), 0) for year in drawn}
        for code in own
    }
    if rest := ranked[len(own) :]:
        series[_("All others")] = {
            year: sum(counts.get((year, code), 0) for code in rest) for year in drawn
        }
    hrefs = {names.short(facet, code): names.page(facet, code) for code in own}
    text = filter_query.cross_tabulate(
        filters, "year", facet, names.iris, has_parts=tables.has_parts
    )
    title = trend_title(facet)
    rows = [(*pair, things) for pair, things in sorted(counts.items())]
    between = _all_years(drawn)
    outside = sum(
        things
        for year, things in tables.counts_once(filters).get("year", {}).items()
        if year not in drawn
    )
    return Trend(
        facet,
        title,
        between,
        series,
        hrefs,
        outside,
        query_page_url(text),
        count_table(facet, title, ("year", facet), rows, text),
        coverage(tables, filters, facet, "year"),
        embed_path("trend", facet, filters),
        _largest_series({name: series[name] for name in hrefs}, between),
    )


def _largest_series(series: Mapping[str, Mapping[str, int]], years: Sequence[str]) -> str:
    ranked = sorted(((sum(counts.values()), name) for name, counts in series.items()), reverse=True)
    if len(ranked) < 2 or ranked[0][0] == ranked[1][0]:
        return ""
    count, name = ranked[0]
    text = _("{name} has the most initiatives begun from {first} to {last} ({count})")
    return text.format(
        name=isolate(name), first=years[0], last=years[-1], count=format_number(count)
    )


def _all_years(years: list[str]) -> tuple[str, ...]:
    """Return all years from the first to the last, so that years without data are visible."""
    return tuple(str(year) for year in range(int(years[0]), int(years[-1]) + 1)) if years else ()
