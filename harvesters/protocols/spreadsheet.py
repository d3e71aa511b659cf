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
from itertools import count
from typing import Annotated, Any

import python_calamine as calamine
from pydantic import BeforeValidator, Field

from harvesters.errors import ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, refuse_html
from harvesters.options import as_tuple, must_be
from harvesters.page_model import Item, Pages, Payload, Row
from harvesters.protocols import table_rows
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.table_rows import Line, TableOptions
from harvesters.reasons import Reason
from harvesters.source import Source

_ACCEPT = (
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/vnd.ms-excel,"
    " application/vnd.oasis.opendocument.spreadsheet, */*;q=0.5"
)


def _is_sheet(value: object) -> bool:
    return bool(value) and (isinstance(value, str) or (type(value) is int and value > 0))


class SpreadsheetOptions(TableOptions):
    """The options of a workbook."""

    sheet: Annotated[str | int, must_be("a name or a number from 1", _is_sheet)] = Field(
        1, description="The sheet to read, by its name or its number."
    )
    join: dict[str, Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]] = (
        Field(
            {},
            description="Further sheets by name, each with the column or columns of the key: "
            '`join = {Partners = "project"}` gives each record the list `Partners` of the rows with its key.',
        )
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all rows of a sheet. Changes alone cannot be requested, but an unchanged workbook is
    not read again.

    All merged cells have the value of the first. Raises ParseError if the response is not a
    workbook, has no such sheet, or lacks the key's columns.
    """
    options = SpreadsheetOptions.of(source)

    def read_joined(reply: Reply) -> Mapping[str, Iterable[Item[Row]]]:
        return {
            name: table_rows.parse_rows(
                replace(source, options={"key": key}), reply.url, _read_lines(source, reply, name)
            )
            for name, key in options.join.items()
        }

    yield from table_rows.read_table(
        source,
        fetch,
        cursor,
        _ACCEPT,
        lambda reply: _read_lines(source, reply, options.sheet),
        read_joined if options.join else None,
    )


def _read_lines(source: Source, reply: Reply, sheet: int | str) -> Iterator[Line]:
    rows = read_sheet(refuse_html(reply, "a spreadsheet"), f"{source.name}: {reply.url}", sheet)
    yield from map(Line, count(1), rows)


def read_sheet(content: bytes, subject: str, wanted: int | str = 1) -> Iterator[list[str]]:
    """Yield the texts of a sheet's cells, row by row from the first; *wanted* is its name or its
    number.

    All merged cells have the value of the first. Raises ParseError, with *subject* first, if this
    is not a workbook, or has no such sheet. A hostile workbook can end the process at its limits: call
    this in a bounded process.
    """
    with parser_errors(Reason("%(subject)s is not a readable spreadsheet", subject=subject)):
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = book.sheet_names
        try:
            name = names[wanted - 1] if isinstance(wanted, int) else wanted
            sheet = book.get_sheet_by_name(name)
        except (IndexError, calamine.WorksheetNotFound) as error:
            text = "%(subject)s has no sheet %(sheet)s, only %(available)s"
            available = ", ".join(names)[:300]
            raise ParseError(text, subject=subject, sheet=wanted, available=available) from error
        before = [""] * (sheet.start[1] if sheet.start else 0)
        rows = (before + [_cell_text(cell) for cell in row] for row in sheet.iter_rows())
        yield from _fill_merged(rows, sorted(sheet.merged_cell_ranges or ()))


def _fill_merged(
    rows: Iterable[list[str]], ranges: list[tuple[tuple[int, int], tuple[int, int]]]
) -> Iterator[list[str]]:
    """Yield the rows; *ranges* are merged cells, from the topmost on."""
    following = deque(ranges)
    filled: list[tuple[int, slice, str]] = []  # The last row, the columns and the text of each.
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


PROTOCOL = Protocol(collect, Payload.ROW, SpreadsheetOptions, incremental=False)
