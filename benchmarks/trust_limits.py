"""Trust: the ledger of a run over each trouble that empties or halves other harvesters' data, with
what was published before and after.

By hand: ``python -m benchmarks.trust_limits --records 1000``. Nothing is measured here but whether
the numbers are as they must be.
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import structlog
import typer
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.crash_recovery import Killed, Work, kill
from benchmarks.feed import Feed, keys
from benchmarks.harvest_setup import NAME, office
from benchmarks.result_table import Json, err
from demo.registries import Demo
from demo.scenario import Fault, expected_counts
from demo.source_definitions import write_sources
from harvesters.errors import HarvestError
from harvesters.ledger.models import Run, State
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions
from harvesters.source import Source, load, parse
from journal.journal import Journal

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_WHY = 110  # letters of a reason that are shown
# another one each time, and nothing to a reader
_ADDRESS = re.compile(r"^http://127\.0\.0\.1:\S+: ")
_NUMBERS = (
    "reported", "fetched", "unreadable", "unchanged", "returned", "new", "changed", "reidentified", "deleted", "vanished", "missing",
    "gone",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One run: its ledger, what was published before and after, and what must be published after
    it.
    """

    trouble: str
    run: Run
    before: int
    after: int
    due: int
    state: State

    @property
    def is_met(self) -> bool:
        """Return whether the run ended as it must, with as many records published."""
        return (self.after, self.run.state) == (self.due, self.state)


@dataclass(slots=True)
class Story:
    """A source whose runs come a day apart, harvested with *context*."""

    source: Source
    context: HarvestContext
    days: int = 0

    def run(
        self, trouble: str, due: int, state: State, action: Callable[[Story], object] | None = None
    ) -> Row:
        """Harvest again, or run another action; return its row."""
        self.days += 1
        at = _NOON + timedelta(days=self.days)
        self.context = replace(self.context, now=lambda: at)
        ledger, name = self.context.ledger, self.source.name
        before = ledger.count_published(name)
        with suppress(HarvestError):  # its run tells it
            action(self) if action else self.harvest()
        return Row(
            trouble, ledger.runs(name, 1)[0], before, ledger.count_published(name), due, state
        )

    def harvest(self) -> None:
        """Harvest all that there is."""
        harvest(self.source, self.context, full=True)

    def approve(self) -> None:
        """Approve the plan that waits."""
        (plan,) = self.context.ledger.awaiting_review()
        plan_decisions.approve(self.context, self.source, plan.id, by="an operator")


def _rows_of_feed(feed: Feed, home: Path, count: int) -> Iterator[Row]:
    """Yield each story that a list of projects can suffer, each from the same beginning."""
    whole = keys(count)
    half, most = count // 2, count - count // 20
    yield from _after(feed, home, count, ("empty feed", {"listed": []}, count, State.HELD))
    yield from _after(
        feed,
        home,
        count,
        (
            "half feed, which claims all",
            {"listed": whole[:half], "total": count},
            count,
            State.INCOMPLETE,
        ),
    )
    yield from _after(feed, home, count, ("200 with HTML", {"page": True}, count, State.FAILED))
    flipped = {"listed": keys(count, "http")}
    yield from _after(
        feed,
        home,
        count,
        ("http to https flip", flipped, count, State.HELD),
        ("the same, approved", None, count, State.COMMITTED),
    )
    yield from _after(
        feed,
        home,
        count,
        ("nine-fold growth", {"listed": keys(9 * count)}, 9 * count, State.COMMITTED),
    )
    yield from _after(
        feed, home, count, ("poison page", {"poison": whole[half]}, count, State.INCOMPLETE)
    )
    yield from _after(
        feed,
        home,
        count,
        ("5 % vanished", {"listed": whole[:most]}, count, State.COMMITTED),
        ("the same, the full harvest after", {"listed": whole[:most]}, count, State.UNCHANGED),
        ("the same, two full harvests after", {"listed": whole[:most]}, most, State.COMMITTED),
        ("all back", {"listed": whole}, count, State.COMMITTED),
    )
    gone = {"listed": whole[:half]}
    yield from _after(
        feed,
        home,
        count,
        ("50 % vanished", gone, count, State.HELD),
        ("the same, approved", None, count, State.COMMITTED),
    )


# trouble, what the feed does (None: the plan is approved), what is due
_Scene = tuple[str, dict[str, Any] | None, int, State]


def _after(feed: Feed, home: Path, count: int, *scenes: _Scene) -> Iterator[Row]:
    """Harvest all once, then go through the scenes."""
    _set(feed, {"listed": keys(count, "https" if scenes[0][0] != "http to https flip" else "http")})
    folder = home / scenes[0][0].replace(" ", "-").replace("%", "percent")
    with office(folder, _NOON) as context:
        story = Story(parse(NAME, feed.definition, "test"), context)
        story.harvest()
        for trouble, result, due, state in scenes:
            if result is not None:
                _set(
                    feed,
                    result if trouble != "http to https flip" else {"listed": keys(count)},
                    keys(count),
                )
            yield story.run(trouble, due, state, None if result is not None else Story.approve)


def _set(feed: Feed, content: dict[str, Any], listed: list[str] | None = None) -> None:
    fresh = {"listed": listed, "total": None, "poison": "", "page": False, **content}
    for name, value in fresh.items():
        setattr(feed, name, value)


def _token(home: Path, count: int) -> Row:
    """Have an OAI-PMH repository refuse the token of its third page, after a version that changed
    some records.
    """
    with (
        Demo(size=count, faults=(), only=("oai",)) as demo,
        office(home / "token", _NOON) as context,
    ):
        (file,) = write_sources(demo.url, home / "sources", ("oai",))
        story = Story(replace(load(file), pause=0.0), context)
        story.harvest()
        demo.evolve(2, [Fault.EXPIRED])
        return story.run(
            "expired token",
            expected_counts(count, 1, 2, (), ("oai",))["oai"].records,
            State.COMMITTED,
        )


def _killed(feed: Feed, home: Path, count: int, points: int, seed: int) -> tuple[Row, Killed]:
    """Have 2 % vanish and as many come, and kill the run again and again."""
    some, folder = count // 50, home / "killed" / "after"
    _set(feed, {"listed": keys(count)})
    first = Work(feed.definition, folder, _NOON).do()
    _set(feed, {"listed": keys(count + some)[some:]})
    item = kill(Work(feed.definition, folder, _NOON + timedelta(days=1)), points, seed)
    with office(folder, _NOON) as context:
        before, after = first.counts["published_after"], context.ledger.count_published(NAME)
    trouble = f"kill -9 at {item.killed} points, {item.same} ended with the same journal"
    return Row(
        trouble,
        item.run,
        before,
        after,
        count + some if item.same == points else -1,
        State.COMMITTED,
    ), item


def main(
    count: Annotated[
        int, typer.Option("--records", help="Records of the registries.", min=100)
    ] = 1000,
    points: Annotated[int, typer.Option(help="How often a run is killed.", min=0)] = 50,
    seed: Annotated[int, typer.Option(help="What these points are chosen by.")] = 1,
    json: Json = False,
) -> None:
    """Run into each trouble, and print the ledger of each run; 1 where one did not end as it must."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder, Feed([]) as feed:
        home, rows = Path(folder), list[Row]()
        for row in _rows_of_feed(feed, home, count):
            rows.append(row)
            err.print(f"{row.trouble}: {row.run.state.value}", highlight=False)
        rows.append(_token(home, count))
        if points:
            rows.append(_killed(feed, home, count, points, seed)[0])
        for journal in sorted(home.rglob("journal")):
            Journal(journal).verify()
    _show(rows, json=json)
    raise typer.Exit(int(not all(row.is_met for row in rows)))


def _show(rows: list[Row], *, json: bool) -> None:
    if json:
        results = [
            {
                "trouble": row.trouble,
                "outcome": row.run.state.value,
                "counts": row.run.counts,
                "reason": row.run.reason,
            }
            for row in rows
        ]
        more = [
            {
                "before": row.before,
                "after": row.after,
                "added": row.run.added,
                "removed": row.run.removed,
                "met": row.is_met,
            }
            for row in rows
        ]
        print(
            orjson.dumps(
                [
                    {"benchmark": "Trust", "aim": None, **one, **two}
                    for one, two in zip(results, more, strict=True)
                ]
            ).decode()
        )
        return
    table = Table(box=MARKDOWN)
    for name in (
        "trouble",
        "the run",
        "published before",
        "the ledger of the run",
        "quads + / -",
        "published after",
        "as it must",
    ):
        table.add_column(name, overflow="fold")
    for row in rows:
        quads = f"{row.run.added or 0:,} / {row.run.removed or 0:,}"
        table.add_row(
            row.trouble,
            _outcome(row.run),
            f"{row.before:,}",
            _ledger(row.run),
            quads,
            f"{row.after:,}",
            "yes" if row.is_met else "no",
        )
    console = Console(width=None if sys.stdout.isatty() else 2000)
    with console.capture() as output:
        console.print(table)
    print("\n".join(line.rstrip() for line in output.get().strip().split("\n")))


def _outcome(run: Run) -> str:
    why = _ADDRESS.sub("", run.reason or "").partition("; look at it with")[0]
    return run.state.value + (f": {why[:_WHY]}" + ("..." if len(why) > _WHY else "") if why else "")


def _ledger(run: Run) -> str:
    return ", ".join(f"{name} {run.counts[name]:,}" for name in _NUMBERS if run.counts.get(name))


if __name__ == "__main__":
    typer.run(main)
