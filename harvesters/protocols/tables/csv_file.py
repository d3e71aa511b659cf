"""CSV in any dialect: each row is a record, or all rows with the same key.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from harvesters.definition_faults import expected, located, option_named
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import InvalidRecord, Page, Pages, Payload, Row
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.tables import table_rows
from harvesters.protocols.tables.csv_dialect import (
    SAMPLE,
    CsvDialect,
    detect_charset,
    detect_dialect,
)
from harvesters.protocols.tables.table_rows import Line, name_columns
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **table_rows.OPTIONS,
    "delimiter": Option(
        str,
        None,
        "The delimiter; without it whichever of comma, semicolon, tab, bar, caret and colon splits the header.",
    ),
    "quote": Option(
        str,
        None,
        "The quotation mark; without it the double one, or the apostrophe if it encloses all column names.",
    ),
    "escape": Option(
        str,
        None,
        "The character before a quotation mark inside a cell, if it is not doubled, e.g. a backslash.",
    ),
    "charset": Option(
        str,
        None,
        "The text's charset; without it UTF-8, else that of the Content-Type, else a guess from the text.",
    ),
}


class CsvReader(typing.Protocol):
    """The type of Python's csv.reader, which has no public name."""

    line_num: int

    def __next__(self) -> list[str]: ...


# characters; Python's default of 131,072 is too small for long descriptions
_MAX_CELL = 16 * 1024 * 1024


def check(source: Source) -> None:
    """Raise SourceDefinitionError for a delimiter, quote or escape of more than one character, and
    for two kinds of key.
    """
    for name in ("delimiter", "quote", "escape"):
        text = source.options.get(name)
        if text is not None and len(text) != 1:
            raise SourceDefinitionError(
                located(source.name, expected(option_named(name), text, "kind_character"))
            )
    table_rows.check(source)


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all rows. Changes alone cannot be requested, but an unchanged table is not read again.

    The table is downloaded to disk and read line by line, so that memory use is that of a page. A
    row with more or fewer cells than the header, or with broken quotes, is unreadable. Raises
    ParseError if the response is not a table, lacks the key's columns, or ends inside a quoted
    cell.
    """
    with fetch.download(
        source.url, accept="text/csv, text/plain;q=0.9, */*;q=0.5", conditional=cursor is None
    ) as reply:
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        refuse_html(reply, "a table")
        charset = detect_charset(reply, get_option(source, OPTIONS, "charset"))
        lines = _read_lines(source, reply, charset.name)
        for page in table_rows.make_pages(source, reply, lines, cursor):
            yield replace(page, guessed_charset=charset.name if charset.guessed else "")


def _read_lines(source: Source, reply: Reply, charset: str) -> Iterator[Line | InvalidRecord]:
    assert reply.path is not None
    csv.field_size_limit(_MAX_CELL)
    skip = get_option(source, OPTIONS, "skip")
    with reply.path.open(encoding=charset, newline="") as text:
        for _ in range(skip):
            text.readline()
        start = text.tell()
        dialect = _find_dialect(source, text.read(SAMPLE))
        text.seek(start)
        lines = csv.reader(
            text,
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=get_option(source, OPTIONS, "escape"),
            strict=True,
        )
        yield from _iterate_lines(f"{source.name}: {reply.url}", lines, skip)


def _iterate_lines(where: str, lines: CsvReader, skip: int) -> Iterator[Line | InvalidRecord]:
    """Yield the lines. Raise ParseError if the text ends inside a quoted cell: it was truncated."""
    while True:
        number = lines.line_num + skip + 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise ParseError(
                    Reason(
                        "table_truncated",
                        {"subject": where, "error": str(error), "line": number},
                    )
                ) from error
            yield InvalidRecord(
                None, Reason("line_unreadable", {"line": number, "error": str(error)})
            )
            continue
        yield Line(number, cells)


def _find_dialect(source: Source, sample: str) -> CsvDialect:
    def fits(lines: list[list[str]]) -> int:
        header = table_rows.find_header(
            source, [Line(0, cells) for cells in lines[: table_rows.MAX_HEADER_LINE]]
        )
        return len(name_columns(header.cells)) if header else 0

    return detect_dialect(
        sample, get_option(source, OPTIONS, "delimiter"), get_option(source, OPTIONS, "quote"), fits
    )


PROTOCOL = Protocol(collect, Payload.ROW, OPTIONS, incremental=False, check=check)
