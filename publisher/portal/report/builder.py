"""Build the report of a release, as a page and as tagged PDF with Typst (https://typst.app/docs/). It
is written to a temporary folder and renamed when complete; a rebuilt report is identical.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import orjson
import structlog
import typst

from journal.files import replace_folder
from journal.journal import Journal
from languages.translations import LANGUAGES, current_locale, format_date, use_language
from languages.translations import gettext as _
from publisher.data.tables import FacetIndex, Filter
from publisher.errors import ReportError
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import Figures
from publisher.portal.report.content import (
    Scope,
    Section,
    citation,
    methods,
    parse_scope,
    sections,
)
from publisher.store.releases import Release, find_release, open_release_tables
from vocab.iris import Iris
from web.branding import NAME
from web.charts import standalone_svg, stylesheet
from web.templating import create_environment, escape_unsafe_text, finalize

REPORT, PRINT, STYLE, NUMBERS = "report.html", "report.pdf", "report.css", "report.json"
_HERE = Path(__file__).parent
_COLOURS = re.compile(r"\.s\d \{ fill: (#[0-9a-f]{6})")
# Languages that Typst's own fonts do not cover, and words in the names of fonts that do.
_FONT_HINTS = {"ar": ("Naskh", "Arabic", "DejaVu Sans"), "zh": ("CJK",)}

log = structlog.get_logger(component="report")


# A written report: its "name", "title", "release", "language", when it was "issued", the codes that
# it is filtered by ("chosen"), and its "files" with their sizes in bytes.
Report = dict[str, Any]


def build_report(
    data: Path, iris: Iris, number: int | None, language: str, chosen: Mapping[str, str]
) -> Report:
    """Write the report on release *number* (None: the newest) in *language*, filtered by *chosen*;
    an existing one is replaced.

    Raises ReportError, ReleaseNotFound and Withdrawn.
    """
    release = find_release(data, number)
    names = FacetLabels(iris, {source.name: source.title for source in release.sources})
    with use_language(language if language in LANGUAGES else "en"):
        scope = parse_scope(release.number, language, chosen, names)
        title, address = _title(release, scope, names), f"{iris.base}reports/{scope.name}/{REPORT}"
        with open_figures(data, release, names, scope.filter) as figures:
            parts = sections(figures, scope, release, _last_changes(data, release))
        queried = [part["key"] for part in parts if part["query"]]
        document = {
            "title": title,
            "lead": _("Based on data release {release} ({day})").format(
                release=release.number, day=format_date(date.fromisoformat(release.day))
            ),
            "methods": methods(release, iris.base),
            "citation": citation(release, title, address),
            "words": {
                "query": _("Query"),
                "methods": _("Methods"),
                "annex": _("Annex: queries"),
                "cite": _("How to cite"),
                "contents": _("Contents"),
                "number": _("Report no. {number}").format(number=release.number),
                "publisher": NAME,
            },
            "numbers": {key: place for place, key in enumerate(queried, 1)},
        }
        page = (
            create_environment([_HERE], finalize)
            .get_template("report.html")
            .render(
                document,
                parts=parts,
                visit=current_locale(),
                release=release.number,
                printed=PRINT,
                style=STYLE,
            )
        )
        files = {
            REPORT: page.replace('href="/', f'href="{iris.base}').encode(),
            PRINT: _pdf(document, parts, release, scope.language, address),
            STYLE: (_HERE / "report.css").read_bytes() + stylesheet().encode(),
        }
    report = {
        "name": scope.name,
        "title": title,
        "release": release.number,
        "language": language,
        "issued": release.issued,
        "chosen": dict(scope.chosen),
        "files": {file: len(content) for file, content in files.items()},
    }
    files[NUMBERS] = _numbers(report, parts)
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in sorted(files.items())}
    sums = "".join(f"{digest}  {file}\n" for file, digest in digests.items())
    with replace_folder(data / "reports" / scope.name) as part:
        for file, content in {**files, "SHA256SUMS": sums.encode()}.items():
            (part / file).write_bytes(content)
    return report


@contextmanager
def open_figures(
    data: Path, release: Release, names: FacetLabels, filters: Filter
) -> Iterator[Figures]:
    """Open the figures of a release for the duration of the context; missing tables are built."""
    try:
        file = open_release_tables(data, release, names.iris)
    except (duckdb.Error, OSError) as error:
        raise ReportError(
            f"the tables of release {release.number} could not be made: {error}; is there room below {data}?"
        ) from error
    with closing(FacetIndex(file)) as tables:
        yield Figures(tables, names, filters)


def _last_changes(data: Path, release: Release) -> dict[str, str]:
    """Return the day of each registry's last change before a release."""
    entries = Journal(data / "journal").entries()
    known = takewhile(lambda entry: entry.number <= release.position, entries)
    return {entry.run.rpartition(".")[0]: f"{entry.time:%Y-%m-%d}" for entry in known}


def _title(release: Release, scope: Scope, names: FacetLabels) -> str:
    chosen = ", ".join(
        names.name(facet, code) if facet != "year" else code for facet, code in scope.chosen
    )
    demo = _("Demonstration data") if release.demo else ""
    return ": ".join(filter(None, [demo, _("WSIS Stocktaking report"), chosen]))


def _pdf(
    document: Mapping[str, Any],
    parts: Sequence[Section],
    release: Release,
    language: str,
    address: str,
) -> bytes:
    """Return the PDF; the same content yields the same bytes. *address* is the page of the report,
    which has the queries. Arabic and Chinese use the system's fonts, since Typst has none for them.
    """
    numbers = document["numbers"]
    drawings = {part["key"]: part["drawing"] for part in parts if part["drawing"] is not None}
    printed = [
        {
            **part,
            "drawing": f"{part['key']}.svg" if part["key"] in drawings else None,
            "query": numbers.get(part["key"], 0),
            "findings": [[text, numbers.get(key, 0)] for text, key in part["findings"]],
        }
        for part in parts
    ]
    more = {"parts": printed, "language": language, "address": address, "issued": release.issued}
    hints = _FONT_HINTS.get(language, ())
    if hints and not any(hint in family for family in typst.Fonts().families() for hint in hints):
        log.warning(
            "no font for the language of the PDF",
            language=language,
            action="install fonts-noto-core and fonts-noto-cjk",
        )
    content = {**document, **more, "colours": _COLOURS.findall(stylesheet())}
    with TemporaryDirectory(prefix="stocktake-typst-") as folder:
        work = Path(folder)
        for key, drawing in drawings.items():
            (work / f"{key}.svg").write_bytes(standalone_svg(drawing))
        (work / "document.json").write_bytes(orjson.dumps(_make_visible(content)))
        (source := work / "report.typ").write_bytes((_HERE / "report.typ").read_bytes())
        return typst.compile(
            source,
            root=work,
            format="pdf",
            # Without those of the system, the bytes are the same on every machine.
            ignore_system_fonts=not hints,
            timestamp=int(datetime.fromisoformat(release.issued).timestamp()),
        )


def _make_visible(value: object) -> object:
    """Escape invisible and bidirectional control characters, as pages do."""
    if isinstance(value, Mapping):
        return {name: _make_visible(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_visible(item) for item in value]
    return escape_unsafe_text(value) if isinstance(value, str) else value


def _numbers(report: Report, parts: Sequence[Section]) -> bytes:
    names, options = ("key", "title", "query", "heads", "rows"), orjson.OPT_INDENT_2
    return orjson.dumps(
        {
            **report,
            "figures": [
                {name: part[name] or None if name == "query" else part[name] for name in names}
                for part in parts
                if part["query"] or part["heads"]
            ],
        },
        option=options | orjson.OPT_APPEND_NEWLINE,
    )


def list_reports(reports: Path) -> list[Report]:
    stored = (orjson.loads(path.read_bytes()) for path in reports.glob(f"release-*/{NUMBERS}"))
    return sorted(stored, key=lambda item: (-item["release"], item["name"]))
