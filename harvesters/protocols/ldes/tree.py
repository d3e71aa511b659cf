"""Parse a page of an event stream, its members and its relations to other pages.

Source: https://w3id.org/tree/specification, https://w3id.org/ldes/specification (1.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Store

from harvesters.payloads.graph import TYPE, Node, Term, bounded_description
from harvesters.protocols.datestamps import parse_timestamp
from harvesters.reasons import Reason
from vocab.iris import is_web

LDES, TREE = "https://w3id.org/ldes#", "https://w3id.org/tree#"
_DELETED = "https://www.w3.org/ns/activitystreams#Delete"
# the usual property, if the stream declares none
_VERSION_OF = "http://purl.org/dc/terms/isVersionOf"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream's metadata: the properties for time, sequence and entity, and how deletions are
    marked.
    """

    stamp: str | None = None
    sequence: str | None = None
    entity: str = _VERSION_OF
    deletes: str = TYPE
    deleted: str = _DELETED

    @property
    def version_properties(self) -> frozenset[str]:
        """Return the properties that describe a version, and not its entity."""
        return frozenset(name for name in (self.stamp, self.sequence, self.entity) if name)


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its *entity*, its *rank* among the entity's versions, whether it is a deletion, and
    its statements as N-Triples.
    """

    name: str
    entity: str
    rank: str
    stamp: str
    deleted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A link to another page, whose members are not newer than *newest* (None: unknown)."""

    address: str
    newest: datetime | None = None


def parse_stream(store: Store, before: Stream | None) -> Stream:
    """Parse a stream's metadata on a page; what is missing is taken from an earlier page."""
    paths = {name: _path(store, f"{LDES}{word}") for name, word in _STREAM_TERMS.items()}
    known = {name: value for name, value in paths.items() if value}
    if before is not None:
        known = {**{name: getattr(before, name) for name in _STREAM_TERMS}, **known}
    return Stream(**known)


_STREAM_TERMS = {
    "stamp": "timestampPath",
    "sequence": "sequencePath",
    "entity": "versionOfPath",
    "deletes": "versionDeletePath",
    "deleted": "versionDeleteObject",
}


def list_views(store: Store) -> list[tuple[str, bool]]:
    """Return the root nodes that a stream names, and whether each holds the latest versions only."""
    addresses = {
        term.value
        for term in _objects(store, None, f"{TREE}view")
        if isinstance(term, NamedNode) and is_web(term.value)
    }
    return [
        (view, f"{LDES}LatestVersionSubset" in _policies(store, NamedNode(view)))
        for view in sorted(addresses)
    ]


def retention_limit(store: Store) -> Reason | None:
    """Return why a stream may lack entities: a retention policy that drops old members, even the
    latest of their entity.
    """
    for policy in _objects(store, None, f"{LDES}retentionPolicy"):
        types = {
            term.value for term in _objects(store, policy, TYPE) if isinstance(term, NamedNode)
        }
        limits_amount = any(
            _objects(store, policy, f"{LDES}{name}") for name in ("versionAmount", "amount")
        )
        limits_time = any(
            _objects(store, policy, f"{LDES}{name}")
            for name in ("fullLogDuration", "versionDuration", "startingFrom", "value")
        )
        if f"{LDES}LatestVersionSubset" not in types and (limits_time or not limits_amount):
            return Reason("retention_policy")
    return None


def parse_relations(store: Store, page: str, stream: Stream) -> list[Relation]:
    """Return the pages to which a page links, sorted by address, each with its time bound if it has
    one.
    """
    links = list(_objects(store, NamedNode(page), f"{TREE}relation")) or list(
        _objects(store, None, f"{TREE}relation")
    )
    bounds: dict[str, datetime | None] = {}
    for link in links:
        for node in _objects(store, link, f"{TREE}node"):
            if isinstance(node, NamedNode):
                bound, known = _time_bound(store, link, stream), bounds.get(node.value)
                bounds[node.value] = min(
                    (moment for moment in (bound, known) if moment is not None), default=None
                )
    return [Relation(address, bounds[address]) for address in sorted(bounds)]


def parse_members(
    store: Store, stream: Stream, steps: int, broken: Mapping[str, str] = {}
) -> Iterator[Member | tuple[str, str]]:
    """Yield a page's members; for one that cannot be read, its entity and the reason. *broken* are
    the nodes that cannot be read.
    """
    for member in sorted(
        {term for term in _objects(store, None, f"{TREE}member") if isinstance(term, NamedNode)},
        key=str,
    ):
        entity = next(
            (
                term.value
                for term in _objects(store, member, stream.entity)
                if isinstance(term, NamedNode)
            ),
            member.value,
        )
        stamp = _literal(store, member, stream.stamp)
        moment = parse_timestamp(stamp)
        sequence = _literal(store, member, stream.sequence)
        number = int(sequence) if sequence.isdigit() else 0
        rank = f"{moment.isoformat(timespec='microseconds') if moment else stamp} {number:020} {member.value}"
        gone = any(
            term.value == stream.deleted
            for term in _objects(store, member, stream.deletes)
            if isinstance(term, NamedNode | Literal)
        )
        if why := broken.get(str(member)) or broken.get(f"<{entity}>"):
            yield entity, f"a member that cannot be read: {why}"
            continue
        try:
            text = "" if gone else _serialize(store, member, entity, stream, steps)
        except ValueError as error:
            yield entity, f"a member that holds {error}"
            continue
        yield Member(member.value, entity, rank, stamp, gone, text)


def _serialize(store: Store, member: NamedNode, entity: str, stream: Stream, steps: int) -> str:
    """Serialize a member: the graph of its name, else the statements about it, as if they were
    about its entity.
    """
    graph = list(store.quads_for_pattern(None, None, None, member))
    if graph:
        return "".join(f"{quad.triple} .\n" for quad in graph)
    lines = []
    for node, properties in bounded_description(store, member, steps).properties.items():
        subject = f"<{entity}>" if node == member else str(node)
        for name, terms in properties.items():
            if node != member or name not in stream.version_properties:
                lines += [f"{subject} <{name}> {term} .\n" for term in terms]
    return "".join(lines)


def _time_bound(store: Store, link: Term, stream: Stream) -> datetime | None:
    types = {
        term.value.removeprefix(TREE)
        for term in _objects(store, link, TYPE)
        if isinstance(term, NamedNode)
    }
    is_time_path = any(
        _normalize_iri(term.value) == stream.stamp
        for term in _objects(store, link, f"{TREE}path")
        if isinstance(term, NamedNode)
    )
    if not is_time_path or not types & {
        "LessThanRelation",
        "LessThanOrEqualToRelation",
        "EqualToRelation",
    }:
        return None
    return next(
        (
            parse_timestamp(term.value)
            for term in _objects(store, link, f"{TREE}value")
            if isinstance(term, Literal)
        ),
        None,
    )


def _path(store: Store, name: str) -> str | None:
    return next(
        (
            _normalize_iri(term.value)
            for term in _objects(store, None, name)
            if isinstance(term, NamedNode | Literal)
        ),
        None,
    )


def _normalize_iri(name: str) -> str:
    return "http" + name[5:] if name.startswith("https://schema.org/") else name


def _policies(store: Store, view: NamedNode) -> set[str]:
    policies = _objects(store, view, f"{LDES}retentionPolicy")
    return {
        term.value
        for policy in policies
        for term in _objects(store, policy, TYPE)
        if isinstance(term, NamedNode)
    }


def _literal(store: Store, node: Node, name: str | None) -> str:
    literals = (
        (term.value for term in _objects(store, node, name) if isinstance(term, Literal))
        if name
        else iter(())
    )
    return next(literals, "").strip()


def _objects(store: Store, node: Term | None, name: str) -> list[Term]:
    if isinstance(node, Literal):
        return []
    try:
        predicate = NamedNode(name)
    except ValueError:  # the stream's path is not an IRI
        return []
    subject = node if isinstance(node, NamedNode | BlankNode) else None
    return [
        quad.object for quad in store.quads_for_pattern(subject, predicate, None, DefaultGraph())
    ]
