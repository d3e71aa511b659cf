"""Records of another Stocktake: map its description, in our own vocabulary, back to the model, with
its origin.

Source: the tables of vocab/describe.py, which writes it; the peer's concepts are matched
by the ends of their IRIs, whatever its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_origin, get_type_hints
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping, normalize_members, record_language
from harvesters.page_model import Payload, Record
from harvesters.payloads.graph import Graph, Term
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    normalize_inline,
    parse_amount,
    parse_email,
    parse_number,
    parse_size,
    strip_contacts,
)
from harvesters.source import Source
from vocab import describe
from vocab.crosswalks import Crosswalks
from vocab.describe import Rows
from vocab.initiative import (
    Amount,
    Basis,
    Checksum,
    Claim,
    Coded,
    Contact,
    Detection,
    File,
    Outcome,
    Party,
    Period,
    Picture,
    Place,
    Prize,
    Resource,
    Text,
)
from vocab.iris import Iris, is_web, slug
from vocab.terms import (
    ADMS,
    DCT,
    FOAF,
    ORG,
    PROV,
    SCHEMA,
    SKOS,
    SPDX,
)

# Each part has a class, and groups of members of which it needs one each.
_PARTS: dict[str, tuple[Any, tuple[tuple[str, ...], ...]]] = {
    "periods": (Period, ()),
    "files": (File, ()),
    "contacts": (Contact, (("names",), ("email", "page"))),
    "amounts": (Amount, (("value",),)),
    "outcomes": (Outcome, ()),
    "places": (Place, (("latitude",), ("longitude",))),
    "prizes": (Prize, ()),
}
_EMPTY: dict[str, dict[str, Any]] = {
    "places": {"name": None},
    "prizes": {"category": "", "stage": ""},
}
# These members of a class have several values.
_LISTS: dict[Any, set[str]] = {
    kind: {name for name, hint in get_type_hints(kind).items() if get_origin(hint) is tuple}
    for kind in (
        *KINDS.values(),
        *(part for part, _ in _PARTS.values()),
        Claim,
        Detection,
        Party,
    )
}
_LONG_TEXTS = frozenset(("descriptions", "content"))  # They keep their paragraphs.
_BASES = {basis: "" if basis is Basis.DECLARED else basis.value for basis in Basis}
# The values of these members are neither texts nor IRIs.
_READERS: dict[str, Callable[[str], Any]] = {
    "latitude": parse_number,
    "longitude": parse_number,
    "confidence": parse_number,
    "percentage": parse_number,
    "value": parse_amount,
    "size": parse_size,
    "email": parse_email,
    "page": lambda page: page if is_web(page) else None,
    "year": lambda year: int(year[:4]) if year[:4].isdecimal() else None,
    "cancelled": lambda status: status == f"{SCHEMA}EventCancelled",
}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Return the function that maps a record. It raises ParseError for one that no Stocktake
    describes.
    """
    return lambda record: RecordMapper(record, crosswalks.iris, source.language).map_record()


class RecordMapper:
    """Maps one record: a peer's statements, with its *base* IRI, in our vocabulary."""

    def __init__(self, record: Record[Graph], iris: Iris, language: str | None) -> None:
        self.key, self.graph, self.iris, self.language = record.key, record.payload, iris, language
        topic, nodes = self.graph.subject, self.graph.properties.items()
        records = (n.value for n, about in nodes if topic in about.get(f"{FOAF}primaryTopic", ()))
        self.record = next(records, "")
        parts = self.record.rsplit("/", 3)
        if len(parts) != 4 or parts[1] != "record" or not isinstance(topic, NamedNode):
            raise ParseError(f"{self.key}: no Stocktake record has the topic {topic}")
        self.base, self.topic = f"{parts[0]}/", topic
        self.registry = NamedNode(f"{parts[0]}/source/{parts[2]}")

    def map_record(self) -> Resource:
        """Return the record as a resource of the model. Raise ParseError if its class is unknown."""
        name = self.topic.value.removeprefix(f"{self.base}id/").partition("/")[0]
        if name not in KINDS or not self.topic.value.startswith(f"{self.base}id/"):
            raise ParseError(f"{self.key}: {self.topic.value} is none of {', '.join(KINDS)}")
        kind = KINDS[name]
        values = self.read(self.topic, (*describe.RESOURCE, *describe.KINDS[kind][1]), kind)
        own = kind.__dataclass_fields__
        coded = {
            member: tuple(map(self._coded, self.all(name)))
            for member, name in describe.CODED
            if member in own
        }
        values |= {
            member: each if member in _LISTS[kind] else each[0]
            for member, each in coded.items()
            if each
        }
        licences = values.get("licences") or self.values(f"{DCT}license", self.registry)[:1]
        values |= {
            **{member: tuple(self._claims(name)) for member, name in describe.CLAIMS},
            **{member: tuple(self._parts(member)) for member in describe.PARTS if member in own},
            "key": self.key,
            # Older records have the second property.
            "subjects": (*values.get("subjects", ()), *self.texts(f"{DCT}subject")),
            "licences": licences,
            "parties": tuple(self._parties()),
            "picture": self._picture(),
            "detected": tuple(self._detections()),
            "lineage": self._lineage(),
            "credit": self._credit(),
        }
        normalize_members(values, record_language(values.get("languages", ()), self.language))
        return kind(**values)

    def all(self, name: str, node: Term | None = None) -> tuple[Term, ...]:
        """Return the values of a property of the table, of the record's topic unless *node* is
        given.
        """
        return self.graph.all(node or self.topic, self._term(name))

    def _term(self, name: str) -> str:
        return f"{self.base}ns#{name[1:]}" if name[0] == ":" else name

    def value(self, term: Term) -> str:
        """Return a value as in the model; a concept that the peer coined becomes ours of the same
        name.
        """
        if isinstance(term, NamedNode):
            scheme = f"{self.base}scheme/"
            is_coined = term.value.startswith(scheme)
            return self.iris.base + term.value[len(self.base) :] if is_coined else term.value
        return normalize_inline(term.value) if isinstance(term, Literal) else ""

    def values(self, name: str, node: Term | None = None) -> tuple[str, ...]:
        """Return the values of a property as in the model."""
        return tuple(map(self.value, self.all(name, node)))

    def first(self, name: str, node: Term | None = None) -> str | None:
        """Return the first value of a property, or None."""
        return next(iter(self.values(name, node)), None)

    def texts(
        self, name: str, node: Term | None = None, form: Callable[[str], str] = normalize_inline
    ) -> tuple[Text, ...]:
        """Return the literals of a property."""
        terms = (term for term in self.all(name, node) if isinstance(term, Literal))
        return tuple(Text(strip_contacts(form(term.value)), term.language) for term in terms)

    def read(self, node: Term, rows: Rows, kind: type) -> dict[str, Any]:
        """Return the members of a class of the model that a node has."""
        members: dict[str, Any] = {}
        for member, name, write in rows:
            form = normalize_block if member in _LONG_TEXTS else normalize_inline
            is_text, reader = write is describe.text, _READERS.get(member, str)
            values: tuple[Any, ...] = (
                self.texts(name, node, form)
                if is_text
                else tuple(map(reader, self.values(name, node)))
            )
            if member in _LISTS[kind]:
                members[member] = values
            elif values and values[0] is not None:
                members[member] = values[0]
        return members

    def _parts(self, member: str) -> Iterator[Any]:
        """Yield the parts of the record that a member has, in their order; those that lack what
        their class needs are left out.
        """
        kind, needed = _PARTS[member]
        name, _, _, rows = describe.PARTS[member]
        for node in sorted(self.all(name), key=lambda term: (len(str(term)), str(term))):
            values = self.read(node, rows, kind)
            if kind is File:
                values["checksum"] = self._checksum(node)
            if all(any(values.get(name) not in (None, ()) for name in names) for names in needed):
                yield kind(**_EMPTY.get(member, {}) | values)

    def _checksum(self, file: Term) -> Checksum | None:
        nodes = self.all(f"{SPDX}checksum", file)
        pairs = ([self.first(name, node) for _, name, _ in describe.CHECKSUM] for node in nodes)
        return next((Checksum(value, kind) for value, kind in pairs if value and kind), None)

    def _claims(self, name: str) -> Iterator[Claim]:
        for basis, prefix in _BASES.items():
            for term in self.all(f":{prefix}{name[0].upper()}{name[1:]}" if prefix else f":{name}"):
                yield self._classified(basis, term) or Claim(self.value(term), basis)

    def _coded(self, term: Term) -> Coded:
        """Return the value of a coded field, with its classification if the peer has one."""
        claims = (self._classified(each, term) for each in (Basis.CROSSWALKED, Basis.DECLARED))
        return next(filter(None, claims), self.value(term))

    def _classified(self, basis: Basis, concept: Term) -> Claim | None:
        """Return a claim with all that the part of the record states that describes how it was
        derived; None if there is none.
        """
        # Who confirmed a claim and when stays with the peer.
        parts = (
            self.read(node, describe.CLAIM[:-2], Claim)
            for node in self._nodes(f"{basis.value}-")
            if concept in self.all(":concept", node)
        )
        return next((Claim(self.value(concept), basis, **part) for part in parts), None)

    def _nodes(self, name: str) -> list[NamedNode]:
        """Return the parts of the record whose name begins so."""
        nodes = [node for node in self.graph.properties if isinstance(node, NamedNode)]
        return [node for node in nodes if node.value.startswith(f"{self.record}#{name}")]

    def _picture(self) -> Picture | None:
        """Return the picture at its address there: the bytes stay with the peer."""
        terms = sorted(self.all(f"{SCHEMA}image"), key=str)
        nodes = (term for term in terms if isinstance(term, NamedNode) and is_web(term.value))
        pictures = (Picture(n.value, *self.texts(f"{SCHEMA}caption", n)[:1]) for n in nodes)
        return next(pictures, None)

    def _parties(self) -> Iterator[Party]:
        registry = self.registry.value.rpartition("/")[2]
        for role, name in describe.ROLES.items():
            for term in self.all(name):
                values = self.read(term, describe.PARTY, Party)
                if "name" in values:
                    key = unquote(self.value(term).rpartition("/")[2])
                    kinds = map(self._coded, self.all(f"{ORG}classification", term))
                    yield Party(
                        role,
                        **values,
                        # A key that is derived from the name is none; others are the registry's.
                        key=None if key == slug(values["name"].value) else f"{registry}/{key}",
                        kind=next(kinds, None),
                        identifiers=self._assigned(term),
                    )

    def _assigned(self, term: Term) -> tuple[str, ...]:
        """Return the identifiers of an organization in other registries, valid or not, as
        ``vocab.identifiers`` reads them.
        """
        names = (f"{ADMS}schemaAgency", f"{SKOS}notation")
        nodes = self.all(f"{ADMS}identifier", term)
        pairs = ([self.first(name, node) for name in names] for node in nodes)
        valid = [f"{scheme}: {value}" for scheme, value in pairs if scheme and value]
        return (*valid, *self.values(":invalidIdentifier", term))

    def _detections(self) -> Iterator[Detection]:
        fields = {self._term(name): field for field, name in describe.DETECTED.items()}
        for node in self._nodes("detected-"):
            values = self.read(node, describe.DETECTION, Detection)
            written = self.first(":detectedIn", node) or ""
            yield Detection(
                fields.get(written, "venue"), **{"language": "", "confidence": 0.0, **values}
            )

    def _lineage(self) -> tuple[str, ...]:
        """Return the records from which it was derived: the first origin, later ones, then the
        peer's own.
        """
        names = (f"{PROV}hadPrimarySource", f"{PROV}wasDerivedFrom")
        origins = [value for name in names for value in self.values(name, NamedNode(self.record))]
        return tuple(dict.fromkeys((*origins, self.record)))

    def _credit(self) -> str | None:
        """Return the credit line: the peer's, else the title and publisher of its registry."""
        publisher = NamedNode(f"{self.registry.value}#publisher")
        names = (
            self.first(f"{DCT}title", self.registry),
            # The publisher is a text in older releases.
            self.first(f"{FOAF}name", publisher) or self.first(f"{DCT}publisher", self.registry),
        )
        credit = self.first(f"{SCHEMA}creditText", NamedNode(self.record))
        return credit or ", ".join(dict.fromkeys(filter(None, names))) or None


MAPPING = RecordMapping(build_mapper, frozenset({Payload.GRAPH}))
