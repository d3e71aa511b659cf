"""Read tab-separated tables that curators write: rows, and what is wrong with them."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

_MAX_FIELD = 1 << 16  # characters of a cell


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row; *line* is 0 if the row is in no table.

    *code* is an English text of the catalogues, which *values* fill.
    """

    code: str
    values: Mapping[str, str | int] = field(default_factory=dict)
    line: int = 0

    def at(self, line: int) -> RowFault:
        """Return the fault with the line where it is, counted from 1."""
        return replace(self, line=line)


class TableError(Exception):
    """The rest of a table cannot be read, because of *fault*."""

    def __init__(self, fault: RowFault) -> None:
        super().__init__(fault)
        self.fault = fault


def read_rows(
    text: str, columns: Sequence[str], needed: Collection[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the values of *columns* of each row; a missing value is "".

    Raises TableError if a column of *needed* is missing, or at a line that is not CSV.
    """
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=csv.excel_tab)
    try:
        if missing := set(needed) - set(reader.fieldnames or ()):
            values = {"missing": ", ".join(sorted(missing)), "columns": ", ".join(columns)}
            raise TableError(
                RowFault(
                    "no column %(missing)s; the columns are %(columns)s, separated by tabs",
                    values,
                    1,
                )
            )
        for row in reader:
            yield reader.line_num, {name: (row.get(name) or "").strip() for name in columns}
    except csv.Error as error:
        raise TableError(RowFault("other", {"text": str(error)}, reader.line_num)) from error


def date_fault(day: str) -> RowFault | None:
    """Return the fault of a text that is neither empty nor a date as in ISO 8601, else None."""
    try:
        date.fromisoformat(day or "2000-01-01")
    except ValueError:
        return RowFault("%(value)s is no date; write it as 2026-01-31", {"value": repr(day[:80])})
    return None
