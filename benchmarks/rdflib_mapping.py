"""Peer: a record described with rdflib as most programs of the field do it: from the model to
terms, a graph, N-Triples.

It makes the statements of ``vocab.statements.describe`` and ``vocab.chronicle.attest`` for an
initiative as the simulated portal has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rdflib import Graph, Literal, Namespace, URIRef
from rdflib.namespace import DCAT, DCTERMS, FOAF, ORG, PROV, RDF, RDFS, SDO, SKOS, XSD

from vocab.initiative import Initiative, Party, Place, Role, Text, concept_of
from vocab.iris import Iris, is_web, slug
from vocab.statements.provenance import Provenance

ADMS = Namespace("http://www.w3.org/ns/adms#")
WGS = Namespace("http://www.w3.org/2003/01/geo/wgs84_pos#")
GEO = Namespace("http://www.opengis.net/ont/geosparql#")
_ROLES = {Role.LEAD: DCTERMS.publisher, Role.FUNDER: SDO.funder}
_TYPES = {10: XSD.date, 7: XSD.gYearMonth, 4: XSD.gYear}  # by the length of an ISO 8601 text


def built(initiative: Initiative, iris: Iris, about: Provenance) -> str:
    """Describe an initiative and its record as N-Triples."""
    graph = Graph()
    record = URIRef(iris.record(about.source, initiative.key))
    thing = URIRef(iris.thing("initiative", about.source, initiative.key))
    _own(graph, thing, initiative, Namespace(iris.ns))
    _lists(graph, thing, initiative, Namespace(iris.ns))
    for party in initiative.parties:
        _party(graph, thing, party, iris, about.source)
    for number, position in enumerate(initiative.places, 1):
        _place(graph, thing, URIRef(f"{record}#place-{number}"), position)
    _record(graph, record, thing, initiative.key, iris, about)
    return graph.serialize(format="nt")


def _own(graph: Graph, thing: URIRef, initiative: Initiative, wsis: Namespace) -> None:
    graph.add((thing, RDF.type, wsis.Initiative))
    one = (
        (DCTERMS.issued, initiative.issued and _moment(initiative.issued)),
        (DCTERMS.modified, initiative.modified and _moment(initiative.modified)),
        (SDO.startDate, initiative.start and _moment(initiative.start)),
        (SDO.endDate, initiative.end and _moment(initiative.end)),
        (wsis.coverage, initiative.coverage and _node(concept_of(initiative.coverage))),
        (wsis.status, initiative.status and _node(concept_of(initiative.status))),
    )
    for predicate, value in one:
        if value:
            graph.add((thing, predicate, value))


def _lists(graph: Graph, thing: URIRef, initiative: Initiative, wsis: Namespace) -> None:
    claims = (
        (wsis.actionLine, initiative.action_lines),
        (wsis.goal, initiative.goals),
        (wsis.target, initiative.targets),
    )
    many: tuple[tuple[URIRef, Iterable[URIRef | Literal]], ...] = (
        (DCTERMS.title, map(_text, initiative.titles)),
        (DCTERMS.description, map(_text, initiative.descriptions)),
        (DCTERMS.subject, map(_text, initiative.subjects)),
        (DCTERMS.identifier, map(Literal, (initiative.key, *initiative.identifiers))),
        (DCTERMS.language, map(Literal, initiative.languages)),
        (DCTERMS.license, map(_node, initiative.licences)),
        (DCTERMS.spatial, [_node(concept_of(value)) for value in initiative.countries]),
        (FOAF.page, map(_node, initiative.pages)),
        (wsis.activityType, [_node(concept_of(value)) for value in initiative.activity_types]),
        *((predicate, [_node(claim.concept) for claim in result]) for predicate, result in claims),
    )
    for predicate, values in many:
        for value in values:
            graph.add((thing, predicate, value))


def _party(graph: Graph, thing: URIRef, party: Party, iris: Iris, source: str) -> None:
    who = URIRef(iris.thing("organization", source, party.key or slug(party.name.value)))
    graph.add((thing, _ROLES.get(party.role, Namespace(iris.ns).partner), who))
    graph.add((who, RDF.type, ORG.Organization))
    graph.add((who, SKOS.prefLabel, _text(party.name)))
    if party.kind:
        graph.add((who, ORG.classification, _node(concept_of(party.kind))))
    if party.country:
        graph.add((who, DCTERMS.spatial, _node(party.country)))
    if party.page:
        graph.add((who, FOAF.homepage, _node(party.page)))


def _place(graph: Graph, thing: URIRef, where: URIRef, place: Place) -> None:
    graph.add((thing, SDO.location, where))
    graph.add((where, RDF.type, SDO.Place))
    if place.name:
        graph.add((where, RDFS.label, _text(place.name)))
    graph.add((where, WGS.lat, Literal(f"{place.latitude:g}", datatype=XSD.decimal)))
    graph.add((where, WGS.long, Literal(f"{place.longitude:g}", datatype=XSD.decimal)))
    spot = URIRef(f"{where}-point")
    graph.add((where, GEO.hasGeometry, spot))
    graph.add(
        (
            spot,
            GEO.asWKT,
            Literal(f"POINT({place.longitude:g} {place.latitude:g})", datatype=GEO.wktLiteral),
        )
    )


def _record(
    graph: Graph, record: URIRef, thing: URIRef, key: str, iris: Iris, about: Provenance
) -> None:
    wsis = Namespace(iris.ns)
    graph.add((record, FOAF.primaryTopic, thing))
    graph.add((record, RDF.type, DCAT.CatalogRecord))
    graph.add((record, DCTERMS.identifier, Literal(key)))
    graph.add((record, DCTERMS.issued, Literal(about.first_seen)))
    graph.add((record, DCTERMS.modified, Literal(about.modified)))
    graph.add((record, PROV.wasGeneratedBy, URIRef(iris.run(about.run))))
    graph.add((record, ADMS.status, wsis.published))
    graph.add((record, wsis.digest, Literal(about.digest)))
    graph.add((record, wsis.mapping, Literal(about.mapping)))
    graph.add((URIRef(iris.source(about.source)), DCAT.record, record))


def _text(text: Text) -> Literal:
    return Literal(text.value, lang=text.language)


def _node(value: str) -> URIRef | Literal:
    return URIRef(value) if is_web(value) else Literal(value)


def _moment(value: str) -> Literal:
    kind = _TYPES.get(len(value))
    try:
        if kind:
            return Literal(value, datatype=kind)
        time = datetime.fromisoformat(value)
        return Literal(time if time.tzinfo else time.replace(tzinfo=UTC))
    except ValueError:
        return Literal(value)
