"""Write a report as PDF; the same content yields the same bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
import typst

from publisher.errors import ReleaseError, ReportError
from publisher.portal.report.content import Section
from publisher.releases.typesetting import typeset
from web.charts.svg import standalone_svg, stylesheet

_TEMPLATE = Path(__file__).parent / "report.typ"
_COLOURS = re.compile(r"\.s\d \{ fill: (#[0-9a-f]{6})")
# Languages that Typst's own fonts do not cover, and words in the names of fonts that do.
_FONT_HINTS = {"ar": ("Naskh", "Arabic", "DejaVu Sans"), "zh": ("CJK",)}

log = structlog.get_logger(component="report")


@dataclass(frozen=True, slots=True)
class PrintFrame:
    """The frame of a printed report: *issued* (UTC) is its date, *words* are the fixed texts of the
    template.

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
    contents = [_part(section, numbers) for section in parts]
    whole = {
        **asdict(frame),
        "parts": contents,
        "methods": list(method),
        "colours": _COLOURS.findall(stylesheet()),
    }
    pictures = {
        f"{section.key}.svg": standalone_svg(section.drawing)
        for section in parts
        if section.drawing is not None
    }
    _warn_if_font_missing(frame.language)
    try:
        return typeset(
            _TEMPLATE, whole, frame.issued, pictures, system_fonts=frame.language in _FONT_HINTS
        )
    except ReleaseError as error:
        raise ReportError(str(error)) from error


def _warn_if_font_missing(language: str) -> None:
    """Warn if no font of this machine has the letters of a language: they would be missing in the
    PDF.
    """
    marks = _FONT_HINTS.get(language, ())
    if marks and not any(mark in family for family in typst.Fonts().families() for mark in marks):
        log.warning(
            "no font for the language of the PDF",
            language=language,
            action="install fonts-noto-core and fonts-noto-cjk",
        )


def _part(section: Section, numbers: Mapping[str, int]) -> dict[str, object]:
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
