"""Two moments of the journal side by side, as tables whose numbers lead to the records that they
count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlencode

from languages.translations import gettext as _
from publisher.history.comparison import CHANGES, FACETS, Comparison, Moment, Numbers
from publisher.portal.data_table import Cell, Column, DataTable
from publisher.portal.facet_labels import FacetLabels, facet_title
from publisher.portal.facet_panels import sort_key

RECORDS = "/compare/records"
_SETS = {
    "country": "country:",
    "line": "line:",
    "goal": "goal:",
    "kind": "kind:",
    "source": "source:",
}


class MomentRow(NamedTuple):
    """The numbers of a code, by CHANGES with the address of the records that each counts; shares
    are of all records, 0 to 1.
    """

    code: str
    name: str
    numbers: tuple[tuple[int, str], ...]
    share_before: float
    share_after: float


class MomentTable(NamedTuple):
    """The rows of a facet."""

    facet: str
    title: str
    rows: tuple[MomentRow, ...]


def moment_tables(comparison: Comparison, names: FacetLabels) -> list[MomentTable]:
    """Return the numbers of all records, then those of each facet that has any."""
    tables = [MomentTable("", _("Records"), (_row(comparison, "", "", "", comparison.total),))]
    for facet in FACETS:
        codes = sorted(
            comparison.by_facet[facet].items(),
            key=lambda item: sort_key(facet, item[0], item[1].after),
        )
        rows = tuple(
            _row(comparison, facet, code, names.short(facet, code), numbers)
            for code, numbers in codes
        )
        tables += [MomentTable(facet, facet_title(facet), rows)] if rows else []
    return tables


def records_url(before: Moment, after: Moment, within: Iterable[str], only: str) -> str:
    """Return the address of the records that a number counts."""
    parameters = [
        ("from", before.text),
        ("to", after.text),
        *(("within", item) for item in within),
        ("only", only),
    ]
    return f"{RECORDS}?{urlencode(parameters)}"


def moment_sheets(tables: Iterable[MomentTable]) -> list[DataTable]:
    """Return the same as sheets of data, with the address of the records that each number counts."""
    return [_sheet(table) for table in tables]


def _row(comparison: Comparison, facet: str, code: str, name: str, numbers: Numbers) -> MomentRow:
    within = tuple(sorted({*comparison.within, *([f"{_SETS[facet]}{code}"] if facet else [])}))
    values = tuple(
        (
            int(getattr(numbers, only)),
            records_url(comparison.before, comparison.after, within, only),
        )
        for only in CHANGES
    )
    total = comparison.total
    return MomentRow(
        code,
        name,
        values,
        numbers.before / total.before if total.before else 0.0,
        numbers.after / total.after if total.after else 0.0,
    )


def _sheet(table: MomentTable) -> DataTable:
    own = (Column(table.facet, table.facet),) if table.facet else ()
    columns = (
        *own,
        *(
            Column(name)
            for name in (
                *CHANGES,
                "share_before",
                "share_after",
                *(f"{name}_records" for name in CHANGES),
            )
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for row in table.rows:
        shares = (f"{row.share_before:.6f}", f"{row.share_after:.6f}")
        counts, addresses = zip(*row.numbers, strict=True)
        rows.append((*((row.code,) if table.facet else ()), *counts, *shares, *addresses))
    return DataTable(
        table.facet or "records", table.title, columns, tuple(rows), "", is_observation=False
    )
