from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rows import each

from command_line.console import format_cell, make_table
from command_line.inspection import preview_list
from command_line.workspace import (
    ProgressBar,
    reason_lines,
    run_list,
    statistics_lines,
    statistics_table,
)
from harvesters.inspection.preview import PreviewResult, RecordPreview
from harvesters.ledger.models import Run, State
from harvesters.reasons import other
from harvesters.runs import run_report
from vocab.iris import BASE

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
COUNTS = {"fetched": 1000, "unchanged": 900, "changed": 60, "new": 40, "published_after": 1040}
RUN = Run(
    "digital-health.12", "digital-health", 12, State.HELD, True, None, NOW, "", reasons=(other("too short"),),
    counts=COUNTS,
)  # fmt: skip


def printed(*lines: RenderableType) -> list[str]:
    Console(file=(file := io.StringIO()), width=80).print(*lines)
    return file.getvalue().splitlines()


@each(
    "value, text",
    [(0, "0"), (None, ""), (False, "False"), (NOW, "2026-03-01 12:30"), (["en", "fr"], "en, fr"), ((), ""),
     ({"fetched": 1000, "new": 0, "source": "a"}, "fetched 1,000, source a")],
)  # fmt: skip
def test_zero_is_written_and_a_missing_value_is_empty(value: object, text: str) -> None:
    assert format_cell(value) == text


def test_id_start_and_outcome_of_a_run_are_on_one_line_of_80_columns() -> None:
    rows = [run_report.run_row(RUN)]

    lines = printed(make_table(run_list(rows), "Runs"))

    (line,) = [line.strip() for line in lines if "digital-health.12" in line]
    assert line.startswith("digital-health.12   2026-03-01 12:30   held   ")
    assert reason_lines(rows) == ["digital-health.12: too short"]
    assert printed(make_table([], "Runs", "none yet")) == ["Runs: none yet"]


def test_runs_of_an_unchanged_source_and_of_the_vocabulary_say_what_they_are() -> None:
    counts = {"fetched": 0, "published_after": 1040}
    run = replace(RUN, state=State.UNCHANGED, reasons=(), counts=counts, network={"unchanged": 1})

    (row,) = run_list([run_report.run_row(run)])

    assert row["records"] == "not read: unchanged; 1,040 stay published"

    run = replace(RUN, id="vocabulary.1", source="vocabulary", counts={})

    assert run_list([run_report.run_row(run)])[0]["records"] == "the vocabulary and its code lists"


@each(
    "state, label",
    [(State.HELD, "published if approved"), (State.REJECTED, "published if approved"), (State.COMMITTED, "published after")],
)  # fmt: skip
def test_statistics_say_what_a_plan_would_publish(state: State, label: str) -> None:
    row = run_report.run_row(replace(RUN, state=state, pages=1, ended=NOW))
    details = {**row, "quads": {"added": None, "removed": None, "after": None}, "notices": []}

    lines = printed(statistics_table(details), *statistics_lines(details))

    text = " ".join(" ".join(lines).split())
    assert f"1,040 {label}" in text
    assert "started 2026-03-01 12:30 UTC, ended 2026-03-01 12:30 UTC, 1 page" in text


def test_a_preview_says_what_would_happen_to_each_record_and_each_warning_once() -> None:
    published = RecordPreview("1", "published", "One", "", ("No goal.", "No area."), 9)
    withheld = RecordPreview("2", "withheld", reason="It has no title.")

    rows = preview_list(PreviewResult((published, withheld, RecordPreview("3", "unreadable", reason="no JSON"))), BASE)  # fmt: skip

    outcomes = [row["outcome"] for row in rows]
    assert outcomes == ["would be published", "would be withheld", "unreadable"]
    assert rows[1]["reasons and warnings"] == "It has no title."
    lines = "\n".join(printed(make_table(rows[:1], "Records")))
    assert (lines.count("No goal."), lines.count("No area."), "(" in lines) == (1, 1, False)


def test_a_preview_shows_the_mapped_values_of_each_field() -> None:
    terms = [f'<http://purl.org/dc/terms/title> "{"Clinics " * 30}"@en',
             "<http://purl.org/dc/terms/spatial> <http://metadata.un.org/sdg/codes/geoArea/404>"]  # fmt: skip
    terms += [f"<{BASE}ns#goal> <http://metadata.un.org/sdg/{number}>" for number in range(1, 8)]
    mapped = tuple(f"<{BASE}id/initiative/a/1> {term}" for term in terms)

    (row,) = preview_list(PreviewResult((RecordPreview("1", "published", mapped=mapped),)), BASE)

    title, country, goal = str(row["mapped values"]).split("\n")[:3]
    assert title.startswith("Title: Clinics Clinics")
    assert title.endswith("...")
    assert len(title) < 120
    assert country == "Country or region: Kenya"
    assert goal.startswith("Goal: ")
    assert goal.endswith(" and 2 more")


def test_the_bar_of_a_source_ends_with_its_run() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with ProgressBar(console, quiet=False) as bar:
        for source, total in (("a", 20), ("b", None)):
            run = Run(
                f"{source}.1", source, 1, State.RUNNING, True, None, datetime.now(UTC), "rules"
            )
            bar.show(replace(run, pages=1, fetched=10, reported_total=total))

        bar.finish("a")
        bar.finish("c")

        assert [task.description for task in bar.tasks] == ["b"]
    assert "1 page" in text.getvalue()
