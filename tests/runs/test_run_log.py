from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog
from projects import Harvester, ProjectRegistry, project
from stamina.instrumentation import set_on_retry_hooks
from structlog.testing import capture_logs

from harvesters.errors import HarvestError
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import LogLine
from harvesters.network.fetch import install_retry_logging
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest_and_log
from harvesters.runs.run_log import MAX_LINES, RunLog, record_line
from harvesters.source import Source
from publisher.logs import LibraryHandler, configure_logging


@pytest.fixture(autouse=True)
def _keep_lines() -> Iterator[None]:
    configure_logging(record_line)
    install_retry_logging()
    yield
    set_on_retry_hooks(None)
    structlog.reset_defaults()


def events(context: HarvestContext, run: str) -> list[str]:
    return [line.event for line in reversed(context.ledger.log_lines(run=run))]


def test_the_lines_of_a_run_are_kept_in_order(harvester: Harvester) -> None:
    harvester.registry.answer = lambda _: (
        httpx.Response(503) if len(harvester.registry.request_log) == 1 else None
    )

    run = harvest_and_log(harvester.source, harvester.context).run

    lines = harvester.ledger.log_lines(run=run.id)[::-1]
    assert [line.event for line in lines] == [
        "run started",
        "retrying request",
        *["page stored"] * 4,
        "run ended",
    ]
    assert "503" in lines[1].fields["reason"]
    assert lines[2].fields == {"page": 1, "records": 3, "total": 10}
    assert (lines[-1].fields["outcome"], lines[-1].source) == ("committed", "projects")


def test_a_run_with_a_progress_bar_keeps_the_same_lines(harvester: Harvester) -> None:
    seen: list[int] = []

    run = harvest_and_log(
        harvester.source, harvester.context, watch=lambda progress: seen.append(progress.pages)
    ).run

    assert events(harvester.context, run.id) == ["run started", *["page stored"] * 4, "run ended"]
    assert seen == [1, 2, 3, 4]


def test_a_failed_run_keeps_its_reason(harvester: Harvester) -> None:
    harvester.registry.answer = lambda _: httpx.Response(404)

    with pytest.raises(HarvestError):
        harvest_and_log(harvester.source, harvester.context)

    (line,) = harvester.ledger.log_lines(level="error")
    assert (line.run, line.event) == ("projects.1", "run failed")
    assert "404" in line.fields["reason"]


def test_a_dry_run_keeps_no_lines(harvester: Harvester) -> None:
    harvest_and_log(harvester.source, harvester.context, dry_run=True)

    assert harvester.ledger.log_lines() == []


def test_lines_are_found_by_run_source_level_and_text(context: HarvestContext) -> None:
    for run, level, event in (
        ("a.1", "info", "run started"),
        ("a.1", "error", "100%_lost"),
        ("b.1", "info", "run ended"),
    ):
        run_log = RunLog(context.ledger, run[0], run=run)
        run_log.add(level, event, url="https://registry.example/x")
        run_log.flush()
    find = context.ledger.log_lines

    assert [line.event for line in find()] == ["run ended", "100%_lost", "run started"]
    assert [line.event for line in find(run="a.1")] == ["100%_lost", "run started"]
    assert [line.event for line in find(source="b")] == ["run ended"]
    assert [line.event for line in find(level="error")] == ["100%_lost"]
    assert [line.event for line in find(text="100%_")] == ["100%_lost"]
    assert len(find(text="REGISTRY.example")) == 3
    assert [line.event for line in find(before=find()[1].number)] == ["run started"]


def test_a_log_is_written_at_most_once_a_second_and_truncated(context: HarvestContext) -> None:
    writes: list[int] = []

    class Counted:
        is_joined = False

        def append_log(self, lines: list[LogLine]) -> None:
            writes.append(len(lines))
            context.ledger.append_log(lines)

    seconds = iter(range(10**6))
    run_log = RunLog(Counted(), "a", clock=lambda: next(seconds) / 100, run="a.1")  # type: ignore[arg-type]
    for number in range(MAX_LINES + 50):
        run_log.add("info", f"line {number}")
    run_log.flush()

    newest = context.ledger.log_lines(run="a.1", limit=MAX_LINES * 2)
    assert len(newest) == sum(writes) == MAX_LINES + 1
    assert newest[0].event == "log truncated: the run has more lines"
    assert len(writes) < MAX_LINES / 40


def test_a_run_whose_log_is_not_kept_leaves_no_name_on_later_lines(filled: Harvester) -> None:

    assert "run" not in structlog.contextvars.get_contextvars()


def test_a_ledger_that_cannot_be_written_stops_no_run(
    context: HarvestContext, tmp_path: Any
) -> None:
    broken = Ledger(f"sqlite:///{tmp_path}/other.sqlite", lock_timeout=0)
    run_log = RunLog(broken, "a", run="a.1")
    with context.ledger.transaction(), broken.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE run_log")

    run_log.add("info", "a line")
    run_log.flush()

    broken.close()
    assert len(run_log._lines) == 1


def test_the_log_of_an_old_run_is_deleted(harvester: Harvester) -> None:
    first = harvest_and_log(harvester.source, harvester.context).run
    for number in range(30):
        harvester.registry.projects[0]["name"] = f"Name {number}"
        harvest_and_log(harvester.source, harvester.context)

    assert events(harvester.context, first.id) == []
    assert events(harvester.context, "projects.2") != []


def test_sizes_and_times_of_responses_are_added_up(harvester: Harvester) -> None:
    run = harvest_and_log(harvester.source, harvester.context).run

    stored = harvester.ledger.run(run.id)
    assert stored is not None
    assert stored.responses["count"] == run.network["sent"] == 5
    assert stored.responses["bytes"] > 500
    assert 0 <= stored.responses["slowest"] <= stored.responses["milliseconds"]


def test_the_log_says_why_records_were_not_published(harvester: Harvester) -> None:
    wrong = replace(harvester.source, options={**harvester.source.options, "key": "nummer"})

    run = harvest_and_log(wrong, harvester.context).run

    fields = [
        line.fields
        for line in harvester.ledger.log_lines(run=run.id)
        if line.event == "records not published"
    ]
    assert sum(line["records"] for line in fields) == run.counts["unreadable"] == 10
    assert fields[0]["reason"].startswith(
        "a record without a value at 'nummer', where the definition has its key; it has id, "
    )


# ---- lines


@pytest.fixture
def log_to_stderr(_keep_lines: None) -> Iterator[None]:
    configure_logging()
    yield
    root = logging.getLogger()
    root.handlers = [item for item in root.handlers if not isinstance(item, LibraryHandler)]


def test_a_retried_request_names_its_source(
    log_to_stderr: None, source: Source, context: HarvestContext, registry: ProjectRegistry, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    registry.projects = [project(1)]
    registry.answer = lambda _: httpx.Response(503) if len(registry.request_log) == 1 else None

    harvest_and_log(source, context)

    lines = [line for line in capsys.readouterr().err.splitlines() if "retrying request" in line]
    assert len(lines) == 1
    assert f'source={source.name} event="retrying request"' in lines[0]
    assert source.url in lines[0]


def test_a_resumed_run_logs_its_page(
    source: Source, context: HarvestContext, registry: ProjectRegistry
) -> None:
    registry.projects = [project(number) for number in range(9)]

    def cut_off(page: int) -> httpx.Response | None:
        if page == 3:
            raise RuntimeError("cut off")
        return None

    registry.answer = cut_off
    with pytest.raises(RuntimeError, match="cut off"):
        harvest_and_log(source, context)
    registry.answer = lambda _: None

    with capture_logs() as logs:
        plan = harvest_and_log(source, context)

    resumed = [
        (log["run"], log["page"], log["records"]) for log in logs if log["event"] == "run resumed"
    ]
    assert resumed == [(plan.run.id, 3, 6)]
    assert registry.request_log == [1, 2, 3, 3]
