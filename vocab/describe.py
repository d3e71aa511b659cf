"""Description: the only writer of triples, from the model to sorted N-Triples statements.

A statement is the text ``<s> <p> <o>`` without its closing dot; a description is a sorted list of them without
doubles, and ``quads`` puts it into its record's graph. There are no blank nodes: a part gets an IRI under its record's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import singledispatch

from vocab.initiative import Basis, Claim, Document, Event, Initiative, Party, Place, Post, Prize, Resource, Role, Text
from vocab.iris import Iris, slug
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    ORG,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SH,
    SIOC,
    SKOS,
    VIVO,
    WGS,
    decimal,
    instant,
    literal,
    moment,
    node,
)

_A = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning of the judges that is published with the record; *path* is an IRI or None."""

    component: str
    severity: str
    message: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from and by which run it is what it is; *digest* is hexadecimal, the times are UTC."""

    source: str
    run: str
    mapping: str
    digest: str
    first_seen: datetime
    modified: datetime
    remarks: tuple[Remark, ...] = ()


def _texts(out: list[str], subject: str, predicate: str, texts: Iterable[Text]) -> None:
    out.extend(f"{subject} {predicate} {literal(text.value, text.language)}" for text in texts)


def _coded(out: list[str], subject: str, predicate: str, values: Iterable[str | None]) -> None:
    out.extend(f"{subject} {predicate} {node(value)}" for value in values if value)


# The three bases have a property each, so that no query mixes them unless it asks to.
_CLAIM = {Basis.DECLARED: "", Basis.CROSSWALKED: "crosswalked", Basis.SUGGESTED: "suggested"}


def _claims(out: list[str], subject: str, record: str, ns: str, name: str, claims: Iterable[Claim]) -> None:
    for claim in claims:
        basis = _CLAIM[claim.basis]
        term = f"{basis}{name[0].upper()}{name[1:]}" if basis else name
        out.append(f"{subject} <{ns}{term}> {node(claim.concept)}")
        if not basis:
            continue
        part = f"<{record}#{basis}-{slug(claim.concept.rpartition('/')[2])}>"
        out += [
            f"{part} {_A} <{ns}Classification>",
            f"{part} <{ns}classified> {subject}",
            f"{part} <{ns}concept> {node(claim.concept)}",
            f"{part} <{ns}basis> <{ns}{basis}>",
        ]
        if claim.word:
            out.append(f"{part} <{ns}sourceWord> {literal(claim.word)}")
        if claim.confidence is not None:
            out.append(f"{part} <{ns}confidence> {decimal(claim.confidence)}")


_ROLE = {Role.LEAD: f"<{DCT}publisher>", Role.FUNDER: f"<{SCHEMA}funder>"}


def _parties(out: list[str], subject: str, iris: Iris, source: str, parties: Iterable[Party]) -> None:
    for party in parties:
        organization = f"<{iris.thing('organization', source, party.key or slug(party.name.value))}>"
        out += [
            f"{subject} {_ROLE.get(party.role) or f'<{iris.ns}partner>'} {organization}",
            f"{organization} {_A} <{ORG}Organization>",
            f"{organization} <{SKOS}prefLabel> {literal(*party.name)}",
        ]
        _coded(out, organization, f"<{ORG}classification>", [party.kind])
        _coded(out, organization, f"<{DCT}spatial>", [party.country])
        _coded(out, organization, f"<{FOAF}homepage>", [party.page])


def _places(out: list[str], subject: str, record: str, places: Iterable[Place]) -> None:
    for number, place in enumerate(places, 1):
        part = f"<{record}#place-{number}>"
        out += [
            f"{subject} <{SCHEMA}location> {part}",
            f"{part} {_A} <{SCHEMA}Place>",
            f"{part} <{WGS}lat> {decimal(place.latitude)}",
            f"{part} <{WGS}long> {decimal(place.longitude)}",
        ]
        if place.name:
            out.append(f"{part} <{RDFS}label> {literal(*place.name)}")


def _prizes(out: list[str], subject: str, record: str, ns: str, prizes: Iterable[Prize]) -> None:
    for number, prize in enumerate(prizes, 1):
        part = f"<{record}#prize-{number}>"
        out += [
            f"{part} {_A} <{VIVO}AwardReceipt>",
            f"{subject} <{VIVO}relatedBy> {part}",
            f"{part} <{ns}prizeCategory> {node(prize.category)}",
            f"{part} <{ns}prizeStage> {node(prize.stage)}",
        ]
        if prize.year is not None:
            out.append(f"{part} <{ns}prizeYear> {moment(f'{prize.year:04d}')}")


def _dates(out: list[str], subject: str, start: str | None, end: str | None) -> None:
    if start:
        out.append(f"{subject} <{SCHEMA}startDate> {moment(start)}")
    if end:
        out.append(f"{subject} <{SCHEMA}endDate> {moment(end)}")


def _common(out: list[str], it: Resource, subject: str, record: str, iris: Iris, source: str) -> None:
    _texts(out, subject, f"<{DCT}title>", it.titles)
    _texts(out, subject, f"<{DCT}description>", it.descriptions)
    _texts(out, subject, f"<{DCT}subject>", it.subjects)
    out.append(f"{subject} <{DCT}identifier> {literal(it.key)}")
    out.extend(f"{subject} <{DCT}identifier> {literal(text)}" for text in it.identifiers)
    _coded(out, subject, f"<{FOAF}page>", it.pages)
    out.extend(f"{subject} <{DCT}language> {literal(text)}" for text in it.languages)
    _coded(out, subject, f"<{DCT}license>", [it.licence])
    if it.issued:
        out.append(f"{subject} <{DCT}issued> {moment(it.issued)}")
    if it.modified:
        out.append(f"{subject} <{DCT}modified> {moment(it.modified)}")
    _coded(out, subject, f"<{DCT}spatial>", it.countries)
    _coded(out, subject, f"<{DCT}relation>", it.related)
    _claims(out, subject, record, iris.ns, "actionLine", it.action_lines)
    _claims(out, subject, record, iris.ns, "goal", it.goals)
    _claims(out, subject, record, iris.ns, "target", it.targets)
    _parties(out, subject, iris, source, it.parties)


@singledispatch
def _own(it: Resource, out: list[str], subject: str, record: str, ns: str) -> None:
    """Write what is proper to one kind."""
    raise TypeError(f"no description for {type(it).__name__}")


@_own.register
def _initiative(it: Initiative, out: list[str], subject: str, record: str, ns: str) -> None:
    out.append(f"{subject} {_A} <{ns}Initiative>")
    _dates(out, subject, it.start, it.end)
    _coded(out, subject, f"<{ns}coverage>", [it.coverage])
    _coded(out, subject, f"<{ns}status>", [it.status])
    _coded(out, subject, f"<{ns}activityType>", it.activity_types)
    _places(out, subject, record, it.places)
    _prizes(out, subject, record, ns, it.prizes)


@_own.register
def _event(it: Event, out: list[str], subject: str, record: str, ns: str) -> None:
    out.append(f"{subject} {_A} <{SCHEMA}Event>")
    _dates(out, subject, it.start, it.end)
    _places(out, subject, record, it.places)
    _texts(out, subject, f"<{ns}venue>", [it.venue] if it.venue else [])
    if it.cancelled:
        out.append(f"{subject} <{SCHEMA}eventStatus> <{SCHEMA}EventCancelled>")


@_own.register
def _document(it: Document, out: list[str], subject: str, record: str, ns: str) -> None:
    out.append(f"{subject} {_A} <{FOAF}Document>")
    _texts(out, subject, f"<{DCT}creator>", it.creators)
    _coded(out, subject, f"<{DCT}type>", [it.kind])


@_own.register
def _post(it: Post, out: list[str], subject: str, record: str, ns: str) -> None:
    out.append(f"{subject} {_A} <{SIOC}Post>")
    _texts(out, subject, f"<{SIOC}content>", [it.content] if it.content else [])
    _coded(out, subject, f"<{SIOC}has_container>", [it.container])


KIND = {Initiative: "initiative", Event: "event", Document: "document", Post: "post"}


def describe(it: Resource, iris: Iris, source: str) -> list[str]:
    """Write all that *source* says of *it*, as sorted statements; the record's own provenance is apart (``attest``)."""
    record = iris.record(source, it.key)
    subject = f"<{iris.thing(KIND[type(it)], source, it.key)}>"
    out: list[str] = [f"<{record}> <{FOAF}primaryTopic> {subject}"]
    _common(out, it, subject, record, iris, source)
    _own(it, out, subject, record, iris.ns)
    return sorted(set(out))


def attest(key: str, iris: Iris, about: Provenance) -> list[str]:
    """Write the record's ``dcat:CatalogRecord``: source, times, run, mapping, digest and the judges' remarks.

    Source: https://www.w3.org/TR/vocab-dcat-3/#Class:Catalog_Record
    """
    address = iris.record(about.source, key)
    record = f"<{address}>"
    out = [
        f"<{iris.source(about.source)}> <{DCAT}record> {record}",
        f"{record} {_A} <{DCAT}CatalogRecord>",
        f"{record} <{DCT}identifier> {literal(key)}",
        f"{record} <{DCT}issued> {instant(about.first_seen)}",
        f"{record} <{DCT}modified> {instant(about.modified)}",
        f"{record} <{PROV}wasGeneratedBy> <{iris.run(about.run)}>",
        f"{record} <{iris.ns}digest> {literal(about.digest)}",
        f"{record} <{iris.ns}mapping> {literal(about.mapping)}",
        f"{record} <{ADMS}status> <{iris.ns}published>",
    ]
    for number, remark in enumerate(about.remarks, 1):
        part = f"<{address}#result-{number}>"
        out += [
            f"{part} {_A} <{SH}ValidationResult>",
            f"{record} <{iris.ns}result> {part}",
            f"{part} <{SH}resultMessage> {literal(remark.message, 'en')}",
            f"{part} <{SH}resultSeverity> <{SH}{remark.severity}>",
            f"{part} <{SH}sourceConstraintComponent> <{SH}{remark.component}>",
        ]
        if remark.path:
            out.append(f"{part} <{SH}resultPath> <{remark.path}>")
    return sorted(out)


def quads(statements: Iterable[str], graph: str) -> list[str]:
    """Put statements into *graph* (an IRI), as N-Quads lines without line ends.

    >>> quads(["<a:s> <a:p> <a:o>"], "a:g")
    ['<a:s> <a:p> <a:o> <a:g> .']
    """
    tail = f" <{graph}> ."
    return [statement + tail for statement in statements]
