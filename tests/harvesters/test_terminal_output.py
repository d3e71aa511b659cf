from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
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
    statistics_lines,
    statistics_table,
)
from vocab.iris import BASE

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
COUNTS = {"fetched": 1000, "unchanged": 900, "changed": 60, "new": 40, "published_after": 1040}
RUN = Run(
    "digital-health.12", "digital-health", 12, State.HELD, True, None, NOW, "", reasons=(other("too short"),),
    counts=COUNTS,
)  # fmt: skip


def printed(*lines: RenderableType) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=80)
    console.print(*lines)
    return file.getvalue().splitlines()


def test_id_start_and_outcome_of_a_run_are_on_one_line_of_80_columns() -> None:
    rows = [run_report.run_row(RUN)]

    (line,) = [
        line for line in printed(make_table(run_list(rows), "Runs")) if "digital-health.12" in line
    ]

    assert line.strip().startswith("digital-health.12   2026-03-01 12:30   held   ")
    assert reason_lines(rows) == ["digital-health.12: too short"]


def test_a_run_of_an_unchanged_source_says_that_the_source_was_not_read() -> None:
    counts = {"fetched": 0, "published_after": 1040}
    run = replace(RUN, state=State.UNCHANGED, reasons=(), counts=counts, network={"unchanged": 1})

    (row,) = run_list([run_report.run_row(run)])

    assert row["records"] == "not read: unchanged; 1,040 stay published"


def test_a_run_of_the_vocabulary_says_what_it_is() -> None:
    run = replace(RUN, id="vocabulary.1", source="vocabulary", counts={})

    assert run_list([run_report.run_row(run)])[0]["records"] == "the vocabulary and its code lists"


@pytest.mark.parametrize(
    ("state", "label"),
    [(State.HELD, "published if approved"), (State.REJECTED, "published if approved"), (State.COMMITTED, "published after")],
)  # fmt: skip
def test_statistics_say_what_a_plan_would_publish(state: State, label: str) -> None:
    row = run_report.run_row(replace(RUN, state=state, pages=1, ended=NOW))
    details = {**row, "quads": {"added": None, "removed": None, "after": None}, "notices": []}

    lines = " ".join(
        " ".join(printed(statistics_table(details), *statistics_lines(details))).split()
    )

    assert f"1,040 {label}" in lines
    assert "started 2026-03-01 12:30 UTC, ended 2026-03-01 12:30 UTC, 1 page" in lines


def test_a_preview_says_what_would_happen_to_each_record() -> None:
    result = PreviewResult(
        (
            RecordPreview("1", "published", "One"),
            RecordPreview("2", "withheld", reason="It has no title."),
            RecordPreview("3", "unreadable", reason="no JSON"),
        )
    )

    rows = preview_list(result, BASE)

    assert [row["outcome"] for row in rows] == [
        "would be published",
        "would be withheld",
        "unreadable",
    ]
    assert rows[1]["reasons and warnings"] == "It has no title."


def test_a_preview_shows_the_mapped_values_of_each_field() -> None:
    thing = f"<{BASE}id/initiative/a/1>"
    goals = [
        f"{thing} <{BASE}ns#goal> <http://metadata.un.org/sdg/{number}>" for number in range(1, 8)
    ]
    title = f'{thing} <http://purl.org/dc/terms/title> "{"Clinics " * 30}"@en'
    kenya = (
        f"{thing} <http://purl.org/dc/terms/spatial> <http://metadata.un.org/sdg/codes/geoArea/404>"
    )
    result = PreviewResult((RecordPreview("1", "published", mapped=(title, kenya, *goals)),))

    (row,) = preview_list(result, BASE)

    lines = str(row["mapped values"]).split("\n")
    assert lines[0].startswith("Title: Clinics Clinics")
    assert lines[0].endswith("...")
    assert len(lines[0]) < 120
    assert lines[1] == "Country or region: Kenya"
    assert lines[2].startswith("Goal: ")
    assert lines[2].endswith(" and 2 more")


def test_an_empty_list_says_so() -> None:
    assert printed(make_table([], "Runs", "none yet")) == ["Runs: none yet"]


def test_a_preview_shows_each_warning_once() -> None:
    result = PreviewResult(
        (RecordPreview("1", "published", "One", "", ("No goal.", "No area."), 9),)
    )

    lines = "\n".join(printed(make_table(preview_list(result, BASE), "Records")))

    assert (lines.count("No goal."), lines.count("No area."), "(" in lines) == (1, 1, False)


def test_the_bar_of_a_source_ends_with_its_run() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with ProgressBar(console, quiet=False) as bar:
        bar.show(Progress("a", 1, 10, 20))
        bar.show(Progress("b", 1, 10, None))

        bar.finish("a")
        bar.finish("c")

        assert bar.sources == ["b"]
    assert "1 page" in text.getvalue()
    assert "records/s" not in text.getvalue()
