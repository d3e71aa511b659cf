"""Read the status of each source for pages, responses and headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from journal.errors import JournalError
from journal.journal import Journal
from publisher.rdf.results import iri
from publisher.store.descriptions import Description, prefer_english
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.source_freshness import freshness_inputs, terms_by_subject
from vocab.freshness import Freshness, FreshnessInputs, freshness, next_change


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of a source. *properties* are its values in the status graph by local names of our
    terms.

    *withheld* is the number of records that its last run withheld, None if unknown.
    """

    iri: str
    name: str
    title: str | None
    properties: Mapping[str, str]
    withheld: int | None
    inputs: FreshnessInputs

    def state(self, at: datetime) -> Freshness:
        return freshness(self.inputs, at)

    def run(self, term: str) -> str | None:
        """Return the id of the run that is the value of *term*, None if there is none."""
        return self.properties[term].rpartition("/run/")[2] if term in self.properties else None

    @property
    def last_full_harvest(self) -> str | None:
        return self.properties.get("lastFullHarvest")


def last_confirmed(
    source_status: SourceStatus | None, description: Description, record: str
) -> str | None:
    """Return when a record was last seen at its source: in a full harvest, or when a run last wrote
    it.

    None if the record has vanished or is deleted, or if its status is unknown.
    """
    status = description.one("adms:status", record)
    modified = description.one("dct:modified", record)
    if status is None or status.value != description.expand("ops:published"):
        return None
    times = (
        source_status.last_full_harvest if source_status else None,
        modified.value if modified else None,
    )
    return max(filter(None, times), default=None)


async def source_statuses(service: QueryService) -> dict[str, SourceStatus]:
    """Return the status of each source, by name, sorted by name."""
    bound = {"graph": iri(service.iris.status)}
    rows = await service.rows(query("graph"), bound)
    triples = ((row["subject"].value, row["predicate"].value, row["object"].value) for row in rows)
    properties = terms_by_subject(triples, service.iris.operations)
    titles = prefer_english(await service.rows(query("sources")), "source", "title")
    withheld = {
        row["source"].value: int(row["withheld"].value)
        for row in await service.rows(query("last-withheld"))
    }
    start = service.iris.source("")
    return {
        (name := source.removeprefix(start)): SourceStatus(
            source, name, titles.get(source), values, withheld.get(source), freshness_inputs(values)
        )
        for source, values in sorted(properties.items())
        if source.startswith(start)
    }


def count_by_state(statuses: Mapping[str, SourceStatus], at: datetime) -> dict[Freshness, int]:
    counts = Counter(item.state(at) for item in statuses.values())
    return {state: counts[state] for state in Freshness if counts[state]}


def next_status_change(statuses: Mapping[str, SourceStatus], at: datetime) -> datetime | None:
    """Return when the freshness of some source changes next without a run; None if never."""
    return min(
        (change for item in statuses.values() if (change := next_change(item.inputs, at))),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class DataVersion:
    """The last published journal entry: its number (*position*), the start time of its run, and the
    id of its run.
    """

    position: int
    time: str | None
    run: str | None


def data_version(service: QueryService) -> DataVersion | None:
    """Return the newest published entry; None before the first."""
    current = service.snapshot
    if not current or not current.position:
        return None
    try:
        return _version_at(service.journal.folder, current.position)
    except JournalError:  # the snapshot is served even if its entry is damaged; /health says so
        return DataVersion(current.position, None, None)


@lru_cache(maxsize=8)
def _version_at(folder: Path, position: int) -> DataVersion:
    entry = Journal(folder).entry(position)
    return DataVersion(
        position,
        f"{entry.time:%Y-%m-%dT%H:%M:%SZ}" if entry else None,
        entry.run if entry else None,
    )
