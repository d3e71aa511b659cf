"""Normalize values of any source: texts, also those in HTML, dates, timestamps, numbers and
languages, and remove personal contact data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from html import unescape
from html.entities import html5
from string import ascii_letters
from typing import Any
from urllib.parse import urljoin

import orjson
import pycountry

from harvesters.errors import ParseError, parser_errors
from vocab.initiative import Checksum, Document, Event, Initiative, Post, Resource, Text
from vocab.iris import is_web
from vocab.terms import SPDX

KINDS: Mapping[str, type[Resource]] = {
    "initiative": Initiative,
    "event": Event,
    "document": Document,
    "post": Post,
}

# Texts that tables have in place of a value. NA is Namibia, and "unknown" is a status.
NOTHING = frozenset((
    "-", "--", "–", "—", "n/a", "n.a", "#n/a", "n/d", "none", "null", "nil", "nan", "not available", "not applicable", "no information",
    "no information available", "information not available", "no data", "not specified", "not provided", "non disponible", "sans objet",
    "no disponible", "no aplica", "ninguno", "нет данных", "غير متوفر", "不适用", "无",
))  # fmt: skip
# Characters with which none of these texts begins: most values need no further comparison.
PLAIN_LETTERS = frozenset(ascii_letters + "0123456789") - {
    letter for word in NOTHING for letter in (word[0], word[0].upper())
}
_MAX_NOTHING_LENGTH = 60  # Characters: a longer text is a value.
MILLISECONDS = "milliseconds"  # A format of dates, beside those of strptime.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# At most 64 characters before the @ (RFC 5321), begun only where a word begins: a long word must
# not be tried at each of its letters.
_MAIL = re.compile(
    r"(?<![\w.%+\-])(?:mailto:)?[\w.%+\-]{1,64}@[\w\-]+(?:\.[\w\-]+)+", re.IGNORECASE
)
_PHONE = re.compile(
    r"(?:(?:tel|phone|telephone|fax|mobile|tél|тел)[.:]*\s*|(?=\+))\+?\(?\d[\d ()/.\-]{6,}\d",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d[\d ()/.\-]{6,}\d")  # It is tried first, since it fails fast.
_REDACTED = "[…]"  # It replaces a contact in texts of any language.
_DAY_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?\Z"
)
_SLASHED = re.compile(r"\d{4}/\d\d/\d\d\Z")
_BRACKET = re.compile("[][()（）]")
_YEARS = re.compile(r"([12]\d{3})\s*[-–—]\s*([12]\d{3})\Z", re.ASCII)
# Numbers of thirteen digits that can only be milliseconds: 2001-09-09 to 2100.
_MODERN = range(10**12, 4_102_444_800_000)
_EDITOR = re.compile(r'\s*\{\s*"ops"\s*:\s*\[')
_INTERVAL = re.compile(r"(\d{4}(?:-\d\d){0,2})/(\d{4}(?:-\d\d){0,2})\Z")
_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*\Z")
_AMOUNT = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:[, ][0-9]{3})+)(?:\.[0-9]+)?\Z")
_SIZE = re.compile(r"([0-9]{1,15})(?:\.0+)?\Z")  # Bytes, as a decimal in older versions of DCAT.
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2}){1,64}\Z")
# The algorithms that SPDX names.
_ALGORITHMS = frozenset(
    ("md2", "md4", "md5", "md6", "sha1", "sha224", "sha256", "sha384", "sha512")
)
_MAX_AMOUNT_LENGTH = 24  # Characters of a quadrillion with its separators and cents.
_MIDNIGHT = {"00:00", "00:00:00"}
_LANGUAGE_CACHE_SIZE = 4096  # Words: more than all spellings of all languages.
# Names and values that recur: a registry's vocabulary and organizations, some 4 MB.
_NAME_CACHE_SIZE = 16384
# Characters of a name. A longer value is a text, which is neither looked up nor cached.
MAX_NAME_LENGTH = 300


def normalize_inline(value: Any) -> str:
    """Return a text or a number as one line without redundant whitespace; empty for anything else.

    >>> normalize_inline("  A \\n b "), normalize_inline(4), normalize_inline(None), normalize_inline(["a"])
    ('A b', '4', '', '')
    """
    if isinstance(value, str):
        return " ".join(value.split())
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def decode_json(text: str) -> Any:
    """Decode a text that looks like JSON; return it as it is if it is none."""
    with suppress(ParseError), parser_errors("JSON"):
        return orjson.loads(text)
    return text


def read_editor(value: Any) -> Any:
    """Return the text of an editor's JSON (Quill's Delta, https://quilljs.com/docs/delta/); anything
    else unchanged.

    >>> read_editor('{"ops":[{"insert":"Wells "},{"insert":{"image":"a"}},{"insert":"for all"}]}')
    'Wells for all'
    """
    delta = decode_json(value) if isinstance(value, str) and _EDITOR.match(value) else value
    steps = delta.get("ops") if isinstance(delta, dict) else None
    if not isinstance(steps, list):
        return value
    inserted = (step.get("insert") for step in steps if isinstance(step, dict))
    return "".join(text for text in inserted if isinstance(text, str))


def is_nothing(text: str, further: Collection[str] = ()) -> bool:
    """Return whether a text stands for no value, in NOTHING or *further*, whatever its case.

    >>> is_nothing("N/A"), is_nothing(" None. "), is_nothing("NA"), is_nothing("tbc", {"tbc"})
    (True, True, False, True)
    """
    if len(text) > _MAX_NOTHING_LENGTH or (not further and text[:1] in PLAIN_LETTERS):
        return False
    word = " ".join(text.split()).rstrip(".").casefold()
    return word in NOTHING or word in further


def normalize_block(value: Any) -> str:
    """Return a long text with its paragraphs, stripped; empty for anything but text."""
    return value.strip() if isinstance(value, str) else ""


def strip_contacts(text: str) -> str:
    """Replace e-mail addresses and telephone numbers, which are personal data.

    >>> strip_contacts("Ask jane.doe@example.org or tel. +254 20 555 01 02 in 2024")
    'Ask […] or […] in 2024'
    """
    if "@" in text:
        text = _MAIL.sub(_REDACTED, text)
    if _may_have_phone(text):
        text = _PHONE.sub(_REDACTED, text)
    return text


def _may_have_phone(text: str) -> bool:
    """Return whether a text may contain a telephone number. Its prefixes, which are faster to search
    than its digits, are compared without their i and т, which have more than two cases.
    """
    low = text.lower()
    has_prefix = (
        "+" in low
        or "tel" in low
        or "phone" in low
        or "fax" in low
        or "mob" in low
        or "tél" in low
        or "ел" in low
    )
    return has_prefix and bool(_DIGITS.search(text))


@lru_cache(_NAME_CACHE_SIZE)
def _cached_name(text: str, tag: str | None) -> Text:
    return Text(strip_contacts(text), tag)


def parse_name(text: str, tag: str | None = None) -> Text:
    """Return a name or word, which may be frequent, with its language and without contacts."""
    return (
        _cached_name(text, tag) if len(text) <= MAX_NAME_LENGTH else Text(strip_contacts(text), tag)
    )


def unique_non_contact(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each text once, without empty ones and e-mail addresses."""
    return tuple(
        dict.fromkeys(
            [text for text in texts if text and not ("@" in text and _MAIL.fullmatch(text))]
        )
    )


def parse_email(text: str) -> str | None:
    """Return the e-mail address that *text* is, with ``mailto:`` or without, or None.

    >>> parse_email("mailto:info@example.org"), parse_email("info at example.org")
    ('info@example.org', None)
    """
    address = text.strip().removeprefix("mailto:")
    return address if "%" not in address and _MAIL.fullmatch(address) else None


def as_list(value: Any) -> list[Any]:
    """Return a list unchanged, None as an empty list, and anything else as a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _split_outside(text: str, mark: str) -> list[str]:
    """Split a text where no bracket is open. A bracket that is never closed is ignored."""
    pieces = text.split(mark)
    if len(pieces) == 1 or not _BRACKET.search(text):
        return pieces
    parts, open_parts, depth = [], list[str](), 0
    for piece in pieces:
        open_parts.append(piece)
        depth += sum(1 if sign in "([（" else -1 for sign in _BRACKET.findall(piece))
        if depth <= 0:
            parts.append(mark.join(open_parts))
            open_parts, depth = [], 0
    return parts + open_parts


def _split(text: str, mark: str | None) -> tuple[str, ...]:
    # At a line break a text is split before its lines are joined.
    whole = text if mark and "\n" in mark else normalize_inline(text)
    parts = _split_outside(whole, mark) if mark else [whole]
    return tuple(filter(None, map(normalize_inline, parts)))


_cached_split = lru_cache(_NAME_CACHE_SIZE)(_split)


def split_words(value: Any, mark: str | None) -> tuple[str, ...]:
    """Return the words of a value: those of a list, or of a text, each split at *mark* if given,
    except inside brackets.

    >>> split_words("a; b", ";"), split_words(["a", None, 4], None), split_words(None, ";")
    (('a', 'b'), ('a', '4'), ())
    >>> split_words("Health (all, also rural), (water, soil", ",")
    ('Health (all, also rural)', '(water', 'soil')
    """
    if isinstance(value, str):
        return (_cached_split if len(value) <= MAX_NAME_LENGTH else _split)(value, mark)
    texts = (item if isinstance(item, str) else normalize_inline(item) for item in as_list(value))
    return tuple(word for text in texts for word in _split(text, mark))


def normalize_date(value: Any, forms: Sequence[str] = ()) -> str | None:
    """Return a date as ISO 8601 if it is unambiguous, else unchanged; None for nothing.

    *forms* (strptime, or MILLISECONDS) are the source's formats. Thirteen digits are milliseconds
    since 1970. Midnight without a zone, as databases write a day, is that day.

    >>> normalize_date("2024-09-13 00:00:00.0"), normalize_date("2024/05/01"), normalize_date("3/4/2026"), normalize_date(2015)
    ('2024-09-13', '2024-05-01', '3/4/2026', '2015')
    >>> normalize_date("3/31/2026 12:00:00 AM", ["%m/%d/%Y %I:%M:%S %p"])
    '2026-03-31'
    >>> normalize_date(1583020800000), normalize_date(1583020801000), normalize_date("86400000", [MILLISECONDS])
    ('2020-03-01', '2020-03-01T00:00:01Z', '1970-01-02')
    """
    return parse_date(normalize_inline(value), forms)


def parse_date(text: str, forms: Sequence[str] = ()) -> str | None:
    """Normalize a date that is one line already, like ``normalize_date``."""
    if len(text) == 10 and text[4] == text[7] == "-":
        return text
    if match := _DAY_TIME.match(text):
        day, time, fraction, zone = match.groups()
        if zone is None and time in _MIDNIGHT and not (fraction or "").strip(".0"):
            return day
        return f"{day}T{time}{(fraction or '')[:7] if time.count(':') == 2 else ''}{zone or ''}"
    if _SLASHED.match(text):
        return text.replace("/", "-")
    if len(text) == 13 and text.isdecimal() and int(text) in _MODERN:
        return _parse_milliseconds(text)
    for form in forms:
        with suppress(ValueError, OverflowError):
            if form == MILLISECONDS:
                return _parse_milliseconds(text)
            return normalize_date(datetime.strptime(text, form).isoformat())
    return text or None


def _parse_milliseconds(text: str) -> str:
    """Return the time that many milliseconds after 1970; midnight, as databases write a day, is that
    day.
    """
    moment = _EPOCH + timedelta(milliseconds=int(text))
    written = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return written.removesuffix("T00:00:00") if written.endswith("T00:00:00") else f"{written}Z"


def without_local_time(text: str | None) -> str | None:
    """Return a time that has no zone as its day, since the hour is unknown elsewhere; anything else
    unchanged.

    >>> without_local_time("2026-05-01T19:00"), without_local_time("2026-05-01T19:00Z")
    ('2026-05-01', '2026-05-01T19:00Z')
    """
    match = _DAY_TIME.match(text) if text else None
    return match[1] if match and match[4] is None else text


def parse_interval(text: str) -> tuple[str, str] | None:
    """Parse an ISO 8601 interval, e.g. 2019/2021 or 2019-01-01/2021-12-31, or years with a dash;
    None if there is none.

    >>> parse_interval("2019/2021"), parse_interval("2006 – 2010"), parse_interval("2006-12")
    (('2019', '2021'), ('2006', '2010'), None)
    """
    match = _INTERVAL.match(text) if "/" in text else _YEARS.match(text)
    return (match[1], match[2]) if match else None


def parse_number(value: Any) -> float | None:
    """Parse a finite number between -1e9 and 1e9; None for anything else."""
    try:
        result = (
            float(value)
            if isinstance(value, int | float | str) and not isinstance(value, bool)
            else math.nan
        )
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) and abs(result) < 1e9 else None


def parse_size(value: Any) -> int | None:
    """Return a number of bytes; None for anything else, such as "2 MB".

    >>> parse_size("10325"), parse_size(2048), parse_size("1.0"), parse_size("2 MB"), parse_size("")
    (10325, 2048, 1, None, None)
    """
    match = _SIZE.match(normalize_inline(value))
    return int(match[1]) if match else None


def parse_checksum(digits: Any, algorithm: Any) -> Checksum | None:
    """Return a checksum whose algorithm is stated, as an IRI or by its usual name; None for any
    other.

    Source: https://spdx.org/rdf/terms/ (the algorithms)

    >>> parse_checksum("C157A79031E1C40F85931829BC5FC552", "MD5")
    Checksum(value='c157a79031e1c40f85931829bc5fc552', algorithm='http://spdx.org/rdf/terms#checksumAlgorithm_md5')
    >>> parse_checksum("c157", ""), parse_checksum("no digits", "md5")
    (None, None)
    """
    value, name = normalize_inline(digits).lower(), normalize_inline(algorithm)
    if not _HEXADECIMAL.match(value) or not name:
        return None
    usual = "".join(filter(str.isalnum, name)).lower()
    iri = (
        name
        if is_web(name)
        else f"{SPDX}checksumAlgorithm_{usual}"
        if usual in _ALGORITHMS
        else None
    )
    return Checksum(value, iri) if iri else None


def parse_amount(value: Any) -> float | None:
    """Parse an amount of money, which may have separators of thousands; None if it is zero or not a
    number.

    A comma is not a decimal point here, since it must be followed by three digits.

    >>> parse_amount("200,000,000"), parse_amount("1234.5"), parse_amount("0"), parse_amount("1,5")
    (200000000.0, 1234.5, None, None)
    """
    text = normalize_inline(value)
    if len(text) > _MAX_AMOUNT_LENGTH or not _AMOUNT.match(text):
        return None
    return float(text.replace(",", "").replace(" ", "")) or None


@lru_cache(maxsize=_LANGUAGE_CACHE_SIZE)
def parse_language(word: str) -> str | None:
    """Return the BCP 47 tag of a language given as a tag, an ISO 639 code or in English; None for
    others.

    Source: https://www.rfc-editor.org/info/bcp47 and ISO 639 by pycountry.

    >>> [parse_language(word) for word in ("eng", "en_US", "fre", "French", "http://id.loc.gov/vocabulary/iso639-1/es")]
    ['en', 'en-US', 'fr', 'fr', 'es']
    >>> parse_language("misc") is None
    True
    """
    text = word.strip().rpartition("/")[2] if word.startswith("http") else word.strip()
    head, _, rest = text.replace("_", "-").partition("-")
    kinds = ("alpha_2", "alpha_3", "bibliographic") if _TAG.match(text) else ()
    codes = (pycountry.languages.get(**{kind: head.lower()}) for kind in kinds)
    match = next(filter(None, codes), None) or pycountry.languages.get(name=text.capitalize())
    short = getattr(match, "alpha_2", None) or getattr(match, "alpha_3", None)
    return f"{short}-{rest}" if short and rest and kinds else short


def parse_languages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of languages, each once; a list with commas is split if each part is a
    language.

    >>> parse_languages(["en,es, ca", "French", "Klingon, or none"])
    ('en', 'es', 'ca', 'fr', 'Klingon, or none')
    """
    parts = [(text, [*map(parse_language, text.split(","))]) for text in texts]
    tags = [each if all(each) else [parse_language(text) or text] for text, each in parts]
    return tuple(dict.fromkeys(tag for each in tags for tag in each if tag))


def unique_urls(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([text for text in texts if is_web(text)]))


def parse_titles(texts: Iterable[tuple[str, str | None]]) -> tuple[Text, ...]:
    """Return texts with their languages, each once, without contacts and empty ones."""
    titles = [Text(strip_contacts(text), tag) for text, tag in texts if text]
    return tuple(dict.fromkeys(titles) if len(titles) > 1 else titles)


def parse_timestamp(text: str) -> datetime | None:
    """Parse an ISO 8601 date or time, in UTC if it has no zone. Return None if *text* is neither.

    >>> parse_timestamp("2026-01-31")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    >>> parse_timestamp("soon") is None
    True
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return in_utc(moment)


def may_be_newer(stamp: str | datetime | None, moment: datetime | None) -> bool:
    """Return whether something with the time *stamp* may have changed since *moment*; True if either
    time is unknown.
    """
    changed = parse_timestamp(stamp) if isinstance(stamp, str) else stamp
    return moment is None or changed is None or changed >= moment


def in_utc(moment: datetime) -> datetime:
    """Return *moment* in UTC; without a zone it counts as UTC.

    >>> in_utc(datetime(2026, 1, 31))
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
))  # fmt: skip
_MUTE = ("script", "style", "iframe", "object", "noscript", "template", "svg", "form")
_INLINE = (
    "abbr", "acronym", "audio", "big", "body", "button", "caption", "center", "cite", "code", "col", "colgroup", "del", "dfn", "dir", "em",
    "embed", "font", "head", "html", "img", "input", "ins", "kbd", "label", "link", "map", "mark", "meta", "picture", "small", "source",
    "span", "strike", "strong", "sub", "sup", "tbody", "tfoot", "thead", "title", "tt", "var", "video", "wbr",
)  # fmt: skip
_NAMES = {*_BLOCKS, *_MUTE, *_INLINE}
_MARKUP = re.compile(
    r"""<(?P<end>/?)(?P<name>[a-z][\w:.-]*+)(?P<rest>(?:"[^"<]*+"|'[^'<]*+'|[^"'<>])*+)>
    | <[a-z][\w:.-]*+\s++[\w:.-]++\s*+=[^<>]*+\Z
    | <!--(?:(?!<!--).)*?--> | <!doctype\b[^<>]*+>""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""\s++[\w:.-]++\s*+=\s*+["'\w#/]""")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MUTED = re.compile(
    rf"<({'|'.join(_MUTE)})(?:\s[^<>]*)?>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_LARGEST = 2_000_000  # Characters: nobody reads a longer text.
_TIMES = 4  # How often a text may be escaped: registries escape texts that others have escaped.


def html_to_text(text: str) -> str:
    r"""Return the visible text of *text*, with its paragraphs, also if it is escaped several times;
    a text without markup is returned unchanged.

    >>> html_to_text("<p>One &amp; <b>two</b></p><script>x()</script><p>Three</p>"), html_to_text("a < b")
    ('One & two\n\nThree', 'a < b')
    >>> html_to_text("&amp;lt;p&amp;gt;One &amp;amp;amp; two, a &amp;amp;lt; b&amp;lt;/p&amp;gt;")
    'One & two, a < b'
    """
    if len(text) > _LARGEST:
        return text.strip()
    for _ in range(_TIMES):
        plain = _MUTED.sub("", text) if "<" in text else text
        ended = {tag["name"].lower() for tag in _MARKUP.finditer(plain) if tag["end"]}
        plain = _MARKUP.sub(partial(_replace_tag, ended), plain) if "<" in plain else plain
        decoded = _ENTITY.sub(_character, plain) if "&" in plain else plain
        if plain != text:
            lines = (" ".join(line.split()) for line in decoded.split("\n"))
            decoded = "\n\n".join(filter(None, lines))
        if decoded == text:
            break
        text = decoded
    return text.strip()


def _replace_tag(ended: set[str], tag: re.Match[str]) -> str:
    """Return what is visible of a tag: a new paragraph, or nothing; what is no tag is unchanged.

    A tag is an end tag or ended by one, has an attribute or a prefix, or is HTML's; or it is a
    comment, or a tag that the end of the text cuts off.

    So "a < b", "x<y and z>3" and "<name>" have no tags, and neither has "a<b>c", since nothing ends
    the <b>.
    """
    if not _is_tag(tag, ended):
        return tag[0]
    return "\n\n" if (tag["name"] or "").lower() in _BLOCKS else ""


def _is_tag(tag: re.Match[str], ended: set[str]) -> bool:
    name, rest = (tag["name"] or "").lower(), (tag["rest"] or "").rstrip(" /")
    return bool(
        not name
        or name in ended
        or (name in _NAMES and not rest.strip())
        or (":" in name and not rest.strip())
        or _ATTRIBUTE.match(rest)
    )


def _character(entity: re.Match[str]) -> str:
    """Return the character of an entity; a name that HTML does not have, such as AT&T;, stays."""
    name = entity[0][1:]
    letter = unescape(entity[0]) if name[0] == "#" else html5.get(name, entity[0])
    return letter.replace("\xa0", " ")


def natural(text: str | None) -> int | None:
    """Return the natural number that *text* is in ASCII digits; None for any other text, and for a
    number of 16 digits or more.

    >>> natural("12"), natural("-1"), natural("²"), natural("9" * 16)
    (12, None, None, None)
    """
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


def join_url(base: str, address: str) -> str:
    """Return *address* resolved against *base*; unchanged if it cannot be resolved, such as
    ``http://[a``.

    >>> join_url("https://a.example/b", "c"), join_url("https://a.example/b", "http://[c")
    ('https://a.example/c', 'http://[c')
    """
    try:
        return urljoin(base, address)
    except ValueError:
        return address
