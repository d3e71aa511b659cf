"""Chronicle: what is said of sources, runs, tombstones and the state of things, in the same statements as descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from vocab.iris import Iris
from vocab.terms import ADMS, DCAT, DCT, FOAF, PROV, RDF, instant, integer, literal, node

_A = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
class Registry:
    """A source as the public sees it; *every* is its cron line in UTC."""

    name: str
    title: str
    publisher: str
    url: str
    licence: str
    protocol: str
    mapping: str
    every: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source fares: times are UTC, None where there was none yet; *outcome* is the last run's state."""

    source: str
    attempt: datetime
    success: datetime | None
    outcome: str
    published: int
    reason: str | None


def describe_source(it: Registry, iris: Iris) -> list[str]:
    """Describe a registry as a ``dcat:Catalog`` (https://www.w3.org/TR/vocab-dcat-3/#Class:Catalog)."""
    source = f"<{iris.source(it.name)}>"
    out = [
        f"{source} {_A} <{DCAT}Catalog>",
        f"{source} <{DCT}identifier> {literal(it.name)}",
        f"{source} <{DCT}title> {literal(it.title, 'en')}",
        f"{source} <{DCT}license> {node(it.licence)}",
        f"{source} <{DCAT}endpointURL> {node(it.url)}",
        f"{source} <{DCT}accrualPeriodicity> {literal(it.every)}",
        f"{source} <{iris.ns}protocol> {literal(it.protocol)}",
        f"{source} <{iris.ns}mapping> {literal(it.mapping)}",
    ]
    if it.publisher:
        out.append(f"{source} <{DCT}publisher> {literal(it.publisher)}")
    return sorted(out)


def describe_run(run: str, source: str, started: datetime, ended: datetime, counts: Mapping[str, int], iris: Iris) -> list[str]:
    """Describe a run as a ``prov:Activity`` with its counts (https://www.w3.org/TR/prov-o/#Activity)."""
    address = f"<{iris.run(run)}>"
    out = [
        f"{address} {_A} <{PROV}Activity>",
        f"{address} <{PROV}used> <{iris.source(source)}>",
        f"{address} <{PROV}startedAtTime> {instant(started)}",
        f"{address} <{PROV}endedAtTime> {instant(ended)}",
        *(f"{address} <{iris.ns}{name}Records> {integer(count)}" for name, count in counts.items()),
    ]
    return sorted(out)


def bury(key: str, source: str, run: str, first_seen: datetime, at: datetime, before: Iterable[str], iris: Iris) -> list[str]:
    """Describe a record that is gone: its tombstone keeps its address, its topic and its title, and tells when and by which run."""
    record = f"<{iris.record(source, key)}>"
    topic = next((line for line in before if line.startswith(f"{record} <{FOAF}primaryTopic> ")), None)
    subject = topic.rpartition(" ")[2] if topic else None
    out = [
        f"<{iris.source(source)}> <{DCAT}record> {record}",
        f"{record} {_A} <{DCAT}CatalogRecord>",
        f"{record} <{DCT}identifier> {literal(key)}",
        f"{record} <{DCT}issued> {instant(first_seen)}",
        f"{record} <{DCT}modified> {instant(at)}",
        f"{record} <{PROV}invalidatedAtTime> {instant(at)}",
        f"{record} <{PROV}wasInvalidatedBy> <{iris.run(run)}>",
        f"{record} <{ADMS}status> <{iris.ns}gone>",
    ]
    if topic and subject:
        out.append(topic)
        # The title stays with the record, not with its topic, so that no query counts the topic as being there.
        out += [f"{record} <{DCT}title> {line.split(' ', 2)[2]}" for line in before if line.startswith(f"{subject} <{DCT}title> ")]
    return sorted(out)


def describe_standing(standings: Iterable[Standing], iris: Iris) -> list[str]:
    """Describe how the sources fare: the statements of the status graph, which no release contains."""
    out: list[str] = []
    for it in standings:
        source = f"<{iris.source(it.source)}>"
        out += [
            f"{source} <{iris.ns}lastAttempt> {instant(it.attempt)}",
            f"{source} <{iris.ns}lastOutcome> {literal(it.outcome)}",
            f"{source} <{iris.ns}publishedRecords> {integer(it.published)}",
        ]
        if it.success:
            out.append(f"{source} <{iris.ns}lastSuccess> {instant(it.success)}")
        if it.reason:
            out.append(f"{source} <{iris.ns}lastReason> {literal(it.reason, 'en')}")
    return sorted(out)
