"""Read the statistics of a run from its statements, for pages and as JSON."""

from __future__ import annotations

from typing_extensions import TypedDict

from publisher.store.descriptions import Description
from vocab.statements.run_statistics import METRICS
from web.endpoints import Count as Number
from web.endpoints import Instant, WebAddress


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


def read_counts(description: Description) -> dict[str, int | None]:
    """Return the counts of the run that *description* describes, by the names of METRICS; None of
    those that it did not report.
    """
    values = {name: description.one(f"ops:{term}") for name, term in METRICS.items()}
    return {name: int(value.value) if value else None for name, value in values.items()}


def read_network(description: Description) -> dict[str, int]:
    """Return the number of the run's requests by outcome."""
    parts = description.subjects("dqv:isMeasurementOf", description.expand("ops:requests"))
    return {
        name.value: int(value.value)
        for part in parts
        if (name := description.one("ops:networkOutcome", part))
        and (value := description.one("dqv:value", part))
    }


def statistics_json(description: Description) -> RunJson:
    def text(name: str) -> str | None:
        term = description.one(name)
        return term.value if term else None

    source, entry, is_full = text("prov:used"), text("ops:journalEntry"), text("ops:fullHarvest")
    return {
        "run": description.iri.rpartition("/run/")[2],
        "iri": description.iri,
        "source": source.rpartition("/source/")[2] if source else None,
        "outcome": text("ops:outcome"),
        "is_full": is_full == "true" if is_full else None,
        "started": text("prov:startedAtTime"),
        "ended": text("prov:endedAtTime"),
        "reason": text("ops:reason"),
        "entry": int(entry) if entry else None,
        "counts": read_counts(description),
        "network": read_network(description),
    }
