"""The SPARQL queries that count or list the things of a filter.

Queries count things that are one only once, as pages do. *has_parts* is whether initiatives may be
parts of others, which needs a longer and slower query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from publisher.data.properties import FACETS, Facet, class_iris
from publisher.data.tables import Filter
from publisher.rdf import NAMESPACES, iri
from vocab.initiative import Basis
from vocab.iris import Iris
from vocab.terms import literal

# What a thing counts as: its cluster, else the whole of an initiative or the title that its parts
# name, else itself. groups.sql computes the same.
_CLUSTERS = "OPTIONAL { ?group prov:hadMember ?thing }"
_PARTS = """OPTIONAL { SELECT ?thing (MIN(?top) AS ?whole) WHERE {
    { ?thing a wsis:Initiative ; dct:isPartOf+ ?above } UNION {
      { SELECT ?thing ?registry (STR(?name) AS ?title) WHERE {
        ?registry dcat:record/foaf:primaryTopic ?thing . ?thing a wsis:Initiative ; dct:isPartOf ?name . FILTER(isLiteral(?name)) } }
      { SELECT ?above ?registry (STR(?text) AS ?title) WHERE { ?registry dcat:record/foaf:primaryTopic ?above . ?above dct:title ?text } }
    }
    ?above a wsis:Initiative . FILTER NOT EXISTS { ?above dct:isPartOf/a wsis:Initiative }
    OPTIONAL { ?merged prov:hadMember ?above } BIND(COALESCE(?merged, ?above) AS ?top)
  } GROUP BY ?thing }
  OPTIONAL { SELECT ?thing (MIN(?name) AS ?named) WHERE {
    ?thing a wsis:Initiative ; dct:isPartOf ?name . FILTER(isLiteral(?name)) } GROUP BY ?thing }"""
_TAKES_PART = "?thing dct:publisher|wsis:partner|schema:funder"


def total(filters: Filter, iris: Iris, *, has_parts: bool) -> str:
    return _count(filters, (), "", "", iris, has_parts)


def counts(filters: Filter, facet: str, iris: Iris, *, has_parts: bool) -> str:
    """Write the query that counts the things by the values of a facet; the filter of that facet
    itself is ignored.
    """
    return _count(
        filters.with_codes(facet),
        [_facet_pattern(facet, filters.bases)],
        f"?{facet}",
        f"DESC(?things) ?{facet}",
        iris,
        has_parts,
    )


def cross_tabulate(filters: Filter, one: str, other: str, iris: Iris, *, has_parts: bool) -> str:
    """Write the query that counts the things by the values of two facets at once."""
    return _count(
        filters,
        [_facet_pattern(facet, filters.bases) for facet in (one, other)],
        f"?{one} ?{other}",
        f"?{one} ?{other}",
        iris,
        has_parts,
    )


def coverage_by_source(filters: Filter, facet: str, iris: Iris, *, has_parts: bool) -> str:
    """Write the query that counts the things with any value of a facet by registry."""
    return _count(
        filters,
        [_facet_pattern(name, filters.bases) for name in dict.fromkeys(("source", facet))],
        "?source",
        "?source",
        iris,
        has_parts,
    )


def partners(filters: Filter, iris: Iris, *, has_parts: bool) -> str:
    """Write the query that counts the things in which two organizations take part together."""
    return _count(
        filters,
        [f"{_TAKES_PART} ?one .", f"{_TAKES_PART} ?other .", "FILTER(STR(?one) < STR(?other))"],
        "?one ?other",
        "DESC(?things)",
        iris,
        has_parts,
    )


def organizations(filters: Filter, iris: Iris, *, has_parts: bool) -> str:
    """Write the query that counts the things by the organizations that take part in them."""
    return _count(
        filters,
        [f"{_TAKES_PART} ?organization ."],
        "?organization",
        "DESC(?things) ?organization",
        iris,
        has_parts,
    )


def parts(iris: Iris) -> str:
    """Write the query that counts the initiatives that name a whole."""
    pattern = "?thing a wsis:Initiative ; dct:isPartOf ?whole ."
    return _query(iris, "SELECT (COUNT(DISTINCT ?thing) AS ?things)", [pattern])


def listing(filters: Filter, iris: Iris) -> str:
    return _query(iris, "SELECT DISTINCT ?thing", _where(filters, iris), "ORDER BY ?thing")


def result_table(filters: Filter, iris: Iris, limit: int, offset: int) -> str:
    """Write the query that lists *limit* results of the filter's words from *offset* on, the best
    first.
    """
    search = f"(?thing ?score) text:query {literal(filters.words)} ."
    lines = [search, *_where(replace(filters, words=""), iris), *_COLUMN_PATTERNS]
    head = f"SELECT ?thing (MAX(?score) AS ?best) {' '.join(_COLUMNS)}"
    return _query(
        iris,
        head,
        lines,
        f"GROUP BY ?thing ORDER BY DESC(?best) ?thing LIMIT {limit} OFFSET {offset}",
    )


_COLUMN_PATTERNS = (
    'OPTIONAL { ?thing dct:title ?english FILTER (lang(?english) = "en") } OPTIONAL { ?thing dct:title ?any }',
    'OPTIONAL { ?thing dct:spatial ?place . ?place skos:prefLabel ?label FILTER (lang(?label) = "en") }',
    "OPTIONAL { ?place <http://metadata.un.org/sdg/codes/geoArea#iso3code> ?code }",
    "OPTIONAL { ?thing schema:startDate ?start } OPTIONAL { ?thing schema:endDate ?end } OPTIONAL { ?thing foaf:page ?page }",
)
_COLUMNS = (
    "(COALESCE(MIN(?english), MIN(?any)) AS ?title)",
    '(GROUP_CONCAT(DISTINCT ?label; separator="; ") AS ?country_name)',
    '(GROUP_CONCAT(DISTINCT ?code; separator="; ") AS ?iso3)',
    "(MIN(?start) AS ?start_date) (MAX(?end) AS ?end_date) (MIN(?page) AS ?website)",
)


def _query(iris: Iris, head: str, lines: Iterable[str], tail: str = "") -> str:
    text = "\n  ".join(lines)
    known = {
        **NAMESPACES,
        "text": "http://jena.apache.org/text#",
        "wsis": iris.ns,
        "ops": iris.operations,
        "itu-region": iris.scheme("itu-region"),
    }
    used = [f"PREFIX {name}: <{space}>" for name, space in known.items() if f"{name}:" in text]
    return "\n".join([*used, "", f"{head} WHERE {{", f"  {text}", f"}} {tail}".rstrip(), ""])


def _where(filters: Filter, iris: Iris) -> list[str]:
    kinds = filters.codes("kind") or tuple(class_iris(iris))
    values = " ".join(iri(FACETS["kind"].iri(kind, iris)) for kind in kinds)
    lines = [f"?thing text:query {literal(filters.words)} ."] if filters.words else []
    lines.append(f"VALUES ?class {{ {values} }} ?thing a ?class .")
    if filters.party:
        party = iri(filters.party)
        lines += [
            f"{{ VALUES ?party {{ {party} }} }} UNION {{ ?cluster prov:hadMember {party}, ?party }}",
            f"{_TAKES_PART} ?party .",
        ]
    for name, codes in filters.chosen:
        if name != "kind":
            lines.append(
                f"{{ SELECT DISTINCT ?thing WHERE {{ {_facet_filter(FACETS[name], codes, filters.bases, iris)} }} }}"
            )
    return lines


def _count(
    filters: Filter, patterns: Iterable[str], by: str, order: str, iris: Iris, has_parts: bool
) -> str:
    """Write the query that counts the things, *by* variables that *patterns* bind if there are any."""
    chosen = "?group, ?whole, ?named, ?thing" if has_parts else "?group, ?thing"
    lines = [*_where(filters, iris), *patterns, _CLUSTERS, *([_PARTS] if has_parts else [])]
    lines.append(f"BIND(COALESCE({chosen}) AS ?counted)")
    head = f"SELECT {by} (COUNT(DISTINCT ?counted) AS ?things)".replace("  ", " ")
    return _query(iris, head, lines, f"GROUP BY {by} ORDER BY {order}" if by else "")


def _facet_filter(facet: Facet, codes: Sequence[str], bases: Iterable[Basis], iris: Iris) -> str:
    values = " ".join(
        iri(facet.iri(code, iris)) if facet.iri_prefix else literal(code) for code in codes
    )
    named = "?thing dct:title|skos:prefLabel|a ?any . " if facet.name == "source" else ""
    return f"{named}{facet.to_sparql(bases, 'chosen')} VALUES ?chosen {{ {values} }}"


def _facet_pattern(facet: str, bases: Iterable[Basis]) -> str:
    return FACETS[facet].to_sparql(bases)
