"""Write fragments and members of the event stream as quads, by the TREE specification
(https://w3id.org/tree/specification).

A member is a version of a record. Statements about the version are in the default graph; the
content of the record's graph after that entry is in a graph named after the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from publisher.feeds.xml_writing import instant
from publisher.history.change_reader import Change, ChangeType
from publisher.history.record_states import RecordState
from vocab.terms import DCT, PROV, RDF, SCHEMA, SH, XSD, literal

LDES = "https://w3id.org/ldes#"
TREE = "https://w3id.org/tree#"
STREAMS = "https://www.w3.org/ns/activitystreams#"
_A = f"<{RDF}type>"
_ACTIVITY_TYPES = {
    ChangeType.NEW: f"{STREAMS}Create",
    ChangeType.CHANGED: f"{STREAMS}Update",
    ChangeType.DELETED: f"{STREAMS}Delete",
}
_TIME = f"<{PROV}generatedAtTime>"


@dataclass(frozen=True, slots=True)
class Relation:
    """A link to another fragment, whose members' times are at least *from_time* and below *to_time*
    (None: no upper limit).
    """

    node: str
    from_time: int
    to_time: int | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """The stream of the records whose IRIs begin with *base*; *host* is the URL of this server."""

    base: str
    host: str

    @property
    def iri(self) -> str:
        """Return the IRI of the stream."""
        return f"{self.base}ldes"

    def described(self, *views: str) -> Iterator[str]:
        """Describe the stream; *views* are the URLs of root nodes, or of the node that contains
        this description.
        """
        subject = f"<{self.iri}>"
        yield f"{subject} {_A} <{LDES}EventStream> ."
        yield f"{subject} {_A} <{TREE}Collection> ."
        yield f"{subject} <{DCT}title> {literal('WSIS Stocktaking: every change of every record', 'en')} ."
        yield from (f"{subject} <{TREE}view> <{view}> ." for view in views)
        yield f"{subject} <{TREE}shape> <{self.host}/ldes/shape> ."
        yield f"<{self.host}/ldes/shape> {_A} <{SH}NodeShape> ."
        yield f"{subject} <{LDES}timestampPath> {_TIME} ."
        yield f"{subject} <{LDES}versionOfPath> <{DCT}isVersionOf> ."
        yield f"{subject} <{LDES}sequencePath> <{SCHEMA}position> ."
        for name, change_type in (
            ("Create", ChangeType.NEW),
            ("Update", ChangeType.CHANGED),
            ("Delete", ChangeType.DELETED),
        ):
            yield f"{subject} <{LDES}version{name}Path> {_A} ."
            yield f"{subject} <{LDES}version{name}Object> <{_ACTIVITY_TYPES[change_type]}> ."

    def node(self, path: str, relations: Iterator[Relation]) -> Iterator[str]:
        """Describe the node at *path* and its *relations*."""
        subject = f"{self.host}{path}"
        yield f"<{subject}> {_A} <{TREE}Node> ."
        for number, relation in enumerate(relations, 1):
            bounds = [("GreaterThanOrEqualToRelation", relation.from_time)] + (
                [("LessThanRelation", relation.to_time)] if relation.to_time is not None else []
            )
            for kind, value in bounds:
                link = f"<{subject}#{kind}-{number}>"
                yield f"<{subject}> <{TREE}relation> {link} ."
                yield f"{link} {_A} <{TREE}{kind}> ."
                yield f"{link} <{TREE}node> <{self.host}{relation.node}> ."
                yield f"{link} <{TREE}path> {_TIME} ."
                yield f'{link} <{TREE}value> "{instant(value)}"^^<{XSD}dateTime> .'

    def member(self, change: Change, state: RecordState) -> Iterator[str]:
        """Write a member."""
        version = f"<{self.base}{path(change)}>"
        yield f"<{self.iri}> <{TREE}member> {version} ."
        yield f"{version} {_A} <{_ACTIVITY_TYPES[change.change_type]}> ."
        yield f"{version} <{DCT}isVersionOf> <{self.base}{change.graph}> ."
        yield f'{version} {_TIME} "{instant(change.stamp)}"^^<{XSD}dateTime> .'
        yield f'{version} <{SCHEMA}position> "{change.number}"^^<{XSD}integer> .'
        yield from (f"{line} {version} ." for line in state.lines())

    def latest(self, view: str) -> Iterator[str]:
        """Yield the statements that declare *view* a view of the latest versions."""
        policy = f"<{view}#policy>"
        yield f"<{view}> <{LDES}retentionPolicy> {policy} ."
        yield f"{policy} {_A} <{LDES}LatestVersionSubset> ."
        yield f'{policy} <{LDES}amount> "1"^^<{XSD}integer> .'
        yield f'{policy} <{LDES}versionAmount> "1"^^<{XSD}integer> .'

    def shape(self) -> Iterator[str]:
        """Write the shape that every member conforms to."""
        subject = f"<{self.host}/ldes/shape>"
        yield f"{subject} {_A} <{SH}NodeShape> ."
        properties = (
            (f"{DCT}isVersionOf", "nodeKind", f"<{SH}IRI>"),
            (f"{PROV}generatedAtTime", "datatype", f"<{XSD}dateTime>"),
            (f"{SCHEMA}position", "datatype", f"<{XSD}integer>"),
        )
        for number, (name, kind, value) in enumerate(properties, 1):
            its_property = f"<{self.host}/ldes/shape#property-{number}>"
            yield f"{subject} <{SH}property> {its_property} ."
            yield f"{its_property} <{SH}path> <{name}> ."
            yield f"{its_property} <{SH}{kind}> {value} ."
            yield f'{its_property} <{SH}minCount> "1"^^<{XSD}integer> .'
            yield f'{its_property} <{SH}maxCount> "1"^^<{XSD}integer> .'


def path(change: Change) -> str:
    """Return the path of a version, without the first slash."""
    return f"ldes/version/{change.entry}/{change.name}"
