"""Reading: what every mapping does with a source's words: texts, dates and languages, and no person's contacts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import pycountry

from vocab.initiative import Document, Event, Initiative, Post, Resource, Text
from vocab.iris import is_web

KINDS: Mapping[str, type[Resource]] = {"initiative": Initiative, "event": Event, "document": Document, "post": Post}

# At most 64 characters before the @ (RFC 5321), begun only where a word begins: a long word must not be tried at each of its letters.
_MAIL = re.compile(r"(?<![\w.%+\-])(?:mailto:)?[\w.%+\-]{1,64}@[\w\-]+(?:\.[\w\-]+)+", re.IGNORECASE)
_PHONE = re.compile(r"(?:(?:tel|phone|telephone|fax|mobile|tél|тел)[.:]*\s*|(?=\+))\+?\(?\d[\d ()/.\-]{6,}\d", re.IGNORECASE)
_DIGITS = re.compile(r"\d[\d ()/.\-]{6,}\d")  # looked for first: it is quick to say no
_LEFT_OUT = "[…]"  # in the place of a contact, in no language
_DAY_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?\Z")
_SLASHED = re.compile(r"\d{4}/\d\d/\d\d\Z")
_INTERVAL = re.compile(r"(\d{4}(?:-\d\d){0,2})/(\d{4}(?:-\d\d){0,2})\Z")
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*\Z")
_MIDNIGHT = {"00:00", "00:00:00"}
_MEMO = 4096  # words: more than there are languages with their spellings
_NAMES = 16384  # names and values that come again: a registry's vocabulary and organizations, some 4 MB
MAX_NAME_LENGTH = 300  # characters of a name; what is longer is a text, and is neither looked up nor remembered


def normalize_inline(value: Any) -> str:
    """Give a text or a number as one line without needless space; empty for anything else.

    >>> normalize_inline("  A \\n b "), normalize_inline(4), normalize_inline(None), normalize_inline(["a"])
    ('A b', '4', '', '')
    """
    if isinstance(value, str):
        return " ".join(value.split())
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def normalize_block(value: Any) -> str:
    """Give a long text with its paragraphs, without space at its ends; empty for what is no text."""
    return value.strip() if isinstance(value, str) else ""


def strip_contacts(text: str) -> str:
    """Leave out e-mail addresses and telephone numbers, which are persons'.

    >>> strip_contacts("Ask jane.doe@example.org or tel. +254 20 555 01 02 in 2024")
    'Ask […] or […] in 2024'
    """
    if "@" in text:
        text = _MAIL.sub(_LEFT_OUT, text)
    if _numbered(text):
        text = _PHONE.sub(_LEFT_OUT, text)
    return text


def _numbered(text: str) -> bool:
    """Tell whether a text may hold a telephone number: what _PHONE begins with is quicker to look for than its digits.

    The words lack their i and т, which have more than two cases.
    """
    if "+" not in text:
        low = text.lower()
        if not ("tel" in low or "phone" in low or "fax" in low or "mob" in low or "tél" in low or "ел" in low):
            return False
    return bool(_DIGITS.search(text))


@lru_cache(_NAMES)
def _named(text: str, tag: str | None) -> Text:
    return Text(strip_contacts(text), tag)


def parse_name(text: str, tag: str | None = None) -> Text:
    """Give a name or word, which may come often, with its language and without contacts."""
    return _named(text, tag) if len(text) <= MAX_NAME_LENGTH else Text(strip_contacts(text), tag)


def unique_non_contact(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep each text once, without the empty ones and those that are an e-mail address."""
    return tuple(dict.fromkeys([text for text in texts if text and not ("@" in text and _MAIL.fullmatch(text))]))


def as_list(value: Any) -> list[Any]:
    """Give a list as it is, nothing as an empty one, and anything else as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def split_values(texts: Iterable[str], mark: str | None) -> list[str]:
    """Split texts at *mark*, where there is one.

    >>> split_values(["a; b;", "c"], ";")
    ['a', 'b', 'c']
    """
    if not mark:
        return list(texts)
    return [part for text in texts for part in map(str.strip, text.split(mark)) if part]


def _split(text: str, mark: str | None) -> tuple[str, ...]:
    whole = normalize_inline(text)
    return tuple(split_values([whole], mark)) if whole else ()


_pieces = lru_cache(_NAMES)(_split)


def split_words(value: Any, mark: str | None) -> tuple[str, ...]:
    """Give the words of a value: those of a list, or of a text, each split at *mark* where there is one.

    >>> split_words("a; b", ";"), split_words(["a", None, 4], None), split_words(None, ";")
    (('a', 'b'), ('a', '4'), ())
    """
    if isinstance(value, str):
        return (_pieces if len(value) <= MAX_NAME_LENGTH else _split)(value, mark)
    words = [text for it in as_list(value) if (text := normalize_inline(it))]
    return tuple(split_values(words, mark))


def normalize_date(value: Any, forms: Sequence[str] = ()) -> str | None:
    """Write a date as ISO 8601 where it can be read without a guess, else as the source wrote it; None for nothing.

    *forms* (strptime) are the card's. Midnight without a zone, as databases write a day, is that day.

    >>> normalize_date("2024-09-13 00:00:00.0"), normalize_date("2024/05/01"), normalize_date("3/4/2026"), normalize_date(2015)
    ('2024-09-13', '2024-05-01', '3/4/2026', '2015')
    >>> normalize_date("3/31/2026 12:00:00 AM", ["%m/%d/%Y %I:%M:%S %p"])
    '2026-03-31'
    """
    return parse_date(normalize_inline(value), forms)


def parse_date(text: str, forms: Sequence[str] = ()) -> str | None:
    """Write a date that is one line already, as ``normalize_date`` does."""
    if len(text) == 10 and text[4] == text[7] == "-":
        return text
    if match := _DAY_TIME.match(text):
        day, time, fraction, zone = match.groups()
        if zone is None and time in _MIDNIGHT and not (fraction or "").strip(".0"):
            return day
        return f"{day}T{time}{(fraction or '')[:7] if time.count(':') == 2 else ''}{zone or ''}"
    if _SLASHED.match(text):
        return text.replace("/", "-")
    for form in forms:
        try:
            return normalize_date(datetime.strptime(text, form).isoformat())
        except ValueError:
            continue
    return text or None


def parse_interval(text: str) -> tuple[str, str] | None:
    """Read an interval of ISO 8601, e.g. 2019/2021 or 2019-01-01/2021-12-31; None where there is none."""
    match = _INTERVAL.match(text) if "/" in text else None
    return (match[1], match[2]) if match else None


def parse_number(value: Any) -> float | None:
    """Read a decimal number; None where there is none."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < 1e9 else None


@lru_cache(maxsize=_MEMO)
def parse_language(word: str) -> str | None:
    """Give the BCP 47 tag of a language that *word* names by a tag, an ISO 639 code or in English; None for others.

    Source: https://www.rfc-editor.org/info/bcp47 and ISO 639 by pycountry.

    >>> [parse_language(word) for word in ("eng", "en_US", "fre", "French", "http://id.loc.gov/vocabulary/iso639-1/es")]
    ['en', 'en-US', 'fr', 'fr', 'es']
    >>> parse_language("misc") is None
    True
    """
    text = word.strip().rpartition("/")[2] if word.startswith("http") else word.strip()
    head, _, rest = text.replace("_", "-").partition("-")
    if _TAG.match(text):
        code = head.lower()
        found = next((it for kind in ("alpha_2", "alpha_3", "bibliographic") if (it := pycountry.languages.get(**{kind: code}))), None)
    else:
        found, rest = None, ""
    found = found or pycountry.languages.get(name=text.capitalize())
    short = getattr(found, "alpha_2", None) or getattr(found, "alpha_3", None)
    return f"{short}-{rest}" if short and rest else short


def unique_urls(texts: Iterable[str]) -> tuple[str, ...]:
    """Keep the web addresses, each once."""
    return tuple(dict.fromkeys([text for text in texts if is_web(text)]))


def parse_titles(texts: Iterable[tuple[str, str | None]]) -> tuple[Text, ...]:
    """Give texts with their languages, each once, without contacts and empty ones."""
    found = [Text(strip_contacts(text), tag) for text, tag in texts if text]
    return tuple(dict.fromkeys(found) if len(found) > 1 else found)
