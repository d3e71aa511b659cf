"""CSV in any dialect: each row is a record, or all rows with the same key.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import charset_normalizer
import structlog
from pydantic import Field

from harvesters.errors import CharsetError, ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import (
    Reply,
    fitting_charset,
    marked_charset,
    refuse_html,
    text_charset,
)
from harvesters.options import must_be
from harvesters.page_model import InvalidRecord, Pages, Payload, Row
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.table_rows import (
    MAX_HEADER_LINE,
    Line,
    TableOptions,
    find_header,
    name_columns,
    read_table,
)
from harvesters.reasons import Reason
from harvesters.source import Source

DELIMITERS = (",", ";", "\t", "|", "^", ":")
SAMPLE = 64 * 1024  # Characters from which the dialect is detected.

_ACCEPT = "text/csv, text/plain;q=0.9, */*;q=0.5"
# Characters: Python's default of 131,072 is too small for long descriptions.
_MAX_CELL = 16 * 1024 * 1024
_CHUNK_BYTES = 1 << 20
_MAX_SAMPLE_BYTES = 256 * 1024  # Bytes of non-ASCII lines from which a charset is guessed.
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


Character = Annotated[
    str, must_be("one character", lambda value: isinstance(value, str) and len(value) == 1)
]


class CsvOptions(TableOptions):
    """The options of a CSV file."""

    delimiter: Character = Field(
        "",
        description="The delimiter; without it the one of comma, semicolon, tab, bar, caret and colon "
        "that splits the header into most columns.",
    )
    escape: Character = Field(
        "",
        description="The character before a quotation mark inside a cell, if it is not doubled, e.g. a backslash.",
    )
    charset: str = Field(
        "",
        description="The text's charset; without it UTF-8, else the charset of the Content-Type, else a guess from the text.",
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all rows. Changes alone cannot be requested, but an unchanged table is not read again.

    The table is downloaded to disk and read line by line, so that memory use is that of a page. A
    row with more or fewer cells than the header, or with broken quotes, is unreadable. Raises
    ParseError if the response is not a table, lacks the key's columns, or ends inside a quoted
    cell.
    """
    guessed: list[str] = []

    def read_lines(reply: Reply) -> Iterator[Line | InvalidRecord]:
        refuse_html(reply, "a table")
        charset, is_guess = _detect_charset(reply, CsvOptions.of(source).charset)
        guessed.extend([charset] if is_guess else [])
        # The codec utf-8-sig removes a byte order mark, which would become part of the header.
        return _read_lines(source, reply, "utf-8-sig" if charset == "utf-8" else charset)

    for page in read_table(source, fetch, cursor, _ACCEPT, read_lines, on_disk=True):
        yield replace(page, guessed_charset="".join(guessed))


def _read_lines(source: Source, reply: Reply, charset: str) -> Iterator[Line | InvalidRecord]:
    assert reply.path is not None
    csv.field_size_limit(_MAX_CELL)
    options = CsvOptions.of(source)

    def fits(rows: list[list[str]]) -> int:
        header = find_header(source, [Line(0, cells) for cells in rows[:MAX_HEADER_LINE]])
        return len(name_columns(header.cells)) if header else 0

    with reply.path.open(encoding=charset, newline="") as text:
        delimiter, quote = detect_dialect(text.read(SAMPLE), options.delimiter, fits)
        text.seek(0)
        lines = csv.reader(
            text,
            delimiter=delimiter,
            quotechar=quote,
            escapechar=options.escape or None,
            strict=True,
        )
        yield from iterate_lines(f"{source.name}: {reply.url}", lines)


def iterate_lines(where: str, lines: Any) -> Iterator[Line | InvalidRecord]:
    """Yield the lines of a csv.reader, whose type has no public name. Raise ParseError if the text
    ends inside a quoted cell: it was truncated.
    """
    while True:
        number = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                text = (
                    "%(subject)s is truncated: %(error)s, in the row that begins at line %(line)s"
                )
                raise ParseError(text, subject=where, error=str(error), line=number) from error
            fault = Reason("line %(line)s: %(error)s", line=number, error=str(error))
            yield InvalidRecord(None, fault)
        else:
            yield Line(number, cells)


def detect_dialect(
    sample: str, delimiter: str, fits: Callable[[list[list[str]]], int]
) -> tuple[str, str]:
    """Return the delimiter and the quotation mark with which the header has the most columns (*fits*
    counts them).

    If none has a header, the delimiter is the most frequent one in the first line. The quotation
    mark is the apostrophe if it encloses all cells of the first line, for any delimiter.
    """
    first = next((line.strip() for line in sample.splitlines() if line.strip()), "")
    is_quoted = any(
        mark in first and all(_QUOTED.match(cell.strip()) for cell in first.split(mark))
        for mark in DELIMITERS
    )
    quote = "'" if is_quoted else '"'
    marks = delimiter or DELIMITERS
    counts = {mark: fits(_parse_sample(sample, mark, quote)) for mark in marks}
    best = max(counts, key=lambda mark: counts[mark] if any(counts.values()) else first.count(mark))
    return best, quote


def _parse_sample(sample: str, delimiter: str, quote: str) -> list[list[str]]:
    rows: list[list[str]] = []
    # A sample that ends within a cell is read up to it.
    with suppress(csv.Error):
        rows.extend(
            csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quotechar=quote)
        )
    return rows


def _detect_charset(reply: Reply, named: str) -> tuple[str, bool]:
    """Return a file's charset, and whether it was guessed from the content: only if the text shows a
    language, and neither a byte order mark nor *named* says what it is. It is logged as a warning.
    """
    try:
        return text_charset(reply, named or None), False
    except CharsetError:
        guess = None if named or marked_charset(reply) else _guess_charset(reply)
        if guess is None:
            raise
    log.warning(
        "charset guessed from the content",
        url=reply.url,
        charset=guess,
        action="set the option charset",
    )
    return guess, True


def _guess_charset(reply: Reply) -> str | None:
    """Guess a charset from the lines that are not ASCII; None if they show no language.

    Charsets of Latin letters differ in few bytes, and the ranking of charset-normalizer prefers
    cp1250: its candidates, and windows-1252, are compared by the letters of languages.
    """
    content = bytearray()
    assert reply.path is not None
    with reply.path.open("rb") as file:
        while len(content) <= _MAX_SAMPLE_BYTES and (line := file.readline(_CHUNK_BYTES)):
            content += b"" if line.isascii() else line
    sample = bytes(content)
    with parser_errors(f"{reply.url}: its charset cannot be guessed"):
        matches = list(charset_normalizer.from_bytes(sample))
    names = [match.encoding for match in matches]
    if not any(match.coherence > 0 for match in matches):
        return None
    if not names[0].startswith("utf"):
        names = ["cp1252", *(name for name in names if not name.startswith("utf"))]
    names.sort(key=lambda name: _fitting_letters(sample, name), reverse=True)
    with suppress(CharsetError):
        return fitting_charset(reply, names)
    return None


def _fitting_letters(sample: bytes, charset: str) -> tuple[float, float]:
    """Return which share of the letters beyond ASCII belongs to a single language, line by line and
    in the whole text. A letter of another script fits in a word without Latin letters.
    """
    fitting, total, all_letters = 0, 0, Counter[str]()
    for line in sample.splitlines():
        letters: Counter[str] = Counter()
        for word in _WORD.findall(line.decode(charset, "replace").lower()):
            others = [letter for letter in word if not letter.isascii()]
            is_foreign = len(others) == len(word) and min(others, default="") >= "\u0370"
            fitting += len(others) if is_foreign else 0
            letters.update([] if is_foreign else others)
            total += len(others)
        all_letters += letters
        fitting += _most_of_one_language(letters)
    return fitting / max(total, 1), _most_of_one_language(all_letters) / max(total, 1)


def _most_of_one_language(letters: Counter[str]) -> int:
    return max(sum(letters[letter] for letter in known) for known in _ALPHABETS)


PROTOCOL = Protocol(collect, Payload.ROW, CsvOptions, incremental=False)
