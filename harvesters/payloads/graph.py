"""Graphs: a record as RDF: its subject, what is said of it, and of what it points to, as a mapping asks them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, Store, Triple

Node = NamedNode | BlankNode
Term = NamedNode | BlankNode | Literal | Triple
Properties = Mapping[str, tuple[Term, ...]]  # a node's properties, by their IRIs

PREFIXES: Mapping[str, str] = {
    "adms": "http://www.w3.org/ns/adms#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "doap": "http://usefulinc.com/ns/doap#",
    "eurio": "http://data.europa.eu/s66#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "frapo": "http://purl.org/cerif/frapo/",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "gsp": "http://www.opengis.net/ont/geosparql#",
    "hydra": "http://www.w3.org/ns/hydra/core#",
    "kohesio": "https://linkedopendata.eu/prop/direct/",
    "ldp": "http://www.w3.org/ns/ldp#",
    "locn": "http://www.w3.org/ns/locn#",
    "org": "http://www.w3.org/ns/org#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "http://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "vivo": "http://vivoweb.org/ontology/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

TYPE = PREFIXES["rdf"] + "type"
_MOST = 10_000  # triples of a record: real ones have some hundred; a hub that all point to has millions
_REFUSED = frozenset(' <>"{}|\\^`')  # what no IRI holds (RFC 3987)


def iri(name: str) -> str:
    """Give the IRI of a prefixed name, and any other text as it is.

    >>> iri("dcat:Dataset"), iri("urn:a:b")
    ('http://www.w3.org/ns/dcat#Dataset', 'urn:a:b')
    """
    prefix, _, local = name.partition(":")
    return PREFIXES[prefix] + local if prefix in PREFIXES and not local.startswith("//") else name


MEMBERS = frozenset(map(iri, (
    "dcat:dataset", "dcat:service", "dcat:catalog", "dcat:record", "dcat:resource", "schema:dataset", "hydra:member", "ldp:contains",
    "dct:hasPart", "schema:hasPart",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Graph:
    """What a document says of *subject*: *about* has its properties, and those of the nodes it leads to, by node.

    *marks* names its blank nodes by what is said of them, so that they have an order that is the same each time.
    """

    subject: Node
    properties: Mapping[Node, Properties]
    blank_node_labels: Mapping[Term, str] = field(default_factory=dict)

    def all(self, node: Term, *names: str) -> tuple[Term, ...]:
        """Give all values of the properties *names* (IRIs) of *node*, in the order of the names."""
        said = self.properties.get(node, {}) if isinstance(node, NamedNode | BlankNode) else {}
        return tuple([term for name in names if name in said for term in said[name]])

    def first(self, node: Term, *names: str) -> tuple[Term, ...]:
        """Give the values of the first of these properties that *node* has."""
        said = self.properties.get(node, {}) if isinstance(node, NamedNode | BlankNode) else {}
        return next((said[name] for name in names if name in said), ())

    def types(self, node: Term) -> frozenset[str]:
        """Give the classes of *node*, by their IRIs."""
        return frozenset(term.value for term in self.all(node, TYPE) if isinstance(term, NamedNode))

    def canonical_text(self) -> bytes:
        """Write the graph so that it is the same text whatever its blank nodes are called: on it a record's digest rests."""
        lines = [
            f"{node} <{name}> {self.blank_node_labels.get(term, term)}"
            for node, said in self.properties.items()
            if isinstance(node, NamedNode) or node == self.subject
            for name, terms in said.items()
            for term in terms
        ]
        if isinstance(self.subject, BlankNode):
            lines = [line.replace(str(self.subject), "_:subject", 1) for line in lines]
        return "\n".join(sorted(lines)).encode()


def bounded_description(store: Store, subject: Node, steps: int) -> Graph:
    """Take a subject's concise bounded description out of *store*, and those of named nodes up to *steps* away.

    What lists members (a catalogue's datasets) is followed from no node, nor are classes. Raises ValueError where it is too
    large for a record, or holds what is no IRI. Source: https://www.w3.org/submissions/CBD/
    """
    about: dict[Node, Properties] = {}
    ahead: deque[tuple[Node, int]] = deque([(subject, steps)])
    count = 0
    while ahead:
        node, left = ahead.popleft()
        if node in about:
            continue
        said = _said(store, node, whole=node == subject)
        count += sum(map(len, said.values()))
        if count > _MOST:
            raise ValueError(f"more than {_MOST} statements, too many for one record")
        if said or node == subject:
            about[node] = said
        for name, terms in said.items():
            if name != TYPE and name not in MEMBERS:
                _go_on(ahead, terms, left)
    marks = _marks(about)
    ordered = {node: {name: tuple(sorted(terms, key=lambda it: marks.get(it, str(it)))) for name, terms in said.items()}
               for node, said in about.items()}  # fmt: skip
    return Graph(subject, ordered, marks)


def _go_on(ahead: deque[tuple[Node, int]], terms: Iterable[Term], left: int) -> None:
    """Put what a property leads to in line: blank nodes first, as they are a part of what points to them."""
    for term in terms:
        if isinstance(term, BlankNode):
            ahead.appendleft((term, left))
        elif isinstance(term, NamedNode) and left:
            ahead.append((term, left - 1))


def _said(store: Store, node: Node, *, whole: bool) -> dict[str, tuple[Term, ...]]:
    """Give what is said of a node, by its properties; raises ValueError where that is too much, or names what is no IRI."""
    found: dict[str, list[Term]] = {}
    count = 0
    for quad in store.quads_for_pattern(node, None, None, DefaultGraph()):
        name = quad.predicate.value
        if not whole and name in MEMBERS:
            continue
        count += 1
        if count > _MOST:
            raise ValueError(f"more than {_MOST} statements of one node, too many for a record")
        for term in (quad.predicate, quad.object):
            if isinstance(term, NamedNode) and (not term.value.isprintable() or not _REFUSED.isdisjoint(term.value)):
                raise ValueError(f"<{term.value[:200]}>, which is no IRI")
        found.setdefault(name, []).append(quad.object)
    return {name: tuple(terms) for name, terms in sorted(found.items())}


def _marks(about: Mapping[Node, Properties]) -> dict[Term, str]:
    """Name each blank node by a digest of what is said of it; one that leads back to itself is marked as such there."""
    marks: dict[Term, str] = {}
    for begun in (node for node in about if isinstance(node, BlankNode)):
        stack, open_ = [begun], {begun}
        while stack:
            node = stack[-1]
            below = [term for term in _objects(about, node) if term not in marks and term not in open_]
            if below:
                stack.append(below[0])
                open_.add(below[0])
                continue
            told = sorted(f"{name} {marks.get(term, '^' if term in open_ else str(term))}" for name, term in _pairs(about, node))
            marks[node] = f"_:{blake2b(chr(10).join(told).encode(), digest_size=12).hexdigest()}"
            open_.discard(stack.pop())
    return marks


def _pairs(about: Mapping[Node, Properties], node: Node) -> Iterator[tuple[str, Term]]:
    return ((name, term) for name, terms in about.get(node, {}).items() for term in terms)


def _objects(about: Mapping[Node, Properties], node: Node) -> Iterator[BlankNode]:
    return (term for _, term in _pairs(about, node) if isinstance(term, BlankNode))


def merge_graphs(quads: Iterable[Quad]) -> Iterator[Quad]:
    """Put all statements into one graph, and schema.org's into its one namespace, http or https as they came."""
    return (Quad(quad.subject, quad.predicate, quad.object) for quad in normalize_schema_org(quads))


def normalize_schema_org(quads: Iterable[Quad]) -> Iterator[Quad]:
    """Put schema.org's terms into their one namespace, and leave each statement in its graph."""
    for quad in quads:
        told = quad.object
        if isinstance(told, NamedNode) and quad.predicate.value == TYPE:
            told = _plain(told)
        yield Quad(quad.subject, _plain(quad.predicate), told, quad.graph_name)


def _plain(node: NamedNode) -> NamedNode:
    return NamedNode("http" + node.value[5:]) if node.value.startswith("https://schema.org/") else node
