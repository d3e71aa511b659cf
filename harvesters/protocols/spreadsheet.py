"""Spreadsheets (XLS, XLSX, XLSB and ODS): each row is a record, or all rows with the same key.

Source: https://github.com/tafia/calamine (which reads them) and
https://www.iso.org/standard/71691.html
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import python_calamine as calamine

from harvesters.definition_faults import expected, located, option_named
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import refuse_html
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Pages, Payload, Row
from harvesters.parsing import parser_errors
from harvesters.protocols import table_rows
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.table_rows import Line
from harvesters.reasons import Reason, Value
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    **table_rows.OPTIONS,
    "sheet": Option((str, int), 1, "The sheet to read, by its name or its number."),
    "join": Option(
        dict,
        None,
        "Further sheets by name, each with the column or columns of the key: "
        '`join = {Partners = "project"}` gives each record the list `Partners` of the rows with its key.',
    ),
}

_ACCEPT = (
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/vnd.ms-excel,"
    " application/vnd.oasis.opendocument.spreadsheet, */*;q=0.5"
)


def check(source: Source) -> None:
    """Raise SourceDefinitionError for a sheet numbered 0, one joined by no column, and two kinds of
    key.
    """
    if get_option(source, OPTIONS, "sheet") in {0, ""}:
        raise SourceDefinitionError(
            located(
                source.name, expected(option_named("sheet"), source.options["sheet"], "kind_sheet")
            )
        )
    for name, key in (source.options.get("join") or {}).items():
        if not key or not isinstance(key, str | list):
            kind = Reason("kind_or", {"first": Reason("kind_text"), "second": Reason("kind_list")})
            raise SourceDefinitionError(located(source.name, expected(f"join.{name}", key, kind)))
    table_rows.check(source)


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all rows of a sheet. Changes alone cannot be requested, but an unchanged workbook is
    not read again.

    All merged cells have the value of the first. Raises ParseError if the response is not a
    workbook, has no such sheet, or lacks the key's columns.
    """
    sheet = get_option(source, OPTIONS, "sheet")
    joined = get_option(source, OPTIONS, "join") or {}

    def read_joined(reply: Reply) -> Mapping[str, Iterable[table_rows.Item]]:
        return {
            name: table_rows.parse_rows(
                replace(source, options={"key": key}), reply.url, _read_lines(source, reply, name)
            )
            for name, key in joined.items()
        }

    yield from table_rows.read_table(
        source,
        fetch,
        cursor,
        _ACCEPT,
        lambda reply: _read_lines(source, reply, sheet),
        read_joined if joined else None,
    )


def _read_lines(source: Source, reply: Reply, sheet: int | str) -> Iterator[Line]:
    skip = get_option(source, OPTIONS, "skip")
    content = refuse_html(reply, "a spreadsheet")
    rows = read_sheet(content, f"{source.name}: {reply.url}", sheet)
    yield from (Line(number, row) for number, row in enumerate(rows, 1) if number > skip)


def read_sheet(content: bytes, subject: str, wanted: int | str = 1) -> Iterator[list[str]]:
    """Yield the texts of a sheet's cells, row by row from the first; *wanted* is its name or its
    number.

    All merged cells have the value of the first. Raises ParseError, with *subject* first, if this
    is no workbook, or has no such sheet. A hostile workbook can end the process at its limits: call
    this in a bounded process.
    """
    with parser_errors(Reason("not_spreadsheet", {"subject": subject})):
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = book.sheet_names
        try:
            name = names[wanted - 1] if isinstance(wanted, int) else wanted
            sheet = book.get_sheet_by_name(name)
        except (IndexError, calamine.WorksheetNotFound) as error:
            values: dict[str, Value] = {"subject": subject, "sheet": wanted}
            available = ", ".join(names)[:300]
            raise ParseError(Reason("no_sheet", {**values, "available": available})) from error
        before = [""] * (sheet.start[1] if sheet.start else 0)
        rows = (before + [_cell_text(cell) for cell in row] for row in sheet.iter_rows())
        yield from _fill_merged(rows, sorted(sheet.merged_cell_ranges or ()))


def _fill_merged(
    rows: Iterable[list[str]], ranges: list[tuple[tuple[int, int], tuple[int, int]]]
) -> Iterator[list[str]]:
    """Yield the rows; *ranges* are merged cells, from the topmost on."""
    following = deque(ranges)
    filled: list[tuple[int, slice, str]] = []  # last row, columns, text
    for number, row in enumerate(rows):
        filled = [item for item in filled if item[0] >= number]
        while following and following[0][0][0] <= number:
            (_, left), (bottom, right) = following.popleft()
            filled.append((bottom, slice(left, right + 1), "".join(row[left : left + 1])))
        for _, columns, text in filled:
            row[columns] = [text] * len(row[columns])
        yield row


def _cell_text(cell: Any) -> str:
    """Return a cell's text as its reader sees it, dates as ISO 8601.

    >>> _cell_text(4.0), _cell_text(0.5), _cell_text(True), _cell_text(date(2024, 5, 1))
    ('4', '0.5', 'true', '2024-05-01')
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if isinstance(cell, int | timedelta) else ""


PROTOCOL = Protocol(collect, Payload.ROW, OPTIONS, incremental=False, check=check)
