"""Describe the last runs of a source as a timeline: what each brought, how long it took, and how
well.
"""

from __future__ import annotations

from dataclasses import dataclass

from harvesters.admin.context import AdminContext
from harvesters.admin.pagination import run_views
from harvesters.admin.schemas import RunView
from harvesters.ledger.models import Run

MAX_RUNS = 30
WIDTH, HEIGHT = 720, 96  # of the drawing, in its own units
_STEP = WIDTH / MAX_RUNS


@dataclass(frozen=True, slots=True)
class Bar:
    """A run as a bar of the drawing: its left edge, its top and its height, in the drawing's units."""

    run: RunView
    left: float
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """A run with its duration in seconds and its archived bytes; None if unknown.

    *response_time* is the mean of its responses and *slowest* the longest, in seconds; *received*
    are their decoded bytes. *quality* is the share of its records that were published or unchanged,
    from 0 to 1.
    """

    run: RunView
    seconds: int | None
    size: int
    requests: int
    quality: float | None
    response_time: float | None
    slowest: float | None
    received: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last runs of a source: *rows* the newest first, *bars* the oldest first."""

    rows: list[TimelineRow]
    bars: list[Bar]


def source_timeline(context: AdminContext, source: str) -> Timeline:
    """Return the timeline of a source's last runs."""
    runs = context.ledger.runs(source, MAX_RUNS)
    views = run_views(context, runs)
    most = max((run.counts.get("fetched", run.fetched) for run in runs), default=0) or 1
    bars = [
        _bar(run, view, column, most)
        for column, (run, view) in enumerate(
            reversed([*zip(runs, views, strict=True)]), MAX_RUNS - len(runs)
        )
    ]
    return Timeline([_row(run, view) for run, view in zip(runs, views, strict=True)], bars)


def _bar(run: Run, view: RunView, column: int, most: int) -> Bar:
    height = max(4.0, HEIGHT * run.counts.get("fetched", run.fetched) / most)
    return Bar(view, round(column * _STEP, 1), round(HEIGHT - height, 1), round(height, 1))


def _row(run: Run, view: RunView) -> TimelineRow:
    fetched = run.counts.get("fetched", run.fetched)
    faulty = run.counts.get("withheld", 0) + run.counts.get("unreadable", 0)
    end, count = run.planned or run.ended, run.responses.get("count", 0)
    return TimelineRow(
        run=view,
        seconds=int((end - run.started).total_seconds()) if end else None,
        size=run.archived,
        requests=run.network.get("sent", 0),
        quality=max(0.0, 1 - faulty / fetched) if fetched else None,
        response_time=run.responses["milliseconds"] / count / 1000 if count else None,
        slowest=run.responses["slowest"] / 1000 if count else None,
        received=run.responses.get("bytes", 0),
    )
