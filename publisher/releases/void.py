"""Count the classes, properties and links to other data sets for the VoID description of ours
(https://www.w3.org/TR/void/).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

import duckdb

from publisher.rdf import text_term, typed_term
from publisher.store.descriptions import Node, Statement, node_statements
from vocab.iris import Iris, encode
from vocab.terms import RDF

VOID = "http://rdfs.org/ns/void#"
FILE = "void.ttl"  # of a release
# The data sets that ours link to: the prefix of their IRIs, and their titles; the first match
# counts.
TARGETS = {
    "http://metadata.un.org/sdg/codes/geoArea/": "Countries and areas of the United Nations (M49)",
    "http://metadata.un.org/sdg/": "Sustainable Development Goals of the United Nations",
    "http://www.wikidata.org/entity/": "Wikidata",
    "https://ror.org/": "Research Organization Registry",
    "http://publications.europa.eu/resource/authority/": "Authority tables of the European Union",
    "http://id.loc.gov/": "Library of Congress",
    "http://sws.geonames.org/": "GeoNames",
}
# The properties of the totals, and the terms and units of the parts of the dataset.
_TOTALS = {"triples": "triples", "entities": "entities", "subjects": "distinctSubjects"}
_PARTS = {"properties": ("property", "triples"), "classes": ("class", "entities")}

# What is counted (a key of _TOTALS or _PARTS, or links), the IRI of the property or class, the prefix
# of the IRIs of the target of links, and the number.
VoidCount = tuple[str, str, str, int]


def count_void(tables: duckdb.DuckDBPyConnection, iris: Iris) -> list[VoidCount]:
    """Count the triples of the table ``quads``."""
    rows = tables.execute(
        f"""WITH triples AS MATERIALIZED (SELECT DISTINCT s, p, o FROM quads),
        links AS (SELECT p, list_filter($targets, lambda start: starts_with(o, '<' || start))[1] AS target
            FROM triples WHERE starts_with(s, '<{iris.base}') AND starts_with(o, '<http'))
        SELECT 'properties', p[2:-2], '', count(*) FROM triples GROUP BY p
        UNION ALL SELECT 'classes', o[2:-2], '', count(*) FROM triples WHERE p = '<{RDF}type>' GROUP BY o
        UNION ALL SELECT 'links', p[2:-2], target, count(*) FROM links WHERE target IS NOT NULL GROUP BY p, target
        UNION ALL SELECT 'triples', '', '', count(*) FROM triples
        UNION ALL SELECT 'subjects', '', '', count(DISTINCT s) FROM triples
        UNION ALL SELECT 'entities', '', '', count(DISTINCT s) FROM triples
            WHERE p = '<{RDF}type>' AND starts_with(s, '<{iris.base}id/')""",
        {"targets": list(TARGETS)},
    )
    return rows.fetchall()


def void_statements(
    counts: Iterable[VoidCount], iris: Iris, prefixes: dict[str, str]
) -> list[Statement]:
    """Return the statistics of our data set; *prefixes* are used in the names of its parts."""
    by_kind = defaultdict[str, list[tuple[str, str, int]]](list)
    for kind, iri, space, count in sorted(counts):
        by_kind[kind].append((iri, space, count))
    totals = {name: sum(count for *_, count in by_kind[kind]) for kind, name in _TOTALS.items()}
    totals |= {"classes": len(by_kind["classes"]), "properties": len(by_kind["properties"])}
    node = {
        "@id": f"{iris.base}.well-known/void#dataset",
        "rdf:type": f"{VOID}Dataset",
        **{VOID + name: typed_term(count, "integer") for name, count in totals.items() if count},
    }
    for kind, (term, unit) in _PARTS.items():
        node[f"{VOID}{term}Partition"] = [
            {
                "@id": _part(iris, term, iri, prefixes),
                VOID + term: iri,
                VOID + unit: typed_term(count, "integer"),
            }
            for iri, _, count in by_kind[kind]
        ]
    links = (_linkset(iris, *link, prefixes) for link in by_kind["links"])
    return [statement for item in (node, *chain(*links)) for statement in node_statements(item)]


def _linkset(
    iris: Iris, name: str, space: str, count: int, prefixes: dict[str, str]
) -> tuple[Node, Node]:
    """Return the links with the property *name*, and the data set that they lead to."""
    number, dataset = list(TARGETS).index(space) + 1, f"{iris.base}.well-known/void#dataset"
    target = {
        "@id": f"{iris.base}.well-known/void#target-{number}",
        "rdf:type": f"{VOID}Dataset",
        "dct:title": text_term(TARGETS[space], "en"),
        f"{VOID}uriSpace": text_term(space),
    }
    links = {
        "@id": f"{_part(iris, 'links', name, prefixes)}-{number}",
        "rdf:type": f"{VOID}Linkset",
        f"{VOID}subjectsTarget": dataset,
        f"{VOID}objectsTarget": target["@id"],
        f"{VOID}linkPredicate": name,
        f"{VOID}triples": typed_term(count, "integer"),
    }
    return {"@id": dataset, f"{VOID}subset": links}, target


def _part(iris: Iris, kind: str, iri: str, prefixes: dict[str, str]) -> str:
    prefix, space = next(
        ((prefix, space) for prefix, space in prefixes.items() if iri.startswith(space)), ("", "")
    )
    name = f"{prefix}:{iri[len(space) :]}" if space else iri
    return f"{iris.base}.well-known/void#{kind}-{encode(name).replace('/', '%2F')}"
