"""Describe a run's numbers as provenance and as quality measurements.

Sources: https://www.w3.org/TR/prov-o/#Activity and
https://www.w3.org/TR/vocab-dqv/#dqv:QualityMeasurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vocab.iris import Iris, encode
from vocab.terms import DQV, PROV, RDF, XSD, instant, integer, literal

# Each field's term in our ontology, which is both a property and a metric.
METRICS: Mapping[str, str] = {
    "reported": "reportedRecords",
    "fetched": "fetchedRecords",
    "unreadable": "unreadableRecords",
    "duplicate": "duplicateRecords",
    "withheld": "withheldRecords",
    "unchanged": "unchangedRecords",
    "returned": "returnedRecords",
    "new": "newRecords",
    "changed": "changedRecords",
    "reidentified": "reidentifiedRecords",
    "vanished": "vanishedRecords",
    "deleted": "deletedRecords",
    "lost": "lostRecords",
    "replaced": "replacedRecords",
    "gone": "goneRecords",
    "absent": "absentRecords",
    "published_before": "publishedBefore",
    "published_after": "publishedAfter",
    "quads_added": "quadsAdded",
    "quads_removed": "quadsRemoved",
    "quads_after": "quadsAfter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """The numbers of a run; times are UTC.

    *reported* is None if the source reported no total, *entry* if the run wrote none. *quads_after*
    counts all quads of the journal after the entry, including those of these statistics. *network*
    counts the outcomes of requests by name.
    """

    run: str
    source: str
    started: datetime
    ended: datetime
    state: str
    is_full: bool = False
    reported: int | None = None
    fetched: int = 0
    unreadable: int = 0
    duplicate: int = 0
    withheld: int = 0
    unchanged: int = 0
    returned: int = 0
    new: int = 0
    changed: int = 0
    reidentified: int = 0
    vanished: int = 0
    deleted: int = 0
    lost: int = 0
    replaced: int = 0
    gone: int = 0
    absent: int = 0
    published_before: int | None = None
    published_after: int | None = None
    quads_added: int | None = None
    quads_removed: int | None = None
    quads_after: int | None = None
    network: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    entry: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers that are set, by the names of METRICS."""
        values = ((name, getattr(self, name)) for name in METRICS)
        return {name: count for name, count in values if count is not None}


def describe_run(statistics: RunStatistics, iris: Iris) -> list[str]:
    """Describe a run as a ``prov:Activity`` with each number as a ``dqv:QualityMeasurement``,
    sorted.

    The number of statements depends on which numbers are set, not on their values, so that the
    statistics can include the number of quads that they are part of.
    """
    run, source, ns = iris.run(statistics.run), iris.source(statistics.source), iris.operations
    prefix = f"<{run}> "
    out = [
        f"{prefix}<{RDF}type> <{PROV}Activity>",
        f"{prefix}<{PROV}used> <{source}>",
        f"{prefix}<{PROV}startedAtTime> {instant(statistics.started)}",
        f"{prefix}<{PROV}endedAtTime> {instant(statistics.ended)}",
        f"{prefix}<{PROV}wasAssociatedWith> <{ns}harvester>",
        f"{prefix}<{ns}outcome> {literal(statistics.state)}",
        f'{prefix}<{ns}fullHarvest> "{str(statistics.is_full).lower()}"^^<{XSD}boolean>',
    ]
    if statistics.reason:
        out.append(f"{prefix}<{ns}reason> {literal(statistics.reason, 'en')}")
    if statistics.entry is not None:
        out.append(f"{prefix}<{ns}journalEntry> {integer(statistics.entry)}")
    for name, count in statistics.counts.items():
        term = METRICS[name]
        out += [
            f"{prefix}<{ns}{term}> {integer(count)}",
            *_describe_measurement(run, source, term, f"{ns}{term}", count),
        ]
    for name, count in statistics.network.items():
        part = f"network-{encode(name)}"
        out += [
            *_describe_measurement(run, source, part, f"{ns}requests", count),
            f"<{run}#{part}> <{ns}networkOutcome> {literal(name)}",
        ]
    return sorted(out)


def _describe_measurement(
    run: str, source: str, part: str, metric: str, count: int
) -> Iterator[str]:
    prefix = f"<{run}#{part}> "
    yield f"{prefix}<{RDF}type> <{DQV}QualityMeasurement>"
    yield f"{prefix}<{DQV}isMeasurementOf> <{metric}>"
    yield f"{prefix}<{DQV}computedOn> <{source}>"
    yield f"{prefix}<{DQV}value> {integer(count)}"
    yield f"{prefix}<{PROV}wasGeneratedBy> <{run}>"
