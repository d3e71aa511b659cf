"""Table: measurements in pairs, each next to its peer's and to its aim, for people and as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound on a line's *ratio* or on *ours*: at least or at most so much."""

    kind: Literal["least", "most"]
    bound: float
    on: Literal["ratio", "ours"] = "ratio"

    def is_met(self, line: Line) -> bool:
        """Return whether the line keeps the bound."""
        value = line.ratio if self.on == "ratio" else line.ours
        return value is not None and (
            value >= self.bound if self.kind == "least" else value <= self.bound
        )

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'least' else '≤'} {self.bound:,g}{' times' if self.on == 'ratio' else ''}"


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement in *unit*; *ratio* is how the two compare, None where there is no peer."""

    what: str
    unit: str
    ours: float | None
    peer: float | None = None
    ratio: float | None = None
    aim: Aim | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of two works done in turn: *ours* and *peer*, the medians, and *ratio*, the median of
    peer by ours.
    """

    ours: float
    peer: float
    ratio: float


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that *work* takes."""
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


def pairs(ours: Callable[[], object], peer: Callable[[], object], times: int) -> Pair:
    """Do both works in turn, so that what disturbs the machine disturbs both."""
    durations = [(timed(ours), timed(peer)) for _ in range(times)]
    return Pair(
        median(a for a, _ in durations),
        median(b for _, b in durations),
        median(b / a for a, b in durations),
    )


def show(title: str, lines: Sequence[Line], json: bool) -> None:
    """Print a benchmark's lines and how many of its aims are met."""
    if json:
        rows = [
            {"benchmark": title, **asdict(line), "met": line.aim.is_met(line) if line.aim else None}
            for line in lines
        ]
        print(orjson.dumps(rows).decode())
        return
    table = Table(title=title, title_justify="left")
    table.add_column("measured")
    for name in ("unit", "ours", "peer", "ratio", "aim"):
        table.add_column(name, justify="left" if name == "unit" else "right")
    table.add_column("met")
    table.add_column("remark", overflow="fold")
    for line in lines:
        is_met = (
            "" if line.aim is None else "[green]yes[/]" if line.aim.is_met(line) else "[red]no[/]"
        )
        table.add_row(
            line.what,
            line.unit,
            *map(_figure, (line.ours, line.peer, line.ratio)),
            str(line.aim or ""),
            is_met,
            line.note,
        )
    console = Console() if sys.stdout.isatty() else Console(width=150)
    console.print(table)
    aims = [line.aim.is_met(line) for line in lines if line.aim]
    console.print(f"{sum(aims)} of {len(aims)} aims met.")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
