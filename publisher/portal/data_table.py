"""The tables of a page, each with the SPARQL query that returns the same rows, as JSON, CSV and
RDF.

Counts are written as observations of the RDF Data Cube vocabulary
(https://www.w3.org/TR/vocab-data-cube/).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from typing_extensions import TypedDict

from publisher.projections.facets.facets import FACETS, describe_area
from publisher.rdf.results import Term
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from vocab.iris import Iris
from vocab.schemes import label
from vocab.terms import DCT, RDF, RDFS, XSD
from web.endpoints import WebAddress
from web.formats import GRAPHS, Format, GraphFormat

QB = "http://purl.org/linked-data/cube#"
VALUE = "http://purl.org/linked-data/sdmx/2009/measure#obsValue"
TABLE_FORMATS: dict[str, Format] = {
    "json": Format("json", "JSON", "application/json"),
    "csv": Format("csv", "CSV", "text/csv; charset=utf-8"),
    **{suffix: row for suffix, row in GRAPHS.items() if suffix in ("ttl", "nt", "jsonld", "rdf")},
}
Cell = str | int | None


class Column(NamedTuple):
    """A column; *facet* is that of its codes, else *property* (an IRI) describes its values, "" if
    RDF leaves it out.

    *linked*: its cells are IRIs.
    """

    name: str
    facet: str = ""
    property: str = ""
    linked: bool = False


@dataclass(frozen=True, slots=True)
class DataTable:
    """Rows and their columns; *query* is the SPARQL query that returns the same, "" for none. The
    first column of a list is the thing.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    query: str = ""
    is_observation: bool = True  # rows are counts, the last column their number


class FigureJson(TypedDict):
    """A table: *query* is the SPARQL query that returns the same rows, or null."""

    name: str
    title: str
    query: str | None
    rows: list[dict[str, Cell]]


class FiguresJson(TypedDict):
    """The tables of the page at the address *page*."""

    page: WebAddress
    figures: list[FigureJson]


def count_table(
    name: str, title: str, facets: Sequence[str], rows: Sequence[tuple[Cell, ...]], query: str
) -> DataTable:
    """Return the table of counts by some facets."""
    columns = (*(Column(facet, facet) for facet in facets), Column("things", property=VALUE))
    return DataTable(name, title, columns, tuple(rows), query)


def serialize_tables(sheets: Sequence[DataTable], row: Format, page: str, iris: Iris) -> bytes:
    """Serialize the tables of the page at the URL *page* in the format *row*."""
    if isinstance(row, GraphFormat):
        statements = tuple(item for sheet in sheets for item in _statements(sheet, page, iris))
        return serialize_description(Description(page, statements, {}, namespaces(iris)), row)
    return _csv(sheets, iris) if row.suffix == "csv" else _json(sheets, page)


def _json(sheets: Sequence[DataTable], page: str) -> bytes:
    figures: list[FigureJson] = [
        {
            "name": item.name,
            "title": item.title,
            "query": item.query or None,
            "rows": [
                {column.name: cell for column, cell in zip(item.columns, cells, strict=True)}
                for cells in item.rows
            ],
        }
        for item in sheets
    ]
    document: FiguresJson = {"page": page, "figures": figures}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _csv(sheets: Sequence[DataTable], iris: Iris) -> bytes:
    """Write rows with English names beside their codes, as ``country_name``; a year 0000, which
    means unknown, is empty.
    """
    out = io.StringIO()
    lines = csv.writer(out)
    columns = _csv_columns(sheets)
    header = [
        label for name, facet in columns.items() for label in (name, *label_columns(name, facet))
    ]
    lines.writerow(["figure", *header] if len(sheets) > 1 else header)
    for item in sheets:
        positions = {column.name: position for position, column in enumerate(item.columns)}
        for cells in item.rows:
            values: list[Cell] = []
            for name, facet in columns.items():
                cell = cells[positions[name]] if name in positions else None
                values += [
                    None if facet == "year" and cell == "0000" else cell,
                    *_labels(name, facet, cell, iris),
                ]
            lines.writerow([item.name, *values] if len(sheets) > 1 else values)
    return out.getvalue().encode()


def _csv_columns(sheets: Sequence[DataTable]) -> dict[str, str]:
    """Return the columns of all tables, each with its facet, "" for none; a column ``name`` beside
    a code is left out: the code has one.
    """
    columns = dict[str, str]()
    for item in sheets:
        is_coded = any(label_columns(column.name, column.facet) for column in item.columns)
        for column in item.columns:
            if column.name != "name" or not is_coded:
                columns[column.name] = columns.get(column.name) or column.facet
    return columns


def label_columns(name: str, facet: str) -> tuple[str, ...]:
    """Return the columns that accompany a column of codes in CSV.

    >>> label_columns("country", "country"), label_columns("line", "line"), label_columns("things", "")
    (('country_name', 'iso3', 'itu_region'), ('line_name',), ())
    """
    if facet == "country":
        return (f"{name}_name", "iso3", "itu_region")
    return (f"{name}_name",) if facet in FACETS and FACETS[facet].scheme else ()


def _labels(name: str, facet: str, cell: Cell, iris: Iris) -> tuple[Cell, ...]:
    columns = label_columns(name, facet)
    if not columns or cell is None:
        return (None,) * len(columns)
    if facet == "country":
        return describe_area(str(cell), iris)
    return (label(FACETS[facet].iri(str(cell), iris), "en", iris.base),)


def _statements(table: DataTable, page: str, iris: Iris) -> Iterator[Statement]:
    whole = f"{page}#{table.name}"
    if table.is_observation:
        yield Statement(whole, f"{RDF}type", Term(f"{QB}DataSet"))
        yield Statement(whole, f"{RDFS}label", Term(table.title, "literal", "en"))
    for number, cells in enumerate(table.rows, 1):
        subject = f"{whole}-{number}" if table.is_observation else str(cells[0])
        if table.is_observation:
            yield Statement(subject, f"{RDF}type", Term(f"{QB}Observation"))
            yield Statement(subject, f"{QB}dataSet", Term(whole))
        for column, cell in zip(table.columns, cells, strict=True):
            if cell is not None and (column.facet or column.property):
                yield Statement(subject, *_predicate_and_value(column, cell, iris))


def _predicate_and_value(column: Column, cell: Cell, iris: Iris) -> tuple[str, Term]:
    if isinstance(cell, int):
        return column.property or VALUE, Term(str(cell), "literal", None, f"{XSD}integer")
    facet = FACETS.get(column.facet)
    address = facet.iri(str(cell), iris) if facet else str(cell) if column.linked else ""
    value = Term(address) if address else Term(str(cell), "literal")
    return (
        f"{iris.ns}{facet.link_property}"
        if facet and facet.link_property
        else column.property or f"{DCT}subject"
    ), value
