"""Measure a harvest from a registry's pages on loopback to an answer at /sparql, and again when
nothing has changed. Registry, `stocktake serve` and `stocktake harvest` are real processes.

By hand: ``python -m benchmarks end_to_end --records 10000 --registry ckan``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer

from benchmarks.measuring import Line, environment, is_served, served, settled, show, until, watched
from command_line.console import err
from demo.registries import Demo
from demo.source_definitions import write_sources

RATE, MEMORY = 1300, 500  # aims: records a second, MB
_CORES = 2  # cores of the machine that the aims are for
_COUNT = "SELECT (COUNT(*) AS ?records) { ?record a <http://www.w3.org/ns/dcat#CatalogRecord> }"


@dataclass(frozen=True, slots=True)
class Harvest:
    """A harvest: the seconds until it was committed and until the store answered; the processor
    seconds and the peaks of memory in MB by role, and the peak of all processes together.
    """

    committed: float
    answered: float
    records: int
    processor: Mapping[str, float]
    peaks: Mapping[str, float]
    together: float

    @property
    def spent(self) -> float:
        """Return the processor seconds of our processes."""
        return sum(seconds for role, seconds in self.processor.items() if role != "registry")


def harvested(data: Path, client: httpx.Client, *options: str) -> Harvest:
    """Harvest all sources once and wait for the answer."""
    command = [sys.executable, "-m", "stocktake", "harvest", "--json", *options]
    with watched() as watch:
        before, since = dict(watch.seconds), time.perf_counter()
        subprocess.run(command, env=environment(data), check=True, stdout=subprocess.DEVNULL)
        committed = time.perf_counter() - since
        until(lambda: is_served(client, data))
        answer = client.get(
            "/sparql", params={"query": _COUNT, "format": "json"}
        ).raise_for_status()
        answered = time.perf_counter() - since
    records = int(answer.json()["results"]["bindings"][0]["records"]["value"])
    spent = {role: seconds - before.get(role, 0.0) for role, seconds in watch.seconds.items()}
    return Harvest(committed, answered, records, spent, watch.peaks, watch.together)


def walk(registry: str, records: int, folder: Path) -> dict[str, Harvest]:
    """Harvest a new registry of *records*, then again: first the changes, then all records."""
    with Demo(size=records, only=(registry,), faults=()) as portal:
        write_sources(portal.url, folder / "sources", (registry,))
        with served(folder) as client:
            first = harvested(folder, client)
            settled(folder, client)  # Else the follower's work counts for the second harvest too.
            return {
                "first": first,
                "again": harvested(folder, client),
                "again, all read": harvested(folder, client, "--full"),
            }


def _lines(records: int, harvests: Mapping[str, Harvest]) -> Iterator[Line]:
    first, size = harvests["first"], f"{records:,} records: "
    rate = first.records / first.answered
    yield Line(f"{size}page to answer at /sparql", "records/s", rate, aim=RATE, is_least=True)
    possible = first.records * _CORES / first.spent
    yield Line(f"{size}with two idle cores, by processor time", "records/s", possible)
    yield Line(f"{size}committed after", "s", first.committed)
    yield Line(f"{size}answered after", "s", first.answered)
    for role, seconds in sorted(first.processor.items()):
        yield Line(f"{size}processor, {role}", "s", seconds)
    for role, peak in sorted(first.peaks.items()):
        aim = MEMORY if role != "registry" else None
        yield Line(f"{size}peak memory, {role}", "MB", peak, aim=aim, note="the greatest process")
    yield Line(f"{size}memory of all processes", "MB", first.together, note="without the registry")
    for name in ("again", "again, all read"):
        harvest = harvests[name]
        yield Line(f"{size}{name}", "s", harvest.committed, first.answered, note="peer: the first")
        yield Line(f"{size}{name}, processor", "s", harvest.spent, first.spent)


def main(
    records: Annotated[
        list[int] | None,
        typer.Option(help="Records of the registry; repeatable.", min=100),
    ] = None,
    registry: Annotated[
        str, typer.Option(help="The simulated registry: oai, ckan or csv.")
    ] = "oai",
) -> None:
    """Harvest 10,000 records, then 100,000, or other numbers of records."""
    lines: list[Line] = []
    for size in records or [10_000, 100_000]:
        err.print(f"harvesting {size:,} records")
        with tempfile.TemporaryDirectory(prefix="walk-") as folder:
            lines += _lines(size, walk(registry, size, Path(folder)))
    show(f"From end to end ({registry})", lines)


if __name__ == "__main__":
    typer.run(main)
