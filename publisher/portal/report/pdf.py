"""Typesetting: a report as PDF, by Typst (https://typst.app/docs/); the same content gives the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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
# Languages that Typst's own fonts have no letters for, and words in the names of fonts that have them.
_FONT_HINTS = {"ar": ("Naskh", "Arabic", "DejaVu Sans"), "zh": ("CJK",)}

log = structlog.get_logger(component="report")


def render_pdf(
    title: str, lead: str, parts: Sequence[Section], method: Sequence[str], language: str, issued: str, words: dict[str, str]
) -> bytes:
    """Set a report; *issued* (UTC) becomes its date, *words* are the fixed ones of the template.

    Arabic and Chinese are set with the system's fonts, since they have to come from somewhere. Raises ReportError.
    """
    with TemporaryDirectory(prefix="stocktake-typst-") as folder:
        work = Path(folder)
        contents = [_part(section, work) for section in parts]
        whole = {"title": title, "lead": lead, "parts": contents, "methods": list(method), "language": language, "words": words}
        whole["colours"] = _COLOURS.findall(stylesheet())
        (work / "report.json").write_text(json.dumps(_make_visible(whole), ensure_ascii=False), encoding="utf-8")
        (work / "report.typ").write_bytes(_TEMPLATE.read_bytes())
        _warn_if_font_missing(language)
        try:
            made = typst.compile(
                work / "report.typ",
                root=work,
                format="pdf",
                ignore_system_fonts=language not in _FONT_HINTS,
                timestamp=int(datetime.fromisoformat(issued).timestamp()),
            )
        except typst.TypstError as error:
            raise ReportError(f"the report could not be set: {error}") from error
    assert isinstance(made, bytes)
    return made


def _make_visible(value: object) -> object:
    """Make visible what a text would hide or turn, as pages do."""
    if isinstance(value, dict):
        return {name: _make_visible(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_make_visible(item) for item in value]
    return escape_unsafe_text(value) if isinstance(value, str) else value


def _warn_if_font_missing(language: str) -> None:
    """Warn where no font of the machine has the letters of a language: its print would show none."""
    marks = _FONT_HINTS.get(language, ())
    if marks and not any(mark in family for family in typst.Fonts().families() for mark in marks):
        log.warning("no font for the language of the PDF", language=language, action="install fonts-noto-core and fonts-noto-cjk")


def _part(section: Section, work: Path) -> dict[str, object]:
    if section.drawing is not None:
        (work / f"{section.key}.svg").write_bytes(standalone_svg(section.drawing))
    grid = {"heads": section.grid.heads, "rows": section.grid.rows} if section.grid else None
    drawing = f"{section.key}.svg" if section.drawing is not None else None
    content = {"title": section.title, "text": section.text, "drawing": drawing, "grid": grid, "query": section.query}
    return {**content, "keyed": section.keyed}
