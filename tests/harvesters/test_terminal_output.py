"""Lists fit on a line of 80 columns, say that they are empty, and show each remark once."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console, RenderableType

from harvesters.ledger.models import Run, State
from harvesters.pipeline.page_processor import Progress
from harvesters.reasons import other
from harvesters.runs import run_report
from harvesters.runs.source_preview import PreviewResult, RecordPreview
from harvesters.runs.terminal_output import (
    ProgressBar,
    make_table,
    preview_list,
    reason_lines,
    run_list,
)

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
COUNTS = {"fetched": 1000, "unchanged": 900, "changed": 60, "new": 40, "published_after": 1040}
RUN = Run(
    "digital-health.12",
    "digital-health",
    12,
    State.HELD,
    True,
    None,
    NOW,
    "",
    reasons=(other("too short"),),
    counts=COUNTS,
)


def printed(*lines: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(*lines)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_id_start_and_outcome_of_a_run_are_on_one_line_of_80_columns() -> None:
    rows = [run_report.run_row(RUN)]

    (line,) = [
        line for line in printed(make_table(run_list(rows), "Runs")) if "digital-health.12" in line
    ]

    assert line.strip().startswith("digital-health.12   2026-03-01 12:30   held   ")
    assert reason_lines(rows) == ["digital-health.12: too short"]


def test_an_empty_list_says_so() -> None:
    assert printed(make_table([], "Runs", "none yet")) == ["Runs: none yet"]


def test_a_preview_shows_each_warning_once() -> None:
    result = PreviewResult(
        (RecordPreview("1", "published", "One", "", ("No goal.", "No area."), 9),)
    )

    lines = "\n".join(printed(make_table(preview_list(result), "Records")))

    assert (lines.count("No goal."), lines.count("No area."), "(" in lines) == (1, 1, False)


def test_the_bar_of_a_source_ends_with_its_run() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    with ProgressBar(console, quiet=False) as bar:
        bar.show(Progress("a", 1, 10, 20))
        bar.show(Progress("b", 1, 10, None))

        bar.finish("a")
        bar.finish("c")

        assert bar.sources == ["b"]
