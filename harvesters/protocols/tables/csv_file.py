"""CSV: a table of text in any dialect, one record a row or one for the rows of a key.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import InvalidRecord, Page, Pages, Row
from harvesters.protocols.paged_document import cut
from harvesters.protocols.tables import table_rows
from harvesters.protocols.tables.csv_dialect import SAMPLE, Dialect, charset, dialect
from harvesters.protocols.tables.row_grouping import grouped
from harvesters.protocols.tables.table_rows import Line, columns
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **table_rows.OPTIONS,
    "delimiter": Option(
        str, None, "What parts cells; without it whichever of comma, semicolon, tab, bar, caret and colon the header needs."
    ),
    "quote": Option(str, None, "What stands around cells; without it the quotation mark, or the apostrophe where it is around all names."),
    "escape": Option(str, None, "What stands before a quotation mark inside a cell, where it is not doubled, e.g. a backslash."),
    "charset": Option(str, None, "The text's charset; without it UTF-8, else what the Content-Type says, else what the text looks like."),
}


class _Lines(Protocol):
    """What Python's csv.reader is, for which it has no name."""

    line_num: int

    def __next__(self) -> list[str]: ...


_CELL = 16 * 1024 * 1024  # characters: Python's own limit of 131,072 would cut long descriptions


def check(source: Source) -> None:
    """Refuse a delimiter, quote or escape of more than one character, and two ways to a key; raises SourceDefinitionError."""
    for name in ("delimiter", "quote", "escape"):
        given = source.options.get(name)
        if given is not None and len(given) != 1:
            raise SourceDefinitionError(f"{source.name}: option {name!r} is {given!r}; give one character")
    table_rows.check(source)


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all rows; *since* cannot be asked for, but a table that its server calls unchanged is not read again.

    The table is brought to disk and read line by line, so that one of any size takes the memory of a page. A row with more or fewer
    cells than the header, or with broken quotes, is unreadable. Raises ParseError where the answer is no table, lacks the
    key's columns, or ends in the middle of a quoted cell.
    """
    with fetch.download(source.url, accept="text/csv, text/plain;q=0.9, */*;q=0.5", conditional=cursor is None) as reply:
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        items = table_rows.records(source, reply.url, _lines(source, reply))
        for page in cut(grouped(items) if get_option(source, OPTIONS, "group") else items, reply, cursor):
            yield replace(page, doubt=table_rows.doubt(page))


def _lines(source: Source, reply: Reply) -> Iterator[Line | InvalidRecord]:
    refuse_html(reply, "a table")
    assert reply.path is not None
    csv.field_size_limit(_CELL)
    skip = get_option(source, OPTIONS, "skip")
    with reply.path.open(encoding=charset(reply, get_option(source, OPTIONS, "charset")), newline="") as text:
        for _ in range(skip):
            text.readline()
        begun = text.tell()
        its = _dialect(source, text.read(SAMPLE))
        text.seek(begun)
        lines = csv.reader(
            text, delimiter=its.delimiter, quotechar=its.quote, escapechar=get_option(source, OPTIONS, "escape"), strict=True
        )
        yield from _read(f"{source.name}: {reply.url}", lines, skip)


def _read(where: str, lines: _Lines, skip: int) -> Iterator[Line | InvalidRecord]:
    """Give the lines; raises ParseError where the text ends inside a quoted cell, so that it was cut off."""
    while True:
        number = lines.line_num + skip + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ParseError(f"{where} is no whole table: {error}, in what begins at line {number}") from error
            yield InvalidRecord(None, f"line {number}: {error}")
            continue
        yield Line(number, cells)


def _dialect(source: Source, sample: str) -> Dialect:
    def fits(lines: list[list[str]]) -> int:
        header = table_rows.found(source, [Line(0, cells) for cells in lines[: table_rows.LOOK]])
        return len(columns(header.cells)) if header else 0

    return dialect(sample, get_option(source, OPTIONS, "delimiter"), get_option(source, OPTIONS, "quote"), fits)
