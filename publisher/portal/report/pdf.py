"""Typeset a report as PDF with Typst (https://typst.app/docs/); the same content yields the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
import typst

from languages.unsafe_text import escape_unsafe_text
from publisher.errors import ReportError
from publisher.pages.charts.svg import standalone_svg, stylesheet
from publisher.portal.report.content import Section

_TEMPLATE = Path(__file__).parent / "report.typ"
_COLOURS = re.compile(r"\.s\d \{ fill: (#[0-9a-f]{6})")
# Languages that Typst's own fonts do not cover, and words in the names of fonts that do.
_FONT_HINTS = {"ar": ("Naskh", "Arabic", "DejaVu Sans"), "zh": ("CJK",)}

log = structlog.get_logger(component="report")


@dataclass(frozen=True, slots=True)
class PrintFrame:
    """The frame of a printed report: *issued* (UTC) is its date, *words* are the fixed texts of the template.

    *address* is the page of the report, which has the queries.
    """

    title: str
    lead: str
    language: str
    issued: str
    words: Mapping[str, str]
    citation: str
    address: str


def render_pdf(
    frame: PrintFrame, parts: Sequence[Section], method: Sequence[str], numbers: Mapping[str, int]
) -> bytes:
    """Return the PDF; *numbers* are the numbers of the queries, by the key of their section.

    Arabic and Chinese use the system's fonts, since Typst has none for them. Raises ReportError.
    """
    language, issued = frame.language, frame.issued
    with TemporaryDirectory(prefix="stocktake-typst-") as folder:
        work = Path(folder)
        contents = [_part(section, work, numbers) for section in parts]
        whole = {**asdict(frame), "parts": contents, "methods": list(method)}
        whole["colours"] = _COLOURS.findall(stylesheet())
        (work / "report.json").write_text(json.dumps(_make_visible(whole), ensure_ascii=False), encoding="utf-8")
        (work / "report.typ").write_bytes(_TEMPLATE.read_bytes())
        _warn_if_font_missing(language)
        try:
            pdf = typst.compile(
                work / "report.typ",
                root=work,
                format="pdf",
                ignore_system_fonts=language not in _FONT_HINTS,
                timestamp=int(datetime.fromisoformat(issued).timestamp()),
            )
        except typst.TypstError as error:
            raise ReportError(f"the report could not be set: {error}") from error
    assert isinstance(pdf, bytes)
    return pdf


def _make_visible(value: object) -> object:
    """Escape invisible and bidirectional control characters, as pages do."""
    if isinstance(value, dict):
        return {name: _make_visible(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_visible(item) for item in value]
    return escape_unsafe_text(value) if isinstance(value, str) else value


def _warn_if_font_missing(language: str) -> None:
    """Warn if no font of this machine has the letters of a language: they would be missing in the PDF."""
    marks = _FONT_HINTS.get(language, ())
    if marks and not any(mark in family for family in typst.Fonts().families() for mark in marks):
        log.warning("no font for the language of the PDF", language=language, action="install fonts-noto-core and fonts-noto-cjk")


def _part(section: Section, work: Path, numbers: Mapping[str, int]) -> dict[str, object]:
    if section.drawing is not None:
        (work / f"{section.key}.svg").write_bytes(standalone_svg(section.drawing))
    grid = asdict(section.grid) if section.grid else None
    return {
        "key": section.key,
        "title": section.title,
        "text": section.text,
        "drawing": f"{section.key}.svg" if section.drawing is not None else None,
        "grid": grid,
        "query": numbers.get(section.key, 0),
        "findings": [[sentence, numbers.get(key, 0)] for sentence, key in section.findings],
        "level": section.level,
        "keyed": section.keyed,
    }
