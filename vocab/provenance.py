"""Describe the provenance of records, the runs, and the sources and their status, as statements; and
decide whether a source is new, live, late, failing, frozen or retired, by facts that do not change
with time, so that a source turns late without an update.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any

from vocab.iris import Iris, encode
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    DQV,
    FOAF,
    PROV,
    RDF,
    XSD,
    date_literal,
    instant,
    integer,
    iri_or_literal,
    literal,
)

FAILING = 3  # Consecutive failures: two may be one outage that spans two due times.


class Freshness(Enum):
    """The freshness of a source; the values are names of concepts of the ontology."""

    NEW = "new"
    LIVE = "live"
    LATE = "late"
    FAILING = "failing"
    FROZEN = "frozen"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class FreshnessInputs:
    """The facts that decide a source's freshness at any time.

    *is_held*: an operator holds it. *late_from* is its first due time while no run has succeeded,
    None if the source has no schedule, *frozen_from* if its last change is unknown.
    """

    success: datetime | None = None
    failures: int = 0
    late_from: datetime | None = None
    frozen_from: datetime | None = None
    is_held: bool = False
    retired: bool = False


def freshness(inputs: FreshnessInputs, now: datetime) -> Freshness:
    """Return the freshness of a source at *now*; the first matching row applies.

    >>> freshness(FreshnessInputs(), datetime(2026, 3, 1)).value
    'late'
    """
    is_late = inputs.late_from is not None and now >= inputs.late_from
    is_new = inputs.success is None and inputs.late_from is not None and not is_late
    is_frozen = inputs.frozen_from is not None and now >= inputs.frozen_from
    rows = (
        (inputs.retired, Freshness.RETIRED),
        (inputs.is_held, Freshness.FROZEN),
        (inputs.failures >= FAILING, Freshness.FAILING),
        (is_new, Freshness.NEW),
        (inputs.success is None or is_late, Freshness.LATE),
        (is_frozen, Freshness.FROZEN),
        (True, Freshness.LIVE),
    )
    return next(state for is_met, state in rows if is_met)


def next_change(inputs: FreshnessInputs, now: datetime) -> datetime | None:
    """Return the first time after *now* at which a source's freshness may change by itself, or
    None.
    """
    return min(
        (
            turn
            for turn in (inputs.late_from, inputs.frozen_from)
            if turn is not None and turn > now
        ),
        default=None,
    )


def freshness_inputs(terms: Mapping[str, str]) -> FreshnessInputs:
    """Return the inputs of a source's freshness from its values in the status graph, by local names
    of our terms.
    """
    return FreshnessInputs(
        success=parse_time(terms.get("lastSuccess")),
        failures=int(terms.get("consecutiveFailures", "0")),
        late_from=parse_time(terms.get("lateFrom")),
        frozen_from=parse_time(terms.get("frozenFrom")),
        is_held="hold" in terms,
        retired=terms.get("freshness", "").endswith(f"#{Freshness.RETIRED.value}"),
    )


def parse_time(text: str | None) -> datetime | None:
    """Parse a timestamp of the status graph; None if *text* is None or empty."""
    return datetime.fromisoformat(text) if text else None


def terms_by_subject(
    statements: Iterable[tuple[str, str, str]], ns: str
) -> dict[str, dict[str, str]]:
    """Group the values of our terms by subject and by the local name of the term."""
    by_subject: dict[str, dict[str, str]] = {}
    for subject, predicate, value in statements:
        if predicate.startswith(ns):
            by_subject.setdefault(subject, {})[predicate.removeprefix(ns)] = value
    return by_subject


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


_TYPE = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
class Provenance:
    """The source and the run of a record's current state; *digest* is hexadecimal, the times are
    UTC.

    *datestamp* is the date that an OAI-PMH repository gave the record, None if it was not harvested
    from one.
    """

    source: str
    run: str
    mapping: str
    digest: str
    first_seen: datetime
    modified: datetime
    datestamp: str | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """The public description of a source; *every* is its cron line in UTC, *is_retired* whether an
    operator ended its harvests.
    """

    name: str
    title: str
    publisher: str
    url: str
    licence: str
    protocol: str
    mapping: str
    every: str
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of a source: times are UTC, None if not yet known; *outcome* is the last run's
    state.

    *full_harvest* is when the last full harvest started, *missing* how many records are marked as
    vanished. *hold* is an operator's reason for a hold, *plan* the run whose plan awaits approval,
    *account* the statistics of the last run if no journal entry contains them.
    """

    source: str
    attempt: datetime | None
    success: datetime | None
    outcome: str | None
    published: int
    reason: str | None
    marks: FreshnessInputs = field(default_factory=FreshnessInputs)
    run: str | None = None
    plan: str | None = None
    account: RunStatistics | None = None
    full_harvest: datetime | None = None
    change: datetime | None = None
    due: datetime | None = None
    missing: int = 0
    hold: str | None = None


_FREQUENCIES = (
    (re.compile(r"^\d+ \* \* \* \*"), "HOURLY"),
    (re.compile(r"^\d+ \d+ \* \* \*"), "DAILY"),
    (re.compile(r"^\d+ \d+,\d+ \* \* \*"), "DAILY_2"),
    (re.compile(r"^\d+ \d+ \* \* \w+"), "WEEKLY"),
    (re.compile(r"^\d+ \d+ \* \* \w+,\w+"), "WEEKLY_2"),
    (re.compile(r"^\d+ \d+ \* \* \w+,\w+,\w+"), "WEEKLY_3"),
    (re.compile(r"^\d+ \d+ \d+ \* \*"), "MONTHLY"),
    (re.compile(r"^\d+ \d+ \d+,\d+ \* \*"), "MONTHLY_2"),
    (re.compile(r"^\d+ \d+ \d+ (\*/3|\w+,\w+,\w+,\w+) \*"), "QUARTERLY"),
    (re.compile(r"^\d+ \d+ \d+ \w+,\w+ \*"), "ANNUAL_2"),
    (re.compile(r"^\d+ \d+ \d+ \w+ \*"), "ANNUAL"),
)


def _english(text: str) -> str:
    return literal(text, "en")


# The properties of a source in the status graph, the members of SourceStatus that have their values,
# and how these are written.
_STATUS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("publishedRecords", "published", integer),
    ("missingRecords", "missing", integer),
    ("consecutiveFailures", "marks.failures", integer),
    ("lastAttempt", "attempt", instant),
    ("lastSuccess", "success", instant),
    ("lastFullHarvest", "full_harvest", instant),
    ("lastChange", "change", instant),
    ("nextDue", "due", instant),
    ("lateFrom", "marks.late_from", instant),
    ("frozenFrom", "marks.frozen_from", instant),
    ("lastReason", "reason", _english),
    ("hold", "hold", _english),
    ("lastOutcome", "outcome", literal),
)


def check_source_status(values: Mapping[str, str]) -> None:
    """Check the values of one source in a status graph, by the names of our terms; raise ValueError
    if one is invalid.

    >>> check_source_status({"lastSuccess": "2026-03-01T12:00:00Z", "publishedRecords": "7"})
    >>> check_source_status({"lastSuccess": "yesterday"})
    Traceback (most recent call last):
    ValueError: Invalid isoformat string: 'yesterday'
    """
    for name, _, write in _STATUS:
        if write is integer and int(values.get(name, "0")) < 0:
            raise ValueError(f"{name} is {values[name]}, less than 0")
        if write is instant and name in values and not datetime.fromisoformat(values[name]).tzinfo:
            raise ValueError(f"{name} is {values[name]}, which has no time zone")


def describe_record(key: str, iris: Iris, about: Provenance) -> list[str]:
    """Describe a record as a ``dcat:CatalogRecord``: source, times, run, mapping and digest.

    Source: https://www.w3.org/TR/vocab-dcat-3/#Class:Catalog_Record
    """
    record = iris.record(about.source, key)
    prefix = f"<{record}> "
    shared, source, digest = _run_statements(
        iris, about.source, about.run, about.mapping, about.modified
    )
    out = [  # Nearly sorted statements are fast to sort.
        f"{prefix}<{DCT}identifier> {literal(key)}",
        f"{prefix}<{DCT}issued> {_first_seen(about.first_seen)}",
        *[prefix + tail for tail in shared],
        f'{prefix}{digest}"{about.digest}"',
        f"{source}<{record}>",
    ]
    if about.datestamp:
        out.append(f"{prefix}<{DCT}date> {date_literal(about.datestamp)}")
    out.sort()
    return out


# Most records of a source were first seen in a few runs.
_first_seen = lru_cache(maxsize=256)(instant)


@lru_cache(maxsize=64)  # Runs in progress at once.
def _run_statements(
    iris: Iris, source: str, run: str, mapping: str, modified: datetime
) -> tuple[tuple[str, ...], str, str]:
    """Return the statements shared by all records of a run, and the beginnings of those on source
    and digest.
    """
    ops = iris.operations
    tails = (
        f"<{DCT}modified> {instant(modified)}",
        f"<{RDF}type> <{DCAT}CatalogRecord>",
        f"<{ADMS}status> <{ops}published>",
        f"<{PROV}wasGeneratedBy> <{iris.run(run)}>",
        f"<{ops}mapping> {literal(mapping)}",
    )
    return tails, f"<{iris.source(source)}> <{DCAT}record> ", f"<{ops}digest> "


def describe_source(registry: Registry, iris: Iris) -> list[str]:
    """Describe a registry as a ``dcat:Catalog``
    (https://www.w3.org/TR/vocab-dcat-3/#Class:Catalog).
    """
    source = f"<{iris.source(registry.name)}>"
    out = [
        f"{source} {_TYPE} <{DCAT}Catalog>",
        f"{source} <{DCT}identifier> {literal(registry.name)}",
        f"{source} <{DCT}title> {literal(registry.title, 'en')}",
        f"{source} <{DCT}license> {iri_or_literal(registry.licence)}",
        f"{source} <{DCAT}endpointURL> {iri_or_literal(registry.url)}",
        f"{source} <{DCT}accrualPeriodicity> <{frequency(registry.every)}>",
        f"{source} <{iris.operations}schedule> {literal(registry.every)}",
        f"{source} <{iris.operations}protocol> {literal(registry.protocol)}",
        f"{source} <{iris.operations}mapping> {literal(registry.mapping)}",
    ]
    if registry.publisher:
        publisher = f"<{iris.source(registry.name)}#publisher>"
        out += [
            f"{source} <{DCT}publisher> {publisher}",
            f"{publisher} {_TYPE} <{FOAF}Agent>",
            f"{publisher} <{FOAF}name> {literal(registry.publisher)}",
        ]
    if registry.is_retired:
        out.append(f"{source} <{ADMS}status> <{iris.operations}retired>")
    return sorted(out)


def frequency(every: str) -> str:
    """Return the IRI of how often a cron line is due, OTHER if the European Union's list has no
    concept for it.

    Source: http://publications.europa.eu/resource/authority/frequency

    >>> [frequency(line).rpartition("/")[2] for line in ("15 3 * * *", "0 0 * * mon", "0 0 1 * *", "*/7 * * * *")]
    ['DAILY', 'WEEKLY', 'MONTHLY', 'OTHER']
    """
    name = next((name for form, name in _FREQUENCIES if form.fullmatch(every)), "OTHER")
    return f"http://publications.europa.eu/resource/authority/frequency/{name}"


def describe_source_statuses(
    statuses: Iterable[SourceStatus], iris: Iris, at: datetime | None = None
) -> list[str]:
    """Describe the status of sources: the statements of the status graph, which no release
    contains.

    *at* is the time for which freshness is computed; the follower recomputes it when it is due to
    change.
    """
    out: set[str] = set()
    for status in statuses:
        prefix = f"<{iris.source(status.source)}> <{iris.operations}"
        for name, member, write in _STATUS:
            if (value := attrgetter(member)(status)) not in (None, ""):
                out.add(f"{prefix}{name}> {write(value)}")
        for name, run in (("lastRun", status.run), ("heldPlan", status.plan)):
            if run:
                out.add(f"{prefix}{name}> <{iris.run(run)}>")
        if at is not None:
            value = freshness(status.marks, at).value
            out.add(f"{prefix}freshness> <{iris.operations}{value}>")
        if status.account is not None:
            out.update(describe_run(status.account, iris))
    return sorted(out)
