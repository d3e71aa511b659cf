"""Find the records of an RDF document, their keys, and the pages it links to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Store

from harvesters.payloads.graph import MEMBERS, TYPE, Node, Term, iri, is_blank_name
from vocab.iris import is_web

CATALOGUES = frozenset(map(iri, (
    "dcat:Catalog", "schema:DataCatalog", "hydra:Collection", "hydra:PagedCollection", "ldp:Container", "ldp:BasicContainer",
)))  # fmt: skip
_NO_RECORDS = CATALOGUES | frozenset(
    map(iri, ("dcat:CatalogRecord", "hydra:PartialCollectionView"))
)
# Classes of records. Parts of a record (distributions, agents, places) are not records. Of
# schema.org's classes, only those that the model knows are here.
RECORD_CLASSES = frozenset(map(iri, (
    "dcat:Dataset", "dcat:DataService", "dcat:DatasetSeries", "dcat:Resource", "adms:Asset",
    "foaf:Project", "doap:Project", "vivo:Project", "frapo:Project", "eurio:Project",
    "schema:Dataset", "schema:Project", "schema:ResearchProject", "schema:Course", "schema:Report", "schema:ScholarlyArticle",
    "schema:Article", "schema:NewsArticle", "schema:BlogPosting", "schema:Book", "schema:CreativeWork", "schema:SoftwareApplication",
    "schema:SoftwareSourceCode", "schema:LearningResource", "schema:Guide", "schema:HowTo", "schema:TechArticle",
    "schema:Event", "schema:BusinessEvent", "schema:EducationEvent", "schema:Hackathon", "schema:ExhibitionEvent",
    "schema:CourseInstance", "schema:SocialEvent", "schema:Festival", "schema:MusicEvent", "schema:EventSeries",
)))  # fmt: skip
_LISTED = frozenset(
    map(
        iri,
        (
            "dcat:dataset",
            "dcat:service",
            "dcat:resource",
            "schema:dataset",
            "hydra:member",
            "ldp:contains",
        ),
    )
)
_IDENTIFIERS = tuple(
    map(iri, ("dct:identifier", "schema:identifier", "dc:identifier", "adms:identifier"))
)
_PAGES = tuple(map(iri, ("schema:url", "dcat:landingPage", "foaf:page", "foaf:homepage")))
_MODIFIED = tuple(map(iri, ("dct:modified", "schema:dateModified")))
_NEXT = tuple(NamedNode(iri(name)) for name in ("hydra:next", "hydra:nextPage"))
_TOTAL = NamedNode(iri("hydra:totalItems"))


@dataclass(frozen=True, slots=True)
class DiscoveredRecords:
    """The records of a document: *records* by key, and *keyless* ones; *elsewhere* are members that
    it only names, *catalogues* those to which it links.
    """

    records: tuple[tuple[str, Node], ...]
    keyless: tuple[Node, ...]
    elsewhere: tuple[str, ...]
    catalogues: tuple[str, ...]


def find_records(
    store: Store, classes: frozenset[str], page: str | None = None
) -> DiscoveredRecords:
    """Return the records of a document: the instances of *classes*, else the members of its
    catalogues and instances of RECORD_CLASSES.

    Without *classes* a blank node that is the value of a property other than membership is a part
    of another, and not a record. A blank node's key is its identifier, else its page, else *page*
    if the document describes nothing else.
    """
    listed = {term for name in _LISTED for term in _objects(store, name)}
    stated = {node for name in classes for node in _instances(store, name)}
    chosen = stated if classes else _recognized(store, listed)
    named: dict[str, Node] = {}
    keyless: list[Node] = []
    for node in sorted(chosen, key=lambda node: (isinstance(node, BlankNode), node.value)):
        key = (
            node.value
            if isinstance(node, NamedNode) and not is_blank_name(node.value)
            else find_key(store, node) or (page if len(chosen) == 1 else None)
        )
        if key and key not in named:
            named[key] = node
        elif not key:
            keyless.append(node)
    only_named = {
        node.value
        for node in listed
        if isinstance(node, NamedNode) and is_web(node.value) and not is_described(store, node)
    }
    return DiscoveredRecords(
        tuple(sorted(named.items())),
        tuple(keyless),
        tuple(sorted(only_named)),
        tuple(sorted(_catalogues(store))),
    )


def _recognized(store: Store, listed: Set[Node]) -> set[Node]:
    """Return the described members of catalogues and instances of RECORD_CLASSES."""
    known = {node for name in RECORD_CLASSES for node in _instances(store, name)}
    whole = {node for node in known if isinstance(node, NamedNode) or not _part(store, node)}
    return {
        node
        for node in whole | listed
        if is_described(store, node) and not _types(store, node) & _NO_RECORDS
    }


def find_key(store: Store, node: Node) -> str | None:
    """Return the key of a blank node: its identifier, else its page."""
    for name in (*_IDENTIFIERS, *_PAGES):
        if keys := sorted(text for term in _values(store, node, name) if (text := _key(term))):
            return keys[0]
    return None


def find_modified(store: Store, node: Node) -> str | None:
    return next(
        (
            term.value
            for name in _MODIFIED
            for term in _values(store, node, name)
            if isinstance(term, Literal)
        ),
        None,
    )


def find_next_page(store: Store) -> str | None:
    """Return the address of the collection's next page, that of a PartialCollectionView or a
    PagedCollection.

    Source: https://www.hydra-cg.com/spec/latest/core/#collections
    """
    quads = (
        quad for name in _NEXT for quad in store.quads_for_pattern(None, name, None, DefaultGraph())
    )
    return min(
        (text for quad in quads if (text := _key(quad.object)) and is_web(text)), default=None
    )


def find_total(store: Store) -> int | None:
    """Return the number of members that the document's only collection reports."""
    totals = {
        quad.object.value
        for quad in store.quads_for_pattern(None, _TOTAL, None, DefaultGraph())
        if isinstance(quad.object, Literal)
    }
    number = next(iter(totals)) if len(totals) == 1 else ""
    return int(number) if number.isascii() and number.isdigit() else None


def frequent_classes(store: Store) -> list[str]:
    """Return the classes with instances in the document, the most frequent first, at most eight."""
    quads = store.quads_for_pattern(None, NamedNode(TYPE), None, DefaultGraph())
    count = Counter(quad.object.value for quad in quads if isinstance(quad.object, NamedNode))
    return sorted(count, key=lambda name: (-count[name], name))[:8]


def _catalogues(store: Store) -> Iterator[str]:
    """Yield the catalogues that the document names as parts of another without listing their members."""
    parts = set(_objects(store, iri("dcat:catalog")))
    for name in (*_LISTED, iri("dct:hasPart"), iri("schema:hasPart")):
        parts |= {node for node in _objects(store, name) if _types(store, node) & CATALOGUES}
    for node in parts:
        if (
            isinstance(node, NamedNode)
            and is_web(node.value)
            and not any(_values(store, node, name) for name in MEMBERS)
        ):
            yield node.value


def _objects(store: Store, name: str) -> Iterable[Node]:
    quads = store.quads_for_pattern(None, NamedNode(name), None, DefaultGraph())
    return (quad.object for quad in quads if isinstance(quad.object, NamedNode | BlankNode))


def _instances(store: Store, name: str) -> Iterator[Node]:
    quads = store.quads_for_pattern(None, NamedNode(TYPE), NamedNode(name), DefaultGraph())
    return (quad.subject for quad in quads if isinstance(quad.subject, NamedNode | BlankNode))


def _types(store: Store, node: Node) -> frozenset[str]:
    return frozenset(
        term.value for term in _values(store, node, TYPE) if isinstance(term, NamedNode)
    )


def _values(store: Store, node: Node, name: str) -> list[Term]:
    return [
        quad.object for quad in store.quads_for_pattern(node, NamedNode(name), None, DefaultGraph())
    ]


def _part(store: Store, node: Node) -> bool:
    return any(
        quad.predicate.value not in MEMBERS
        for quad in store.quads_for_pattern(None, None, node, DefaultGraph())
    )


def is_catalogue(store: Store) -> bool:
    """Return whether a document describes a catalogue or a collection, even if empty."""
    return any(True for name in CATALOGUES for _ in _instances(store, name))


def is_described(store: Store, node: Node) -> bool:
    return next(iter(store.quads_for_pattern(node, None, None, DefaultGraph())), None) is not None


def _key(term: Term) -> str | None:
    return " ".join(term.value.split()) or None if isinstance(term, NamedNode | Literal) else None
