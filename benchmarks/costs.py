"""Costs: what a record costs at each stage on this machine, measured by a run end to end, and kept for the simulation.

By hand: ``python -m benchmarks.costs --records 20000``
"""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.million import Course, folder_for, lines, run
from benchmarks.model import Costs, keep
from benchmarks.table import Json, Line, show


def derived(few: Course, many: Course) -> Costs:
    """Give what a record costs, from a run of *many*; what a commit takes whatever it brings is from both."""
    n, stages, size = many.records, many.stages, many.sizes
    a, b = (it.stages["commit"].seconds for it in (few, many))
    slope = max(0.0, (b - a) / (n - few.records))
    collect, again = stages["collect"].processor, stages["again, all read"].processor
    later = ("shelf: put in order", "tables and text index", "some changed, all read", "some changed: shown, with tables and text index")
    smoothed, beside = (stages[name].seconds for name in later[:2])
    shown = sum(stages[name].processor.get("follower", 0.0) for name in later[2:])  # it follows while the harvest still runs
    return Costs(
        records=n,
        read=(collect["harvester"] - stages["plan"].seconds - b) / n,
        work=collect.get("judges", 0.0) / n,
        plan=stages["plan"].seconds / n,
        commit=slope,
        same=again["harvester"] / n,
        entry=max(0.0, a - slope * few.records),
        loaded=stages["shelf: loaded and shown"].seconds / n,
        smoothed=smoothed / n,
        beside=beside / n,
        shelved=shown / max(1, many.changed),
        dumped=stages["dump"].seconds / n,
        released=stages["release"].seconds / n,
        **{name: size[name] / n for name in ("archive", "journal", "ledger", "shelf", "tables", "text", "dumps", "releases")},
    )


def main(
    records: Annotated[int, typer.Option(help="Records of the larger of the two runs.", min=5000)] = 20_000,
    json: Json = False,
) -> None:
    """Run end to end with a tenth of so many records and with all, and keep what one costs in costs.json."""
    runs = []
    for number in (max(2500, records // 10), records):
        with folder_for(number, None) as data:
            runs.append(run(number, data, changing=True))
    costs = derived(*runs)
    keep(costs)
    found = [Line(f"a record: {name}", "bytes", value) for name, value in costs.sizes.items()]
    times = ("read", "work", "plan", "commit", "same", "loaded", "smoothed", "beside", "shelved", "dumped", "released")
    found = [Line(f"a record: {name}", "us", 1e6 * getattr(costs, name)) for name in times] + found
    found.append(Line("a commit, whatever it brings", "s", costs.entry))
    show(f"Costs, from {records:,} records", lines(runs[-1], None) + found, json)


if __name__ == "__main__":
    typer.run(main)
