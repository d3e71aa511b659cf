from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from projects import ProjectRegistry, project
from stamina.instrumentation import set_on_retry_hooks
from structlog.testing import capture_logs

from harvesters.network.retry import install_retry_logging
from harvesters.runs.context import HarvestContext
from harvesters.runs.run_logging import harvest_and_log
from harvesters.source import Source
from publisher.logs import LibraryHandler, configure_logging


@pytest.fixture
def log_to_stderr() -> Iterator[None]:
    configure_logging()
    install_retry_logging()
    yield
    set_on_retry_hooks(None)
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [
        handler for handler in root.handlers if not isinstance(handler, LibraryHandler)
    ]


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
