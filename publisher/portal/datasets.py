"""Pages with data: one address returns the page as HTML, and its tables as JSON, CSV or RDF, each with
the SPARQL query that returns the same rows, or its drawing as SVG.

Counts are written as observations of the RDF Data Cube vocabulary
(https://www.w3.org/TR/vocab-data-cube/).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson
from fastapi import APIRouter, Depends, Path
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from publisher.data.properties import FACETS, describe_area
from publisher.data.tables import FacetIndex, Filter, ListItem, Prize
from publisher.rdf import Term, namespaces
from publisher.releases.tables import LISTED, area_cells
from publisher.store.descriptions import Description, Statement, serialize_description
from vocab.iris import Iris
from vocab.schemes import label
from vocab.terms import DCT, RDF, RDFS, SCHEMA, XSD
from web.charts import standalone_svg
from web.endpoints import (
    EndpointT,
    declared_parameters,
    get,
    known_parameters,
    other_contents,
    problems,
)
from web.respond import (
    GRAPHS,
    HTML,
    Format,
    GraphFormat,
    ResourceURLs,
    choose_format,
    origin,
    respond,
    see_other,
    typed_link,
)

QB = "http://purl.org/linked-data/cube#"
VALUE = "http://purl.org/linked-data/sdmx/2009/measure#obsValue"
TABLE_FORMATS: dict[str, Format] = {
    "json": Format("json", "JSON", "application/json"),
    "csv": Format("csv", "CSV", "text/csv; charset=utf-8"),
    **{suffix: row for suffix, row in GRAPHS.items() if suffix in ("ttl", "nt", "jsonld", "rdf")},
}
SVG = Format("svg", "SVG", "image/svg+xml")
HOME = "/home"  # path of the front page's data
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


class DataPage(NamedTuple):
    """What an address returns: its tables as data, and *template* with *values* as its page, or a
    redirect to the path *page*. Only what is requested is computed. *drawing* is its SVG.
    """

    tables: Callable[[], Sequence[DataTable]]
    template: str = ""
    values: Callable[[], Mapping[str, object]] = dict
    drawing: Markup | None = None
    page: str = ""


def register_dataset(
    router: APIRouter,
    path: str,
    operation_id: str,
    summary: str,
    parameters: Sequence[dict[str, object]] = (),
    drawn: bool = False,
) -> Callable[[EndpointT], EndpointT]:
    """Register an endpoint that returns a DataPage at *path*, and at *path* with the suffix of a
    format.

    Only the address with a suffix is described. *parameters*: as OpenAPI describes them; *drawn*:
    there is an SVG too.
    """
    formats = (*TABLE_FORMATS.values(), *([SVG] if drawn else []))

    def register(endpoint: EndpointT) -> EndpointT:
        @wraps(endpoint)
        async def respond_dataset(request: Request, **values: Any) -> Response:
            if iscoroutinefunction(endpoint):
                return await run_in_threadpool(
                    dataset_response, request, (await endpoint(request=request, **values))
                )
            return await run_in_threadpool(
                lambda: dataset_response(request, endpoint(request=request, **values))
            )

        shared: dict[str, Any] = {
            "openapi_extra": {"parameters": list(parameters)},
            "response_model": None,
        }
        get(router, path, include_in_schema=False, **shared)(respond_dataset)
        get(
            router,
            f"{HOME if path == '/' else path}.{{suffix}}",
            operation_id=operation_id,
            summary=summary,
            tags=["find"],
            dependencies=[Depends(suffix_parameter), Depends(known_parameters)],
            response_description="The numbers",
            responses=other_contents(formats, "FiguresJson") | problems(400, 404, 406, 503),
            **shared,
        )(respond_dataset)
        return endpoint

    return register


async def suffix_parameter(
    suffix: Annotated[
        str, Path(description="The format", json_schema_extra={"enum": list(TABLE_FORMATS)})
    ],
) -> None:
    """Declare the parameter; ``dataset_response`` reads it from the raw path, and answers 406 for
    an unknown format.
    """


def dataset_response(request: Request, dataset: DataPage | Response) -> Response:
    """Return *dataset* in the requested format; a response unchanged."""
    if isinstance(dataset, Response):
        return dataset
    stem, suffix = _split_address(request)
    drawn = {} if dataset.drawing is None else {"svg": SVG}
    asked = request.path_params.get("suffix", suffix)  # as of /compare.alerts.html, which is none
    form = choose_format(
        request, {**TABLE_FORMATS, "html": HTML, **drawn}, asked, ResourceURLs(stem)
    )
    if form is HTML and dataset.page:
        return see_other(request, dataset.page)

    def data() -> bytes:
        iris = request.app.state.service.iris
        return serialize_tables(dataset.tables(), form, origin(request) + stem, iris)

    write: dict[str, Callable[[], Response | bytes]] = {
        "html": lambda: request.app.state.pages.page(
            dataset.template, forms=format_links(request, drawn=bool(drawn)), **dataset.values()
        ),
        "svg": lambda: standalone_svg(dataset.drawing or Markup()),
    }
    content = write.get(form.suffix, data)()
    addresses = dict(format_links(request))
    return respond(
        request,
        content,
        form,
        links=[
            typed_link("alternate", addresses[item.label], item.media)
            for item in TABLE_FORMATS.values()
        ],
    )


def format_links(request: Request, drawn: bool = False) -> list[tuple[str, str]]:
    """Return the other formats of a page: label and URL."""
    stem, _suffix = _split_address(request)
    names = declared_parameters(request) - {"format", "lang"}
    parameters = {
        name: value for name, value in request.query_params.items() if name in names and value
    }
    tail = f"?{urlencode(parameters)}" if parameters else ""
    return [
        (item.label, f"{stem}.{item.suffix}{tail}")
        for item in (*TABLE_FORMATS.values(), *([SVG] if drawn else []))
    ]


def _split_address(request: Request) -> tuple[str, str | None]:
    """Return the raw path without the suffix of a format, and the suffix. A percent-encoded slash
    does not begin a new segment.
    """
    raw = request.scope.get("raw_path", b"").partition(b"?")[0] or request.url.path
    path = quote(raw, safe="/%:@!$&'()*+,;=~-._")
    stem, _dot, suffix = path.rpartition(".")
    if suffix in (*TABLE_FORMATS, "svg", "html"):
        return stem, suffix
    return HOME if path == "/" else path, None


THINGS = Column("things", property=VALUE)


def serialize_tables(tables: Sequence[DataTable], form: Format, page: str, iris: Iris) -> bytes:
    """Serialize the tables of the page at the URL *page* in the format *form*."""
    if isinstance(form, GraphFormat):
        statements = tuple(item for table in tables for item in _statements(table, page, iris))
        return serialize_description(Description(page, statements, {}, namespaces(iris)), form)
    return _csv(tables, iris) if form.suffix == "csv" else _json(tables, page)


def _json(tables: Sequence[DataTable], page: str) -> bytes:
    return orjson.dumps(
        {
            "page": page,
            "figures": [
                {
                    "name": item.name,
                    "title": item.title,
                    "query": item.query or None,
                    "rows": [
                        {
                            column.name: cell
                            for column, cell in zip(item.columns, cells, strict=True)
                        }
                        for cells in item.rows
                    ],
                }
                for item in tables
            ],
        },
        option=orjson.OPT_INDENT_2,
    )


def _csv(tables: Sequence[DataTable], iris: Iris) -> bytes:
    """Write rows with English names beside their codes, as ``country_name``; a year 0000, which
    means unknown, is empty.
    """
    columns = _csv_columns(tables)
    names = (
        name for first, facet in columns.items() for name in (first, *label_columns(first, facet))
    )
    rows: list[list[Cell]] = [["figure", *names]]
    for table in tables:
        for cells in table.rows:
            known = dict(zip((column.name for column in table.columns), cells, strict=True))
            named = (
                _csv_cells(name, facet, known.get(name), iris) for name, facet in columns.items()
            )
            rows.append([table.name, *chain.from_iterable(named)])
    return write_csv(rows if len(tables) > 1 else (row[1:] for row in rows))


def write_csv(rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows by RFC 4180: lines end with CR LF."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _csv_columns(tables: Sequence[DataTable]) -> dict[str, str]:
    """Return the columns of all tables, each with its facet, "" for none; a column ``name`` beside
    a code is left out: the code has one.
    """
    columns = dict[str, str]()
    for item in tables:
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


def _csv_cells(name: str, facet: str, cell: Cell, iris: Iris) -> tuple[Cell, ...]:
    columns = label_columns(name, facet)
    if cell is None or (facet == "year" and cell == "0000"):
        return (None,) * (1 + len(columns))
    if facet == "country":
        return (cell, *describe_area(str(cell), iris))
    return (cell, *(label(FACETS[facet].iri(str(cell), iris), "en", iris.base) for _ in columns))


def _statements(table: DataTable, page: str, iris: Iris) -> Iterator[Statement]:
    dataset = f"{page}#{table.name}"
    if table.is_observation:
        yield Statement(dataset, f"{RDF}type", Term(f"{QB}DataSet"))
        yield Statement(dataset, f"{RDFS}label", Term(table.title, "literal", "en"))
    for number, cells in enumerate(table.rows, 1):
        subject = f"{dataset}-{number}" if table.is_observation else str(cells[0])
        if table.is_observation:
            yield Statement(subject, f"{RDF}type", Term(f"{QB}Observation"))
            yield Statement(subject, f"{QB}dataSet", Term(dataset))
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


# The columns of lists of things and of prizes, by the names of their values.
_LINE = {
    "iri": Column("thing"),
    "title": Column("title", property=f"{DCT}title"),
    "kind": Column("kind"),
    "source": Column("source"),
    "begins": Column("begins", property=f"{SCHEMA}startDate"),
    "ends": Column("ends", property=f"{SCHEMA}endDate"),
    "issued": Column("issued", property=f"{DCT}issued"),
    "changed": Column("changed", property=f"{DCT}modified"),
}
PRIZE = {
    "iri": Column("thing"),
    "title": Column("title", property=f"{DCT}title"),
    "category": Column("prize", facet="prize"),
    "stage": Column("stage", facet="stage"),
    "year": Column("year", property=f"{DCT}date"),
}


def list_table(
    name: str,
    title: str,
    lines: Iterable[ListItem | Prize],
    query: str,
    columns: Mapping[str, Column] = _LINE,
) -> DataTable:
    return DataTable(
        name,
        title,
        tuple(columns.values()),
        tuple(map(attrgetter(*columns), lines)),
        query,
        is_observation=False,
    )


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
    yield write_csv([[column.name for column in LISTED]])
    for start in range(offset, offset + limit, _BATCH):
        most = min(_BATCH, offset + limit - start)
        rows = tables.list_for_table(filters, order, most, start)
        yield write_csv(_listed_cells(*row, iris) for row in rows)
        if len(rows) < _BATCH:
            return


def _listed_cells(
    line: ListItem, cluster: str, page: str | None, codes: Mapping[str, Sequence[str]], iris: Iris
) -> list[object]:
    countries = [code.rpartition("/")[2] for code in codes.get("country", ())]
    cells: dict[str, object] = {
        "thing": line.iri,
        "kind": line.kind,
        "source": line.source,
        "cluster": cluster,
        "title": line.title,
        **area_cells(countries, iris),
        "action_lines": codes.get("line"),
        "goals": codes.get("goal"),
        "start_date": line.begins,
        "end_date": line.ends,
        "website": page,
        "changed": line.changed,
    }
    values = (cells.get(column.name) for column in LISTED)
    return [" ".join(cell) if isinstance(cell, list) else cell for cell in values]
