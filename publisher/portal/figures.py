"""The figures of pages, embeds, downloads and reports.

A row of FIGURES says what is counted. Its view has the numbers, their query, table, drawing and
sentence, so that a number has one definition wherever it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from markupsafe import Markup

from languages.translations import (
    TranslatableText,
    current_locale,
    format_number,
    isolate,
    ngettext,
)
from languages.translations import gettext as _
from publisher.data import count_queries
from publisher.data.properties import FACETS, areas_within
from publisher.data.tables import NONE, DifferentCounts, FacetIndex, Filter, ThingCount, make_filter
from publisher.portal.datasets import THINGS, Cell, Column, DataTable
from publisher.portal.facet_labels import FacetLabels, facet_title
from vocab.initiative import Basis
from vocab.iris import Iris
from vocab.lookup import AREA
from vocab.schemes import concepts
from web.charts import (
    SERIES,
    Bar,
    bar_chart,
    column_chart,
    heatmap,
    outlined_areas,
    quantile_bounds,
    quantile_ranges,
    shade,
    shade_ranges,
    world_map,
)

SPARSE = 20  # a figure that covers less than one thing in this number comes last
MAX_BARS = 12  # bars of a short list
CLEAR = 2  # times as many initiatives as the next code has make the largest one a finding
EARLIEST, LATEST = 1990, 2040  # years that are drawn; others are errors of registries
INITIATIVES = make_filter(kind="initiative")
EMBED = "/embed"  # path of the figures for other sites
EMBEDDED = ("count", "bars", "trend", "map", "matrix")  # kinds of figures that have an embed

_NO_FINDING = ("status", "coverage", "language")  # facets whose most common value says little
_YEARS = ("year", "prizeyear")
_NUMBERED = ("line", "goal", "target", *_YEARS)  # facets that are sorted by code, not by count
# Facets whose coverage says nothing, since every thing has them or may lack them.
_ALWAYS = ("kind", "source", "basis", "remark", "prize", "stage", "prizeyear")
# The kinds of things that can have a value of a facet, for facets that not all kinds have.
_TOPICAL = ("initiative", "event", "document", "post")
_KINDS = {
    **dict.fromkeys(("line", "goal", "target", "year"), _TOPICAL),
    **dict.fromkeys(("coverage", "status", "type"), ("initiative",)),
    "document": ("document",),
}
# The pages that show these facets by the basis of their links: stated, mapped or suggested.
_LINKED = {"line": "/matrix", "goal": "/matrix", "target": "/search"}


class Figure(NamedTuple):
    """What is counted: things by the codes of *facets*, as the view of *kind* shows them under the
    English title *text*. Figures of a kind differ by *name*; one that is alone has none.
    """

    name: str
    facets: tuple[str, ...]
    kind: str
    text: str = ""

    @property
    def key(self) -> str:
        """Return its key in FIGURES, which ends the address of its embed."""
        return f"{self.kind}/{self.name}" if self.name else self.kind

    @property
    def title(self) -> str:
        return _(self.text) if self.text else facet_title(self.facets[0])


_BARS = {
    "line": TranslatableText("Initiatives by action line"),
    "goal": TranslatableText("Initiatives by SDG"),
    "target": TranslatableText("Initiatives by SDG target"),
    "country": TranslatableText("Initiatives by country"),
    "region": TranslatableText("Initiatives by region"),
    "stakeholder": TranslatableText("Initiatives by stakeholder type"),
    "coverage": TranslatableText("Initiatives by coverage"),
    "status": TranslatableText("Initiatives by status"),
    "type": TranslatableText("Initiatives by activity type"),
    "year": TranslatableText("Initiatives by year"),
    "source": TranslatableText("Initiatives by registry"),
    "language": TranslatableText("Initiatives by language"),
}
_TRENDS = {
    "line": TranslatableText("Initiatives per year, by action line"),
    "goal": TranslatableText("Initiatives per year, by SDG"),
    "region": TranslatableText("Initiatives per year, by region"),
    "stakeholder": TranslatableText("Initiatives per year, by stakeholder type"),
    "status": TranslatableText("Initiatives per year, by status"),
    "source": TranslatableText("Initiatives per year, by registry"),
}
_PER_YEAR = TranslatableText("Initiatives per year")
FIGURES = {
    figure.key: figure
    for figure in (
        Figure("", (), "count", TranslatableText("Initiatives")),
        Figure("", ("country",), "map", TranslatableText("World map: initiatives by country")),
        Figure("", ("line", "goal"), "matrix", TranslatableText("WSIS–SDG matrix")),
        *(Figure(facet, (facet,), "bars", _BARS.get(facet, "")) for facet in FACETS),
        *(Figure(facet, ("year", facet), "trend", _TRENDS.get(facet, _PER_YEAR)) for facet in FACETS if facet != "year"),
        Figure("country", ("country",), "gap", TranslatableText("Countries")),
        Figure("line", ("line",), "gap", TranslatableText("Action lines")),
        Figure("goal", ("goal",), "gap", TranslatableText("SDGs")),
        Figure("target", ("target",), "gap", TranslatableText("Targets")),
        Figure(
            "by-year-and-category", ("prizeyear", "prize"), "pairs", "Prizes by year and category"
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of the things of *filters*."""

    tables: FacetIndex
    names: FacetLabels
    filters: Filter

    def __getitem__(self, key: str) -> Any:
        """Return the view of a figure by its key, of the class of its kind."""
        figure = FIGURES[key]
        return _VIEWS[figure.kind](figure, self)

    def bars(self, facets: Iterable[str]) -> list[Bars]:
        """Return the bars by each of *facets* that has numbers."""
        views = [Bars(FIGURES[f"bars/{facet}"], self) for facet in facets]
        return [view for view in views if view.counts]

    @property
    def note(self) -> str:
        """Return the sentence on the number of records, "" if it is that of things."""
        return count_note(self.tables.count_different(self.filters))


class Coverage(NamedTuple):
    """*part* of *all* things have a value of each of *facets*, the members of each cluster counted
    once.
    """

    facets: tuple[str, ...]
    part: ThingCount
    all: ThingCount

    @property
    def text(self) -> str:
        known = {
            (): "",
            ("line",): _("{part} of {all} have an action line"),
            ("goal",): _("{part} of {all} have an SDG"),
            ("target",): _("{part} of {all} have an SDG target"),
            ("country",): _("{part} of {all} have a country"),
            ("region",): _("{part} of {all} have a country in a region"),
            ("year",): _("{part} of {all} have a start year"),
            ("line", "goal"): _("{part} of {all} have both an action line and an SDG"),
        }
        text = known.get(self.facets, _("{part} of {all} have a value: {facets}"))
        titles = " + ".join(map(facet_title, self.facets))
        part, every = format_number(self.part), format_number(self.all)
        return text.format(part=part, all=every, facets=titles)


@dataclass(frozen=True)
class FigureView:
    """A figure of the things of a filter. Its numbers and its query are defined here, for all kinds."""

    figure: Figure
    data: Figures

    @cached_property
    def counts(self) -> Mapping[Any, ThingCount]:
        """Return the numbers by code, by pair of codes, or the one number by ""."""
        tables, filters, facets = self.data.tables, self.data.filters, self.figure.facets
        if len(facets) == 2:
            return tables.cross_once(filters, *facets)
        if facets:
            return tables.counts_once(filters).get(self.facet, {})
        return {"": tables.count_different(filters)}

    @property
    def sparql(self) -> str:
        write: Callable[..., str] = (
            count_queries.total,
            count_queries.counts,
            count_queries.cross_tabulate,
        )[len(self.figure.facets)]
        return write(
            self.data.filters,
            *self.figure.facets,
            self.data.names.iris,
            has_parts=self.data.tables.has_parts,
        )

    @property
    def query(self) -> str:
        return query_page_url(self.sparql)

    @property
    def facet(self) -> str:
        return self.figure.facets[-1] if self.figure.facets else ""

    @property
    def title(self) -> str:
        """Return its subject: of things that are not all initiatives, the facet."""
        are_initiatives = _are_initiatives(self.data.filters)
        return self.figure.title if are_initiatives else facet_title(self.facet)

    @property
    def rows(self) -> Sequence[tuple[Cell, ...]]:
        return [(*codes, things) for codes, things in sorted(self.counts.items())]

    @property
    def table(self) -> DataTable:
        figure = self.figure
        columns = (*(Column(facet, facet) for facet in figure.facets), THINGS)
        name, rows = figure.name or figure.kind, tuple(self.rows)
        return DataTable(name, self.title, columns, rows, self.sparql)

    @cached_property
    def coverage(self) -> Coverage:
        """Return how many things it speaks of; without a text if all."""
        return coverage(self.data.tables, self.data.filters, *self.figure.facets)

    @property
    def finding(self) -> str:
        """Return the sentence that its numbers say, "" for none."""
        return ""

    def bar(self, code: str, things: ThingCount) -> Bar:
        names = self.data.names
        return Bar(code, names.short(self.facet, code), things, names.page(self.facet, code))

    @cached_property
    def drawing(self) -> Markup | None:
        return None

    @property
    def ranges(self) -> list[tuple[int, int, int]]:
        return []

    @property
    def embed(self) -> str:
        """Return the address of its embed, "" if there is none or no parameters express the filter."""
        filters = self.data.filters
        if self.figure.kind not in EMBEDDED or not _are_initiatives(filters):
            return ""
        if filters.party or filters.words or filters.among is not None:
            return ""
        pairs = filters.url_parameters()
        return f"{EMBED}/{self.figure.key}{'?' if pairs else ''}{urlencode(pairs)}"


class Bars(FigureView):
    """The codes of a facet."""

    @cached_property
    def bars(self) -> tuple[Bar, ...]:
        ranked = sorted(self.counts.items(), key=lambda pair: sort_key(self.facet, *pair))
        return tuple(self.bar(code, things) for code, things in ranked)

    @property
    def short(self) -> Sequence[Bar]:
        return self.bars if self.facet in _NUMBERED else self.bars[:MAX_BARS]

    @property
    def ranked(self) -> Sequence[Bar]:
        """Return the bars as a page shows them: the largest first, years the newest first."""
        if self.facet in _YEARS:
            return self.bars[::-1]
        return sorted(self.bars, key=lambda bar: -bar.value)

    @property
    def largest(self) -> int:
        return max(self.counts.values(), default=1)

    @property
    def rows(self) -> Sequence[tuple[Cell, ...]]:
        return [(bar.code, bar.value) for bar in self.bars]

    @cached_property
    def coverage(self) -> Coverage:
        """Return how many things it speaks of; of facets that every thing has, nothing."""
        if self.facet in _ALWAYS:
            return Coverage((), NONE, NONE)
        return coverage(self.data.tables, self.data.filters, self.facet)

    @property
    def finding(self) -> str:
        """Return which code has the most initiatives, "" if it says little."""
        says_much = _are_initiatives(self.data.filters) and self.facet not in _NO_FINDING
        return largest_bar(self.bars) if says_much else ""

    def bar_chart(self, most: int) -> Markup | None:
        """Draw the first bars of the short list, at most *most*; None without any."""
        bars = [bar for bar in self.short if bar.value][:most]
        return bar_chart(bars, self.title) if bars else None


class WorldMap(Bars):
    """Things by country."""

    @property
    def table(self) -> DataTable:
        return Bars(FIGURES["bars/country"], self.data).table

    @property
    def finding(self) -> str:
        """Return how many initiatives have a country, and how many countries there are."""
        counts, placed = {"country": self.counts}, self.coverage.part
        findings = facet_findings(counts, self.data.names, placed)
        return findings[0][1] if self.counts else ""

    @cached_property
    def drawing(self) -> Markup | None:
        """Draw the countries, each linked to its page; None if the outlines were not built.

        A filter by region crops the drawing to its countries; one by area to those that have
        things, since islands lie far off.
        """
        filters, names = self.data.filters, self.data.names
        within = {one for code in filters.codes("area") for one in areas_within().get(code, ())}
        return world_map(
            {code.zfill(3): things for code, things in self.counts.items()},
            lambda code: names.name("country", code),
            lambda code: names.page("country", code),
            self.title,
            countries_of(filters.codes("region"), names.iris) | within.intersection(self.counts),
        )

    @property
    def ranges(self) -> list[tuple[int, int, int]]:
        return quantile_ranges(quantile_bounds(self.counts.values()))

    @property
    def unmapped(self) -> list[Bar]:
        drawn = outlined_areas()
        return [bar for bar in self.bars if bar.code.zfill(3) not in drawn]


class Trend(FigureView):
    """Things by year and by another facet."""

    @cached_property
    def years(self) -> list[str]:
        """Return all years from the first to the last, so that years without data are visible."""
        drawn = [int(year) for year, _code in self.counts if EARLIEST <= int(year) <= LATEST]
        return [f"{year}" for year in range(min(drawn), max(drawn) + 1)] if drawn else []

    @cached_property
    def bars(self) -> list[Bar]:
        """Return the series of which each has a colour, with their numbers in all years, the
        largest first.
        """
        totals = Counter[str]()
        for (_year, code), things in self.counts.items():
            totals[code] += things
        ranked = sorted(totals, key=lambda code: (-totals[code], code))
        own = ranked if len(ranked) <= SERIES else ranked[: SERIES - 1]
        return [self.bar(code, ThingCount(totals[code], totals[code])) for code in own]

    @cached_property
    def series(self) -> dict[str, dict[str, int]]:
        """Return the numbers by name and year; those of all codes without a colour are added up."""
        own = [bar.code for bar in self.bars]
        series = {
            bar.name: {year: int(self.counts.get((year, bar.code), 0)) for year in self.years}
            for bar in self.bars
        }
        if rest := {code for _year, code in self.counts}.difference(own):
            series[_("All others")] = {
                year: sum(self.counts.get((year, code), 0) for code in rest) for year in self.years
            }
        return series

    @property
    def outside(self) -> int:
        """Return how many initiatives have a year that is not drawn."""
        by_year = self.data["bars/year"].counts
        drawn = {year for year, _code in self.counts}.intersection(self.years)
        return sum(things for year, things in by_year.items() if year not in drawn)

    @cached_property
    def coverage(self) -> Coverage:
        return coverage(self.data.tables, self.data.filters, self.facet, "year")

    @property
    def finding(self) -> str:
        """Return which series has the most initiatives in these years, "" if several have."""
        series = self.series
        ranked = sorted(
            ((sum(series[bar.name].values()), bar.name) for bar in self.bars), reverse=True
        )
        if len(ranked) < 2 or ranked[0][0] == ranked[1][0]:
            return ""
        count, name = ranked[0]
        text = _("{name} has the most initiatives begun from {first} to {last} ({count})")
        first, last = self.years[0], self.years[-1]
        return text.format(name=isolate(name), first=first, last=last, count=format_number(count))

    @cached_property
    def drawing(self) -> Markup | None:
        return column_chart(self.years, self.series, self.title) if self.years else None


class Matrix(FigureView):
    """Initiatives by action line and goal, beside the official links."""

    @cached_property
    def links(self) -> Mapping[tuple[str, str], str]:
        return self.data.tables.official_links(self.data.names.iris)

    @cached_property
    def lines(self) -> list[Bar]:
        return self._labels("line")

    @cached_property
    def goals(self) -> list[Bar]:
        return self._labels("goal")

    @cached_property
    def examples(self) -> Mapping[tuple[str, str], str]:
        return self.data.tables.examples(self.data.filters, "line", "goal")

    def search(self, line: str, goal: str) -> str:
        others = self.data.filters.with_codes("line").with_codes("goal").url_parameters()
        own = [("kind", "initiative"), ("line", line), ("goal", goal)]
        return f"/search?{urlencode([*own, *others])}"

    def shade(self, line: str, goal: str) -> int:
        return shade(self.counts.get((line, goal), 0), max(self.counts.values(), default=0))

    @property
    def ranges(self) -> list[tuple[int, int, int]]:
        return shade_ranges(max(self.counts.values(), default=0))

    @property
    def linked(self) -> int:
        return sum(1 for pair in self.links if self.counts.get(pair))

    @property
    def unlinked(self) -> int:
        return sum(1 for pair, things in self.counts.items() if things and pair not in self.links)

    @property
    def rows(self) -> Sequence[tuple[Cell, ...]]:
        """Return each pair with the status of its official link and its number."""
        pairs = [(line.code, goal.code) for line in self.lines for goal in self.goals]
        return [
            (*pair, self.links.get(pair, "none"), self.counts.get(pair, NONE)) for pair in pairs
        ]

    @property
    def table(self) -> DataTable:
        return DataTable(
            "matrix",
            "Things by action line and goal",
            (Column("line", "line"), Column("goal", "goal"), Column("official"), THINGS),
            tuple(self.rows),
            self.sparql,
        )

    @property
    def gaps(self) -> DataTable:
        return replace(
            self.table,
            name="links",
            title="Official links without any initiative",
            rows=tuple(row for row in self.rows if row[:2] in self.links and not row[3]),
        )

    @property
    def finding(self) -> str:
        """Return how many official links have initiatives, "" if no pair has any."""
        text = _("{borne} of {links} official links have at least one initiative")
        numbers = {
            "links": format_number(len(self.links)),
            "borne": format_number(self.linked),
        }
        return text.format(**numbers) if any(self.counts.values()) else ""

    @property
    def summary(self) -> str:
        """Return a sentence on the official links that have initiatives, and on the pairs beyond
        them.
        """
        supported = _(
            "{borne} of the {links} links in the official WSIS–SDG Matrix have at least one initiative."
        )
        more = ngettext(
            "A further {beyond} pair has initiatives but no official link.",
            "A further {beyond} pairs have initiatives but no official link.",
            self.unlinked,
        )
        counts = {"links": len(self.links), "borne": self.linked, "beyond": self.unlinked}
        texts = _("{first} {second}").format(first=supported, second=more)
        return texts.format(**{name: format_number(count) for name, count in counts.items()})

    @cached_property
    def drawing(self) -> Markup | None:
        return heatmap(
            self.lines,
            self.goals,
            self.counts,
            self.links,
            _("Initiatives by action line and SDG, with the official links"),
            mirrored=(current_locale().direction == "rtl"),
        )

    def _labels(self, facet: str) -> list[Bar]:
        names = self.data.names
        return [
            Bar(code, names.name(facet, code), NONE, names.page(facet, code))
            for code in all_codes(facet, names.iris)
        ]


class Gap(Bars):
    """The codes of a facet without initiatives. Its query counts those of the others."""

    @cached_property
    def codes(self) -> Sequence[str]:
        return all_codes(self.facet, self.data.names.iris)

    @cached_property
    def bars(self) -> tuple[Bar, ...]:
        bars = [self.bar(code, NONE) for code in self.codes if not self.counts.get(code)]
        return tuple(sorted(bars, key=lambda bar: bar.name) if self.facet == "country" else bars)

    @property
    def table(self) -> DataTable:
        return DataTable(
            self.facet,
            self.title,
            (Column(self.facet, self.facet), Column("name"), THINGS),
            tuple((bar.code, bar.name, 0) for bar in self.bars),
            self.sparql,
        )

    @property
    def finding(self) -> str:
        text = {
            "country": _("{missing} of {all} countries have no initiative yet"),
            "line": _("{missing} of {all} action lines have no initiative yet"),
            "goal": _("{missing} of {all} SDGs have no initiative yet"),
            "target": _("{missing} of {all} SDG targets have no initiative yet"),
        }[self.facet]
        missing, every = format_number(len(self.bars)), format_number(len(self.codes))
        return text.format(missing=missing, all=every)


_VIEWS: dict[str, type[FigureView]] = {
    "count": FigureView,
    "pairs": FigureView,
    "bars": Bars,
    "map": WorldMap,
    "trend": Trend,
    "matrix": Matrix,
    "gap": Gap,
}


def _are_initiatives(filters: Filter) -> bool:
    return filters.codes("kind") == ("initiative",)


def coverage(tables: FacetIndex, filters: Filter, *facets: str) -> Coverage:
    """Count the filtered things that can have a value of each of *facets*, and those with one.
    Filters by the last facet itself are ignored.
    """
    *others, last = facets
    for facet in facets:
        if kinds := _KINDS.get(facet):
            chosen = [kind for kind in filters.codes("kind") if kind in kinds]
            filters = filters.with_codes("kind", *(chosen or kinds))
    unfiltered = filters.with_codes(last)
    total = tables.count_different(unfiltered)
    for facet in others:
        codes = tuple(tables.counts_once(unfiltered).get(facet, {}))
        if not codes:
            return Coverage(facets, NONE, total)
        unfiltered = unfiltered.with_codes(facet, *codes)
    return Coverage(facets, tables.count_covered(unfiltered, last), total)


def empty_chart_hint(tables: FacetIndex, filters: Filter, facet: str) -> dict[str, str]:
    """Return the *text* of a hint on an empty figure of the filtered things by *facet*: how many have
    a value that no registry states, or else which data it needs; *href* is the address of a figure
    that is not empty, "" if there is none.
    """
    if facet in _LINKED and Basis.DECLARED in filters.bases:
        on_any_basis = replace(filters, bases=tuple(Basis))
        linked = coverage(tables, on_any_basis, facet)
        if linked.part:
            text = _(
                "{coverage} (mapped from a registry's code or suggested automatically); no registry states it"
            )
            return {
                "text": text.format(coverage=linked.text),
                "href": f"{_LINKED[facet]}?{urlencode(on_any_basis.url_parameters())}",
            }
    texts = {
        "line": _(
            "No initiative has an action line. To fill this chart, add a field with action lines to a source definition, "
            "or a crosswalk from the registry's codes."
        ),
        "country": _(
            "No initiative has a country. To fill this chart, add a field with countries to a source definition."
        ),
        "year": _(
            "No initiative has a start year. To fill this chart, add a field with the start date to a source definition."
        ),
    }
    text = texts.get(facet) or _(
        "No initiative has a value for: {facet}. To fill this chart, add such a field to a source definition."
    )
    return {"text": text.format(facet=facet_title(facet)), "href": ""}


def most_complete(views: Iterable[Bars], most: int) -> list[Bars]:
    """Return the first *most* views; those with a single bar or low coverage come last."""
    return sorted(
        views,
        key=lambda view: len(view.counts) < 2 or view.coverage.part * SPARSE < view.coverage.all,
    )[:most]


def largest_bar(bars: Sequence[Bar]) -> str:
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


def overview(counts: DifferentCounts, names: FacetLabels, initiatives: int) -> str:
    """Return a sentence on *initiatives* by country, goal, action line and region; facets without
    *counts* are left out.
    """
    findings = facet_findings(counts, names, initiatives)
    return sentence(_("; ").join(text for _facet, text in findings)) if initiatives else ""


def facet_findings(
    counts: DifferentCounts, names: FacetLabels, initiatives: int
) -> list[tuple[str, str]]:
    """Return the parts of the sentence, each with the facet that it counts; the first counts
    countries.
    """
    countries = len(counts.get("country", {}))
    first = ngettext("{number} initiative", "{number} initiatives", initiatives).format(
        number=format_number(initiatives)
    )
    if countries:
        where = ngettext(
            "{number} country or area", "{number} countries and areas", countries
        ).format(number=format_number(countries))
        first = _("{initiatives} in {countries}").format(initiatives=first, countries=where)
    findings = [("country", first)]
    for facet, text in (
        ("goal", _("most common SDG: {name} ({count})")),
        ("line", _("most common action line: {name} ({count})")),
        ("region", _("most active region: {name} ({count})")),
    ):
        if codes := counts.get(facet):
            things, code = max((things, code) for code, things in codes.items())
            findings.append(
                (
                    facet,
                    text.format(
                        name=isolate(names.short(facet, code)), count=format_number(things)
                    ),
                )
            )
    return findings


def sentence(text: str) -> str:
    """Return *text* with the full stop of the language of the request."""
    return _("{text}.").format(text=text)


def count_note(different: ThingCount) -> str:
    """Return a sentence on the number of initiatives by record beside that by cluster; "" where
    both are the same.
    """
    if not different.has_duplicates:
        return ""
    text = _(
        "%(records)s records of initiatives describe %(count)s different ones, as far as known: records of several registries that "
        "are one initiative are counted once, as are the parts of an initiative."
    )
    return text % {"records": format_number(different.records), "count": format_number(different)}


def sort_key(facet: str, code: str, things: int = 0) -> tuple[object, ...]:
    """Return the sort key of a code: numbers by their value, others by their count.

    >>> sorted(["C10", "C7-ehea", "C2"], key=lambda code: sort_key("line", code))
    ['C2', 'C7-ehea', 'C10']
    """
    if facet not in _NUMBERED:
        return (-things, code)
    head, _dash, tail = code.removeprefix("C").partition("-")
    number, _dot, part = head.partition(".")
    return (
        int(number) if number.isdigit() else 1 << 30,
        int(part) if part.isdigit() else -1 if not part else 1 << 30,
        part,
        tail,
        code,
    )


def query_page_url(text: str) -> str:
    """Return the URL of the query page with *text* in its editor."""
    return "/sparql?show=" + quote(text)


@cache
def all_codes(facet: str, iris: Iris) -> tuple[str, ...]:
    """Return the codes that should have initiatives: countries, action lines without narrower ones,
    goals, targets.
    """
    part = FACETS[facet]
    members = concepts(part.scheme, iris.base)
    above = {iri for item in members.values() for iri in item.broader}
    # Goals, targets and indicators are in one scheme, as are series.
    conditions: dict[str, Callable[[str, str], bool]] = {
        "country": lambda iri, _code: f"{AREA}co" in members[iri].types,
        "line": lambda iri, _code: iri not in above,
        "goal": lambda _iri, code: "." not in code and code[:1].isdigit(),
        "target": lambda _iri, code: code.count(".") == 1 and code[:1].isdigit(),
    }
    codes = (code for iri in members if conditions[facet](iri, code := part.code(iri, iris)))
    return tuple(sorted(codes, key=lambda code: sort_key(facet, code)))


def countries_of(regions: Collection[str], iris: Iris) -> frozenset[str]:
    """Return the M49 codes, of three digits, of the countries in ITU regions.

    >>> "404" in countries_of(["africa"], Iris()), countries_of([], Iris())
    (True, frozenset())
    """
    region_iris = {FACETS["region"].iri(code, iris) for code in regions}
    country = FACETS["country"]
    return frozenset(
        country.code(area, iris).zfill(3)
        for area, item in concepts("area", iris.base).items()
        if region_iris.intersection(item.regions)
    )
