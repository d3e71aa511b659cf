"""The tables of lists, so that every list of a page is available as data."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from publisher.portal.data_table import Column, DataTable
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex, ListedThing, ListItem, Prize
from publisher.releases.tables import LISTED, area_cells
from vocab.iris import Iris
from vocab.terms import DCT, SCHEMA

_LINE = (
    Column("thing"),
    Column("title", property=f"{DCT}title"),
    Column("kind"),
    Column("source"),
    Column("begins", property=f"{SCHEMA}startDate"),
    Column("ends", property=f"{SCHEMA}endDate"),
    Column("issued", property=f"{DCT}issued"),
    Column("changed", property=f"{DCT}modified"),
)
_PRIZE = (
    Column("thing"),
    Column("title", property=f"{DCT}title"),
    Column("prize", facet="prize"),
    Column("stage", facet="stage"),
    Column("year", property=f"{DCT}date"),
)


def list_table(name: str, title: str, lines: Iterable[ListItem], query: str) -> DataTable:
    """Return the table of things."""
    rows = tuple(
        (
            item.iri,
            item.title,
            item.kind,
            item.source,
            item.begins,
            item.ends,
            item.issued,
            item.changed,
        )
        for item in lines
    )
    return DataTable(name, title, _LINE, rows, query, is_observation=False)


_BATCH = 5_000  # rows read at once
_UNLIMITED = 1 << 40  # more than any list has


def write_listed(
    tables: FacetIndex,
    filters: Filter,
    order: str,
    iris: Iris,
    limit: int = _UNLIMITED,
    offset: int = 0,
) -> Iterator[bytes]:
    """Yield the CSV of the filtered things, in the columns LISTED."""
    names, out = [column.name for column in LISTED], io.StringIO()
    lines = csv.DictWriter(out, names)  # of RFC 4180: lines end with CR LF
    lines.writeheader()
    last = offset + limit
    while rows := tables.list_for_table(filters, order, min(_BATCH, last - offset), offset):
        lines.writerows(_listed_cells(row, iris) for row in rows)
        yield out.getvalue().encode()
        out.seek(0)
        out.truncate()
        offset += len(rows)
        if offset >= last:
            return
    yield out.getvalue().encode()


def _listed_cells(row: ListedThing, iris: Iris) -> dict[str, object]:
    line = row.line
    countries = [code.rpartition("/")[2] for code in row.codes.get("country", ())]
    cells: dict[str, object] = {
        "thing": line.iri,
        "kind": line.kind,
        "source": line.source,
        "cluster": row.cluster,
        "title": line.title,
        **area_cells(countries, iris),
        "action_lines": row.codes.get("line"),
        "goals": row.codes.get("goal"),
        "start_date": line.begins,
        "end_date": line.ends,
        "website": row.page,
        "changed": line.changed,
    }
    return {
        name: " ".join(cell) if isinstance(cell, list) else cell for name, cell in cells.items()
    }


def prize_table(name: str, title: str, prizes: Iterable[Prize], query: str) -> DataTable:
    """Return the table of prizes."""
    rows = tuple((item.iri, item.title, item.category, item.stage, item.year) for item in prizes)
    return DataTable(name, title, _PRIZE, rows, query, is_observation=False)
