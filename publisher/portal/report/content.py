"""The sections of a report, each with its figure, its numbers and the query that returns them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from languages.request_locale import current_locale
from languages.translations import format_date, format_number
from languages.translations import gettext as _
from publisher.portal import gaps as missing
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.facet_panels import facet_panel, sort_key
from publisher.portal.findings import count_note, facet_findings, matrix_finding, overview, sentence
from publisher.portal.map import country_map
from publisher.portal.matrix import Matrix, count_matrix, leaf_codes
from publisher.portal.report.report_data import ReportData
from publisher.portal.report.scope import Scope
from publisher.portal.trends import count_trend
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import ListItem
from publisher.projections.facets.thing_count import NONE
from publisher.releases.citation import NAME
from vocab.initiative import Basis
from web.charts.bars import Bar, bar_chart
from web.charts.heatmap import HeatmapLabel

_ROWS = 25  # rows of a table in print; the release's files have all
_BARS = 20  # of a drawing
_CHAPTER_BARS, _EXAMPLES = 8, 3  # SDGs and initiatives of a chapter
_LOOKED_AT = 30  # initiatives that are read to choose those of a chapter
_ALL_SCRIPTS = ("ar", "zh")  # languages that are typeset with the system's fonts
# Latin, Greek and Cyrillic, which Typst's fonts have
_SCRIPTS = re.compile(r"[\u0020-\u052f\u1e00-\u1eff\u2000-\u206f]*\Z")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: headers and rows of texts; the last *numeric* columns are numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a report; *query* is the SPARQL query that returns its numbers, "" if they come
    from the release's manifest.

    *findings* are sentences, each with the key of the section whose query gives its numbers.
    *level* is 2 for a part of the section before it.
    """

    key: str
    title: str
    text: tuple[str, ...] = ()
    drawing: Markup | None = None
    grid: Grid | None = None
    query: str = ""
    findings: tuple[tuple[str, str], ...] = ()
    level: int = 1
    keyed: bool = False  # whether the grid's first column is the colour of a series in the drawing


def sections(report_data: ReportData, scope: Scope, names: FacetLabels) -> Iterator[Section]:
    """Return the sections of a report in the language of the request."""
    filters = scope.filter
    counts = report_data.tables.counts_once(filters)
    # their own counts would ignore the filter of the report
    chosen = {facet for facet, _code in scope.chosen}
    yield _key_findings(report_data, filters, names, chosen)
    yield _glance(report_data, scope, names)
    for facet in ("line", "goal"):
        if facet not in chosen:
            yield _bars(report_data, filters, facet, names)
    yield _matrix(report_data, filters, names)
    if "country" not in chosen:
        yield _map(report_data, filters, names)
    for facet in ("region", "stakeholder", "type", "status"):
        if counts.get(facet) and facet not in chosen:
            yield _bars(report_data, filters, facet, names)
    yield _trend(report_data, filters, names)
    if "line" not in chosen:
        yield from _chapters(report_data, filters, names)
    yield _basis(report_data, scope, names)
    yield _gaps(report_data, filters, names, chosen)
    yield _sources(report_data, filters, names)
    yield _remarks(report_data, filters, names)
    if "country" not in chosen:
        yield _country_annex(report_data, filters, names)


def _key_findings(
    report_data: ReportData, filters: Filter, names: FacetLabels, chosen: Container[str]
) -> Section:
    counts = report_data.tables.counts_once(filters)
    different = report_data.tables.count_different(filters)
    parts = facet_findings(counts, names, different)
    findings = [
        (sentence(f"{text[:1].upper()}{text[1:]}"), facet)
        for facet, text in parts
        if facet not in chosen
    ]
    findings.append(
        (
            matrix_finding(count_matrix(report_data.tables, filters, names, report_data.links)),
            "matrix",
        )
    )
    note = count_note(different)
    return Section(
        "findings",
        _("Key findings"),
        (note,) if note else (),
        findings=tuple(findings) if different else (),
    )


def _chapters(report_data: ReportData, filters: Filter, names: FacetLabels) -> Iterator[Section]:
    """Yield a chapter for each action line with initiatives: its goals, and three of the
    initiatives.
    """
    explanation = _(
        "Each chapter has the SDGs that its initiatives serve, and its newest initiatives."
    )
    yield Section("lines", _("Action lines, one by one"), (explanation,))
    for code in sorted(
        leaf_codes("line", "action-line", names.iris), key=lambda code: sort_key("line", code, 0)
    ):
        chosen = filters.with_codes("line", code)
        total = report_data.tables.count_different(chosen)
        counts = report_data.tables.counts_once(chosen)
        if not total:
            continue
        newest = tuple(
            (item.title, period(item), names.name("source", item.source))
            for item in _examples(report_data.tables.list_things(chosen, "newest", _LOOKED_AT))
            if item.title
        )
        goals = sorted(counts.get("goal", {}).items(), key=lambda pair: sort_key("", *pair))[
            :_CHAPTER_BARS
        ]
        bars = [Bar(names.short("goal", goal), things) for goal, things in goals]
        drawing = bar_chart(bars, names.short("line", code)) if bars else None
        grid = (
            Grid((_("Newest initiatives"), _("Period"), facet_title("source")), newest, numeric=0)
            if newest
            else None
        )
        text = overview(
            {facet: codes for facet, codes in counts.items() if facet != "line"}, names, total
        )
        query = filter_query.counts(
            chosen, "goal", names.iris, has_parts=report_data.tables.has_parts
        )
        yield Section(
            f"line-{code}", names.short("line", code), (text,), drawing, grid, query, level=2
        )


def _examples(items: Sequence[ListItem]) -> list[ListItem]:
    """Return the first initiatives whose titles the PDF's fonts cover, those in the report's
    language first.
    """
    language = current_locale().language
    printable = [
        item
        for item in items
        if item.title and (language in _ALL_SCRIPTS or _SCRIPTS.match(item.title))
    ]
    return sorted(printable, key=lambda item: item.language != language)[:_EXAMPLES]


def period(item: ListItem) -> str:
    """Return the years in which an initiative begins and ends, if known.

    >>> period(ListItem("", "", "", None, None, "2020-01-05", "2022", None, None, None, False))
    '2020–2022'
    """
    years = [(day or "")[:4] for day in (item.begins, item.ends)]
    return "–".join(years) if any(years) else ""


def _country_annex(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    """Return all countries, with the action lines and SDGs that their initiatives have."""
    counts = report_data.tables.counts_once(filters.with_codes("country")).get("country", {})
    lines, goals = (
        Counter(
            country for country, _code in report_data.tables.cross_once(filters, "country", facet)
        )
        for facet in ("line", "goal")
    )
    rows = tuple(
        (
            names.name("country", code),
            format_number(lines[code]),
            format_number(goals[code]),
            format_number(things),
        )
        for code, things in sorted(counts.items(), key=lambda pair: names.name("country", pair[0]))
    )
    grid = Grid(
        (facet_title("country"), _("Action lines"), _("SDGs"), _("Initiatives")), rows, numeric=3
    )
    return Section(
        "countries",
        _("Annex: countries"),
        (),
        None,
        grid,
        filter_query.counts(filters, "country", names.iris, has_parts=report_data.tables.has_parts),
    )


def citation(report_data: ReportData, title: str, address: str) -> str:
    """Return how to cite the report."""
    day = format_date(date.fromisoformat(report_data.release.day))
    return _("{publisher}: {title}. Data release {release}, {day}. {address}").format(
        publisher=NAME, title=title, release=report_data.release.number, day=day, address=address
    )


def _glance(report_data: ReportData, scope: Scope, names: FacetLabels) -> Section:
    every = filter_query.make_filter(**dict(scope.chosen))
    kinds = report_data.tables.counts_once(every).get("kind", {})
    rows = tuple(
        (names.name("kind", kind), format_number(things))
        for kind, things in sorted(kinds.items(), key=lambda pair: sort_key("", *pair))
    )
    explanation = _("An initiative linked to several action lines or SDGs is counted under each.")
    grid = Grid((facet_title("kind"), _("Number")), rows)
    return Section(
        "kinds",
        _("At a glance"),
        (explanation,),
        None,
        grid,
        filter_query.counts(every, "kind", names.iris, has_parts=report_data.tables.has_parts),
    )


def _bars(report_data: ReportData, filters: Filter, facet: str, names: FacetLabels) -> Section:
    panel = facet_panel(
        report_data.tables,
        facet,
        report_data.tables.counts_once(filters).get(facet, {}),
        filters,
        names,
    )
    drawn = [bar for bar in panel.short if bar.value][:_BARS]
    text = () if drawn else (_("No data reported."),)
    drawing = (
        bar_chart([Bar(bar.name, bar.value, bar.href) for bar in drawn], panel.title)
        if drawn
        else None
    )
    return Section(
        facet,
        panel.title,
        text,
        drawing,
        None,
        filter_query.counts(filters, facet, names.iris, has_parts=report_data.tables.has_parts),
    )


def _matrix(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    matrix = count_matrix(report_data.tables, filters, names, report_data.links)
    text = matrix_finding(matrix)
    legend = _(
        "A solid outline marks an official link; a dashed one, a link on which editions of the matrix differ."
    )
    dotted = _("In the table, a dot marks a link of the official matrix.")
    rows = tuple(
        (
            f"{line.code} {_short(line)}",
            *(_cell(matrix, line.code, goal.code) for goal in matrix.goals),
        )
        for line in matrix.lines
    )
    grid = Grid(
        (facet_title("line"), *(goal.code for goal in matrix.goals)),
        rows,
        numeric=len(matrix.goals),
    )
    return Section(
        "matrix",
        _("Action lines and SDGs"),
        (text, legend, dotted),
        matrix.chart(),
        grid,
        matrix.query,
    )


def _short(line: HeatmapLabel) -> str:
    return line.name.removeprefix(line.code).strip(" :.–")


def _cell(matrix: Matrix, line: str, goal: str) -> str:
    things = matrix.counts.get((line, goal), 0)
    return f"{format_number(things) if things else ''}{' •' if (line, goal) in matrix.links else ''}".strip()


def _map(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    counts = report_data.tables.counts_once(filters.with_codes("country")).get("country", {})
    ranked = sorted(counts.items(), key=lambda pair: sort_key("", *pair))[:_ROWS]
    grid = Grid(
        (facet_title("country"), _("Initiatives")),
        tuple((names.name("country", code), format_number(things)) for code, things in ranked),
    )
    drawing = country_map(report_data.tables, filters, names)
    return Section(
        "country",
        _("Countries"),
        (),
        drawing,
        grid,
        filter_query.counts(filters, "country", names.iris, has_parts=report_data.tables.has_parts),
    )


def _trend(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    trend = count_trend(report_data.tables, filters, "region", names)
    text = (
        _(
            "Each initiative is counted in its start year, or in its year of publication if it has no start date."
        ),
    )
    drawing = trend.chart() if trend.years else None
    return Section(
        "year", trend.title, text, drawing, _legend(trend.series), trend.table.query, keyed=True
    )


def _legend(series: dict[str, dict[str, int]]) -> Grid | None:
    rows = tuple(
        (f"{number}", name, format_number(sum(counts.values())))
        for number, (name, counts) in enumerate(series.items(), 1)
    )
    return Grid(("", facet_title("region"), _("Initiatives")), rows) if rows else None


def _basis(report_data: ReportData, scope: Scope, names: FacetLabels) -> Section:
    every = filter_query.make_filter(*Basis, kind="initiative", **dict(scope.chosen))
    counts = report_data.tables.counts_once(every).get("basis", {})
    rows = tuple(
        (names.name("basis", basis.value), format_number(counts.get(basis.value, NONE)))
        for basis in Basis
    )
    explanation = _("All other figures count only links stated by registries.")
    explanation += " " + _(
        "Links mapped from a registry's codes and suggested links are never mixed with these."
    )
    grid = Grid((facet_title("basis"), _("Initiatives")), rows)
    return Section(
        "basis",
        _("How links were made"),
        (explanation,),
        None,
        grid,
        filter_query.counts(every, "basis", names.iris, has_parts=report_data.tables.has_parts),
    )


def _gaps(
    report_data: ReportData, filters: Filter, names: FacetLabels, chosen: Container[str]
) -> Section:
    gaps = [
        gap
        for gap in missing.find_gaps(report_data.tables, filters, names)
        if gap.name not in chosen
    ]
    rows = tuple(
        (gap.title, format_number(gap.code_count), format_number(len(gap.missing))) for gap in gaps
    )
    named = [
        f"{gap.title}: {', '.join(one.name for one in gap.missing)}."
        for gap in gaps
        if 0 < len(gap.missing) <= _ROWS
    ]
    grid = Grid(("", _("Total"), _("Without initiatives")), rows)
    # the query of the targets; those of the others are in their own sections
    query = gaps[-1].table.query
    return Section("gaps", _("Gaps"), tuple(named), None, grid, query)


def _sources(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    counts = report_data.tables.counts_once(filters).get("source", {})
    rows = tuple(
        (
            source.title or source.name,
            source.publisher,
            source.licence.partition("://")[2] or source.licence,
            report_data.changed.get(source.name, ""),
            format_number(counts.get(source.name, NONE)),
        )
        for source in report_data.release.sources
    )
    grid = Grid(
        (facet_title("source"), _("Publisher"), _("Licence"), _("Last changed"), _("Initiatives")),
        rows,
    )
    return Section(
        "source",
        _("Registries"),
        (),
        None,
        grid,
        filter_query.counts(filters, "source", names.iris, has_parts=report_data.tables.has_parts),
    )


def _remarks(report_data: ReportData, filters: Filter, names: FacetLabels) -> Section:
    counts = report_data.tables.counts_once(filters).get("remark", {})
    rows = tuple(
        (code.rpartition("#")[2], format_number(things)) for code, things in sorted(counts.items())
    )
    explanation = _(
        "Every record is checked against SHACL shapes before publication. "
        "Records with violations are not published; warnings are published with the record."
    )
    grid = Grid((facet_title("remark"), _("Initiatives")), rows) if rows else None
    text = (explanation,) if rows else (explanation, _("No quality warnings."))
    return Section(
        "remark",
        _("Quality"),
        text,
        None,
        grid,
        filter_query.counts(filters, "remark", names.iris, has_parts=report_data.tables.has_parts),
    )


def methods(report_data: ReportData, scope: Scope, base: str) -> Sequence[str]:
    """Return the paragraphs on how the report was made and how to reproduce each number."""
    release = report_data.release
    return (
        _(
            "Release {release} of {day}: journal entry {position}, {records} records, {sources} registries."
        ).format(
            release=release.number,
            day=format_date(date.fromisoformat(release.day)),
            position=release.position,
            records=format_number(release.counts.get("records", 0)),
            sources=len(release.sources),
        ),
        _("This report covers only what these registries publish.")
        + " "
        + _("A low number for a country or an SDG may mean that few registries cover it."),
        _("Every number comes from a query in the annex.")
        + " "
        + _("Run any query at {endpoint} with release={release} to reproduce the number.").format(
            endpoint=f"{base}sparql", release=release.number
        ),
        _(
            "This report is reproducible: the same release and software version give an identical file."
        ),
    )
