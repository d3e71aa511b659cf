"""Standings: how each source fares, as pages, answers and headers tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from journal.journal import Journal
from publisher.rdf.results import iri
from publisher.store.descriptions import Description, english
from publisher.store.queries import query
from publisher.store.query_service import Shelf
from publisher.store.source_freshness import marks, told_of
from vocab.freshness import Freshness, FreshnessInputs, freshness, next_change


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source fares: *told* are the values of the status graph by the names of our terms, *withheld* is of its last run."""

    iri: str
    name: str
    title: str | None
    told: Mapping[str, str]
    withheld: int | None
    marks: FreshnessInputs

    def state(self, at: datetime) -> Freshness:
        """Tell how fresh the source is at *at*."""
        return freshness(self.marks, at)

    def run(self, term: str) -> str | None:
        """Give the id of the run that *term* names."""
        return self.told[term].rpartition("/run/")[2] if term in self.told else None

    @property
    def met(self) -> str | None:
        """Give when its last complete sweep began, in which all that is published was met."""
        return self.told.get("lastSweep")


def confirmed(standing: Standing | None, it: Description, record: str) -> str | None:
    """Give when a record was last known to be at its source: in a complete sweep, or when a run last wrote it.

    None where it has vanished or is gone, or where nothing tells.
    """
    status, modified = it.one("adms:status", record), it.one("dct:modified", record)
    if status is None or status.value != it.expand("wsis:published"):
        return None
    return max([time for time in (standing.met if standing else None, modified.value if modified else None) if time], default=None)


def clock() -> datetime:
    """Give the time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


async def standings(shelf: Shelf) -> dict[str, Standing]:
    """Give how each source fares, by its name, in the order of the names."""
    bound = {"graph": iri(shelf.iris.status)}
    found = await shelf.rows(query("graph"), bound)
    told = told_of(((row["subject"].value, row["predicate"].value, row["object"].value) for row in found), shelf.iris.ns)
    titles = english(await shelf.rows(query("sources")), "source", "title")
    withheld = {row["source"].value: int(row["withheld"].value) for row in await shelf.rows(query("last-withheld"))}
    start = shelf.iris.source("")
    return {
        (name := source.removeprefix(start)): Standing(source, name, titles.get(source), values, withheld.get(source), marks(values))
        for source, values in sorted(told.items())
        if source.startswith(start)
    }


def summary(found: Mapping[str, Standing], at: datetime) -> dict[Freshness, int]:
    """Count the sources by state."""
    counted = Counter(it.state(at) for it in found.values())
    return {state: counted[state] for state in Freshness if counted[state]}


def turns(found: Mapping[str, Standing], at: datetime) -> datetime | None:
    """Give when the state of some source may change next by time alone."""
    return min((turn for it in found.values() if (turn := next_change(it.marks, at))), default=None)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the store is: the number of the last journal entry shown, when its run began, and its run."""

    position: int
    time: str | None
    run: str | None


def place(shelf: Shelf) -> Place | None:
    """Give the newest entry that is shown; None before the first."""
    shown = shelf.generation
    return _place(shelf.journal.folder, shown.position) if shown and shown.position else None


@lru_cache(maxsize=8)
def _place(folder: Path, position: int) -> Place:
    entry = next(iter(Journal(folder).entries(after=position - 1)), None)
    return Place(position, f"{entry.time:%Y-%m-%dT%H:%M:%SZ}" if entry else None, entry.run if entry else None)
