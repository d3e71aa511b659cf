"""Convert the named graph of a record to rows of the release tables.

A row depends only on its graph, so the rows are written while the graphs are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from publisher.projections.facets.facets import describe_area
from publisher.projections.projection import Properties, Subjects
from publisher.rdf.ntriples_terms import Value, parse_term
from vocab.iris import KINDS, Iris
from vocab.terms import ADMS, DCT, FOAF, ORG, PROV, RDF, RDFS, SCHEMA, SKOS, VIVO, WGS

Row = Mapping[str, object]  # by column; None if unknown
Rows = Iterator[tuple[str, Row]]  # each with its table's name

_SCHEMES = {"action-line": "actionLine", "goal": "goal", "target": "target"}
_BASES = ("declared", "crosswalked", "suggested")
_ROLES = {f"{DCT}publisher": "lead", "partner": "partner", f"{SCHEMA}funder": "funder"}


class Graph(NamedTuple):
    """The statements of a graph by subject and property, their number, and the SHA-256 digest of
    the sorted N-Triples.
    """

    properties: Mapping[str, Properties]
    statements: int
    digest: str

    def all(self, subject: str, predicate: str) -> Sequence[Value]:
        """Return the values of a property."""
        return self.properties.get(subject, {}).get(predicate, ())

    def one(self, subject: str, predicate: str) -> str | None:
        """Return the text of a property's first value."""
        return next((item.text for item in self.all(subject, predicate)), None)


def parse_graph(triples: Iterable[bytes]) -> Graph:
    """Parse sorted statements ``<s> <p> o``, without their dots."""
    statements = list(triples)
    properties_by_subject: Subjects = {}
    before, properties = b"", dict[str, list[Value]]()
    for triple in statements:
        subject, predicate, term = triple.split(b" ", 2)
        if subject != before:  # sorted, so this subject is new
            before = subject
            properties = properties_by_subject.setdefault(subject[1:-1].decode(), {})
        properties.setdefault(_iri_text(predicate), []).append(parse_term(term))
    digest = sha256(b"".join([triple + b" .\n" for triple in statements]))
    return Graph(properties_by_subject, len(statements), digest.hexdigest())


@lru_cache(maxsize=1024)  # properties
def _iri_text(iri: bytes) -> str:
    return iri[1:-1].decode()


def preferred_text(texts: Iterable[Value]) -> Value | None:
    """Return the English text, else one without a language, else any; None if there is none."""
    return min(
        texts,
        key=lambda text: ({"en": 0, None: 1}.get(text.language, 2), text.language or "", text.text),
        default=None,
    )


def _concept_code(concept: Value) -> str:
    """Return the last segment of a concept's IRI; a text is returned unchanged."""
    return concept.text.rpartition("/")[2] if concept.iri else concept.text


def _codes(values: Iterable[Value]) -> list[str]:
    return [_concept_code(value) for value in values if value.iri]


def _addresses(values: Iterable[Value]) -> list[str]:
    return [value.text for value in values if value.iri]


def area_cells(codes: Sequence[str], iris: Iris) -> dict[str, object]:
    """Return the cells of the countries and areas with *codes*: their codes, English names, ISO
    codes and ITU regions.
    """
    known = [describe_area(code, iris) for code in codes]
    return {
        "countries": list(codes),
        "country_name": "; ".join(name for name, _, _ in known if name) or None,
        "iso3": "; ".join(iso3 for _, iso3, _ in known if iso3) or None,
        "itu_region": sorted({region for *_, region in known if region}),
    }


def _year(text: str | None) -> int | None:
    """Return the year of a date, None for a text that is no date.

    >>> _year("2015-05-17"), _year("2015"), _year("0000-00-00"), _year("20150517")
    (2015, 2015, None, None)
    """
    is_date = text and text[:4].isdigit() and (len(text) == 4 or text[4] == "-")
    return int(text[:4]) or None if text and is_date else None


class Record(NamedTuple):
    """A record's graph, and the values that its rows share; *kind* is empty if it is not known."""

    graph: Graph
    iris: Iris
    record: str
    thing: str
    kind: str
    source: str

    def thing_values(self, predicate: str) -> Sequence[Value]:
        """Return the values of a property of the thing."""
        return self.graph.all(self.thing, predicate)

    @property
    def state(self) -> str:
        """Return its state: published, vanished or gone."""
        return (self.graph.one(self.record, f"{ADMS}status") or "published").rpartition("#")[2]

    def claims(self, scheme: str, basis: str = "declared") -> Sequence[Value]:
        """Return the concepts of *scheme* that the thing is linked to with this basis."""
        name = _SCHEMES[scheme]
        return self.thing_values(
            self.iris.ns + (name if basis == "declared" else f"{basis}{name[0].upper()}{name[1:]}")
        )


def parse_record(graph: str, triples: Iterable[bytes], iris: Iris) -> Record:
    """Parse the graph of the record *graph*."""
    parsed = parse_graph(triples)
    source = graph.removeprefix(f"{iris.base}record/").partition("/")[0]
    thing = parsed.one(graph, f"{FOAF}primaryTopic") or ""
    kind = thing.removeprefix(f"{iris.base}id/").partition("/")[0]
    return Record(parsed, iris, graph, thing, kind if kind in KINDS else "", source)


def record_rows(record: Record) -> Rows:
    """Yield the rows of a record; for a deleted record only its row of the table ``records``."""
    yield "records", _record(record)
    if record.state == "gone" or not record.kind:
        return
    shared = {"thing": record.thing, "kind": record.kind, "source": record.source}
    if record.kind == "initiative":
        yield "initiatives", {**shared, **_initiative(record)}
    for table, rows in (
        ("parties", _parties(record)),
        ("links", _links(record)),
        ("places", _places(record)),
    ):
        yield from ((table, {**shared, **row}) for row in rows)


def _record(item: Record) -> Row:
    graph, record = item.graph, item.record
    title = preferred_text([*item.thing_values(f"{DCT}title"), *graph.all(record, f"{DCT}title")])
    return {
        "record": record,
        "thing": item.thing or None,
        "kind": item.kind or None,
        "source": item.source,
        "identifier": graph.one(record, f"{DCT}identifier"),
        "title": title.text if title else None,
        "state": item.state,
        "first_seen": graph.one(record, f"{DCT}issued"),
        "changed": graph.one(record, f"{DCT}modified"),
        "gone": graph.one(record, f"{PROV}invalidatedAtTime"),
        "run": graph.one(record, f"{PROV}wasGeneratedBy")
        or graph.one(record, f"{PROV}wasInvalidatedBy"),
        "mapping": graph.one(record, f"{item.iris.operations}mapping"),
        "action_lines": _codes(item.claims("action-line")),
        "action_lines_crosswalked": _codes(item.claims("action-line", "crosswalked")),
        "statements": graph.statements,
        "sha256": graph.digest,
    }


def _initiative(record: Record) -> Row:
    ns, values = record.iris.ns, record.thing_values
    title = preferred_text(values(f"{DCT}title"))
    description = preferred_text(values(f"{DCT}description"))
    start, end = (
        record.graph.one(record.thing, SCHEMA + name) for name in ("startDate", "endDate")
    )
    texts = [*values(f"{DCT}title"), *values(f"{DCT}description")]
    return {
        "cluster": record.thing,  # until all rows are known
        "record": record.record,
        "identifier": record.graph.one(record.record, f"{DCT}identifier"),
        "state": record.state,
        "title": title.text if title else None,
        "title_language": title.language if title else None,
        "description": description.text if description else None,
        "description_language": description.language if description else None,
        "text_languages": sorted({text.language for text in texts if text.language}),
        "languages": [text.text for text in values(f"{DCT}language") if " " not in text.text],
        "part_of": min((text.text for text in values(f"{DCT}isPartOf")), default=None),
        "pages": _addresses(values(f"{FOAF}page")),
        "website": min(_addresses(values(f"{FOAF}page")), default=None),
        "licence": record.graph.one(record.thing, f"{DCT}license"),
        "start_date": start,
        "end_date": end,
        "start_year": _year(start),
        "end_year": _year(end),
        "coverage": next(map(_concept_code, values(f"{ns}coverage")), None),
        "status": next(map(_concept_code, values(f"{ns}status")), None),
        "activity_types": _codes(values(f"{ns}activityType")),
        **area_cells(_codes(values(f"{DCT}spatial")), record.iris),
        "action_lines": _codes(record.claims("action-line")),
        "goals": _codes(record.claims("goal")),
        "targets": _codes(record.claims("target")),
        "leads": _addresses(values(f"{DCT}publisher")),
        "partners": _addresses(values(f"{ns}partner")),
        "funders": _addresses(values(f"{SCHEMA}funder")),
        "prizes": [_prize(record, prize.text) for prize in values(f"{VIVO}relatedBy")],
        "issued": record.graph.one(record.thing, f"{DCT}issued"),
        "modified": record.graph.one(record.thing, f"{DCT}modified"),
        "first_seen": record.graph.one(record.record, f"{DCT}issued"),
        "changed": record.graph.one(record.record, f"{DCT}modified"),
    }


def _prize(record: Record, prize: str) -> str:
    parts = (
        next(iter(record.graph.all(prize, record.iris.ns + name)), None)
        for name in ("prizeCategory", "prizeStage", "prizeYear")
    )
    return "-".join(_concept_code(part).replace(" ", "_") for part in parts if part)


def _parties(record: Record) -> Iterator[Row]:
    for predicate, role in _ROLES.items():
        for party in record.thing_values(
            predicate if "/" in predicate else record.iris.ns + predicate
        ):
            if party.iri:
                yield {"organization": party.text, "role": role}


def _links(record: Record) -> Iterator[Row]:
    codes = {
        (record.graph.one(part, f"{record.iris.ns}concept"), basis.rpartition("#")[2]): part
        for part in record.graph.properties
        if (basis := record.graph.one(part, f"{record.iris.ns}basis"))
    }
    for scheme in _SCHEMES:
        for basis in _BASES:
            for concept in record.claims(scheme, basis):
                part = codes.get((concept.text, basis), "")
                confidence = record.graph.one(part, f"{record.iris.ns}confidence")
                yield {
                    "scheme": scheme,
                    "concept": concept.text,
                    "code": _concept_code(concept) if concept.iri else None,
                    "basis": basis,
                    "word": record.graph.one(part, f"{record.iris.ns}sourceWord"),
                    "confidence": float(confidence) if confidence else None,
                }


def _places(record: Record) -> Iterator[Row]:
    empty = {"area": None, "code": None, "name": None, "latitude": None, "longitude": None}
    for area in record.thing_values(f"{DCT}spatial"):
        yield empty | (
            {"area": area.text, "code": _concept_code(area)} if area.iri else {"name": area.text}
        )
    for place in record.thing_values(f"{SCHEMA}location"):
        name = preferred_text(record.graph.all(place.text, f"{RDFS}label"))
        latitude, longitude = (record.graph.one(place.text, WGS + axis) for axis in ("lat", "long"))
        if latitude and longitude:
            yield empty | {
                "name": name.text if name else None,
                "latitude": float(latitude),
                "longitude": float(longitude),
            }


def organization_row(graph: Graph, iris: Iris) -> Row | None:
    """Return the row of an organization from its statements in all graphs; None if it is not an
    organization.
    """
    subject = next(iter(graph.properties))
    own = subject.removeprefix(f"{iris.base}id/organization/")
    if own == subject or not any(
        item.text == f"{ORG}Organization" for item in graph.all(subject, f"{RDF}type")
    ):
        return None
    name = preferred_text(graph.all(subject, f"{SKOS}prefLabel"))
    return {
        "organization": subject,
        "source": own.partition("/")[0],
        "name": name.text if name else None,
        "name_language": name.language if name else None,
        "classification": next(
            map(_concept_code, graph.all(subject, f"{ORG}classification")), None
        ),
        "countries": _codes(graph.all(subject, f"{DCT}spatial")),
        "homepage": graph.one(subject, f"{FOAF}homepage"),
    }
