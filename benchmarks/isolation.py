"""A harvest whose answers are read in a process of its own, and one that reads them itself, of the
same registry in turn.

By hand: ``python -m benchmarks.isolation --records 20000``
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.result_table import Aim, Json, Line, err, show, timed
from command_line.harvesting.source_runs import harvest_all
from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.collector_processes import Collectors
from harvesters.runs.context import open_context
from harvesters.runs.plans.plan import Plan
from harvesters.source import load_all
from vocab.iris import BASE

COST = 1.05  # the aim: how many times as long a harvest takes
REGISTRIES = ("oai", "ckan")


def harvested(folder: Path, *, isolated: bool, workers: int) -> None:
    """Harvest the registries whose source definitions lie in *folder* into a new data folder."""
    collectors = Collectors() if isolated else None
    with TemporaryDirectory(dir=folder) as home:
        ledger, hosts = f"sqlite:///{home}/ledger.sqlite", frozenset({"127.0.0.1"})
        with open_context(
            Path(home),
            ledger,
            BASE,
            NetworkSettings("", hosts),
            workers=workers,
            collectors=collectors,
        ) as context:
            plans = harvest_all(
                [*load_all(folder / "sources").sources.values()],
                context,
                full=False,
                dry_run=False,
                quiet=True,
            )
    if any(not isinstance(plan, Plan) or plan.hold_reason for plan in plans.values()):
        raise SystemExit("a harvest failed or was held: the benchmark compares nothing")


def seconds(folder: Path, *, isolated: bool, workers: int) -> tuple[float, float]:
    """Return elapsed and processor seconds of a harvest, those of all its processes."""
    before = sum(os.times()[:4])
    elapsed = timed(lambda: harvested(folder, isolated=isolated, workers=workers))
    return elapsed, sum(os.times()[:4]) - before


def line(
    registry: str, what: str, isolated: Sequence[float], local: Sequence[float], aim: Aim | None
) -> Line:
    """Return a line of medians; its ratio is the median of the pairs'."""
    ratio = median(mine / other for mine, other in zip(isolated, local, strict=True))
    return Line(
        f"{registry}, {what}",
        "s",
        median(isolated),
        median(local),
        ratio,
        aim,
        "peer: read in the harvest's own process",
    )


def main(
    records: Annotated[int, typer.Option(help="Records of the registry.", min=100)] = 20_000,
    times: Annotated[int, typer.Option(help="Pairs of harvests.", min=1)] = 5,
    workers: Annotated[
        int, typer.Option(help="Worker processes that map large sources.", min=0)
    ] = 1,
    json: Json = False,
) -> None:
    """Harvest a simulated registry on loopback with and without isolation, in turn; the start of
    processes is counted.
    """
    lines = []
    for registry in REGISTRIES:
        with TemporaryDirectory() as home, Demo(size=records, only=(registry,), faults=()) as there:
            write_sources(there.url, Path(home) / "sources", (registry,))
            err.print(f"harvesting {registry}, {records:,} records, {times} times each way")
            results = [
                [seconds(Path(home), isolated=way, workers=workers) for way in (True, False)]
                for _ in range(times)
            ]
        isolated, local = zip(*results, strict=True)
        for number, what in enumerate(("elapsed", "processor time")):
            aim = Aim("most", COST) if number == 0 else None
            lines.append(
                line(
                    registry,
                    what,
                    [item[number] for item in isolated],
                    [item[number] for item in local],
                    aim,
                )
            )
    show("Isolation", lines, json)


if __name__ == "__main__":
    typer.run(main)
