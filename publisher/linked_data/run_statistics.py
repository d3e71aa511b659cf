"""Accounts: a run's account, read back from its statements, for pages and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from publisher.store.descriptions import Description
from vocab.run_statistics import METRICS


@dataclass(frozen=True, slots=True)
class Count:
    """One number of an account; *name* is the JSON's, *metric* the IRI of what is counted."""

    name: str
    metric: str
    value: int


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """What a run's statements tell; *network* counts the outcomes of its requests."""

    counts: tuple[Count, ...]
    network: dict[str, int]


def read_statistics(it: Description) -> RunStatistics:
    """Read the account of the run that *it* describes."""
    counts = [
        Count(name, it.expand(f"wsis:{term}"), int(value.value)) for name, term in METRICS.items() if (value := it.one(f"wsis:{term}"))
    ]
    parts = it.subjects("dqv:isMeasurementOf", it.expand("wsis:requests"))
    network = {
        name.value: int(value.value)
        for part in parts
        if (name := it.one("wsis:networkOutcome", part)) and (value := it.one("dqv:value", part))
    }
    return RunStatistics(tuple(counts), network)


def statistics_json(it: Description) -> dict[str, object]:
    """Give a run's account as JSON; what it does not tell is null."""
    told = read_statistics(it)
    used = it.one("prov:used")
    return {
        "run": it.iri.rpartition("/run/")[2],
        "iri": it.iri,
        "source": used.value.rpartition("/source/")[2] if used else None,
        "outcome": _text(it, "wsis:outcome"),
        "sweep": _text(it, "wsis:sweep") == "true" if it.one("wsis:sweep") else None,
        "started": _text(it, "prov:startedAtTime"),
        "ended": _text(it, "prov:endedAtTime"),
        "reason": _text(it, "wsis:reason"),
        "entry": int(entry.value) if (entry := it.one("wsis:journalEntry")) else None,
        "counts": dict.fromkeys(METRICS) | {count.name: count.value for count in told.counts},
        "network": told.network,
    }


def _text(it: Description, name: str) -> str | None:
    found = it.one(name)
    return found.value if found else None
