"""Accounts: a run's numbers as provenance and as quality measurements, so that anyone can add them up.

Source: https://www.w3.org/TR/prov-o/#Activity and https://www.w3.org/TR/vocab-dqv/#dqv:QualityMeasurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vocab.iris import Iris, encode
from vocab.terms import DQV, PROV, RDF, XSD, instant, integer, literal

# The account's fields and the terms of our ontology that are at once its property and its metric.
METRICS: Mapping[str, str] = {
    "claimed": "claimedRecords",
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
class Account:
    """What a run did, in numbers; times are UTC.

    *claimed* is None where the source does not say, *entry* where the run wrote none. *quads_after* counts all quads that the
    journal holds after the entry, this account's own too. *network* counts the outcomes of requests by name.
    """

    run: str
    source: str
    started: datetime
    ended: datetime
    state: str
    sweep: bool = False
    claimed: int | None = None
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
        """Give the numbers that are told, by the names of METRICS."""
        told = ((name, getattr(self, name)) for name in METRICS)
        return {name: count for name, count in told if count is not None}


def describe_account(account: Account, iris: Iris) -> list[str]:
    """Describe a run as a ``prov:Activity`` with each number as a ``dqv:QualityMeasurement``, sorted.

    How many statements there are depends on which numbers are told, not on what they are, so an account can tell the
    number of quads that it is itself part of.
    """
    run, source, ns = iris.run(account.run), iris.source(account.source), iris.ns
    its = f"<{run}> "
    out = [
        f"{its}<{RDF}type> <{PROV}Activity>",
        f"{its}<{PROV}used> <{source}>",
        f"{its}<{PROV}startedAtTime> {instant(account.started)}",
        f"{its}<{PROV}endedAtTime> {instant(account.ended)}",
        f"{its}<{PROV}wasAssociatedWith> <{ns}harvester>",
        f"{its}<{ns}outcome> {literal(account.state)}",
        f'{its}<{ns}sweep> "{str(account.sweep).lower()}"^^<{XSD}boolean>',
    ]
    if account.reason:
        out.append(f"{its}<{ns}reason> {literal(account.reason, 'en')}")
    if account.entry is not None:
        out.append(f"{its}<{ns}journalEntry> {integer(account.entry)}")
    for name, count in account.counts.items():
        term = METRICS[name]
        out += [f"{its}<{ns}{term}> {integer(count)}", *_measured(run, source, term, f"{ns}{term}", count)]
    for name, count in account.network.items():
        part = f"network-{encode(name)}"
        out += [*_measured(run, source, part, f"{ns}requests", count), f"<{run}#{part}> <{ns}networkOutcome> {literal(name)}"]
    return sorted(out)


def _measured(run: str, source: str, part: str, metric: str, count: int) -> Iterator[str]:
    its = f"<{run}#{part}> "
    yield f"{its}<{RDF}type> <{DQV}QualityMeasurement>"
    yield f"{its}<{DQV}isMeasurementOf> <{metric}>"
    yield f"{its}<{DQV}computedOn> <{source}>"
    yield f"{its}<{DQV}value> {integer(count)}"
    yield f"{its}<{PROV}wasGeneratedBy> <{run}>"
