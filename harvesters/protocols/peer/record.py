"""Parse a record of another Stocktake from its graph: the statements about its topic, without the
peer's own bookkeeping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat

from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.payloads.graph import Graph, Node, Term
from harvesters.payloads.rdf_parser import parse_quads
from harvesters.reasons import Reason
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, SCHEMA

Item = Record[Graph] | DeletedRecord | InvalidRecord
TOPIC = f"{FOAF}primaryTopic"
LINEAGE, PRIMARY, CREDIT = f"{PROV}wasDerivedFrom", f"{PROV}hadPrimarySource", f"{SCHEMA}creditText"
# other statements about a record are the peer's bookkeeping
_OF_RECORD = frozenset((TOPIC, LINEAGE, PRIMARY, CREDIT))
_OF_REGISTRY = frozenset((f"{DCT}title", f"{DCT}publisher", f"{FOAF}name", f"{DCT}license"))
_STATUS, _TIMES = f"{ADMS}status", (f"{PROV}invalidatedAtTime", f"{DCT}modified")


@dataclass(frozen=True, slots=True)
class RecordName:
    """The parts of a record graph's IRI: the peer's *base*, the *registry* that the record came
    from, and its *key*.
    """

    base: str
    registry: str
    key: str

    @property
    def local_key(self) -> str:
        """Return the record's key here: two registries of a peer may use the same key."""
        return f"{self.registry}/{self.key}"


def parse_name(graph: str, base: str) -> RecordName | None:
    """Parse the IRI of a record graph under *base*; None if it is not one.

    >>> parse_name("https://a.example/record/kenya/p%2F1", "https://a.example/").local_key
    'kenya/p/1'
    """
    parts = graph.removeprefix(base).split("/")
    return (
        RecordName(base, parts[1], unquote(parts[2]))
        if len(parts) == 3 and parts[0] == "record" and all(parts)
        else None
    )


def parse_statements(lines: Iterable[str]) -> list[Quad]:
    """Parse statements ``<s> <p> <o>``. Raise ParseError if one is invalid."""
    return list(
        parse_quads(
            "".join(f"{line} .\n" for line in lines).encode(),
            RdfFormat.N_TRIPLES,
            "the statement cannot be parsed",
        )
    )


def origin_chain(graph: str, quads: Iterable[Quad]) -> tuple[str, ...]:
    """Return the records elsewhere from which a record was taken."""
    return tuple(
        quad.object.value
        for quad in quads
        if _has_property(quad, graph, LINEAGE) and isinstance(quad.object, NamedNode)
    )


def is_deleted(graph: str, quads: Iterable[Quad], base: str) -> bool:
    """Return whether a record's graph is a tombstone."""
    return any(
        _has_property(quad, graph, _STATUS) and quad.object == NamedNode(f"{base}operations#gone")
        for quad in quads
    )


def parse_record(
    about: RecordName, graph: str, quads: list[Quad], registry: Iterable[Quad]
) -> Item:
    """Return the record in *graph*; *registry* are the statements about the registry that it came
    from.
    """
    times = (
        quad.object.value
        for name in _TIMES
        for quad in quads
        if _has_property(quad, graph, name) and isinstance(quad.object, Literal)
    )
    modified = next(times, None)
    if not quads or is_deleted(graph, quads, about.base):
        return DeletedRecord(about.local_key, modified)
    topic = next(
        (
            quad.object
            for quad in quads
            if _has_property(quad, graph, TOPIC) and isinstance(quad.object, NamedNode)
        ),
        None,
    )
    if topic is None:
        return InvalidRecord(about.local_key, Reason("no_primary_topic", {"graph": graph}))
    payload = Graph(topic, _group_by_subject(_record_statements(graph, quads, registry)))
    return Record(about.local_key, payload, payload.canonical_text(), modified)


def _record_statements(
    graph: str, quads: Iterable[Quad], registry: Iterable[Quad]
) -> Iterator[Quad]:
    result = f"{graph}#result-"
    for quad in quads:
        subject = quad.subject.value if isinstance(quad.subject, NamedNode) else result
        predicate = quad.predicate.value
        if (
            not subject.startswith(result)
            and predicate != f"{DCAT}record"
            and (subject != graph or predicate in _OF_RECORD)
        ):
            yield quad
    yield from (quad for quad in registry if quad.predicate.value in _OF_REGISTRY)


def _group_by_subject(quads: Iterable[Quad]) -> dict[Node, dict[str, tuple[Term, ...]]]:
    subjects: dict[Node, dict[str, list[Term]]] = {}
    for quad in quads:
        if isinstance(quad.subject, NamedNode):
            subjects.setdefault(quad.subject, {}).setdefault(quad.predicate.value, []).append(
                quad.object
            )
    return {
        node: {name: tuple(sorted(terms, key=str)) for name, terms in sorted(properties.items())}
        for node, properties in subjects.items()
    }


def _has_property(quad: Quad, subject: str, predicate: str) -> bool:
    return quad.predicate.value == predicate and quad.subject == NamedNode(subject)
