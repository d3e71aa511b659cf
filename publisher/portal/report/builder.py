"""Build the report of a release. It is written to a temporary folder and renamed when complete; a
rebuilt report is identical.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from languages.request_locale import LANGUAGES, current_locale, use_language
from languages.translations import format_date
from languages.translations import gettext as _
from languages.unsafe_text import finalize
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.report.content import Grid, Section, citation, methods, sections
from publisher.portal.report.pdf import PrintFrame, render_pdf
from publisher.portal.report.report_data import find_release, open_report_data
from publisher.portal.report.scope import Scope, parse_scope
from publisher.releases.citation import NAME
from publisher.store.releases.manifest import Release
from vocab.iris import Iris
from web.charts.svg import stylesheet
from web.templating import create_environment

REPORT, PRINT, STYLE, NUMBERS = "report.html", "report.pdf", "report.css", "report.json"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Report:
    """A written report: its name and title, its scope, and its files with their sizes in bytes."""

    name: str
    title: str
    release: int
    language: str
    issued: str
    chosen: Mapping[str, str]
    files: Mapping[str, int]


def build_report(
    data: Path, iris: Iris, number: int | None, language: str, chosen: Mapping[str, str]
) -> Report:
    """Write the report on release *number* (None: the newest) in *language*, filtered by *chosen*;
    an existing one is replaced.

    Raises ReportError and ReleaseNotFound.
    """
    release = find_release(data, number)
    names = FacetLabels(iris, {source.name: source.title for source in release.sources})
    with use_language(language if language in LANGUAGES else "en"):
        scope = parse_scope(release.number, language, chosen, names)
        with open_report_data(data, release, iris) as report_data:
            parts = list(sections(report_data, scope, names))
            method = methods(report_data, scope, iris.base)
            cited = citation(
                report_data,
                _title(release, scope, names),
                f"{iris.base}reports/{scope.name}/{REPORT}",
            )
        files = _files(release, scope, names, parts, method, cited, iris)
        title = _title(release, scope, names)
    sizes = {file: len(content) for file, content in files.items()}
    report = Report(
        scope.name, title, release.number, language, release.issued, dict(scope.chosen), sizes
    )
    files[NUMBERS] = _report_json(report, parts)
    _write(data / "reports", scope.name, files)
    return report


def _files(
    release: Release,
    scope: Scope,
    names: FacetLabels,
    parts: list[Section],
    method: Sequence[str],
    cited: str,
    iris: Iris,
) -> dict[str, bytes]:
    title, lead = _title(release, scope, names), _lead(release)
    words = _words(release)
    numbers = {
        part.key: number for number, part in enumerate((part for part in parts if part.query), 1)
    }
    values = {
        "title": title,
        "lead": lead,
        "parts": parts,
        "methods": method,
        "words": words,
        "visit": current_locale(),
        "of": scope,
    }
    values |= {"numbers": numbers, "citation": cited}
    frame = PrintFrame(
        title,
        lead,
        scope.language,
        release.issued,
        words,
        cited,
        f"{iris.base}reports/{scope.name}/{REPORT}",
    )
    page = (
        create_environment([_HERE], finalize)
        .get_template("report.html")
        .render(**values, printed=PRINT, style=STYLE)
    )
    return {
        REPORT: page.replace('href="/', f'href="{iris.base}').encode(),
        PRINT: render_pdf(frame, parts, method, numbers),
        STYLE: (_HERE / "report.css").read_bytes() + stylesheet().encode(),
    }


def _words(release: Release) -> dict[str, str]:
    """Return the headings and labels of a report in the language of the request."""
    return {
        "query": _("Query"),
        "methods": _("Methods"),
        "annex": _("Annex: queries"),
        "cite": _("How to cite"),
        "contents": _("Contents"),
        "number": _("Report no. {number}").format(number=release.number),
        "publisher": NAME,
    }


def _title(release: Release, scope: Scope, names: FacetLabels) -> str:
    narrowed = [
        names.name(facet, code) if facet != "year" else code for facet, code in scope.chosen
    ]
    demo = [_("Demonstration data")] if release.demo else []
    return ": ".join(
        [*demo, _("WSIS Stocktaking report"), *([", ".join(narrowed)] if narrowed else [])]
    )


def _lead(release: Release) -> str:
    return _("Based on data release {release} ({day})").format(
        release=release.number, day=format_date(date.fromisoformat(release.day))
    )


def _report_json(report: Report, parts: list[Section]) -> bytes:
    empty = Grid((), ())
    grids = [(part, part.grid or empty) for part in parts if part.query or part.grid]
    figures = [
        {
            "key": item.key,
            "title": item.title,
            "query": item.query or None,
            "heads": grid.heads,
            "rows": grid.rows,
        }
        for item, grid in grids
    ]
    return orjson.dumps(
        {**_as_dict(report), "figures": figures},
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )


def _as_dict(report: Report) -> dict[str, object]:
    return {name: getattr(report, name) for name in Report.__slots__}


def _write(reports: Path, name: str, files: Mapping[str, bytes]) -> None:
    part, old = reports / f".{name}.part", reports / f".{name}.old"
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    for file, content in files.items():
        (part / file).write_bytes(content)
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {file}\n"
        for file, content in sorted(files.items())
    )
    (part / "SHA256SUMS").write_text(sums)
    if (reports / name).exists():
        (reports / name).rename(old)
    part.rename(reports / name)
    shutil.rmtree(old, ignore_errors=True)


def list_reports(reports: Path) -> list[Report]:
    """Return the stored reports, those of the newest release first."""
    listed = []
    for path in reports.glob(f"release-*/{NUMBERS}"):
        fields = orjson.loads(path.read_bytes())
        listed.append(Report(**{name: fields[name] for name in Report.__slots__}))
    return sorted(listed, key=lambda item: (-item.release, item.name))
