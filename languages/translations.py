"""The language and the address of the request that is being answered, which a middleware sets; and
what depends on it: translate the texts of the pages by the catalogues in ``locale`` (gettext, by Babel), and the
terms of our ontologies by the vocabulary; write numbers and dates.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qsl, urlencode

from babel import Locale, dates
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from babel.units import format_unit

from vocab.iris import BASE
from vocab.schemes import label

LANGUAGES = {
    "en": "English",
    "ar": "العربية",
    "zh": "中文",
    "fr": "Français",
    "ru": "Русский",
    "es": "Español",
}
PARAMETER = "lang"  # of an address: the language of the page
_DAY = 10  # characters of a date
FOLDER = Path(__file__).parent / "locale"
TEMPLATES = Path(__file__).parent / "templates"  # what pages of all packages include


@dataclass(frozen=True, slots=True)
class RequestLocale:
    """A request as templates see it: language, path (percent-encoded), query, method, and the
    scheme and authority of the site.
    """

    language: str = "en"
    path: str = "/"
    query: str = ""
    method: str = "GET"
    origin: str = ""

    @property
    def direction(self) -> str:
        return "rtl" if self.language == "ar" else "ltr"

    def url_with(self, **changed: str) -> str:
        """Return the address of this page with these parameters replaced; the value "" removes one."""
        parameters = [(name, value) for name, value in parse_qsl(self.query) if name not in changed]
        parameters += [(name, value) for name, value in changed.items() if value]
        return self.path + (f"?{urlencode(parameters)}" if parameters else "")


_current: ContextVar[RequestLocale] = ContextVar("locale", default=RequestLocale())  # noqa: B039 - frozen


def current_locale() -> RequestLocale:
    return _current.get()


@contextmanager
def use_locale(locale: RequestLocale) -> Iterator[None]:
    token = _current.set(locale)
    try:
        yield
    finally:
        _current.reset(token)


def use_language(
    language: str, within: RequestLocale | None = None
) -> AbstractContextManager[None]:
    """Use a language within the context: outside of any request, or at the address of the request
    *within*.
    """
    return use_locale(replace(within or RequestLocale(), language=language))


@cache
def load_translations(language: str) -> Translations:
    """Return the catalogue of a language. English texts are the keys; the English file names values
    of the data.
    """
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
    """Return a name that may be in another script, so that it does not reorder the text around it;
    for plain text, as ``bdi`` for HTML.

    Source: https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates. Languages written
    from left to right need no isolates.

    >>> isolate("e-Government")
    'e-Government'
    """
    return f"\u2068{name}\u2069" if current_locale().direction == "rtl" else name


class TranslatableText(str):
    """An English text with *values* in its places, such as the detail of an error: pages show it in
    the language of the request.

    >>> TranslatableText("There is no release {number}", number=3)
    'There is no release 3'
    """

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, **values: object) -> Self:
        text = super().__new__(cls, template.format(**values))
        text.template, text.values = template, values
        return text

    def translated(self) -> str:
        """Return the text in the language of the request; values that are translatable themselves
        are translated too.
        """
        values = {
            name: value.translated() if isinstance(value, TranslatableText) else isolate(str(value))
            for name, value in self.values.items()
        }
        return gettext(self.template).format(**values)


@cache
def _babel_locale(language: str) -> Locale:
    return Locale.parse({"zh": "zh_Hans"}.get(language, language))


def format_number(value: int | Decimal) -> str:
    """Write a number as the language of the request does; in English with thin spaces between
    thousands.
    """
    language = current_locale().language
    if language == "en":
        return f"{value:,}".replace(",", "\u202f")
    return str(format_decimal(value, locale=_babel_locale(language), numbering_system="latn"))


def format_bytes(count: int) -> str:
    """Write a number of bytes with a decimal unit, as the language of the request does.

    >>> format_bytes(1_234_567), format_bytes(76_000_000_000), format_bytes(12)
    ('1.2 MB', '76 GB', '12 bytes')
    """
    units = ("byte", "kilobyte", "megabyte", "gigabyte", "terabyte")
    power = min((len(str(count)) - 1) // 3, len(units) - 1)
    number = round(count / 1000**power, 1 if power and count < 10 * 1000**power else None)
    return _format_unit(number, units[power], "short" if power else "long")


def format_seconds(seconds: float) -> str:
    """Write a duration with at most two decimals, in minutes from two minutes on, as the language
    of the request does.

    >>> format_seconds(0.018), format_seconds(23), format_seconds(7260)
    ('0.02 sec', '23 sec', '121 min')
    """
    minutes = 120
    if seconds >= minutes:
        return _format_unit(int(seconds // 60), "minute", "short")
    return _format_unit(round(seconds, 2), "second", "short")


def _format_unit(number: float, unit: str, length: Literal["short", "long"]) -> str:
    locale = _babel_locale(current_locale().language)
    return format_unit(number, unit, length, locale=locale, numbering_system="latn")


def format_share(share: float) -> str:
    """Write a share from 0 to 1 as a percentage with at most one decimal, as the language of the
    request does.

    >>> format_share(0.125), format_share(1)
    ('12.5%', '100%')
    """
    locale = _babel_locale(current_locale().language)
    pattern = locale.percent_formats[None].pattern.replace("0", "0.#")
    return str(format_percent(share, pattern, locale, numbering_system="latn"))


def format_date(value: date) -> str:
    """Write a date as the language of the request does, with the month as a word in English, Arabic
    and others that do so.
    """
    language = current_locale().language
    # The medium dates of these two have only digits, or the month first.
    width = {"ar": "long", "en": "d MMMM y"}.get(language, "medium")
    return str(dates.format_date(value, width, locale=_babel_locale(language)))


def format_datetime(text: str) -> str:
    """Write an ISO 8601 date or time as the language of the request does, to the minute; other
    texts stay as they are.

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
        for key, name in dates.get_month_names(
            "wide", context="stand-alone", locale=_babel_locale(current_locale().language)
        ).items()
    }


def term_label(name: str) -> str:
    """Return the label of a term, such as ``coverage`` or ``ops:lastRun``, in the language of the
    request; raises KeyError if it is none.

    >>> term_label("ops:lastRun"), term_label("confidence")
    ('last run', 'confidence')
    """
    local = f"operations#{name.removeprefix('ops:')}" if name.startswith("ops:") else f"ns#{name}"
    if text := label(BASE + local, current_locale().language):
        return text
    raise KeyError(name)


def term_title(name: str) -> str:
    """Return the label of a term with a capital letter; raises KeyError if it is none."""
    text = term_label(name)
    return text[:1].upper() + text[1:]


def kind_name(kind: str) -> str:
    """Return the name of a kind of thing, such as ``event``. The ontology has a class, and so a
    name, for initiatives only.

    >>> kind_name("initiative"), kind_name("event")
    ('Initiative', 'Event')
    """
    return term_title("Initiative") if kind == "initiative" else gettext(kind.capitalize())
