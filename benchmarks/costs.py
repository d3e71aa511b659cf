"""What a record costs at each stage on this machine, measured by a run end to end, and kept for the
simulation.

By hand: ``python -m benchmarks.costs --records 20000``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from benchmarks.million_records import Course, folder_for, lines, run
from benchmarks.model import Costs, keep
from benchmarks.result_table import Json, Line, show


def derived(few: Course, many: Course) -> Costs:
    """Return what each further record costs, from two runs: what a process takes to begin is in
    both.
    """
    more = many.records - few.records
    later = ("some changed, all read", "some changed: shown, with tables and text index")

    def each(what: Callable[[Course], float]) -> float:
        return max(0.0, (what(many) - what(few)) / more)

    def took(name: str) -> float:
        return each(lambda item: item.stages[name].seconds)

    def harvester(course: Course) -> float:
        return (
            course.stages["collect"].processor["harvester"]
            - course.stages["plan"].seconds
            - course.stages["commit"].seconds
        )

    # it follows while the harvest still runs
    changed = sum(many.stages[name].processor.get("follower", 0.0) for name in later)
    return Costs(
        records=many.records,
        read=each(harvester),
        work=each(lambda item: item.stages["collect"].processor.get("workers", 0.0)),
        plan=took("plan"),
        commit=took("commit"),
        same=each(lambda item: item.stages["again, all read"].processor["harvester"]),
        entry=max(0.0, few.stages["commit"].seconds - took("commit") * few.records),
        loaded=took("store: loaded and shown"),
        beside=took("tables and text index"),
        shelved=changed / max(1, many.changed),
        dumped=took("dump"),
        released=took("release"),
        archive=each(lambda item: item.sizes["archive"]),
        journal=each(lambda item: item.sizes["journal"]),
        ledger=each(lambda item: item.sizes["ledger"]),
        store=each(lambda item: item.sizes["store"]),
        tables=each(lambda item: item.sizes["tables"]),
        text=each(lambda item: item.sizes["text"]),
        dumps=each(lambda item: item.sizes["dumps"]),
        releases=each(lambda item: item.sizes["releases"]),
    )


def main(
    records: Annotated[
        int, typer.Option(help="Records of the larger of the two runs.", min=10_000)
    ] = 40_000,
    json: Json = False,
) -> None:
    """Run end to end with a quarter of so many records and with all, and keep what one costs in
    costs.json.
    """
    runs = []
    for number in (max(2500, records // 4), records):
        with folder_for(number, None) as data:
            runs.append(run(number, data, changing=True))
    costs = derived(*runs)
    keep(costs)
    results = [Line(f"a record: {name}", "bytes", value) for name, value in costs.sizes.items()]
    times = (
        "read",
        "work",
        "plan",
        "commit",
        "same",
        "loaded",
        "beside",
        "shelved",
        "dumped",
        "released",
    )
    results = [
        Line(f"a record: {name}", "us", 1e6 * getattr(costs, name)) for name in times
    ] + results
    results.append(Line("a commit, whatever it brings", "s", costs.entry))
    show(f"Costs, from {records:,} records", lines(runs[-1], None) + results, json)


if __name__ == "__main__":
    typer.run(main)
