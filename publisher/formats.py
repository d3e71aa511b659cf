"""Formats: media type, suffix and writer of every graph and table that we answer with."""

from __future__ import annotations

from dataclasses import dataclass

from pyoxigraph import QueryResultsFormat, RdfFormat


@dataclass(frozen=True, slots=True)
class Format:
    """One row: *media* is sent as Content-Type, *aliases* are also understood in Accept."""

    suffix: str
    label: str
    media: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph(Format):
    """A way to write triples."""

    writer: RdfFormat = RdfFormat.TURTLE


@dataclass(frozen=True, slots=True)
class Table(Format):
    """A way to write solutions."""

    writer: QueryResultsFormat = QueryResultsFormat.JSON


_GRAPHS = (
    Graph("ttl", "Turtle", "text/turtle; charset=utf-8", ("application/x-turtle",), RdfFormat.TURTLE),
    Graph("nt", "N-Triples", "application/n-triples", ("text/plain",), RdfFormat.N_TRIPLES),
    Graph("jsonld", "JSON-LD", "application/ld+json", ("application/json",), RdfFormat.JSON_LD),
    Graph("rdf", "RDF/XML", "application/rdf+xml", ("application/xml", "text/xml"), RdfFormat.RDF_XML),
)
HTML = Format("html", "HTML", "text/html; charset=utf-8", ("application/xhtml+xml",))
TIDY = Format("json", "JSON", "application/json")
_TABLES = (
    Table("json", "JSON", "application/sparql-results+json", ("application/json",), QueryResultsFormat.JSON),
    Table("xml", "XML", "application/sparql-results+xml", ("application/xml", "text/xml"), QueryResultsFormat.XML),
    Table("csv", "CSV", "text/csv; charset=utf-8", (), QueryResultsFormat.CSV),
    Table("tsv", "TSV", "text/tab-separated-values; charset=utf-8", (), QueryResultsFormat.TSV),
)

GRAPHS: dict[str, Graph] = {row.suffix: row for row in _GRAPHS}
TABLES: dict[str, Table] = {row.suffix: row for row in _TABLES}
# In which forms a resource is told, a page apart: application/json is ours here, not an alias of JSON-LD.
DATA: dict[str, Format] = {**{row.suffix: row for row in _GRAPHS}, "json": TIDY}
FORMS: dict[str, Format] = {**DATA, "html": HTML}


def names(row: Format) -> tuple[str, ...]:
    """Give every media type that asks for *row*, its own first, without parameters.

    >>> names(GRAPHS["ttl"])
    ('text/turtle', 'application/x-turtle')
    """
    return (row.media.partition(";")[0], *row.aliases)
