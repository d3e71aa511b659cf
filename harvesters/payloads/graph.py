"""Hold a record as RDF: its subject, its properties, and those of the nodes it points to."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, Store, Triple

from vocab.iris import is_web

Node = NamedNode | BlankNode
Term = NamedNode | BlankNode | Literal | Triple
Properties = Mapping[str, tuple[Term, ...]]  # The values of a node's properties, by their IRIs.
_NODES = (NamedNode, BlankNode)

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
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "vivo": "http://vivoweb.org/ontology/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

TYPE = PREFIXES["rdf"] + "type"
# Triples of a record: real ones have some hundred; a hub to which all nodes point has millions.
_MAX_TRIPLES = 10_000
# Names of blank nodes that servers write as IRIs (RDF 1.1, section 3.5, and Virtuoso) or as texts.
_BLANK_NAME = re.compile(r"_:[\w.-]++\Z|nodeID://|https?://[^/]++/\.well-known/genid/")
# Invalid values of these properties are left out; those of any other make the record invalid.
_LICENCES = (
    "http://purl.org/dc/terms/license",
    "http://purl.org/dc/terms/rights",
    "http://schema.org/license",
)
_REFUSED = frozenset(' <>"{}|\\^`')  # Characters that no IRI may have (RFC 3987).


def iri(name: str) -> str:
    """Expand a prefixed name to an IRI; any other text is returned unchanged.

    >>> iri("dcat:Dataset"), iri("urn:a:b")
    ('http://www.w3.org/ns/dcat#Dataset', 'urn:a:b')
    """
    prefix, _, local = name.partition(":")
    return PREFIXES[prefix] + local if prefix in PREFIXES and not local.startswith("//") else name


def is_blank_name(text: str) -> bool:
    """Return whether an IRI or a text is the name of a blank node, which has no meaning elsewhere.

    >>> is_blank_name("_:b0"), is_blank_name("nodeID://b10"), is_blank_name("https://a.example/b")
    (True, True, False)
    """
    return _BLANK_NAME.match(text) is not None


MEMBERS = frozenset(map(iri, (
    "dcat:dataset", "dcat:service", "dcat:catalog", "dcat:record", "dcat:resource", "schema:dataset", "hydra:member", "ldp:contains",
    "dct:hasPart", "schema:hasPart",
)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Graph:
    """The statements about *subject*: *properties* has its properties, and those of the nodes it
    leads to, by node.

    *blank_node_labels* are labels of its blank nodes computed from their statements, so that their
    order is stable.
    """

    subject: Node
    properties: Mapping[Node, Properties]
    blank_node_labels: Mapping[Term, str] = field(default_factory=dict)

    def about(self, node: Term) -> Properties:
        """Return the properties of *node*, by their IRIs; those of a literal are none."""
        return self.properties.get(node, {}) if isinstance(node, _NODES) else {}

    def all(self, node: Term, *names: str) -> tuple[Term, ...]:
        """Return all values of the properties *names* (IRIs) of *node*, in the order of the names."""
        about = self.about(node)
        return tuple([term for name in names if name in about for term in about[name]])

    def canonical_text(self) -> bytes:
        """Return the graph as text that does not depend on the names of blank nodes; a record's
        digest is computed from it.
        """
        lines = [
            f"{node} <{name}> {self.blank_node_labels.get(term, term)}"
            for node, properties in self.properties.items()
            if isinstance(node, NamedNode) or node == self.subject
            for name, terms in properties.items()
            for term in terms
        ]
        if isinstance(self.subject, BlankNode):
            lines = [line.replace(str(self.subject), "_:subject", 1) for line in lines]
        return "\n".join(sorted(lines)).encode()


def bounded_description(store: Store, subject: Node, steps: int) -> Graph:
    """Return a subject's concise bounded description from *store*, and those of named nodes up to
    *steps* away.

    Properties that list members (a catalogue's datasets) and classes are not followed. Raises
    ValueError if the description is too large for a record, or contains an invalid IRI. Source:
    https://www.w3.org/submissions/CBD/
    """
    about: dict[Node, Properties] = {}
    queue: deque[tuple[Node, int]] = deque([(subject, steps)])
    left = _MAX_TRIPLES
    while queue:
        node, remaining = queue.popleft()
        if node in about:
            continue
        properties = _properties(store, node, left, whole=node == subject)
        left -= sum(map(len, properties.values()))
        if properties or node == subject:
            about[node] = properties
        for name, terms in properties.items():
            if name != TYPE and name not in MEMBERS:
                _enqueue(queue, terms, remaining)
    marks = _label_blank_nodes(about)

    def ordered(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        if len(terms) < 2:
            return terms
        return tuple(sorted(terms, key=lambda value: marks.get(value, str(value))))

    properties_of = {
        node: {name: ordered(terms) for name, terms in properties.items()}
        for node, properties in about.items()
    }
    return Graph(subject, properties_of, marks)


def _enqueue(queue: deque[tuple[Node, int]], terms: Iterable[Term], remaining: int) -> None:
    """Enqueue the values of a property: blank nodes first, as they are part of the node that points
    to them.
    """
    for term in terms:
        if isinstance(term, BlankNode):
            queue.appendleft((term, remaining))
        elif isinstance(term, NamedNode) and remaining:
            queue.append((term, remaining - 1))


def _properties(store: Store, node: Node, most: int, *, whole: bool) -> dict[str, tuple[Term, ...]]:
    """Return a node's properties. Raise ValueError if they are more than *most* statements, or contain
    an invalid IRI.
    """
    values: dict[str, list[Term]] = {}
    quads = store.quads_for_pattern(node, None, None, DefaultGraph())
    wanted = (quad for quad in quads if whole or quad.predicate.value not in MEMBERS)
    for count, quad in enumerate(wanted, 1):
        name = quad.predicate.value
        if count > most:
            raise ValueError(f"more than {_MAX_TRIPLES} statements, too many for one record")
        invalid = [
            term.value
            for term in (quad.predicate, quad.object)
            if isinstance(term, NamedNode)
            and (not term.value.isprintable() or not _REFUSED.isdisjoint(term.value))
        ]
        if invalid and name not in _LICENCES:
            raise ValueError(f"<{invalid[0][:200]}>, which is not an IRI")
        if not invalid:
            values.setdefault(name, []).append(quad.object)
    return {name: tuple(terms) for name, terms in sorted(values.items())}


def _label_blank_nodes(about: Mapping[Node, Properties]) -> dict[Term, str]:
    """Label each blank node with a digest of its statements; a reference back to an open node is
    marked as such.
    """
    labels: dict[Term, str] = {}
    for start in (node for node in about if isinstance(node, BlankNode)):
        stack, open_ = [start], {start}
        while stack:
            node, statements = stack[-1], list[str]()
            for name, term in [
                (name, term) for name, terms in about.get(node, {}).items() for term in terms
            ]:
                if not isinstance(term, BlankNode):
                    statements.append(f"{name} {term}")
                elif term in labels or term in open_:
                    statements.append(f"{name} {labels.get(term, '^')}")
                else:
                    stack.append(term)
                    open_.add(term)
                    break
            else:
                text = "\n".join(sorted(statements))
                labels[node] = f"_:{blake2b(text.encode(), digest_size=12).hexdigest()}"
                open_.discard(stack.pop())
    return labels


def merge_graphs(quads: Iterable[Quad]) -> Iterator[Quad]:
    """Yield all statements in the default graph, with schema.org's terms in one namespace."""
    return normalize_schema_org(quads, DefaultGraph())


def normalize_schema_org(
    quads: Iterable[Quad], graph: DefaultGraph | None = None
) -> Iterator[Quad]:
    """Yield statements with schema.org's terms in one namespace (http), each in its own graph unless
    all are to be in *graph*.
    """
    for quad in quads:
        predicate, value = quad.predicate, quad.object
        if isinstance(value, NamedNode) and predicate.value == TYPE:
            value = _normalize_namespace(value)
        yield Quad(quad.subject, _normalize_namespace(predicate), value, graph or quad.graph_name)


def _normalize_namespace(node: NamedNode) -> NamedNode:
    """Return *node* with http in place of https if it is schema.org's. The lenient parser keeps terms
    that are not IRIs; these are returned unchanged.
    """
    if not node.value.startswith("https://schema.org/"):
        return node
    try:
        return NamedNode("http" + node.value[5:])
    except ValueError:
        return node


def iri_or_text(quads: Iterable[Quad]) -> Iterator[Quad]:
    """Convert IRIs that are not valid web addresses to texts; authors of pages and of plain JSON
    often write texts there.
    """
    for quad in quads:
        iri = quad.object.value if isinstance(quad.object, NamedNode) else ""
        is_text = iri.startswith("http") and not is_web(iri)
        yield Quad(quad.subject, quad.predicate, Literal(iri)) if is_text else quad
