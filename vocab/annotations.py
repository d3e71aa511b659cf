"""Describe what is added to records: clusters of records that are one thing, marks and tombstones of
records that are gone, and the states of links.

Members keep their own graphs and IRIs; a cluster only refers to them, so removing its graph
restores what was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    DQV,
    FOAF,
    OWL,
    PROV,
    RDF,
    RDFS,
    SEMAPV,
    SKOS,
    SSSOM,
    instant,
    literal,
)

_MEMBER = f" <{PROV}hadMember> <"


@dataclass(frozen=True, slots=True)
class Match:
    """Why two members, given by their IRIs, are one thing.

    *features* are the names of what agrees. *decided* is when a person decided it, in UTC, and None
    if the score did; *reason* is that person's. *id* is a short name for the pair.
    """

    id: str
    first: str
    second: str
    features: tuple[str, ...]
    decided: datetime | None = None
    reason: str = ""


def cluster_iri(member: str, iris: Iris) -> str:
    """Return the IRI of the cluster that is named after *member*, the IRI of an initiative or
    organization.

    >>> cluster_iri("https://x.org/id/initiative/a/1", Iris("https://x.org/"))
    'https://x.org/cluster/initiative/a/1'
    """
    return iris.clusters + member.removeprefix(f"{iris.base}id/")


def named_member(cluster: str, iris: Iris) -> str:
    """Return the IRI of the member after which a cluster is named."""
    return f"{iris.base}id/{cluster.removeprefix(iris.clusters)}"


def describe_cluster(
    cluster: str, members: Iterable[str], matches: Iterable[Match], iris: Iris
) -> list[str]:
    """Return the statements about a cluster, sorted: its members (PROV), and each match as an axiom
    of SSSOM.

    Sources: https://www.w3.org/TR/prov-o/#Collection,
    https://mapping-commons.github.io/sssom/spec-formats-owl/. Who decided is not published.
    """
    statements = [
        f"<{cluster}> <{RDF}type> <{iris.ns}Cluster>",
        f"<{cluster}> <{RDF}type> <{PROV}Collection>",
    ]
    statements += [f"<{cluster}> <{PROV}hadMember> <{member}>" for member in members]
    for match in matches:
        axiom = f"<{cluster}#match-{match.id}>"
        justification = "CompositeMatching" if match.decided is None else "ManualMappingCuration"
        statements += [
            f"{axiom} <{RDF}type> <{OWL}Axiom>",
            f"{axiom} <{DCT}isPartOf> <{cluster}>",
            f"{axiom} <{OWL}annotatedSource> <{match.first}>",
            f"{axiom} <{OWL}annotatedProperty> <{SKOS}exactMatch>",
            f"{axiom} <{OWL}annotatedTarget> <{match.second}>",
            f"{axiom} <{SSSOM}mapping_justification> <{SEMAPV}{justification}>",
            *(f"{axiom} <{iris.ns}matchedBy> {literal(name)}" for name in match.features),
            *([f"{axiom} <{SSSOM}mapping_date> {instant(match.decided)}"] if match.decided else []),
            *([f"{axiom} <{RDFS}comment> {literal(match.reason)}"] if match.reason else []),
        ]
    return sorted(set(statements))


def cluster_members(description: str) -> list[str]:
    """Return the IRIs of the members in the description of a cluster, one statement a line."""
    return [line.partition(_MEMBER)[2][:-1] for line in description.split("\n") if _MEMBER in line]


def describe_replaced(cluster: str, replacement: str, iris: Iris) -> list[str]:
    """Return the statements about a cluster whose naming member does not exist any more: what
    replaces it.
    """
    return [
        f"<{cluster}> <{RDF}type> <{iris.ns}Cluster>",
        f"<{cluster}> <{DCT}isReplacedBy> <{replacement}>",
    ]


# These describe the record, not its topic, so that queries do not count the topic as existing.
_KEPT_PROPERTIES = {
    f"<{DCT}title>": f"<{DCT}title>",
    f"<{RDF}type>": f"<{DCT}type>",
    f"<{FOAF}page>": f"<{FOAF}page>",
}


@dataclass(frozen=True, slots=True)
class Deletion:
    """When, why and by which run a record was deleted.

    *replacement* is the IRI of the record that has the same content, or that describes the same
    thing in another registry; None if there is none.
    """

    run: str
    deleted_at: datetime
    reason: str
    replacement: str | None = None


def write_tombstone(
    key: str, source: str, about: Deletion, first_seen: datetime, before: Sequence[str], iris: Iris
) -> list[str]:
    """Describe a deleted record: its address and topic, when, why and by which run it was deleted,
    what it was, its replacement.

    The record's ``dct:type`` is its topic's former type, such as an initiative;
    ``dct:isReplacedBy`` names the replacement
    (https://www.dublincore.org/specifications/dublin-core/dcmi-terms/#isReplacedBy).
    """
    record = f"<{iris.record(source, key)}>"
    since = f"{record} <{iris.operations}vanishedSince> "
    statements = [
        f"<{iris.source(source)}> <{DCAT}record> {record}",
        f"{record} <{RDF}type> <{DCAT}CatalogRecord>",
        f"{record} <{DCT}identifier> {literal(key)}",
        f"{record} <{DCT}issued> {instant(first_seen)}",
        f"{record} <{DCT}modified> {instant(about.deleted_at)}",
        f"{record} <{PROV}invalidatedAtTime> {instant(about.deleted_at)}",
        f"{record} <{PROV}wasInvalidatedBy> <{iris.run(about.run)}>",
        f"{record} <{iris.operations}reason> {literal(about.reason, 'en')}",
        f"{record} <{ADMS}status> <{iris.operations}gone>",
        *_kept_statements(record, before),
        *(line for line in before if line.startswith(since)),
    ]
    if about.replacement is not None:
        statements.append(f"{record} <{DCT}isReplacedBy> <{about.replacement}>")
    return sorted(set(statements))


def _kept_statements(record: str, before: Sequence[str]) -> Iterator[str]:
    """Yield the statements that a tombstone keeps: the topic, its titles, its type and its pages."""
    topic = next(
        (line for line in before if line.startswith(f"{record} <{FOAF}primaryTopic> ")), None
    )
    if topic is None:
        return
    yield topic
    prefix = topic.rpartition(" ")[2] + " "
    for line in before:
        if line.startswith(prefix):
            predicate, _, value = line[len(prefix) :].partition(" ")
            if predicate in _KEPT_PROPERTIES:
                yield f"{record} {_KEPT_PROPERTIES[predicate]} {value}"


def mark_vanished(description: str, key: str, source: str, since: datetime, iris: Iris) -> str:
    """Mark a description (statements, one a line) as that of a vanished record, which is still
    published.
    """
    record = f"<{iris.record(source, key)}>"
    lines = strip_mark(description, key, source, iris).split("\n")
    other_lines = (line for line in lines if not line.startswith(f"{record} <{ADMS}status> "))
    marks = (
        f"{record} <{ADMS}status> <{iris.operations}vanished>",
        f"{record} <{iris.operations}vanishedSince> {instant(since)}",
    )
    return "\n".join(sorted((*other_lines, *marks)))


def strip_mark(description: str, key: str, source: str, iris: Iris) -> str:
    """Return a description without the mark."""
    record = f"<{iris.record(source, key)}>"
    since, status = f"{record} <{iris.operations}vanishedSince> ", f"{record} <{ADMS}status> "
    lines = [
        line
        for line in description.split("\n")
        if not line.startswith((since, f"{status}<{iris.operations}vanished>"))
    ]
    return "\n".join(sorted({*lines, f"{status}<{iris.operations}published>"}))


@dataclass(frozen=True, slots=True)
class CheckedLink:
    """A link with its state (alive, moved, gone or blocked) since a time, in UTC; *id* names it, a
    moved one answers at *location*.
    """

    id: str
    url: str
    state: str
    since: datetime
    location: str = ""


def describe_links(source: str, links: Iterable[CheckedLink], iris: Iris) -> list[str]:
    """Return the statements about the links of a source's records, sorted, for the graph
    ``iris.links(source)``.
    """
    graph, statements = iris.links(source), set[str]()
    for link in links:
        measurement = f"<{graph}#{link.id}>"
        statements |= {
            f"{measurement} <{RDF}type> <{DQV}QualityMeasurement>",
            f"{measurement} <{DQV}isMeasurementOf> <{iris.operations}linkState>",
            f"{measurement} <{DQV}computedOn> <{link.url}>",
            f"{measurement} <{DQV}value> {literal(link.state)}",
            f"{measurement} <{PROV}generatedAtTime> {instant(link.since)}",
            *([f"{measurement} <{DCT}isReplacedBy> <{link.location}>"] if link.location else []),
        }
    return sorted(statements)
