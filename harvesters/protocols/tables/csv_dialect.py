"""Detect a CSV file's charset, delimiter and quotation mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import charset_normalizer
import structlog

from harvesters.errors import CharsetError
from harvesters.network.charset import is_charset
from harvesters.network.reply import Reply
from harvesters.parsing import parser_errors
from harvesters.reasons import Reason

DELIMITERS = (",", ";", "\t", "|", "^", ":")
QUOTES = ('"', "'")
SAMPLE = 64 * 1024  # characters from which the dialect is detected

_CHUNK_BYTES = 1 << 20
_MAX_SAMPLE_BYTES = 256 * 1024  # bytes of non-ASCII lines from which a charset is guessed
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:\-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_CONTROL = re.compile("[\x80-\x9f]")
_QUOTED = re.compile(r"'[^'\"]*'\Z")
# The letters beyond ASCII of languages in Latin script, after the main exemplar characters of CLDR
# (https://cldr.unicode.org/translation/core-data/exemplars), one language an item.
_ALPHABETS = tuple(map(frozenset, (
    "àâæçèéêëîïôœùûüÿ", "áàâãçéêíóôõúüªº", "áéíñóúüªº", "àèéìíîòóùªºú", "àçèéíïòóúü", "äöüß", "áäéèëíïóöú", "åäöéà",
    "æøåéòô", "áæðéíóöúýþ", "áâêîôûŵŷẁẃẅïëöäàèéìíòóùúý", "äöõüšž", "āčēģīķļņšūž", "ąčęėįšųūž", "ąćęłńóśźż",
    "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıİöşüâîû", "çë", "ċġħżàèìòù",
)))  # fmt: skip
_WORD = re.compile(r"[^\W\d_][^\s\x00-\x40\x5b-\x60\x7b-\x7f\u2010-\u201f«»…·]*")

log = structlog.get_logger()


class DetectedCharset(NamedTuple):
    """A charset, and whether it was *guessed* from the content because nothing states one."""

    name: str
    guessed: bool = False


class CsvDialect(NamedTuple):
    """The delimiter and the quotation mark."""

    delimiter: str
    quote: str


def detect_charset(reply: Reply, named: str | None) -> DetectedCharset:
    """Return a file's charset: its byte order mark's, else *named*, else UTF-8, the declared one,
    or a guess from the content.

    A guess is made only if the text shows a language; it is logged as a warning. Raises
    CharsetError if the bytes are in none of these.
    """
    assert reply.path is not None
    marked = next((name for mark, name in _BOMS if reply.content.startswith(mark)), None)
    declared = _CHARSET.search(reply.headers.get("content-type", ""))
    names = (
        [marked]
        if marked
        else [named]
        if named
        else ["utf-8", *([declared.group(1).lower()] if declared else [])]
    )
    # A text that is called ISO-8859-1 is windows-1252 for all browsers: https://encoding.spec.whatwg.org/#names-and-labels
    names += ["cp1252"] if any(_is_latin_1(name) for name in names) else []
    faults: list[str] = []
    for name in dict.fromkeys(names):
        if (fault := _decoding_error(reply.path, name)) is None:
            if faults and name == "cp1252":
                log.warning("charset is windows-1252", url=reply.url, fault=faults[-1])
            return DetectedCharset(name)
        faults.append(fault)
    looks = None if marked or named else _guess_charset(reply.path)
    if looks is None:
        raise CharsetError(
            Reason("wrong_table_charset", {"url": reply.url, "faults": " and ".join(faults)})
        )
    log.warning(
        "charset guessed from the content",
        url=reply.url,
        charset=looks,
        action="set the option charset",
    )
    return DetectedCharset(looks, guessed=True)


def _is_latin_1(name: str) -> bool:
    return is_charset(name) and codecs.lookup(name).name == "iso8859-1"


def _decoding_error(path: Path, name: str) -> str | None:
    """Return where a file is not in a charset; None if it is. One of a byte a character is the
    wrong one too where it leaves control characters of C1, which texts do not have.
    """
    if not is_charset(name):
        return f"in {name!r}, which is not a charset"
    decoder = codecs.getincrementaldecoder(name)()
    wide = codecs.lookup(name).name.startswith("utf")
    passed = 0
    with path.open("rb") as file:
        while True:
            part = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(part, final=not part)
            except UnicodeDecodeError as error:
                # the sequence may begin in the previous chunk
                offset = passed + len(part) - len(error.object) + error.start
                return f"not {name} at byte {offset} ({error.object[error.start : error.start + 1].hex()})"
            except UnicodeError as error:
                return f"not {name} behind byte {passed} ({error})"
            if not wide and (control := _CONTROL.search(text)):
                return f"not {name}, in which it has the control character U+{ord(control[0]):04X}"
            if not part:
                return None
            passed += len(part)


def _guess_charset(path: Path) -> str | None:
    """Guess a charset from the lines that are not ASCII; None if they show no language.

    Charsets of Latin letters differ in few bytes, and the ranking of charset-normalizer prefers
    cp1250: its candidates, and windows-1252, are compared by the letters of languages.
    """
    lines: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_CHUNK_BYTES), b""):
            if not line.isascii():
                lines.append(line)
                size += len(line)
                if size > _MAX_SAMPLE_BYTES:
                    break
    with parser_errors(f"{path.name}: its charset cannot be guessed"):
        matches = list(charset_normalizer.from_bytes(b"".join(lines)))
    if not any(match.coherence > 0 for match in matches):
        return None
    names = [match.encoding for match in matches]
    if not names[0].startswith("utf"):
        names = ["cp1252", *(name for name in names if not name.startswith("utf"))]
    usable = [name for name in dict.fromkeys(names) if _decoding_error(path, name) is None]
    return max(usable, key=lambda name: _fitting_letters(lines, name), default=None)


def _fitting_letters(lines: list[bytes], charset: str) -> tuple[float, float]:
    """Return the share of the letters beyond ASCII that one language of their line has, and that
    one language of the whole text has; a letter of another script fits in a word without Latin
    letters.
    """
    fitting, total, all_letters = 0, 0, Counter[str]()
    for line in lines:
        letters: Counter[str] = Counter()
        for word in _WORD.findall(line.decode(charset, "replace").lower()):
            others = [letter for letter in word if not letter.isascii()]
            if others and min(others) >= "\u0370" and len(others) == len(word):
                fitting += len(others)
            else:
                letters.update(others)
            total += len(others)
        all_letters.update(letters)
        fitting += _most_of_one_language(letters)
    return fitting / max(total, 1), _most_of_one_language(all_letters) / max(total, 1)


def _most_of_one_language(letters: Counter[str]) -> int:
    return max(sum(letters[letter] for letter in known) for known in _ALPHABETS)


def detect_dialect(
    sample: str, delimiter: str | None, quote: str | None, fits: Callable[[list[list[str]]], int]
) -> CsvDialect:
    """Return the dialect in which the header has the most columns (*fits* counts them).

    If none has a header, the delimiter is the most frequent one in the first line.
    """
    tried = [
        CsvDialect(mark, sign)
        for sign in (quote or _detect_quote(sample),)
        for mark in (delimiter or DELIMITERS)
    ]
    best = max(tried, key=lambda candidate: fits(list(_parse_sample(sample, candidate))))
    if fits(list(_parse_sample(sample, best))):
        return best
    first = next((line for line in sample.splitlines() if line.strip()), "")
    return max(tried, key=lambda candidate: first.count(candidate.delimiter))


def _detect_quote(sample: str) -> str:
    """Return the apostrophe if it encloses all cells of the first line, for any delimiter; else the
    quotation mark.
    """
    first = next((line.strip() for line in sample.splitlines() if line.strip()), "")
    parted = any(
        mark in first and all(_QUOTED.match(cell.strip()) for cell in first.split(mark))
        for mark in DELIMITERS
    )
    return QUOTES[1] if parted else QUOTES[0]


def _parse_sample(sample: str, dialect: CsvDialect) -> Iterator[list[str]]:
    """Yield the lines of a sample, as far as they can be parsed."""
    lines = csv.reader(
        io.StringIO(sample, newline=""), delimiter=dialect.delimiter, quotechar=dialect.quote
    )
    try:
        yield from lines
    except csv.Error:
        return
