"""Count the statistics of the data set for VoID: classes, properties and links to other data sets
(https://www.w3.org/TR/void/).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
from pyoxigraph import RdfFormat, parse

from publisher.rdf.results import Term
from publisher.store.descriptions import Statement
from vocab.iris import Iris, encode
from vocab.terms import DCT, RDF, XSD

VOID = "http://rdfs.org/ns/void#"

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


@dataclass(slots=True)
class VoidCounts:
    """The counts: *properties* and *classes* by IRI, *links* by property and the IRI prefix of the
    target data set.
    """

    triples: int = 0
    entities: int = 0
    subjects: int = 0
    properties: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    links: Counter[tuple[str, str]] = field(default_factory=Counter)


def count_void(tables: duckdb.DuckDBPyConnection, iris: Iris) -> VoidCounts:
    """Count the triples of the table ``quads``."""
    counts = VoidCounts()
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
    for name, iri, target, count in rows.fetchall():
        if not iri:
            setattr(counts, name, count)
        else:
            getattr(counts, name)[(iri, target) if target else iri] = count
    return counts


def void_statements(
    counts: VoidCounts, iris: Iris, prefixes: dict[str, str]
) -> Iterator[Statement]:
    """Yield the statistics of our data set; *prefixes* are used in the names of its parts."""
    dataset = f"{iris.base}.well-known/void#dataset"
    totals = {
        "triples": counts.triples,
        "entities": counts.entities,
        "distinctSubjects": counts.subjects,
    }
    totals |= {"classes": len(counts.classes), "properties": len(counts.properties)}
    yield Statement(dataset, f"{RDF}type", Term(f"{VOID}Dataset"))
    yield from (
        Statement(dataset, VOID + name, _number(count)) for name, count in totals.items() if count
    )
    for kind, unit, parts in (
        ("property", "triples", counts.properties),
        ("class", "entities", counts.classes),
    ):
        for iri, count in sorted(parts.items()):
            part = _part(iris, kind, iri, prefixes)
            yield Statement(dataset, f"{VOID}{kind}Partition", Term(part))
            yield Statement(part, VOID + kind, Term(iri))
            yield Statement(part, VOID + unit, _number(count))
    for (name, space), count in sorted(counts.links.items()):
        yield from _linkset(iris, dataset, name, space, count, prefixes)


def _linkset(
    iris: Iris, dataset: str, name: str, space: str, count: int, prefixes: dict[str, str]
) -> Iterator[Statement]:
    other = f"{iris.base}.well-known/void#target-{list(TARGETS).index(space) + 1}"
    part = f"{_part(iris, 'links', name, prefixes)}-{list(TARGETS).index(space) + 1}"
    rows = (
        (dataset, f"{VOID}subset", Term(part)),
        (part, f"{RDF}type", Term(f"{VOID}Linkset")),
        (part, f"{VOID}subjectsTarget", Term(dataset)),
        (part, f"{VOID}objectsTarget", Term(other)),
        (part, f"{VOID}linkPredicate", Term(name)),
        (part, f"{VOID}triples", _number(count)),
        (other, f"{RDF}type", Term(f"{VOID}Dataset")),
        (other, f"{DCT}title", Term(TARGETS[space], "literal", "en")),
        (other, f"{VOID}uriSpace", Term(space, "literal")),
    )
    yield from (Statement(*row) for row in rows)


def _part(iris: Iris, kind: str, iri: str, prefixes: dict[str, str]) -> str:
    prefix, space = next(
        ((prefix, space) for prefix, space in prefixes.items() if iri.startswith(space)), ("", "")
    )
    name = f"{prefix}:{iri[len(space) :]}" if space else iri
    return f"{iris.base}.well-known/void#{kind}-{encode(name).replace('/', '%2F')}"


def parse_statements(text: bytes) -> Iterator[Statement]:
    """Parse the statements of void_statements from Turtle."""
    for quad in parse(text, RdfFormat.TURTLE):
        term = quad.object
        kind, language = (
            ("uri", None) if not hasattr(term, "datatype") else ("literal", term.language)
        )
        typed = (
            term.datatype.value
            if kind == "literal" and not language and term.datatype.value != f"{XSD}string"
            else None
        )
        yield Statement(
            quad.subject.value, quad.predicate.value, Term(term.value, kind, language, typed)
        )


def _number(value: int) -> Term:
    return Term(str(value), "literal", None, f"{XSD}integer")
