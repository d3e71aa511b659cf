"""Records of another Stocktake: map its description, in our own vocabulary, back to the model, with
its origin.

Source: vocab/statements/describe.py, which writes it; the peer's concepts are matched by the ends
of their IRIs, whatever its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import Graph, Term
from harvesters.payloads.value_parsing import (
    normalize_block,
    normalize_inline,
    parse_amount,
    parse_email,
    parse_name,
    parse_number,
    parse_size,
    strip_contacts,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Amount,
    Basis,
    Checksum,
    Claim,
    Coded,
    Contact,
    Detection,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Picture,
    Place,
    Post,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import KINDS, Iris, is_web, slug
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    ORG,
    PROV,
    RDFS,
    SCHEMA,
    SIOC,
    SKOS,
    SPDX,
    VCARD,
    VIVO,
    WGS,
)

_KEYWORDS = (f"{DCAT}keyword", f"{DCT}subject")  # the second one in older records

_CLASSES: Mapping[str, type[Resource]] = {
    "initiative": Initiative,
    "event": Event,
    "document": Document,
    "post": Post,
}
_BASES = {"": Basis.DECLARED, "crosswalked": Basis.CROSSWALKED, "suggested": Basis.SUGGESTED}
_DETECTED_FIELDS = {
    f"{DCT}title": "title",
    f"{DCT}description": "description",
    f"{SIOC}content": "content",
}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Return the function that maps a record. It raises ParseError for one that no Stocktake
    describes.
    """
    return lambda record: RecordMapper(record, crosswalks.iris).map_record()


@dataclass(frozen=True, slots=True)
class RemoteRecord:
    """A peer's statements, with its *base* IRI, in our vocabulary."""

    graph: Graph
    base: str
    iris: Iris

    def all(self, name: str, node: Term | None = None) -> tuple[Term, ...]:
        """Return the values of a property, of the record's topic unless *node* is given."""
        return self.graph.all(node or self.graph.subject, name)

    def ontology_values(self, name: str, node: Term | None = None) -> tuple[Term, ...]:
        """Return the values of a property in our ontology."""
        return self.all(f"{self.base}ns#{name}", node)

    def value(self, term: Term) -> str:
        """Return a value as in the model; a concept that the peer coined becomes ours of the same
        name.
        """
        if isinstance(term, NamedNode) and term.value.startswith(f"{self.base}scheme/"):
            return f"{self.iris.base}{term.value[len(self.base) :]}"
        return (
            normalize_inline(term.value)
            if isinstance(term, Literal)
            else term.value
            if isinstance(term, NamedNode)
            else ""
        )

    def values(self, name: str, node: Term | None = None) -> tuple[str, ...]:
        """Return the values of a property as in the model."""
        return tuple(self.value(term) for term in self.all(name, node))

    def first(self, name: str, node: Term | None = None) -> str | None:
        """Return the first value of a property, or None."""
        return next(iter(self.values(name, node)), None)

    def texts(
        self, name: str, form: Callable[[str], str] = normalize_inline, node: Term | None = None
    ) -> tuple[Text, ...]:
        """Return the literals of a property."""
        terms = (term for term in self.all(name, node) if isinstance(term, Literal))
        return tuple(Text(strip_contacts(form(term.value)), term.language) for term in terms)

    def confidence(self, node: Term) -> float | None:
        """Return the peer's confidence in a claim or a detected language."""
        return next(
            (
                parse_number(term.value)
                for term in self.ontology_values("confidence", node)
                if isinstance(term, Literal)
            ),
            None,
        )

    def text(self, name: str, node: Term | None = None) -> Text | None:
        """Return the first literal of a property, or None."""
        return next(iter(self.texts(name, node=node)), None)


class RecordMapper:
    """Maps one record."""

    def __init__(self, record: Record[Graph], iris: Iris) -> None:
        self.key, graph = record.key, record.payload
        self.record = next(
            (
                node.value
                for node, properties in graph.properties.items()
                if graph.subject in properties.get(f"{FOAF}primaryTopic", ())
            ),
            "",
        )
        parts = self.record.rsplit("/", 3)
        if len(parts) != 4 or parts[1] != "record" or not isinstance(graph.subject, NamedNode):
            raise ParseError(f"{self.key}: no Stocktake record has the topic {graph.subject}")
        self.remote = RemoteRecord(graph, f"{parts[0]}/", iris)
        self.registry = NamedNode(f"{parts[0]}/source/{parts[2]}")

    def map_record(self) -> Resource:
        """Return the record as a resource of the model. Raise ParseError if its class is unknown."""
        remote, subject = self.remote, self.remote.graph.subject
        kind = next(
            (name for name in KINDS if subject.value.startswith(f"{remote.base}id/{name}/")), ""
        )
        if kind not in _CLASSES:
            raise ParseError(f"{self.key}: {subject.value} is none of {', '.join(_CLASSES)}")
        common: dict[str, Any] = {
            "key": self.key,
            "titles": remote.texts(f"{DCT}title"),
            "descriptions": remote.texts(f"{DCT}description", normalize_block),
            "identifiers": remote.values(f"{DCT}identifier"),
            "pages": remote.values(f"{FOAF}page"),
            "languages": remote.values(f"{DCT}language"),
            "licences": remote.values(f"{DCT}license")
            or remote.values(f"{DCT}license", self.registry)[:1],
            "issued": remote.first(f"{DCT}issued"),
            "modified": remote.first(f"{DCT}modified"),
            "countries": tuple(map(self._coded, remote.all(f"{DCT}spatial"))),
            "parties": tuple(self._parties()),
            "action_lines": tuple(self._claims("actionLine")),
            "goals": tuple(self._claims("goal")),
            "targets": tuple(self._claims("target")),
            "subjects": tuple(
                parse_name(text.value, text.language)
                for name in _KEYWORDS
                for text in remote.texts(name)
            ),
            "themes": remote.values(f"{DCAT}theme"),
            "periods": tuple(self._periods()),
            "conforms_to": remote.values(f"{DCT}conformsTo"),
            "access_rights": remote.first(f"{DCT}accessRights"),
            "frequency": remote.first(f"{DCT}accrualPeriodicity"),
            "files": tuple(self._files()),
            "contacts": tuple(self._contacts()),
            "picture": self._picture(),
            "related": remote.values(f"{DCT}relation"),
            "last_reviewed": remote.first(f"{SCHEMA}lastReviewed"),
            "part_of": remote.values(f"{DCT}isPartOf"),
            "detected": tuple(self._detections()),
            "lineage": self._lineage(),
            "credit": self._credit(),
        }
        return _CLASSES[kind](**common, **self._own(kind))

    def _own(self, kind: str) -> dict[str, Any]:
        remote = self.remote
        if kind == "document":
            return {"creators": remote.texts(f"{DCT}creator"), "kind": remote.first(f"{DCT}type")}
        if kind == "post":
            content = next(iter(remote.texts(f"{SIOC}content", normalize_block)), None)
            return {"content": content, "container": remote.first(f"{SIOC}has_container")}
        span = {
            "start": remote.first(f"{SCHEMA}startDate"),
            "end": remote.first(f"{SCHEMA}endDate"),
            "places": tuple(self._places()),
        }
        if kind == "event":
            cancelled = NamedNode(f"{SCHEMA}EventCancelled") in remote.all(f"{SCHEMA}eventStatus")
            venue = remote.text(f"{remote.base}ns#venue")
            page = remote.first(f"{remote.base}ns#registration")
            return {**span, "venue": venue, "registration": page, "cancelled": cancelled}
        types = tuple(map(self._coded, remote.ontology_values("activityType")))
        coverage, status = (
            next(map(self._coded, remote.ontology_values(name)), None)
            for name in ("coverage", "status")
        )
        planned = (f"{remote.base}ns#planned{name}Date" for name in ("Start", "End"))
        planned_start, planned_end = map(remote.first, planned)
        return {
            **span,
            "planned_start": planned_start,
            "planned_end": planned_end,
            "coverage": coverage,
            "status": status,
            "stage": remote.first(f"{ADMS}status"),
            "activity_types": types,
            "developed_in": tuple(map(remote.value, remote.ontology_values("developedIn"))),
            "amounts": tuple(self._amounts()),
            "outcomes": tuple(self._outcomes()),
            "prizes": tuple(self._prizes()),
        }

    def _claims(self, name: str) -> Iterator[Claim]:
        for prefix, basis in _BASES.items():
            for term in self.remote.ontology_values(
                f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name
            ):
                part = self._classified(basis.value, term)
                yield (
                    self._claim(term, basis, part)
                    if part
                    else Claim(self.remote.value(term), basis)
                )

    def _claim(self, term: Term, basis: Basis, part: NamedNode) -> Claim:
        """Return a claim with all that its classification states."""
        remote = self.remote
        word, crosswalk = (
            next(map(remote.value, remote.ontology_values(name, part)), None)
            for name in ("sourceWord", "crosswalk")
        )
        percentage = next(
            (
                parse_number(remote.value(value))
                for value in remote.ontology_values("percentage", part)
            ),
            None,
        )
        evidence = remote.text(f"{remote.base}ns#evidence", part)
        page = remote.first(f"{DCT}source", part)
        method, version = (
            next(map(remote.value, remote.ontology_values(name, part)), None)
            for name in ("method", "methodVersion")
        )
        return Claim(
            remote.value(term),
            basis,
            word,
            remote.confidence(part),
            crosswalk,
            percentage,
            evidence,
            page,
            method,
            version,
        )

    def _coded(self, term: Term) -> Coded:
        """Return the value of a coded field, with its classification if the peer has one."""
        for basis in (Basis.CROSSWALKED, Basis.DECLARED):
            if part := self._classified(basis.value, term):
                return self._claim(term, basis, part)
        return self.remote.value(term)

    def _parts(self, name: str) -> list[Term]:
        """Return the parts of the record that a property leads to, in their order."""
        return sorted(self.remote.all(name), key=lambda term: (len(str(term)), str(term)))

    def _periods(self) -> Iterator[Period]:
        for term in self._parts(f"{DCT}temporal"):
            yield Period(
                *(self.remote.first(f"{DCAT}{name}Date", term) for name in ("start", "end"))
            )

    def _files(self) -> Iterator[File]:
        remote = self.remote
        for term in self._parts(f"{DCAT}distribution"):
            access, download = (
                remote.first(f"{DCAT}{name}URL", term) for name in ("access", "download")
            )
            form, licence = (remote.first(f"{DCT}{name}", term) for name in ("format", "license"))
            yield File(
                access,
                download,
                remote.texts(f"{DCT}title", node=term),
                form,
                licence,
                remote.texts(f"{DCT}description", normalize_block, term),
                parse_size(remote.first(f"{DCAT}byteSize", term)),
                self._checksum(term),
            )

    def _contacts(self) -> Iterator[Contact]:
        for term in self._parts(f"{DCAT}contactPoint"):
            email, page = (
                self.remote.first(f"{VCARD}has{name}", term) for name in ("Email", "URL")
            )
            names = self.remote.texts(f"{VCARD}fn", node=term)
            address, page = parse_email(email or ""), page if is_web(page or "") else None
            if names and (address or page):
                yield Contact(names, address, page)

    def _checksum(self, file: Term) -> Checksum | None:
        for node in self.remote.all(f"{SPDX}checksum", file):
            value, algorithm = (
                self.remote.first(f"{SPDX}{name}", node) for name in ("checksumValue", "algorithm")
            )
            if value and algorithm:
                return Checksum(value, algorithm)
        return None

    def _picture(self) -> Picture | None:
        """Return the picture at its address there: the bytes stay with the peer."""
        for term in self._parts(f"{SCHEMA}image"):
            if isinstance(term, NamedNode) and is_web(term.value):
                return Picture(term.value, self.remote.text(f"{SCHEMA}caption", term))
        return None

    def _amounts(self) -> Iterator[Amount]:
        remote = self.remote
        for term in self._parts(f"{remote.base}ns#amount"):
            value = parse_amount(remote.first(f"{SCHEMA}value", term))
            if value is not None:
                start, end = (
                    remote.first(f"{SCHEMA}valid{name}", term) for name in ("From", "Through")
                )
                currency = remote.first(f"{SCHEMA}currency", term)
                yield Amount(value, currency, remote.text(f"{SCHEMA}name", term), start, end)

    def _outcomes(self) -> Iterator[Outcome]:
        remote = self.remote
        for term in self._parts(f"{remote.base}ns#projectOutcome"):
            texts = remote.texts(f"{DCT}description", normalize_block, term)
            yield Outcome(
                remote.texts(f"{DCT}title", node=term), texts, remote.first(f"{DCT}type", term)
            )

    def _classified(self, basis: str, concept: Term) -> NamedNode | None:
        """Return the part of the record that describes how a claim was derived."""
        begins = f"{self.record}#{basis}-"
        parts = (
            node
            for node in self.remote.graph.properties
            if isinstance(node, NamedNode) and node.value.startswith(begins)
        )
        return next(
            (part for part in parts if concept in self.remote.ontology_values("concept", part)),
            None,
        )

    def _parties(self) -> Iterator[Party]:
        remote = self.remote
        for role, name in (
            (Role.LEAD, f"{DCT}publisher"),
            (Role.PARTNER, f"{remote.base}ns#partner"),
            (Role.FUNDER, f"{SCHEMA}funder"),
        ):
            for term in remote.all(name):
                called = remote.text(f"{SKOS}prefLabel", term)
                if called is not None:
                    country, page = (
                        remote.first(iri, term) for iri in (f"{DCT}spatial", f"{FOAF}homepage")
                    )
                    kind = next(map(self._coded, remote.all(f"{ORG}classification", term)), None)
                    key = self._organization(remote.value(term), called.value)
                    yield Party(role, called, key, kind, country, page, tuple(self._assigned(term)))

    def _assigned(self, term: Term) -> Iterator[str]:
        """Yield the identifiers of an organization in other registries, valid or not, as
        ``vocab.identifiers`` reads them.
        """
        for node in self.remote.all(f"{ADMS}identifier", term):
            scheme, value = (
                self.remote.first(name, node) for name in (f"{ADMS}schemaAgency", f"{SKOS}notation")
            )
            if scheme and value:
                yield f"{scheme}: {value}"
        yield from (
            self.remote.value(text)
            for text in self.remote.ontology_values("invalidIdentifier", term)
        )

    def _organization(self, iri: str, called: str) -> str | None:
        """Return an organization's key, prefixed by the registry; None if the key is derived from
        its name.
        """
        key = unquote(iri.rpartition("/")[2])
        return None if key == slug(called) else f"{self.registry.value.rpartition('/')[2]}/{key}"

    def _places(self) -> Iterator[Place]:
        for term in sorted(self.remote.all(f"{SCHEMA}location"), key=str):
            latitude, longitude = (
                parse_number(self.remote.first(f"{WGS}{name}", term)) for name in ("lat", "long")
            )
            if latitude is not None and longitude is not None:
                yield Place(self.remote.text(f"{RDFS}label", term), latitude, longitude)

    def _prizes(self) -> Iterator[Prize]:
        remote = self.remote
        for term in sorted(remote.all(f"{VIVO}relatedBy"), key=str):
            category, stage, year = (
                next(
                    (
                        remote.value(number_term)
                        for number_term in remote.ontology_values(name, term)
                    ),
                    "",
                )
                for name in ("prizeCategory", "prizeStage", "prizeYear")
            )
            yield Prize(
                category,
                stage,
                int(year[:4]) if year[:4].isdecimal() else None,
                remote.first(f"{DCT}date", term),
                remote.first(f"{DCT}isPartOf", term),
                remote.text(f"{RDFS}label", term),
            )

    def _detections(self) -> Iterator[Detection]:
        remote, prefix = self.remote, f"{self.record}#detected-"
        for node in remote.graph.properties:
            if isinstance(node, NamedNode) and node.value.startswith(prefix):
                where = next(
                    (
                        field.value
                        for field in remote.ontology_values("detectedIn", node)
                        if isinstance(field, NamedNode)
                    ),
                    "",
                )
                yield Detection(
                    _DETECTED_FIELDS.get(where, "venue"),
                    remote.first(f"{DCT}language", node) or "",
                    remote.confidence(node) or 0.0,
                )

    def _lineage(self) -> tuple[str, ...]:
        """Return the records from which it was derived: the first origin, later ones, then the
        peer's own.
        """
        remote, record = self.remote, NamedNode(self.record)
        first = remote.values(f"{PROV}hadPrimarySource", record)
        before = [
            origin
            for origin in remote.values(f"{PROV}wasDerivedFrom", record)
            if origin not in first
        ]
        return tuple(dict.fromkeys((*first, *before, self.record)))

    def _credit(self) -> str | None:
        """Return the credit line: the peer's, else the title and publisher of its registry."""
        remote = self.remote
        title = remote.first(f"{DCT}title", self.registry)
        publisher = remote.first(
            f"{FOAF}name", NamedNode(f"{self.registry.value}#publisher")
        ) or remote.first(f"{DCT}publisher", self.registry)  # a text in older releases
        credit = remote.first(f"{SCHEMA}creditText", NamedNode(self.record))
        return (
            credit or ", ".join(dict.fromkeys(name for name in (title, publisher) if name)) or None
        )


MAPPING = RecordMapping(build_mapper, frozenset({Payload.GRAPH}))
