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


# Numbers that a run may not know. Any other is 0 if the run does not state it.
_OPTIONAL = frozenset((
    "reported", "published_before", "published_after", "quads_added", "quads_removed", "quads_after",
))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """The numbers of a run; times are UTC.

    *counts* has the numbers by the names of METRICS, None if one is not known; ``quads_after`` counts
    all quads of the journal after the entry, including those of these statistics. *network* counts
    the outcomes of requests by name. *entry* is None if the run wrote none.
    """

    run: str
    source: str
    started: datetime
    ended: datetime
    state: str
    counts: Mapping[str, int | None]
    is_full: bool = False
    network: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    entry: int | None = None


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
    for name, term in METRICS.items():
        count = statistics.counts.get(name, None if name in _OPTIONAL else 0)
        if count is not None:
            out.append(f"{prefix}<{ns}{term}> {integer(count)}")
            out += _describe_measurement(run, source, term, f"{ns}{term}", count)
    for outcome, requests in statistics.network.items():
        part = f"network-{encode(outcome)}"
        out += [
            *_describe_measurement(run, source, part, f"{ns}requests", requests),
            f"<{run}#{part}> <{ns}networkOutcome> {literal(outcome)}",
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
