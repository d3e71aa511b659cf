"""The sections of a report, each with its figure, its numbers and the query that returns them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from languages.translations import LANGUAGES, current_locale, format_date, format_number
from languages.translations import gettext as _
from publisher.data.tables import NONE, Filter, ListItem, make_filter
from publisher.errors import ReportError
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.figures import (
    Bars,
    Figures,
    Matrix,
    Trend,
    all_codes,
    facet_findings,
    overview,
    sentence,
)
from publisher.store.releases import Release
from vocab.initiative import Basis
from vocab.lookup import AREA, country
from web.branding import NAME
from web.charts import Bar, bar_chart

_ROWS = 25  # rows of a table in print; the release's files have all
_BARS = 20  # the most bars of a drawing
_CHAPTER_BARS, _EXAMPLES = 8, 3  # SDGs and initiatives of a chapter
_LOOKED_AT = 30  # initiatives that are read to choose those of a chapter
_ALL_SCRIPTS = ("ar", "zh")  # languages that are typeset with the system's fonts
# Latin, Greek and Cyrillic, which Typst's fonts have
_SCRIPTS = re.compile(r"[\u0020-\u052f\u1e00-\u1eff\u2000-\u206f]*\Z")
# The facets by which a report can be narrowed, with what their codes are.
NARROWING = {
    "year": "a year of four digits",
    "region": "a code of /scheme/itu-region, such as africa",
    "line": "a code of /scheme/action-line, such as C7-ehea",
    "goal": "a number from 1 to 17",
    "country": "its M49 code, its ISO code or its name, such as 404, KE or Kenya",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report covers: a release, in *language*; *chosen* are facets of NARROWING with a code
    each.
    """

    release: int
    language: str = "en"
    chosen: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Return the name of its folder.

        >>> Scope(3, "fr", (("goal", "4"),)).name
        'release-3.goal-4.fr'
        """
        chosen = [f"{facet}-{code}" for facet, code in self.chosen]
        return ".".join([f"release-{self.release}", *chosen, self.language])

    @property
    def filter(self) -> Filter:
        return make_filter(kind="initiative", **dict(self.chosen))


def parse_scope(
    release: int, language: str, chosen: Mapping[str, str], names: FacetLabels
) -> Scope:
    """Return the scope of a report; raises ReportError with a remedy for an unknown code. A country
    may have any of its names or codes.
    """
    if language not in LANGUAGES:
        raise ReportError(f"unknown language {language!r}; choose one of {', '.join(LANGUAGES)}")
    codes = dict(chosen)
    if area := country(codes.get("country", "")):
        codes["country"] = area.removeprefix(AREA)
    for facet, code in codes.items():
        is_year = code.isdigit() and len(code) == 4
        if not (is_year if facet == "year" else names.name(facet, code) != code):
            option = "action line" if facet == "line" else facet
            raise ReportError(f"{option} {code!r} is not known; give {NARROWING[facet]}")
    return Scope(release, language, tuple(sorted(codes.items())))


# A section: its *key*, *title* and paragraphs (*text*); *query* is the SPARQL query that returns its
# numbers, "" if they come from the release's manifest. *heads* and *rows* are a table, whose last
# *numeric* columns are numbers; with *keyed* its first is the colour of a series in the *drawing*.
# *findings* are sentences, each with the key of the section whose query gives its numbers. *level* is
# 2 for a part of the section before it.
Section = dict[str, Any]
_SECTION: Section = {
    "drawing": None,
    "heads": (),
    "rows": (),
    "numeric": 1,
    "query": "",
    "findings": (),
    "level": 1,
    "keyed": False,
}


def _section(key: str, title: str, *text: str, **more: Any) -> Section:
    return _SECTION | {"key": key, "title": title, "text": text, **more}


def sections(
    figures: Figures, scope: Scope, release: Release, changed: Mapping[str, str]
) -> list[Section]:
    """Return the sections of a report in the language of the request; *changed* is the day of each
    registry's last change.
    """
    chosen = dict(scope.chosen)  # facets whose own counts would ignore the filter of the report
    any_basis = replace(figures, filters=make_filter(*Basis, kind="initiative", **chosen))
    kinds = replace(figures, filters=make_filter(**chosen))["bars/kind"]
    bases, place = any_basis["bars/basis"], figures["map"]
    shares = [bases.bar(basis.value, bases.counts.get(basis.value, NONE)) for basis in Basis]
    once = _("An initiative linked to several action lines or SDGs is counted under each.")
    stated = _("All other figures count only links stated by registries.")
    mixed = _(
        "Links mapped from a registry's codes and suggested links are never mixed with these."
    )
    initiatives, in_countries = _("Initiatives"), "country" not in chosen
    countries = _table("country", _("Countries"), place, place.bars[:_ROWS], initiatives)
    return [
        _key_findings(figures, chosen),
        _table("kinds", _("At a glance"), kinds, kinds.bars, _("Number"), once),
        *(_bars(figures[f"bars/{facet}"]) for facet in ("line", "goal") if facet not in chosen),
        _matrix(figures["matrix"]),
        *([countries | {"drawing": place.drawing}] if in_countries else []),
        *(
            _bars(view)
            for view in figures.bars(("region", "stakeholder", "type", "status"))
            if view.facet not in chosen
        ),
        _trend(figures["trend/region"]),
        *(_chapters(figures) if "line" not in chosen else []),
        _table("basis", _("How links were made"), bases, shares, initiatives, f"{stated} {mixed}"),
        _gaps(figures, chosen),
        _sources(figures["bars/source"], release, changed),
        _remarks(figures["bars/remark"]),
        *([_countries(figures)] if in_countries else []),
    ]


def _table(key: str, title: str, view: Bars, bars: Iterable[Bar], head: str, *text: str) -> Section:
    """Return the section with *bars* of a figure as rows."""
    return _section(
        key,
        title,
        *text,
        heads=(facet_title(view.facet), head),
        rows=tuple((bar.name, format_number(bar.value)) for bar in bars),
        query=view.sparql,
    )


def _bars(view: Bars) -> Section:
    drawing = view.bar_chart(_BARS)
    text = () if drawing else (_("No data reported."),)
    return _section(view.facet, view.title, *text, drawing=drawing, query=view.sparql)


def _key_findings(figures: Figures, chosen: Collection[str]) -> Section:
    counts, total = figures.tables.counts_once(figures.filters), figures["count"].counts[""]
    findings = [
        (sentence(f"{text[:1].upper()}{text[1:]}"), facet)
        for facet, text in facet_findings(counts, figures.names, total)
        if facet not in chosen
    ]
    findings.append((figures["matrix"].summary, "matrix"))
    notes = filter(None, [figures.note])
    return _section("findings", _("Key findings"), *notes, findings=findings if total else ())


def _matrix(matrix: Matrix) -> Section:
    legend = _(
        "A solid outline marks an official link; a dashed one, a link on which editions of the matrix differ."
    )
    return _section(
        "matrix",
        _("Action lines and SDGs"),
        matrix.summary,
        legend,
        _("In the table, a dot marks a link of the official matrix."),
        drawing=matrix.drawing,
        heads=(facet_title("line"), *(goal.code for goal in matrix.goals)),
        rows=tuple(
            (
                f"{line.code} {line.name.removeprefix(line.code).strip(' :.–')}",
                *(_cell(matrix, line.code, goal.code) for goal in matrix.goals),
            )
            for line in matrix.lines
        ),
        numeric=len(matrix.goals),
        query=matrix.sparql,
    )


def _cell(matrix: Matrix, line: str, goal: str) -> str:
    things = matrix.counts.get((line, goal), 0)
    return f"{format_number(things) if things else ''}{' •' if (line, goal) in matrix.links else ''}".strip()


def _trend(trend: Trend) -> Section:
    text = _(
        "Each initiative is counted in its start year, or in its year of publication if it has no start date."
    )
    rows = tuple(
        (f"{number}", name, format_number(sum(counts.values())))
        for number, (name, counts) in enumerate(trend.series.items(), 1)
    )
    return _section(
        "year",
        trend.title,
        text,
        drawing=trend.drawing,
        heads=("", facet_title("region"), _("Initiatives")) if rows else (),
        rows=rows,
        query=trend.sparql,
        keyed=True,
    )


def _chapters(figures: Figures) -> Iterator[Section]:
    """Yield a chapter for each action line with initiatives: its goals, and three of the
    initiatives.
    """
    names, tables = figures.names, figures.tables
    yield _section(
        "lines",
        _("Action lines, one by one"),
        _("Each chapter has the SDGs that its initiatives serve, and its newest initiatives."),
    )
    for code in all_codes("line", names.iris):
        line = replace(figures, filters=figures.filters.with_codes("line", code))
        total, goals, title = line["count"].counts[""], line["bars/goal"], names.short("line", code)
        if not total:
            continue
        largest = sorted(goals.bars, key=lambda bar: (-bar.value, bar.code))
        bars = [bar._replace(href="") for bar in largest[:_CHAPTER_BARS]]
        newest = tuple(
            (item.title or "", period(item), names.name("source", item.source))
            for item in _examples(tables.list_things(line.filters, "newest", _LOOKED_AT))
        )
        yield _section(
            f"line-{code}",
            title,
            overview({**tables.counts_once(line.filters), "line": {}}, names, total),
            drawing=bar_chart(bars, title) if bars else None,
            heads=(_("Newest initiatives"), _("Period"), facet_title("source")) if newest else (),
            rows=newest,
            numeric=0,
            query=goals.sparql,
            level=2,
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


def _gaps(figures: Figures, chosen: Collection[str]) -> Section:
    facets = [facet for facet in ("country", "line", "goal", "target") if facet not in chosen]
    gaps = [figures[f"gap/{facet}"] for facet in facets]
    rows = tuple(
        (gap.title, format_number(len(gap.codes)), format_number(len(gap.bars))) for gap in gaps
    )
    named = (
        f"{gap.title}: {', '.join(bar.name for bar in gap.bars)}."
        for gap in gaps
        if 0 < len(gap.bars) <= _ROWS
    )
    # The query is that of the targets; those of the other facets are in their own sections.
    return _section(
        "gaps",
        _("Gaps"),
        *named,
        heads=("", _("Total"), _("Without initiatives")),
        rows=rows,
        query=gaps[-1].sparql,
    )


def _sources(view: Bars, release: Release, changed: Mapping[str, str]) -> Section:
    rows = tuple(
        (
            source.title or source.name,
            source.publisher,
            source.licence.partition("://")[2] or source.licence,
            changed.get(source.name, ""),
            format_number(view.counts.get(source.name, NONE)),
        )
        for source in release.sources
    )
    columns = (_("Publisher"), _("Licence"), _("Last changed"), _("Initiatives"))
    return _section(
        "source",
        _("Registries"),
        heads=(facet_title("source"), *columns),
        rows=rows,
        query=view.sparql,
    )


def _remarks(view: Bars) -> Section:
    text = _(
        "Every record is checked against SHACL shapes before publication. "
        "Records with violations are not published; warnings are published with the record."
    )
    if not view.counts:
        return _section("remark", _("Quality"), text, _("No quality warnings."), query=view.sparql)
    return _table("remark", _("Quality"), view, sorted(view.bars), _("Initiatives"), text)


def _countries(figures: Figures) -> Section:
    """Return all countries, with the action lines and SDGs that their initiatives have."""
    view, tables = figures["bars/country"], figures.tables
    lines, goals = (
        Counter(code for code, _other in tables.cross_once(figures.filters, "country", facet))
        for facet in ("line", "goal")
    )
    return _section(
        "countries",
        _("Annex: countries"),
        heads=(facet_title("country"), _("Action lines"), _("SDGs"), _("Initiatives")),
        rows=tuple(
            (bar.name, *map(format_number, (lines[bar.code], goals[bar.code], bar.value)))
            for bar in sorted(view.bars, key=lambda bar: bar.name)
        ),
        numeric=3,
        query=view.sparql,
    )


def citation(release: Release, title: str, address: str) -> str:
    return _("{publisher}: {title}. Data release {release}, {day}. {address}").format(
        publisher=NAME,
        title=title,
        release=release.number,
        day=format_date(date.fromisoformat(release.day)),
        address=address,
    )


def methods(release: Release, base: str) -> Sequence[str]:
    """Return the paragraphs on how the report was made and how to reproduce each number."""
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
