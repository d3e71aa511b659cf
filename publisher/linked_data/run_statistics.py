"""Read the statistics of a run from its statements, for pages and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import TypedDict

from publisher.store.descriptions import Description
from vocab.statements.run_statistics import METRICS
from web.endpoints import Count as Number
from web.endpoints import Instant, WebAddress


@dataclass(frozen=True, slots=True)
class Count:
    """One count of a run; *name* is its JSON key, *metric* the IRI of what is counted."""

    name: str
    metric: str
    value: int


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """The statistics of a run; *network* counts its requests by outcome."""

    counts: tuple[Count, ...]
    network: dict[str, int]


class RunJson(TypedDict):
    """The statistics of a run; values that it did not report are null."""

    run: str
    iri: WebAddress
    source: str | None
    outcome: str | None
    is_full: bool | None
    started: Instant | None
    ended: Instant | None
    reason: str | None
    entry: Number | None
    counts: dict[str, int | None]
    network: dict[str, Number]


def read_statistics(description: Description) -> RunStatistics:
    """Read the statistics of the run that *description* describes."""
    counts = [
        Count(name, description.expand(f"ops:{term}"), int(value.value))
        for name, term in METRICS.items()
        if (value := description.one(f"ops:{term}"))
    ]
    parts = description.subjects("dqv:isMeasurementOf", description.expand("ops:requests"))
    network = {
        name.value: int(value.value)
        for part in parts
        if (name := description.one("ops:networkOutcome", part))
        and (value := description.one("dqv:value", part))
    }
    return RunStatistics(tuple(counts), network)


def statistics_json(description: Description) -> RunJson:
    """Return a run's statistics as JSON; missing values are null."""
    statistics = read_statistics(description)
    used = description.one("prov:used")
    return {
        "run": description.iri.rpartition("/run/")[2],
        "iri": description.iri,
        "source": used.value.rpartition("/source/")[2] if used else None,
        "outcome": _text(description, "ops:outcome"),
        "is_full": _text(description, "ops:fullHarvest") == "true"
        if description.one("ops:fullHarvest")
        else None,
        "started": _text(description, "prov:startedAtTime"),
        "ended": _text(description, "prov:endedAtTime"),
        "reason": _text(description, "ops:reason"),
        "entry": int(entry.value) if (entry := description.one("ops:journalEntry")) else None,
        "counts": {
            **dict.fromkeys(METRICS),
            **{count.name: count.value for count in statistics.counts},
        },
        "network": statistics.network,
    }


def _text(description: Description, name: str) -> str | None:
    term = description.one(name)
    return term.value if term else None
