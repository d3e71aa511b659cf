"""Logs as an operator reads them: a line for each event, no line twice, and a traceback only for a
fault of our code.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.types import Receive, Scope, Send

from publisher.logs import (
    LibraryHandler,
    RepeatFilter,
    configure_logging,
)
from web.middleware import RequestMiddleware

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stderr() -> Iterator[None]:
    """Configure the logs as the program does, and undo that after the test."""
    configure_logging()
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [
        handler for handler in root.handlers if not isinstance(handler, LibraryHandler)
    ]


class TerminalText(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("form", "line"),
    [("", " error: kenya: run failed: reason refused\n"), ("logfmt", ' source=kenya event="run failed" reason=refused\n')],
)  # fmt: skip
def test_a_terminal_gets_prose_unless_a_format_is_set(
    stderr: None, monkeypatch: pytest.MonkeyPatch, form: str, line: str
) -> None:
    terminal = TerminalText()
    monkeypatch.setattr(sys, "stderr", terminal)
    configure_logging(form=form)

    structlog.get_logger().error("run failed", source="kenya", reason="refused")

    assert terminal.getvalue().endswith(line)


def test_line_breaks_of_a_message_become_spaces_and_a_missing_field_is_not_named(
    stderr: None, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.get_logger().warning(
        "database lost", reason="connection failed: refused\n\tIs the server running?\r\n"
    )

    line = capsys.readouterr().err
    assert line.endswith(
        'event="database lost" reason="connection failed: refused Is the server running?"\n'
    )
    assert "source=" not in line


def test_a_traceback_has_indented_lines_after_its_event(
    stderr: None, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise ValueError("wrong\x1b[31m")
    except ValueError:
        structlog.get_logger().exception("run failed")

    first, *more = capsys.readouterr().err.splitlines()
    assert first.endswith('event="run failed"')
    assert more[0] == "    Traceback (most recent call last):"
    assert more[-1] == "    ValueError: wrong<U+001B>[31m"
    assert all(line.startswith("    ") for line in more)


def test_as_json_an_event_is_an_object_on_one_line(
    stderr: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(form="json")
    with structlog.contextvars.bound_contextvars(run="01J"):
        try:
            raise ValueError("wrong\x1b[31m\nagain")
        except ValueError:
            structlog.get_logger().exception("run failed", reason="a\u2028b\nc", rows=3)

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert line.isascii()
    expected = {
        "run": "01J", "event": "run failed", "level": "error", "reason": "a\u2028b\nc", "rows": 3,
    }  # fmt: skip
    assert expected.items() <= event.items()
    assert event["exception"].startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("sent", "named"),
    [("abc-1.2:3_4", True), ("", False), ("a b", False), ("x" * 65, False), ('"}', False)],
)
def test_a_request_is_named_in_the_log_as_its_proxy_names_it(
    stderr: None, capsys: pytest.CaptureFixture[str], sent: str, named: bool
) -> None:
    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        structlog.get_logger().warning("seen", number=sent)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"host", b"a.example"), (b"x-request-id", sent.encode())],
    }
    nothing: Any = None
    asyncio.run(RequestMiddleware(handle)(scope, nothing, nothing))

    (request,) = re.findall(r"request=(\S+)", capsys.readouterr().err)
    assert request == sent if named else re.fullmatch("[0-9a-f]{32}", request)
    assert "request" not in structlog.contextvars.get_contextvars()


def test_an_error_that_repeats_is_logged_once_and_then_counted() -> None:
    now = [0.0]
    repeats, passed = RepeatFilter(window=600, clock=lambda: now[0]), []
    event = {"event": "no connection", "level": "error", "source": "a"}

    for seconds in (0, 10, 20, 599, 601, 610):
        now[0] = seconds
        with suppress(structlog.DropEvent):
            passed.append(repeats(None, "", {**event}))

    assert [item.get("repeated") for item in passed] == [None, 3]
    for other in ({"source": "b"}, {"reason": "timeout"}, {"level": "info"}, {"level": "info"}):
        assert repeats(None, "", {**event, **other}) == {**event, **other}


def test_a_library_s_error_is_one_line_with_its_cause(
    stderr: None, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        open("/nowhere/at/all").close()
    except OSError as error:
        logging.getLogger("distributed.client").error("cannot connect", exc_info=error)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert 'event="cannot connect" library=distributed.client reason="FileNotFoundError' in lines[0]
    try:
        RepeatFilter()(None, "", None)  # type: ignore[arg-type]
    except AttributeError as error:  # A fault of our code keeps its traceback.
        logging.getLogger("procrastinate.worker").error("Job ended", exc_info=error)
    assert "    Traceback (most recent call last):" in capsys.readouterr().err.splitlines()


@pytest.mark.smoke
def test_logs_of_libraries_come_once_although_the_program_configures_twice() -> None:
    code = "import logging; from publisher.logs import configure_logging as f; f(); f(); logging.getLogger('x').warning('once')"

    line = [sys.executable, "-c", code]
    completed = subprocess.run(line, cwd=ROOT, capture_output=True, check=True, timeout=60)

    assert completed.stderr.count(b"once") == 1
