"""Chronicle: what is said of records, sources and the state of things, in the same statements as descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from vocab import properties as p
from vocab.account import Account, describe_account
from vocab.freshness import Marks, freshness
from vocab.iris import Iris
from vocab.properties import ours
from vocab.terms import DCAT, DCT, RDF, SH, instant, integer, literal, node

_A = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning of the judges that is published with the record; *path* is an IRI or None."""

    component: str
    severity: str
    message: str
    path: str | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from and by which run it is what it is; *digest* is hexadecimal, the times are UTC."""

    source: str
    run: str
    mapping: str
    digest: str
    first_seen: datetime
    modified: datetime
    remarks: tuple[Remark, ...] = ()


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
    """How a source fares: times are UTC, None where there was none yet; *outcome* is the last run's state.

    *sweep* is when the last run began that met all records, *missing* how many of them are marked as vanished, *hold* an
    operator's reason to hold the source, *plan* the run whose plan waits, *account* that of the last run where no journal
    entry tells it.
    """

    source: str
    attempt: datetime | None
    success: datetime | None
    outcome: str | None
    published: int
    reason: str | None
    marks: Marks = field(default_factory=Marks)
    run: str | None = None
    plan: str | None = None
    account: Account | None = None
    sweep: datetime | None = None
    change: datetime | None = None
    due: datetime | None = None
    missing: int = 0
    hold: str | None = None


_COUNTS = ("publishedRecords", "missingRecords", "consecutiveFailures")
_TIMES = ("lastAttempt", "lastSuccess", "lastSweep", "lastChange", "nextDue", "lateFrom", "frozenFrom")


def check_standing(values: Mapping[str, str]) -> None:
    """Check what a status graph says of one source, by the names of our terms; raise ValueError where a value cannot be read.

    >>> check_standing({"lastSuccess": "2026-03-01T12:00:00Z", "publishedRecords": "7"})
    >>> check_standing({"lastSuccess": "yesterday"})
    Traceback (most recent call last):
    ValueError: Invalid isoformat string: 'yesterday'
    """
    for name in _COUNTS:
        if int(values.get(name, "0")) < 0:
            raise ValueError(f"{name} is {values[name]}, less than 0")
    for name in _TIMES:
        if name in values and datetime.fromisoformat(values[name]).tzinfo is None:
            raise ValueError(f"{name} is {values[name]}, which has no time zone")


def attest(key: str, iris: Iris, about: Provenance) -> list[str]:
    """Write the record's ``dcat:CatalogRecord``: source, times, run, mapping, digest and the judges' remarks.

    Source: https://www.w3.org/TR/vocab-dcat-3/#Class:Catalog_Record
    """
    address = iris.record(about.source, key)
    its = f"<{address}> "
    stamp, source, digest = _stamp(iris, about.source, about.run, about.mapping, about.modified)
    out = [  # nearly in order, which is quick to sort
        f"{its}{p.IDENTIFIER}{literal(key)}",
        f"{its}{p.ISSUED}{_first_seen(about.first_seen)}",
        *[its + tail for tail in stamp],
        f'{its}{digest}"{about.digest}"',
        f"{source}<{address}>",
    ]
    if about.remarks:
        out += comment(key, iris, about.source, about.remarks)
    out.sort()
    return out


_first_seen = lru_cache(maxsize=256)(instant)  # most records of a source were first seen in a few runs


@lru_cache(maxsize=64)  # runs under way at once
def _stamp(iris: Iris, source: str, run: str, mapping: str, modified: datetime) -> tuple[tuple[str, ...], str, str]:
    """Give what a run says of all its records, and how the statements of source and digest begin."""
    ns, our = iris.ns, ours(iris.ns)
    tails = (
        f"{p.MODIFIED}{instant(modified)}",
        f"{p.TYPE}<{DCAT}CatalogRecord>",
        f"{p.STATE}<{ns}published>",
        f"{p.GENERATED}<{iris.run(run)}>",
        f"{our.mapping}{literal(mapping)}",
    )
    return tails, f"<{iris.source(source)}> {p.CATALOGUED}", our.digest


def comment(key: str, iris: Iris, source: str, remarks: Iterable[Remark]) -> list[str]:
    """Write the judges' remarks on a record, a ``sh:ValidationResult`` each; the statements are in no order."""
    address, our, out = iris.record(source, key), ours(iris.ns), list[str]()
    its = f"<{address}> "
    for number, remark in enumerate(remarks, 1):
        part = f"<{address}#result-{number}> "
        out += [
            f"{part}{p.TYPE}<{SH}ValidationResult>",
            f"{its}{our.result}{part[:-1]}",
            f"{part}{p.MESSAGE}{literal(remark.message, 'en')}",
            f"{part}{p.SEVERITY}<{SH}{remark.severity}>",
            f"{part}{p.COMPONENT}<{SH}{remark.component}>",
        ]
        if remark.path:
            out.append(f"{part}{p.PATH}<{remark.path}>")
    return out


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


def describe_standing(standings: Iterable[Standing], iris: Iris, at: datetime | None = None) -> list[str]:
    """Describe how the sources fare: the statements of the status graph, which no release contains.

    *at* is the instant for which freshness is told; the follower tells it anew when its time comes.
    """
    out: set[str] = set()
    for it in standings:
        source = f"<{iris.source(it.source)}> "
        out.update(f"{source}<{iris.ns}{name}> {value}" for name, value in _facts(it, iris))
        if at is not None:
            out.add(f"{source}<{iris.ns}freshness> <{iris.ns}{freshness(it.marks, at).value}>")
        if it.account is not None:
            out.update(describe_account(it.account, iris))
    return sorted(out)


def _facts(it: Standing, iris: Iris) -> Iterator[tuple[str, str]]:
    """Give name and value of what is told of a source in the status graph."""
    yield "publishedRecords", integer(it.published)
    yield "missingRecords", integer(it.missing)
    yield "consecutiveFailures", integer(it.marks.failures)
    times = {
        "lastAttempt": it.attempt,
        "lastSuccess": it.success,
        "lastSweep": it.sweep,
        "lastChange": it.change,
        "nextDue": it.due,
        "lateFrom": it.marks.late_from,
        "frozenFrom": it.marks.frozen_from,
    }
    yield from ((name, instant(time)) for name, time in times.items() if time is not None)
    texts = {"lastReason": it.reason, "hold": it.hold}
    yield from ((name, literal(text, "en")) for name, text in texts.items() if text)
    if it.outcome:
        yield "lastOutcome", literal(it.outcome)
    runs = {"lastRun": it.run, "heldPlan": it.plan}
    yield from ((name, f"<{iris.run(run)}>") for name, run in runs.items() if run)
