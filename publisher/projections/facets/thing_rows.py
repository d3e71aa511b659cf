"""Convert the named graph of a thing to rows of the facet tables.

A row depends only on its graph. Values that depend on other graphs (stakeholder types, regions) are
derived by SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from publisher.projections.facets.facets import BITS, FACETS
from publisher.projections.facets.record_rows import Graph, Record, preferred_text
from publisher.projections.search.analyzer import primary_language
from publisher.rdf.ntriples_terms import Value
from vocab.iris import Iris
from vocab.terms import ADMS, DCT, FOAF, ORG, RDF, SCHEMA, SH, SIOC, SKOS, VIVO

Row = dict[str, object]
# in the order of their numbers in the tables, from 1
KINDS = ("initiative", "event", "document", "post", "organization")
_TEXTS = (f"{DCT}title", f"{SKOS}prefLabel", f"{DCT}description", f"{SIOC}content")
_ROLES = {f"{DCT}publisher": 1, "partner": 2, f"{SCHEMA}funder": 4}
_LINKS = {"line": "action-line", "goal": "goal", "target": "target"}
_ALL = sum(BITS.values())  # of a mark without a basis
# the properties that rows are made of, those of our ontology apart
_PROPERTIES = (
    f"{FOAF}primaryTopic", f"{ADMS}status", *_TEXTS, f"{SCHEMA}startDate", f"{SCHEMA}endDate", f"{SCHEMA}eventStatus",
    f"{DCT}issued", f"{DCT}modified", f"{DCT}isPartOf", f"{DCT}spatial", f"{DCT}type", f"{DCT}publisher", f"{SCHEMA}funder",
    f"{VIVO}relatedBy", f"{SH}resultSeverity",
)  # fmt: skip
ORGANIZATION_PROPERTIES = (f"{RDF}type", f"{ORG}classification", f"{DCT}spatial", *_TEXTS)
_OWN_PROPERTIES = (
    "venue", "coverage", "status", "activityType", "partner", "prizeCategory", "prizeStage", "prizeYear",
    *(f"{prefix}{name}" for prefix in ("crosswalked", "suggested") for name in ("ActionLine", "Goal", "Target")),
    "actionLine", "goal", "target",
)  # fmt: skip


def thing_properties(iris: Iris) -> list[str]:
    """Return the IRIs of all properties that ``thing_row`` reads."""
    own = (f"{iris.ns}{name}" for name in _OWN_PROPERTIES)
    return [*_PROPERTIES, *own, f"{iris.operations}result"]


def kind_number(kind: str) -> int:
    """Return the number of a kind."""
    return KINDS.index(kind) + 1


def thing_row(record: Record) -> Row:
    """Return the row of a published thing, with its marks ``[facet, code, bases]`` and its parties
    ``[organization, roles]``.
    """
    title = preferred_text(record.thing_values(f"{DCT}title"))
    start, end, issued = (
        record.graph.one(record.thing, name)
        for name in (f"{SCHEMA}startDate", f"{SCHEMA}endDate", f"{DCT}issued")
    )
    status = record.graph.one(record.thing, f"{SCHEMA}eventStatus") or ""
    return {
        "iri": record.thing,
        "kind": kind_number(record.kind),
        "source": record.source,
        "record": record.record,
        "title": title.text if title else None,
        "language": title.language if title else None,
        "begins": start,
        "ends": end,
        "issued": issued,
        "first_seen": record.graph.one(record.record, f"{DCT}issued"),
        "changed": record.graph.one(record.record, f"{DCT}modified"),
        "venue": record.graph.one(record.thing, f"{record.iris.ns}venue"),
        "whole": record.graph.one(record.thing, f"{DCT}isPartOf")
        if record.kind == "initiative"
        else None,
        "cancelled": status.endswith("Cancelled"),
        "marks": sorted(_marks(record)),
        "parties": sorted(_parties(record).items()),
        "prizes": [_prize(record, prize.text) for prize in record.thing_values(f"{VIVO}relatedBy")],
    }


def organization_row(graph: Graph, iri: str, iris: Iris) -> Row | None:
    """Return the row of an organization from its statements in all graphs; None if it is not an
    organization.
    """
    if not any(item.text == f"{ORG}Organization" for item in graph.all(iri, f"{RDF}type")):
        return None
    name = preferred_text(graph.all(iri, f"{SKOS}prefLabel"))
    source = iri.removeprefix(f"{iris.base}id/organization/").partition("/")[0]
    marks = {
        ("kind", "organization", _ALL),
        ("source", source, _ALL),
        *_coded("country", graph.all(iri, f"{DCT}spatial"), iris),
        *_languages(graph, iri),
    }
    return {
        "iri": iri,
        "kind": kind_number("organization"),
        "source": source,
        "record": None,
        "title": name.text if name else None,
        "language": name.language if name else None,
        **dict.fromkeys(("begins", "ends", "issued", "first_seen", "changed", "venue", "whole")),
        "cancelled": False,
        "marks": sorted(marks),
        "parties": [(iri, 0)] if graph.all(iri, f"{ORG}classification") else [],
        "prizes": [],
        "classes": [
            code
            for _, code, _ in _coded("stakeholder", graph.all(iri, f"{ORG}classification"), iris)
        ],
    }


Mark = tuple[str, str, int]


def _marks(record: Record) -> set[Mark]:
    ns, values = record.iris.ns, record.thing_values
    marks: set[Mark] = {
        ("kind", record.kind, _ALL),
        ("source", record.source, _ALL),
        *_languages(record.graph, record.thing),
        *_links(record),
    }
    for name, predicate in (
        ("country", f"{DCT}spatial"),
        ("coverage", f"{ns}coverage"),
        ("status", f"{ns}status"),
        ("type", f"{ns}activityType"),
    ):
        marks |= _coded(name, values(predicate), record.iris)
    if record.kind == "document":
        marks |= {("document", sort.text, _ALL) for sort in values(f"{DCT}type")}
    for prize in values(f"{VIVO}relatedBy"):
        marks |= _coded("prize", record.graph.all(prize.text, f"{ns}prizeCategory"), record.iris)
        marks |= _coded("stage", record.graph.all(prize.text, f"{ns}prizeStage"), record.iris)
        marks |= {
            ("prizeyear", year.text, _ALL)
            for year in record.graph.all(prize.text, f"{ns}prizeYear")
        }
    for result in record.graph.all(record.record, f"{record.iris.operations}result"):
        marks |= _coded("remark", record.graph.all(result.text, f"{SH}resultSeverity"), record.iris)
    began = (
        record.graph.one(record.thing, f"{SCHEMA}startDate")
        or record.graph.one(record.thing, f"{DCT}issued")
        or ""
    )
    # which means unknown
    if began[:4].isascii() and began[:4].isdigit() and len(began[:4]) == 4 and began[:4] != "0000":
        marks.add(("year", began[:4], _ALL))
    return marks


def _coded(name: str, values: Iterable[Value], iris: Iris) -> set[Mark]:
    return {(name, FACETS[name].code(value.text, iris), _ALL) for value in values if value.iri}


def _languages(graph: Graph, subject: str) -> Iterator[Mark]:
    for predicate in _TEXTS:
        for text in graph.all(subject, predicate):
            if not text.iri:
                yield "language", primary_language(text.language), _ALL


def _links(record: Record) -> Iterator[Mark]:
    """Yield each linked concept once, with the bits of all its bases."""
    bits: dict[tuple[str, str], int] = {}
    for name, scheme in _LINKS.items():
        for basis, bit in BITS.items():
            for concept in record.claims(scheme, basis.value):
                if concept.iri:
                    key = (name, FACETS[name].code(concept.text, record.iris))
                    bits[key] = bits.get(key, 0) | bit
                    yield "basis", basis.value, _ALL
    yield from ((name, code, bit) for (name, code), bit in bits.items())


def _parties(record: Record) -> dict[str, int]:
    parties: dict[str, int] = {}
    for predicate, bit in _ROLES.items():
        for party in record.thing_values(
            predicate if "/" in predicate else record.iris.ns + predicate
        ):
            if party.iri:
                parties[party.text] = parties.get(party.text, 0) | bit
    return parties


def _prize(record: Record, prize: str) -> list[str | None]:
    values = (
        next(iter(record.graph.all(prize, record.iris.ns + name)), None)
        for name in ("prizeCategory", "prizeStage", "prizeYear")
    )
    return [
        FACETS[name].code(value.text, record.iris) if value else None
        for name, value in zip(("prize", "stage", "prizeyear"), values, strict=True)
    ]
