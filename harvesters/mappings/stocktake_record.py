"""Records of another Stocktake: our own description read back, statement by statement, with where it came from.

Source: vocab/describe.py, which writes it; the other's concepts are ours by the ends of their IRIs, whatever its base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.option_schema import Option
from harvesters.page_model import Record
from harvesters.payloads.graph import Graph, Term
from harvesters.payloads.value_parsing import normalize_block, normalize_inline, parse_name, parse_number, strip_contacts
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Detection, Document, Event, Initiative, Party, Place, Post, Prize, Resource, Role, Text
from vocab.iris import KINDS, Iris, slug
from vocab.terms import DCT, FOAF, ORG, PROV, RDFS, SCHEMA, SIOC, SKOS, VIVO, WGS

OPTIONS: Mapping[str, Option] = {}

_OURS: Mapping[str, type[Resource]] = {"initiative": Initiative, "event": Event, "document": Document, "post": Post}
_BASES = {"": Basis.DECLARED, "crosswalked": Basis.CROSSWALKED, "suggested": Basis.SUGGESTED}
_DETECTED = {f"{DCT}title": "title", f"{DCT}description": "description", f"{SIOC}content": "content"}


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Give the function that reads a record; it raises ParseError on one that no Stocktake describes."""
    return lambda record: _Reading(record, words.iris).read()


@dataclass(frozen=True, slots=True)
class _Told:
    """What the other says, by its own *base*, in our words."""

    graph: Graph
    base: str
    iris: Iris

    def all(self, name: str, of: Term | None = None) -> tuple[Term, ...]:
        return self.graph.all(of or self.graph.subject, name)

    def ours(self, name: str, of: Term | None = None) -> tuple[Term, ...]:
        """Give the values of a property of the ontology."""
        return self.all(f"{self.base}ns#{name}", of)

    def value(self, term: Term) -> str:
        """Give a value as the model has it; a concept that the other coined becomes our own of the same name."""
        if isinstance(term, NamedNode) and term.value.startswith(f"{self.base}scheme/"):
            return f"{self.iris.base}{term.value[len(self.base) :]}"
        return normalize_inline(term.value) if isinstance(term, Literal) else term.value if isinstance(term, NamedNode) else ""

    def values(self, name: str, of: Term | None = None) -> tuple[str, ...]:
        return tuple(self.value(term) for term in self.all(name, of))

    def one(self, name: str, of: Term | None = None) -> str | None:
        return next(iter(self.values(name, of)), None)

    def texts(self, name: str, form: Callable[[str], str] = normalize_inline, of: Term | None = None) -> tuple[Text, ...]:
        terms = (term for term in self.all(name, of) if isinstance(term, Literal))
        return tuple(Text(strip_contacts(form(term.value)), term.language) for term in terms)

    def sure(self, of: Term) -> float | None:
        """Give how sure the other was of a claim or a language."""
        return next((parse_number(it.value) for it in self.ours("confidence", of) if isinstance(it, Literal)), None)

    def text(self, name: str, of: Term | None = None) -> Text | None:
        return next(iter(self.texts(name, of=of)), None)


class _Reading:
    """One record as it is read."""

    def __init__(self, record: Record[Graph], iris: Iris) -> None:
        self.key, graph = record.key, record.payload
        self.record = next(
            (node.value for node, said in graph.properties.items() if graph.subject in said.get(f"{FOAF}primaryTopic", ())), ""
        )
        parts = self.record.rsplit("/", 3)
        if len(parts) != 4 or parts[1] != "record" or not isinstance(graph.subject, NamedNode):
            raise ParseError(f"{self.key}: no record of a Stocktake is about {graph.subject}")
        self.told = _Told(graph, f"{parts[0]}/", iris)
        self.registry = NamedNode(f"{parts[0]}/source/{parts[2]}")

    def read(self) -> Resource:
        told, subject = self.told, self.told.graph.subject
        kind = next((name for name in KINDS if subject.value.startswith(f"{told.base}id/{name}/")), "")
        if kind not in _OURS:
            raise ParseError(f"{self.key}: {subject.value} is none of {', '.join(_OURS)}")
        common: dict[str, Any] = {
            "key": self.key,
            "titles": told.texts(f"{DCT}title"),
            "descriptions": told.texts(f"{DCT}description", normalize_block),
            "identifiers": told.values(f"{DCT}identifier"),
            "pages": told.values(f"{FOAF}page"),
            "languages": told.values(f"{DCT}language"),
            "licence": told.one(f"{DCT}license") or told.one(f"{DCT}license", self.registry),
            "issued": told.one(f"{DCT}issued"),
            "modified": told.one(f"{DCT}modified"),
            "countries": told.values(f"{DCT}spatial"),
            "parties": tuple(self._parties()),
            "action_lines": tuple(self._claims("actionLine")),
            "goals": tuple(self._claims("goal")),
            "targets": tuple(self._claims("target")),
            "subjects": tuple(parse_name(text.value, text.language) for text in told.texts(f"{DCT}subject")),
            "related": told.values(f"{DCT}relation"),
            "detected": tuple(self._detections()),
            "lineage": self._lineage(),
            "credit": self._credit(),
        }
        return _OURS[kind](**common, **self._own(kind))

    def _own(self, kind: str) -> dict[str, Any]:
        told = self.told
        if kind == "document":
            return {"creators": told.texts(f"{DCT}creator"), "kind": told.one(f"{DCT}type")}
        if kind == "post":
            content = next(iter(told.texts(f"{SIOC}content", normalize_block)), None)
            return {"content": content, "container": told.one(f"{SIOC}has_container")}
        span = {"start": told.one(f"{SCHEMA}startDate"), "end": told.one(f"{SCHEMA}endDate"), "places": tuple(self._places())}
        if kind == "event":
            cancelled = NamedNode(f"{SCHEMA}EventCancelled") in told.all(f"{SCHEMA}eventStatus")
            return {**span, "venue": told.text(f"{told.base}ns#venue"), "cancelled": cancelled}
        types = tuple(told.value(term) for term in told.ours("activityType"))
        coverage, status = (next((told.value(term) for term in told.ours(name)), None) for name in ("coverage", "status"))
        return {**span, "coverage": coverage, "status": status, "activity_types": types, "prizes": tuple(self._prizes())}

    def _claims(self, name: str) -> Iterator[Claim]:
        for prefix, basis in _BASES.items():
            for term in self.told.ours(f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name):
                part = self._classified(prefix, term) if prefix else None
                word = next((self.told.value(it) for it in self.told.ours("sourceWord", part)), None) if part else None
                yield Claim(self.told.value(term), basis, word, self.told.sure(part) if part else None)

    def _classified(self, basis: str, concept: Term) -> NamedNode | None:
        """Find the part of the record that tells how a claim came to be."""
        begins = f"{self.record}#{basis}-"
        parts = (node for node in self.told.graph.properties if isinstance(node, NamedNode) and node.value.startswith(begins))
        return next((part for part in parts if concept in self.told.ours("concept", part)), None)

    def _parties(self) -> Iterator[Party]:
        told = self.told
        for role, name in ((Role.LEAD, f"{DCT}publisher"), (Role.PARTNER, f"{told.base}ns#partner"), (Role.FUNDER, f"{SCHEMA}funder")):
            for term in told.all(name):
                called = told.text(f"{SKOS}prefLabel", term)
                if called is not None:
                    kind, country, page = (told.one(it, term) for it in (f"{ORG}classification", f"{DCT}spatial", f"{FOAF}homepage"))
                    yield Party(role, called, self._organization(told.value(term), called.value), kind, country, page)

    def _organization(self, iri: str, called: str) -> str | None:
        """Give an organization's key: two registries of the other may use the same for others; one made of its name stays so."""
        key = unquote(iri.rpartition("/")[2])
        return None if key == slug(called) else f"{self.registry.value.rpartition('/')[2]}/{key}"

    def _places(self) -> Iterator[Place]:
        for term in sorted(self.told.all(f"{SCHEMA}location"), key=str):
            latitude, longitude = (parse_number(self.told.one(f"{WGS}{name}", term)) for name in ("lat", "long"))
            if latitude is not None and longitude is not None:
                yield Place(self.told.text(f"{RDFS}label", term), latitude, longitude)

    def _prizes(self) -> Iterator[Prize]:
        told = self.told
        for term in sorted(told.all(f"{VIVO}relatedBy"), key=str):
            category, stage, year = (
                next((told.value(it) for it in told.ours(name, term)), "") for name in ("prizeCategory", "prizeStage", "prizeYear")
            )
            yield Prize(category, stage, int(year[:4]) if year[:4].isdecimal() else None)

    def _detections(self) -> Iterator[Detection]:
        told, begins = self.told, f"{self.record}#detected-"
        for node in told.graph.properties:
            if isinstance(node, NamedNode) and node.value.startswith(begins):
                where = next((it.value for it in told.ours("detectedIn", node) if isinstance(it, NamedNode)), "")
                yield Detection(_DETECTED.get(where, "venue"), told.one(f"{DCT}language", node) or "", told.sure(node) or 0.0)

    def _lineage(self) -> tuple[str, ...]:
        """Give the records that it came from: those that the other names, the first of all first, then the other's own."""
        told, record = self.told, NamedNode(self.record)
        first = told.values(f"{PROV}hadPrimarySource", record)
        before = [it for it in told.values(f"{PROV}wasDerivedFrom", record) if it not in first]
        return tuple(dict.fromkeys((*first, *before, self.record)))

    def _credit(self) -> str | None:
        """Give whom to name: as the other does for what it had from another, else its registry and who publishes that."""
        told = self.told
        title, publisher = told.one(f"{DCT}title", self.registry), told.one(f"{DCT}publisher", self.registry)
        given = told.one(f"{SCHEMA}creditText", NamedNode(self.record))
        return given or ", ".join(dict.fromkeys(it for it in (title, publisher) if it)) or None
