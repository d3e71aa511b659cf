"""TREE: what a page of an event stream holds: its members, and the relations to other pages.

Source: https://w3id.org/tree/specification, https://w3id.org/ldes/specification (1.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Store

from harvesters.payloads.graph import TYPE, Node, Term, bounded_description
from harvesters.protocols.datestamps import read_stamp
from vocab.iris import is_web

LDES, TREE = "https://w3id.org/ldes#", "https://w3id.org/tree#"
_DELETED = "https://www.w3.org/ns/activitystreams#Delete"
_VERSION_OF = "http://purl.org/dc/terms/isVersionOf"  # as most streams have it, where they do not say


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream says of its members: the properties of their time, place and entity, and how a deletion is told."""

    stamp: str | None = None
    place: str | None = None
    entity: str = _VERSION_OF
    deletes: str = TYPE
    deleted: str = _DELETED

    @property
    def own(self) -> frozenset[str]:
        """Give the properties that tell of a version, and nothing of what it is a version of."""
        return frozenset(name for name in (self.stamp, self.place, self.entity) if name)


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its *entity*, its *rank* among that one's versions, whether it tells of a deletion, and what it says as N-Triples."""

    name: str
    entity: str
    rank: str
    stamp: str
    gone: bool
    text: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A link to another page, whose members are no newer than *newest*, None where that is not told."""

    address: str
    newest: datetime | None = None


def stream(store: Store, before: Stream | None) -> Stream:
    """Read what the page says of its stream; where it says nothing, what an earlier page said holds."""
    told = {name: _path(store, f"{LDES}{word}") for name, word in _WORDS.items()}
    known = {name: value for name, value in told.items() if value}
    if before is not None:
        known = {**{name: getattr(before, name) for name in _WORDS}, **known}
    return Stream(**known)


_WORDS = {
    "stamp": "timestampPath",
    "place": "sequencePath",
    "entity": "versionOfPath",
    "deletes": "versionDeletePath",
    "deleted": "versionDeleteObject",
}


def views(store: Store) -> list[tuple[str, bool]]:
    """Give the root nodes that a stream names, and whether each holds the latest versions only."""
    found = {term.value for term in _objects(store, None, f"{TREE}view") if isinstance(term, NamedNode) and is_web(term.value)}
    return [(view, f"{LDES}LatestVersionSubset" in _policies(store, NamedNode(view))) for view in sorted(found)]


def lossy(store: Store) -> str | None:
    """Tell why a stream may not hold all entities: a policy that lets old members go, be they the latest of their entity or not."""
    for policy in _objects(store, None, f"{LDES}retentionPolicy"):
        types = {term.value for term in _objects(store, policy, TYPE) if isinstance(term, NamedNode)}
        kept = any(_objects(store, policy, f"{LDES}{name}") for name in ("versionAmount", "amount"))
        timed = any(_objects(store, policy, f"{LDES}{name}") for name in ("fullLogDuration", "versionDuration", "startingFrom", "value"))
        if f"{LDES}LatestVersionSubset" not in types and (timed or not kept):
            return "the stream lets old members go (its retention policy), so what is missing may be there all the same"
    return None


def relations(store: Store, page: str, told: Stream) -> list[Relation]:
    """Give the pages to which a page leads, in the order of their addresses, each with the time that bounds it if any does."""
    links = list(_objects(store, NamedNode(page), f"{TREE}relation")) or list(_objects(store, None, f"{TREE}relation"))
    found: dict[str, datetime | None] = {}
    for link in links:
        for node in _objects(store, link, f"{TREE}node"):
            if isinstance(node, NamedNode):
                bound, known = _newest(store, link, told), found.get(node.value)
                found[node.value] = min((it for it in (bound, known) if it is not None), default=None)
    return [Relation(address, found[address]) for address in sorted(found)]


def members(store: Store, told: Stream, steps: int, broken: Mapping[str, str] = {}) -> Iterator[Member | tuple[str, str]]:
    """Give a page's members; for one that cannot be read, its entity and the reason. *broken* are nodes of the page that cannot."""
    for member in sorted({term for term in _objects(store, None, f"{TREE}member") if isinstance(term, NamedNode)}, key=str):
        entity = next((term.value for term in _objects(store, member, told.entity) if isinstance(term, NamedNode)), member.value)
        stamp = _literal(store, member, told.stamp)
        moment = read_stamp(stamp)
        place = _literal(store, member, told.place)
        rank = f"{moment.isoformat(timespec='microseconds') if moment else stamp} {int(place) if place.isdigit() else 0:020} {member.value}"
        gone = any(term.value == told.deleted for term in _objects(store, member, told.deletes) if isinstance(term, NamedNode | Literal))
        if why := broken.get(str(member)) or broken.get(f"<{entity}>"):
            yield entity, f"a member that cannot be read: {why}"
            continue
        try:
            text = "" if gone else _text(store, member, entity, told, steps)
        except ValueError as error:
            yield entity, f"a member that holds {error}"
            continue
        yield Member(member.value, entity, rank, stamp, gone, text)


def _text(store: Store, member: NamedNode, entity: str, told: Stream, steps: int) -> str:
    """Write what a member says: what stands in the graph of its name, else what is said of it, as if of its entity."""
    own = list(store.quads_for_pattern(None, None, None, member))
    if own:
        return "".join(f"{quad.triple} .\n" for quad in own)
    lines = []
    for node, said in bounded_description(store, member, steps).properties.items():
        subject = f"<{entity}>" if node == member else str(node)
        for name, terms in said.items():
            if node != member or name not in told.own:
                lines += [f"{subject} <{name}> {term} .\n" for term in terms]
    return "".join(lines)


def _newest(store: Store, link: Term, told: Stream) -> datetime | None:
    types = {term.value.removeprefix(TREE) for term in _objects(store, link, TYPE) if isinstance(term, NamedNode)}
    over = any(_spelled(term.value) == told.stamp for term in _objects(store, link, f"{TREE}path") if isinstance(term, NamedNode))
    if not over or not types & {"LessThanRelation", "LessThanOrEqualToRelation", "EqualToRelation"}:
        return None
    return next((read_stamp(term.value) for term in _objects(store, link, f"{TREE}value") if isinstance(term, Literal)), None)


def _path(store: Store, name: str) -> str | None:
    return next((_spelled(term.value) for term in _objects(store, None, name) if isinstance(term, NamedNode | Literal)), None)


def _spelled(name: str) -> str:
    return "http" + name[5:] if name.startswith("https://schema.org/") else name


def _policies(store: Store, view: NamedNode) -> set[str]:
    policies = _objects(store, view, f"{LDES}retentionPolicy")
    return {term.value for it in policies for term in _objects(store, it, TYPE) if isinstance(term, NamedNode)}


def _literal(store: Store, node: Node, name: str | None) -> str:
    found = (term.value for term in _objects(store, node, name) if isinstance(term, Literal)) if name else iter(())
    return next(found, "").strip()


def _objects(store: Store, node: Term | None, name: str) -> list[Term]:
    if isinstance(node, Literal):
        return []
    try:
        predicate = NamedNode(name)
    except ValueError:  # the stream names a path that is no IRI
        return []
    subject = node if isinstance(node, NamedNode | BlankNode) else None
    return [quad.object for quad in store.quads_for_pattern(subject, predicate, None, DefaultGraph())]
