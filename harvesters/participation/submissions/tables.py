"""Read submissions from a table, CSV or a workbook: a row is a submission, a column one of its
members.

A column is named like the member: ``goal``, ``publisher.name``, ``title@fr`` for a text in a
language, ``why.4@en`` for a reason. Several values of a cell stand on lines of their own, or have
semicolons between them.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from harvesters.errors import ParseError
from harvesters.options import suggestion
from harvesters.participation.submissions.members import MEMBERS, Kind
from harvesters.pipeline.bounded_call import BoundedCallError, call_bounded
from harvesters.pipeline.process_limits import UPLOAD_LIMITS
from harvesters.problems import InvalidValue, TooLarge, UnsupportedMedia
from harvesters.protocols.csv_file import SAMPLE, detect_dialect
from harvesters.protocols.spreadsheet import read_sheet
from harvesters.protocols.table_rows import name_columns
from languages.translations import gettext

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ROWS = 500  # of a table, without the header
MAX_FILE = 4 * 1024 * 1024  # bytes
_MAX_CHARACTERS = 8 * 1024 * 1024  # of all cells: a workbook may repeat one text in each of them
_SUBJECT = "The file"
_COLUMN = re.compile(
    r"([A-Za-z]+)(?:\.([A-Za-z0-9]+))?(?:@([A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*))?\Z", re.ASCII
)
_PARTS: Mapping[Kind, tuple[str, ...]] = {
    Kind.PARTY: ("name", "country", "classification"),
    Kind.PLACE: ("lat", "long", "label"),
    Kind.PICTURE: ("id", "caption"),
    Kind.REASONS: tuple(str(number) for number in range(1, 18)),
}
_LISTS = (Kind.WORDS, Kind.PARTIES)
_TEXTS = (Kind.TITLE, Kind.TEXT, Kind.REASONS)
_TEXT_PARTS = ("label", "caption")  # by language

# a line of a file: its number, its cells, and what is wrong with it
Line: TypeAlias = tuple[int, list[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its *name* in the header, the member, its part, and the language of its texts."""

    name: str
    member: str
    part: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: its *number* in the file, its *members* as they are before they are
    normalized, and its *faults* by member.
    """

    number: int
    members: Mapping[str, Any]
    faults: Mapping[str, str]


def read_table(body: bytes, media_type: str) -> list[TableRow]:
    """Return the rows of a table that are not empty.

    The file is parsed in a process of its own. Raises UnsupportedMedia, TooLarge for too many rows,
    InvalidValue if the file cannot be read or has an unknown column, and ParseError if it is no
    workbook, or ends that process.
    """
    if media_type not in (CSV, XLSX):
        raise UnsupportedMedia("Send %(types)s.", types=", ".join((CSV, XLSX)))
    try:
        return list(_rows(iter(call_bounded(read_lines, body, media_type, limits=UPLOAD_LIMITS))))
    except BoundedCallError as error:
        raise ParseError(f"{_SUBJECT}: reading it {error}") from error


def read_lines(body: bytes, media_type: str) -> list[Line]:
    """Return the lines of a file that are not empty: the header, and at most one row too many."""
    lines = (
        _csv_lines(body)
        if media_type == CSV
        else ((number, cells, "") for number, cells in enumerate(read_sheet(body, _SUBJECT), 1))
    )
    read: list[Line] = []
    count = 0
    for number, cells, fault in lines:
        trimmed = _trimmed(cells)
        if not (trimmed or fault):
            continue
        read.append((number, trimmed, fault))
        count += sum(len(cell) + 1 for cell in trimmed)
        if count > _MAX_CHARACTERS:
            raise ParseError(f"{_SUBJECT}: its cells have more than {_MAX_CHARACTERS:,} characters")
        if len(read) > MAX_ROWS + 1:
            break
    return read


def parse_column(name: str) -> Column | None:
    """Return the column with this name; None if no member is named so.

    >>> parse_column("title@fr"), parse_column("Publisher.Name").part, parse_column("colour")
    (Column(name='title@fr', member='title', part='', language='fr'), 'name', None)
    """
    match = _COLUMN.match(name.strip())
    member = _BY_LOWER.get(match[1].lower()) if match else None
    if match is None or member is None:
        return None
    kind = MEMBERS[member].kind if member != "type" else Kind.WORD
    part, language = (match[2] or "").lower(), match[3] or ""
    if part not in _PARTS.get(kind, ("",)):
        return None
    if language and kind not in _TEXTS and part not in _TEXT_PARTS:
        return None
    return Column(name, member, part, language)


_BY_LOWER = {name.lower(): name for name in ("type", *MEMBERS)}


def _rows(lines: Iterator[Line]) -> Iterator[TableRow]:
    header = next((cells for _, cells, fault in lines if not fault), None)
    if header is None:
        raise InvalidValue(
            "The file has no line with the names of the columns. Download the template."
        )
    columns = [_column(name) for name in name_columns(header)]
    for count, (number, cells, fault) in enumerate(lines, 1):
        if count > MAX_ROWS:
            raise TooLarge(
                "The file has more than %(count)s rows. Divide it into several files.",
                count=MAX_ROWS,
            )
        yield _row(number, cells, fault, columns)


def _trimmed(cells: list[str]) -> list[str]:
    last = max((number for number, cell in enumerate(cells, 1) if cell.strip()), default=0)
    return cells[:last]


def _column(name: str) -> Column:
    column = parse_column(name)
    if column is None:
        divided = ("publisher", "place", "picture")
        known = [
            "type",
            *MEMBERS,
            *(f"{member}.{part}" for member in divided for part in _PARTS[MEMBERS[member].kind]),
        ]
        near = suggestion(name[:100], known)
        raise InvalidValue(
            "The column “%(name)s” is unknown (%(near)s). Download the template for the columns.",
            name=name[:100],
            near=near,
        )
    return column


def _row(number: int, cells: list[str], fault: str, columns: list[Column]) -> TableRow:
    if fault:
        return TableRow(number, {}, {"record": fault})
    members: dict[str, Any] = {}
    faults: dict[str, str] = {}
    if len(cells) > len(columns):
        faults["record"] = gettext("The row has more cells than the header.")
    for column, cell in zip(columns, cells, strict=False):
        text = cell.strip()
        if text.startswith("="):
            faults[column.name] = gettext("Write the value itself here; this is a formula.")
        elif text:
            _add(members, column, text)
    return TableRow(number, members, faults)


def _add(members: dict[str, Any], column: Column, text: str) -> None:
    kind = MEMBERS[column.member].kind if column.member != "type" else Kind.WORD
    tag = column.language or "@none"
    if kind is Kind.REASONS:
        members.setdefault(column.member, {}).setdefault(column.part, {})[tag] = text
    elif kind in _TEXTS:
        members.setdefault(column.member, {})[tag] = text
    elif column.part in _TEXT_PARTS:
        members.setdefault(column.member, {}).setdefault(column.part, {})[tag] = text
    elif column.part:
        members.setdefault(column.member, {})[column.part] = text
    elif kind is Kind.ADDRESSES:
        members[column.member] = [word for word in re.split(r";\s+|\s+", text) if word]
    elif kind in _LISTS:
        members[column.member] = [word.strip() for word in re.split(r"[;\n]", text) if word.strip()]
    else:
        members[column.member] = text


def _csv_lines(body: bytes) -> Iterator[Line]:
    text = _decoded(body)
    dialect = detect_dialect(text[:SAMPLE], "", "", _known_columns)
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        strict=True,
    )
    while True:
        number = lines.line_num + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise InvalidValue(
                    "A quotation mark is not closed, in the row that begins at line %(line)s.",
                    line=number,
                ) from error
            yield number, [], str(error)
        else:
            yield number, cells, ""


def _decoded(body: bytes) -> str:
    wide = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return body.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue("The text of the file is not UTF-8. Save it as “CSV UTF-8”.") from error


def _known_columns(lines: list[list[str]]) -> int:
    """Return how many columns of the header are known: that of the right delimiter has the most."""
    header = next((line for line in lines if any(cell.strip() for cell in line)), [])
    return sum(parse_column(cell) is not None for cell in header)
