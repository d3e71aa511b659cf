"""A page of search results, and its JSON and RDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from typing_extensions import TypedDict

from publisher.projections.facets.queries import DifferentCounts
from publisher.projections.facets.thing_count import ThingCount
from publisher.projections.search.index import SearchEntry
from publisher.projections.search.searcher import Piece
from publisher.rdf.results import Term
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from vocab.iris import Iris
from vocab.terms import DCT, FOAF, ORG, RDF, SCHEMA, SIOC, SKOS
from web.endpoints import Count, Instant, WebAddress
from web.formats import GRAPHS, Format, GraphFormat

RESULT_FORMATS: dict[str, Format] = {
    "json": Format("json", "JSON", "application/json"),
    "csv": Format("csv", "CSV", "text/csv; charset=utf-8"),
    **{suffix: row for suffix, row in GRAPHS.items() if suffix in ("ttl", "nt", "jsonld", "rdf")},
}
_CLASS = {
    "event": f"{SCHEMA}Event",
    "document": f"{FOAF}Document",
    "post": f"{SIOC}Post",
    "organization": f"{ORG}Organization",
}

MarkedNames = tuple[tuple[tuple[Piece, ...], str | None], ...]  # with their languages


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A result: *title* is in the preferred language, *passage* is the matching part of its
    description; *modified* is a time in UTC.

    *links* are the IRIs of its concepts that the words name, *parties* and *places* the names of
    its organizations and places that have some of the words.
    """

    entry: SearchEntry
    score: float
    modified: str | None
    title: tuple[str, str | None] | None
    title_pieces: tuple[Piece, ...]
    language: str | None
    passage: tuple[Piece, ...]
    links: tuple[str, ...] = ()
    parties: MarkedNames = ()
    places: MarkedNames = ()


@dataclass(frozen=True, slots=True)
class TopicCard:
    """A topic with its *name* and *label* in the language of the visit; *initiatives* is how many
    have it, *page* is its page's path.

    *facet* and *code* are those of the search; of an organization *facet* is ``organization`` and
    *code* its IRI.
    """

    facet: str
    code: str
    iri: str
    name: str
    label: str
    initiatives: int
    page: str


class TitleJson(TypedDict):
    """A title and its language tag, null if unknown."""

    text: str
    language: str | None


class ResultJson(TypedDict):
    """A result."""

    thing: WebAddress
    kind: str
    source: str
    modified: Instant | None
    score: float
    titles: list[TitleJson]
    passage: str
    languages: Sequence[str]
    links: Sequence[WebAddress]
    organizations: list[str]
    places: list[str]


class SearchResultsJson(TypedDict):
    """A page of search results. *similar*: there are no exact matches; *facets* are counts by facet
    and code, which count each initiative once, as *total* does; pages have *records*.
    """

    query: str
    total: Count
    records: Count
    page: Count
    pages: Count
    per: Count
    similar: bool
    suggestion: str | None
    topics: list[TopicCard]
    previous: str | None
    next: str | None
    sparql: str | None
    facets: Mapping[str, Mapping[str, Count]]
    results: list[ResultJson]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of results; *similar* is whether there are no exact matches.

    *links* are the URLs of the previous and next page, "" for none. *total* and *facets*, counts by
    facet and code, have the numbers of things and of records; *facets* is over the *counted*
    records that fit best where those that have the words are too many; *query* is the SPARQL that
    lists the same. *topics* are what the words name, on the first page; *suggestion* is the search
    that was probably meant, "" where the words are found; *note* is a sentence on the number of
    initiatives if records of several registries describe one.
    """

    words: str
    total: ThingCount
    number: int
    last: int
    per: int
    similar: bool
    results: tuple[SearchResult, ...]
    links: Mapping[str, str]
    facets: DifferentCounts = field(default_factory=dict)
    counted: int = 0
    query: str = ""
    topics: tuple[TopicCard, ...] = ()
    suggestion: str = ""
    note: str = ""
    has_parts: bool = False  # whether initiatives count with their wholes


def serialize_results(page: SearchPage, row: Format, iris: Iris) -> bytes:
    """Write *page* in the format *row*, JSON or one of RDF."""
    if isinstance(row, GraphFormat):
        return serialize_description(_describe(page, iris), row)
    return _json(page)


def _json(page: SearchPage) -> bytes:
    document: SearchResultsJson = {
        "query": page.words,
        "total": page.total,
        "records": page.total.records,
        "page": page.number,
        "pages": page.last,
        "per": page.per,
        "similar": page.similar,
        "suggestion": page.suggestion or None,
        "topics": list(page.topics),
        "previous": page.links["previous"] or None,
        "next": page.links["next"] or None,
        "sparql": page.query or None,
        "facets": page.facets,
        "results": [_row(item) for item in page.results],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _row(result: SearchResult) -> ResultJson:
    return {
        "thing": result.entry.thing,
        "kind": result.entry.kind,
        "source": result.entry.source,
        "modified": result.modified,
        "score": round(result.score, 4),
        "titles": [{"text": text, "language": tag} for text, tag in result.entry.titles],
        "passage": "".join(piece.text for piece in result.passage),
        "languages": result.entry.languages,
        "links": result.links,
        "organizations": _join_pieces(result.parties),
        "places": _join_pieces(result.places),
    }


def _join_pieces(names: MarkedNames) -> list[str]:
    return ["".join(piece.text for piece in pieces) for pieces, _tag in names]


def _describe(page: SearchPage, iris: Iris) -> Description:
    statements = tuple(statement for item in page.results for statement in _statements(item, iris))
    return Description(iris.base, statements, {}, namespaces(iris))


def _statements(result: SearchResult, iris: Iris) -> Iterator[Statement]:
    thing = result.entry.thing
    yield Statement(
        thing, f"{RDF}type", Term(_CLASS.get(result.entry.kind, f"{iris.ns}Initiative"))
    )
    title = f"{SKOS}prefLabel" if result.entry.kind == "organization" else f"{DCT}title"
    text = f"{SIOC}content" if result.entry.kind == "post" else f"{DCT}description"
    for name, texts in ((title, result.entry.titles), (text, result.entry.texts)):
        for value, tag in texts:
            yield Statement(thing, name, Term(value, "literal", tag))
