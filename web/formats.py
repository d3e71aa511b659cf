"""The formats of graphs and tables: media type, file suffix and serializer of each."""

from __future__ import annotations

from dataclasses import dataclass

from pyoxigraph import QueryResultsFormat, RdfFormat


@dataclass(frozen=True, slots=True)
class Format:
    """A format: *media* is sent as Content-Type, *aliases* are also accepted in Accept."""

    suffix: str
    label: str
    media: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphFormat(Format):
    """A serialization of triples."""

    writer: RdfFormat = RdfFormat.TURTLE


@dataclass(frozen=True, slots=True)
class TableFormat(Format):
    """A serialization of query solutions."""

    writer: QueryResultsFormat = QueryResultsFormat.JSON


_GRAPHS = (
    GraphFormat(
        "ttl", "Turtle", "text/turtle; charset=utf-8", ("application/x-turtle",), RdfFormat.TURTLE
    ),
    GraphFormat("nt", "N-Triples", "application/n-triples", ("text/plain",), RdfFormat.N_TRIPLES),
    GraphFormat(
        "jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD
    ),
    GraphFormat(
        "rdf", "RDF/XML", "application/rdf+xml", ("application/xml", "text/xml"), RdfFormat.RDF_XML
    ),
)
HTML = Format("html", "HTML", "text/html; charset=utf-8", ("application/xhtml+xml",))
JSON = Format("json", "JSON", "application/json")
_TABLES = (
    TableFormat(
        "json",
        "JSON",
        "application/sparql-results+json",
        ("application/json",),
        QueryResultsFormat.JSON,
    ),
    TableFormat(
        "xml",
        "XML",
        "application/sparql-results+xml",
        ("application/xml", "text/xml"),
        QueryResultsFormat.XML,
    ),
    TableFormat("csv", "CSV", "text/csv; charset=utf-8", (), QueryResultsFormat.CSV),
    TableFormat(
        "tsv", "TSV", "text/tab-separated-values; charset=utf-8", (), QueryResultsFormat.TSV
    ),
)

GRAPHS: dict[str, GraphFormat] = {row.suffix: row for row in _GRAPHS}
TABLES: dict[str, TableFormat] = {row.suffix: row for row in _TABLES}
# The data formats of a resource: here application/json is our plain JSON, not an alias of JSON-LD.
DATA_FORMATS: dict[str, Format] = {**{row.suffix: row for row in _GRAPHS}, "json": JSON}
FORMATS: dict[str, Format] = {**DATA_FORMATS, "html": HTML}


def media_types(entry: Format) -> tuple[str, ...]:
    """Return every media type that selects *entry*, its own first, without parameters.

    >>> media_types(GRAPHS["ttl"])
    ('text/turtle', 'application/x-turtle')
    """
    return (entry.media.partition(";")[0], *entry.aliases)
