"""A Stocktake's record, read from what its graph holds: what it says of its topic, without how the other keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode, Quad, RdfFormat

from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.payloads.graph import Graph, Node, Term
from harvesters.payloads.rdf_parser import parse_quads
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, SCHEMA

Item = Record[Graph] | DeletedRecord | InvalidRecord
TOPIC = f"{FOAF}primaryTopic"
LINEAGE, PRIMARY, CREDIT = f"{PROV}wasDerivedFrom", f"{PROV}hadPrimarySource", f"{SCHEMA}creditText"
_OF_RECORD = frozenset((TOPIC, LINEAGE, PRIMARY, CREDIT))  # all else that is said of a record is how the other keeps it
_OF_REGISTRY = frozenset((f"{DCT}title", f"{DCT}publisher", f"{DCT}license"))
_STATUS, _TIMES = f"{ADMS}status", (f"{PROV}invalidatedAtTime", f"{DCT}modified")


@dataclass(frozen=True, slots=True)
class Name:
    """A record's graph by its parts: the *base* of the other, the name of the *registry* that it came from there, and its *key*."""

    base: str
    registry: str
    key: str

    @property
    def own(self) -> str:
        """Give the key by which the record is known here: two registries of the other may use the same."""
        return f"{self.registry}/{self.key}"


def name(graph: str, base: str) -> Name | None:
    """Read the name of a record's graph under *base*; None where it is none.

    >>> name("https://a.example/record/kenya/p%2F1", "https://a.example/").own
    'kenya/p/1'
    """
    parts = graph.removeprefix(base).split("/")
    return Name(base, parts[1], unquote(parts[2])) if len(parts) == 3 and parts[0] == "record" and all(parts) else None


def statements(lines: Iterable[str]) -> list[Quad]:
    """Read statements ``<s> <p> <o>``; raises ParseError where one is none."""
    return list(parse_quads("".join(f"{line} .\n" for line in lines).encode(), RdfFormat.N_TRIPLES, "no statement that can be read"))


def lineage(graph: str, held: Iterable[Quad]) -> tuple[str, ...]:
    """Give the records elsewhere that a record was taken from."""
    return tuple(it.object.value for it in held if _of(it, graph, LINEAGE) and isinstance(it.object, NamedNode))


def is_gone(graph: str, held: Iterable[Quad], base: str) -> bool:
    """Tell whether a record's graph is the tombstone that is left of it."""
    return any(_of(it, graph, _STATUS) and it.object == NamedNode(f"{base}ns#gone") for it in held)


def item(about: Name, graph: str, held: list[Quad], registry: Iterable[Quad]) -> Item:
    """Make the record of what its *graph* held; *registry* is what the other says of the registry that it came from."""
    times = (it.object.value for name in _TIMES for it in held if _of(it, graph, name) and isinstance(it.object, Literal))
    modified = next(times, None)
    if not held or is_gone(graph, held, about.base):
        return DeletedRecord(about.own, modified)
    topic = next((it.object for it in held if _of(it, graph, TOPIC) and isinstance(it.object, NamedNode)), None)
    if topic is None:
        return InvalidRecord(about.own, f"{graph} does not tell what it is about")
    told = Graph(topic, _gathered(_kept(graph, held, registry)))
    return Record(about.own, told, told.canonical_text(), modified)


def _kept(graph: str, held: Iterable[Quad], registry: Iterable[Quad]) -> Iterator[Quad]:
    result = f"{graph}#result-"
    for it in held:
        subject, said = it.subject.value if isinstance(it.subject, NamedNode) else result, it.predicate.value
        if not subject.startswith(result) and said != f"{DCAT}record" and (subject != graph or said in _OF_RECORD):
            yield it
    yield from (it for it in registry if it.predicate.value in _OF_REGISTRY)


def _gathered(quads: Iterable[Quad]) -> dict[Node, dict[str, tuple[Term, ...]]]:
    found: dict[Node, dict[str, list[Term]]] = {}
    for it in quads:
        if isinstance(it.subject, NamedNode):
            found.setdefault(it.subject, {}).setdefault(it.predicate.value, []).append(it.object)
    return {node: {name: tuple(sorted(terms, key=str)) for name, terms in sorted(said.items())} for node, said in found.items()}


def _of(it: Quad, subject: str, predicate: str) -> bool:
    return it.predicate.value == predicate and it.subject == NamedNode(subject)
