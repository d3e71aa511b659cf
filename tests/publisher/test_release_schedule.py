"""Releases on schedule: at the times of a cron line, made up for once, never in the way of a broken
one.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from processes import Process
from publish_fixture import move_on
from typer.testing import CliRunner
from waiting import wait_until

from publisher.errors import ReleaseError
from publisher.releases.builder import build_release
from publisher.releases.schedule import attempt, overdue
from publisher.store.releases.manifest import Release, newest_release, release_numbers
from stocktake import app
from vocab.iris import Iris

ROOT = Path(__file__).parents[2]
MONTHLY = "0 4 1 * *"


def released(issued: str) -> Release:
    return Release(1, "https://x.org/release/1", 1, "ab", issued, None, {}, {})


@pytest.mark.parametrize(
    ("issued", "now", "due"),
    [
        ("2026-04-01T04:00:00Z", datetime(2026, 4, 30, 23, 59, tzinfo=UTC), False),
        ("2026-04-01T04:00:00Z", datetime(2026, 5, 1, 4, 0, tzinfo=UTC), True),
        ("2026-04-01T03:59:59Z", datetime(2026, 4, 1, 4, 0, tzinfo=UTC), True),
        (None, datetime(2026, 4, 1, tzinfo=UTC), False),
    ],
)
def test_a_release_is_overdue_when_its_time_has_passed_since_the_last(
    issued: str | None, now: datetime, due: bool
) -> None:
    assert overdue(MONTHLY, released(issued) if issued else None, now) is due


def test_where_nothing_has_changed_the_schedule_goes_on() -> None:
    def cut() -> Release:
        raise ReleaseError("nothing has changed")

    assert attempt(cut) is None


def test_what_was_due_is_made_up_for_once_and_the_process_ends_when_asked(tmp_path: Path) -> None:
    move_on(tmp_path, 1)
    build_release(tmp_path, Iris(), datetime(2026, 4, 1, tzinfo=UTC))
    move_on(tmp_path, 2)
    line = [
        sys.executable,
        "-m",
        "stocktake",
        "--data",
        str(tmp_path),
        "release",
        "--every",
        MONTHLY,
    ]
    before = datetime.now(UTC).replace(microsecond=0)
    process = Process(line, env=os.environ | {"PYTHONPATH": str(ROOT)})
    wait_until(
        lambda: "release 2" in process.output(), "the release that was due", output=process.output
    )
    result = process.output()
    code = process.stop()

    assert "release 2 of journal entry 2" in result
    assert (code, release_numbers(tmp_path / "releases")) == (0, [1, 2])
    last = newest_release(tmp_path / "releases")
    assert last is not None
    assert before <= datetime.fromisoformat(last.issued) <= datetime.now(UTC)


@pytest.mark.parametrize(
    "line", [["release", "--every", "monthly"], ["--releases", "61 * * * *", "up"]]
)
def test_a_line_that_is_no_cron_line_is_refused(tmp_path: Path, line: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["--data", str(tmp_path), *line])

    assert outcome.exit_code == 2
    result = re.sub(r"\x1b\[[0-9;]*m|│", " ", outcome.output)  # a terminal's colours and frame
    assert "of five fields" in " ".join(result.split())
