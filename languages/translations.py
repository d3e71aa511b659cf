"""Translate the texts of the pages by the catalogues in ``locale`` (gettext, by Babel); write numbers and dates."""

from __future__ import annotations

import io
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from babel import Locale, dates
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

from languages.request_locale import current_locale

_DAY = 10  # characters of a date
FOLDER = Path(__file__).parent / "locale"


@cache
def load_translations(language: str) -> Translations:
    """Return the catalogue of a language. English texts are the keys; the English file names values of the data."""
    file = FOLDER / f"{language}.po"
    if not file.exists():
        return Translations()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(file.read_bytes()), locale=language))
    compiled.seek(0)
    return Translations(compiled)


def gettext(text: str) -> str:
    """Return a text in the language of the request, in English where there is no translation."""
    return str(load_translations(current_locale().language).gettext(text))


def ngettext(one: str, many: str, number: int) -> str:
    """Return the plural form of a text for *number*, in the language of the request."""
    return str(load_translations(current_locale().language).ngettext(one, many, number))


def isolate(name: str) -> str:
    """Return a name that may be in another script, so that it does not reorder the text around it; for plain text, as ``bdi`` for HTML.

    Source: https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates. Languages written from left to right need no isolates.

    >>> isolate("e-Government")
    'e-Government'
    """
    return f"\u2068{name}\u2069" if current_locale().direction == "rtl" else name


@cache
def _babel_locale(language: str) -> Locale:
    return Locale.parse({"zh": "zh_Hans"}.get(language, language))


def format_number(value: int | Decimal) -> str:
    """Write a number as the language of the request does; in English with thin spaces between thousands."""
    language = current_locale().language
    if language == "en":
        return f"{value:,}".replace(",", "\u202f")
    return str(format_decimal(value, locale=_babel_locale(language), numbering_system="latn"))


def format_date(value: date) -> str:
    """Write a date as the language of the request does, with the month as a word in English, Arabic and others that do so."""
    language = current_locale().language
    width = {"ar": "long", "en": "d MMMM y"}.get(language, "medium")  # their medium ones have digits, or the month first
    return str(dates.format_date(value, width, locale=_babel_locale(language)))


def format_datetime(text: str) -> str:
    """Write an ISO 8601 date or time as the language of the request does, to the minute; other texts stay as they are.

    >>> format_datetime("2026-03-01T08:00:59Z"), format_datetime("2026-03-12"), format_datetime("2024")
    ('1 March 2026 08:00', '12 March 2026', '2024')
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text[:16].replace("T", " ")
    if len(text) < _DAY:  # a year, or digits that only look like a date
        return text
    return f"{format_date(moment)} {moment:%H:%M}" if len(text) > _DAY else format_date(moment)


def month_names() -> dict[int, str]:
    """Return the names of the months, by number, in the language of the request."""
    return {
        int(key): str(name)
        for key, name in dates.get_month_names("wide", context="stand-alone", locale=_babel_locale(current_locale().language)).items()
    }
