"""Records: what one named graph says, as rows of the tables.

A row depends on its graph alone, so that a projection can follow the journal graph by graph: take out the rows of what an
entry touched, and put in those that are given here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from publisher.rdf.ntriples_terms import Value, parse_term
from vocab.iris import KINDS, Iris
from vocab.terms import ADMS, DCT, FOAF, ORG, PROV, RDF, RDFS, SCHEMA, SKOS, VIVO, WGS

Row = Mapping[str, object]  # by column; None where nothing is known
Rows = Iterator[tuple[str, Row]]  # each with its table's name
_Properties = dict[str, list[Value]]  # of one subject, by property

_SCHEMES = {"action-line": "actionLine", "goal": "goal", "target": "target"}
_BASES = ("declared", "crosswalked", "suggested")
_ROLES = {f"{DCT}publisher": "lead", "partner": "partner", f"{SCHEMA}funder": "funder"}


class Graph(NamedTuple):
    """What a graph says, by subject and property."""

    properties: Mapping[str, _Properties]
    statements: int
    digest: str

    def all(self, subject: str, predicate: str) -> Sequence[Value]:
        """Return the values of a property."""
        return self.properties.get(subject, {}).get(predicate, ())

    def one(self, subject: str, predicate: str) -> str | None:
        """Return the text of a property's first value."""
        return next((it.text for it in self.all(subject, predicate)), None)


def parse_graph(triples: Iterable[bytes]) -> Graph:
    """Read sorted statements ``<s> <p> o``, without their dots."""
    held = list(triples)
    said: dict[str, _Properties] = {}
    before, of = b"", dict[str, list[Value]]()
    for triple in held:
        subject, predicate, term = triple.split(b" ", 2)
        if subject != before:  # as they are sorted, it has not been met
            before, of = subject, said.setdefault(subject[1:-1].decode(), {})
        of.setdefault(_plain(predicate), []).append(parse_term(term))
    digest = sha256(b"".join([triple + b" .\n" for triple in held]))
    return Graph(said, len(held), digest.hexdigest())


@lru_cache(maxsize=1024)  # properties
def _plain(iri: bytes) -> str:
    return iri[1:-1].decode()


def preferred_text(texts: Iterable[Value]) -> Value | None:
    """Choose the English text, else one of no language, else any."""
    return min(texts, key=lambda it: ({"en": 0, None: 1}.get(it.language, 2), it.language or "", it.text), default=None)


def concept_code(concept: Value) -> str:
    """Return the code in a concept's IRI, which ends with it; the source's word as it is."""
    return concept.text.rpartition("/")[2] if concept.iri else concept.text


def _codes(values: Iterable[Value]) -> list[str]:
    return [concept_code(it) for it in values if it.iri]


def _addresses(values: Iterable[Value]) -> list[str]:
    return [it.text for it in values if it.iri]


def _year(text: str | None) -> int | None:
    return int(text[:4]) if text and text[:4].isdigit() and (len(text) == 4 or text[4] == "-") else None


class Record(NamedTuple):
    """A record's graph, and what its rows share; *kind* is empty where nothing tells it."""

    graph: Graph
    iris: Iris
    record: str
    thing: str
    kind: str
    source: str

    def thing_values(self, predicate: str) -> Sequence[Value]:
        """Return what is said of the thing."""
        return self.graph.all(self.thing, predicate)

    @property
    def state(self) -> str:
        """Return whether it is published, vanished or gone."""
        return (self.graph.one(self.record, f"{ADMS}status") or "published").rpartition("#")[2]

    def claims(self, scheme: str, basis: str = "declared") -> Sequence[Value]:
        """Return the concepts that the thing is linked to on this basis."""
        name = _SCHEMES[scheme]
        return self.thing_values(self.iris.ns + (name if basis == "declared" else f"{basis}{name[0].upper()}{name[1:]}"))


def parse_record(graph: str, triples: Iterable[bytes], iris: Iris) -> Record:
    """Read the graph of the record *graph*."""
    held = parse_graph(triples)
    source = graph.removeprefix(f"{iris.base}record/").partition("/")[0]
    thing = held.one(graph, f"{FOAF}primaryTopic") or ""
    kind = thing.removeprefix(f"{iris.base}id/").partition("/")[0]
    return Record(held, iris, graph, thing, kind if kind in KINDS else "", source)


def record_rows(it: Record) -> Rows:
    """Yield a record's rows; of one that is gone only that of the table of records."""
    yield "records", _record(it)
    if it.state == "gone" or not it.kind:
        return
    if it.kind == "initiative":
        yield "initiatives", _initiative(it)
    shared = {"thing": it.thing, "kind": it.kind, "source": it.source}
    for table, made in (("parties", _parties(it)), ("links", _links(it)), ("places", _places(it))):
        yield from ((table, {**shared, **row}) for row in made)


def _record(it: Record) -> Row:
    graph, record = it.graph, it.record
    title = preferred_text([*it.thing_values(f"{DCT}title"), *graph.all(record, f"{DCT}title")])
    return {
        "record": record,
        "thing": it.thing or None,
        "kind": it.kind or None,
        "source": it.source,
        "identifier": graph.one(record, f"{DCT}identifier"),
        "title": title.text if title else None,
        "state": it.state,
        "first_seen": graph.one(record, f"{DCT}issued"),
        "changed": graph.one(record, f"{DCT}modified"),
        "gone": graph.one(record, f"{PROV}invalidatedAtTime"),
        "run": graph.one(record, f"{PROV}wasGeneratedBy") or graph.one(record, f"{PROV}wasInvalidatedBy"),
        "mapping": graph.one(record, f"{it.iris.ns}mapping"),
        "action_lines": _codes(it.claims("action-line")),
        "action_lines_crosswalked": _codes(it.claims("action-line", "crosswalked")),
        "statements": graph.statements,
        "sha256": graph.digest,
    }


def _initiative(it: Record) -> Row:
    ns, of = it.iris.ns, it.thing_values
    title, description = preferred_text(of(f"{DCT}title")), preferred_text(of(f"{DCT}description"))
    start, end = (it.graph.one(it.thing, SCHEMA + name) for name in ("startDate", "endDate"))
    texts = [*of(f"{DCT}title"), *of(f"{DCT}description")]
    return {
        "initiative": it.thing,
        "record": it.record,
        "source": it.source,
        "identifier": it.graph.one(it.record, f"{DCT}identifier"),
        "state": it.state,
        "title": title.text if title else None,
        "title_language": title.language if title else None,
        "description": description.text if description else None,
        "description_language": description.language if description else None,
        "text_languages": sorted({text.language for text in texts if text.language}),
        "languages": [text.text for text in of(f"{DCT}language") if " " not in text.text],
        "pages": _addresses(of(f"{FOAF}page")),
        "licence": it.graph.one(it.thing, f"{DCT}license"),
        "start_date": start,
        "end_date": end,
        "start_year": _year(start),
        "end_year": _year(end),
        "coverage": next(map(concept_code, of(f"{ns}coverage")), None),
        "status": next(map(concept_code, of(f"{ns}status")), None),
        "activity_types": _codes(of(f"{ns}activityType")),
        "countries": _codes(of(f"{DCT}spatial")),
        "action_lines": _codes(it.claims("action-line")),
        "goals": _codes(it.claims("goal")),
        "targets": _codes(it.claims("target")),
        "leads": _addresses(of(f"{DCT}publisher")),
        "partners": _addresses(of(f"{ns}partner")),
        "funders": _addresses(of(f"{SCHEMA}funder")),
        "prizes": [_prize(it, prize.text) for prize in of(f"{VIVO}relatedBy")],
        "issued": it.graph.one(it.thing, f"{DCT}issued"),
        "modified": it.graph.one(it.thing, f"{DCT}modified"),
        "first_seen": it.graph.one(it.record, f"{DCT}issued"),
        "changed": it.graph.one(it.record, f"{DCT}modified"),
    }


def _prize(it: Record, prize: str) -> str:
    parts = (next(iter(it.graph.all(prize, it.iris.ns + name)), None) for name in ("prizeCategory", "prizeStage", "prizeYear"))
    return "-".join(concept_code(part).replace(" ", "_") for part in parts if part)


def _parties(it: Record) -> Iterator[Row]:
    for predicate, role in _ROLES.items():
        for party in it.thing_values(predicate if "/" in predicate else it.iris.ns + predicate):
            if party.iri:
                yield {"organization": party.text, "role": role}


def _links(it: Record) -> Iterator[Row]:
    codes = {
        (it.graph.one(part, f"{it.iris.ns}concept"), basis.rpartition("#")[2]): part
        for part in it.graph.properties
        if (basis := it.graph.one(part, f"{it.iris.ns}basis"))
    }
    for scheme in _SCHEMES:
        for basis in _BASES:
            for concept in it.claims(scheme, basis):
                part = codes.get((concept.text, basis), "")
                confidence = it.graph.one(part, f"{it.iris.ns}confidence")
                yield {
                    "scheme": scheme,
                    "concept": concept.text,
                    "code": concept_code(concept) if concept.iri else None,
                    "basis": basis,
                    "word": it.graph.one(part, f"{it.iris.ns}sourceWord"),
                    "confidence": float(confidence) if confidence else None,
                }


def _places(it: Record) -> Iterator[Row]:
    nowhere = {"area": None, "code": None, "name": None, "latitude": None, "longitude": None}
    for area in it.thing_values(f"{DCT}spatial"):
        yield nowhere | ({"area": area.text, "code": concept_code(area)} if area.iri else {"name": area.text})
    for place in it.thing_values(f"{SCHEMA}location"):
        name = preferred_text(it.graph.all(place.text, f"{RDFS}label"))
        latitude, longitude = (it.graph.one(place.text, WGS + axis) for axis in ("lat", "long"))
        if latitude and longitude:
            yield nowhere | {"name": name.text if name else None, "latitude": float(latitude), "longitude": float(longitude)}


def organization_row(held: Graph, iris: Iris) -> Row | None:
    """Return the row of an organization from all that is said of it, in whatever graph; None where it is none."""
    subject = next(iter(held.properties))
    own = subject.removeprefix(f"{iris.base}id/organization/")
    if own == subject or not any(it.text == f"{ORG}Organization" for it in held.all(subject, f"{RDF}type")):
        return None
    name = preferred_text(held.all(subject, f"{SKOS}prefLabel"))
    return {
        "organization": subject,
        "source": own.partition("/")[0],
        "name": name.text if name else None,
        "name_language": name.language if name else None,
        "classification": next(map(concept_code, held.all(subject, f"{ORG}classification")), None),
        "countries": _codes(held.all(subject, f"{DCT}spatial")),
        "homepage": held.one(subject, f"{FOAF}homepage"),
    }
