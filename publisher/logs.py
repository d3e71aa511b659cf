"""Write each log event as one line on standard error: as prose on a terminal, elsewhere as logfmt, or
as JSON. Except in JSON, tracebacks of our own errors take more lines.

Warnings and errors of libraries are written the same way. A repeated error is logged once, then
counted.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LOG_FORMATS = ("logfmt", "json")
REPEAT_WINDOW = 600.0  # seconds in which a repeated error is only counted
_MAX_COUNTED = 1000  # distinct errors counted at the same time
_COUNTED = {"warning", "error", "critical"}

_BREAKS = re.compile(r"[\r\n\u2028\u2029\x0b\x0c\x85]")
# Control characters that move a terminal's cursor or change text direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def configure_logging(*processors: Processor, form: str = "") -> None:
    """Configure logging to standard error; standard output is for results. The stream is looked up
    at each line, since tests replace it.

    *processors* see each event before repeated errors are dropped. *form* is one of LOG_FORMATS; ""
    is prose on a terminal and logfmt elsewhere.
    """
    prose = not form and sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *processors,
            RepeatFilter(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            # One object a line (https://jsonlines.org/), whose control characters JSON escapes.
            structlog.processors.JSONRenderer(default=str)
            if form == "json"
            else Renderer(prose_line if prose else logfmt_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    root = logging.getLogger()
    if not any(isinstance(handler, LibraryHandler) for handler in root.handlers):
        root.addHandler(LibraryHandler(logging.WARNING))


@dataclass(slots=True)
class RepeatFilter:
    """Drop a warning or error that was logged within *window* seconds; the next one after that has
    the count as *repeated*.
    """

    window: float = REPEAT_WINDOW
    clock: Callable[[], float] = time.monotonic
    _last: dict[tuple[tuple[str, str], ...], tuple[float, int]] = field(default_factory=dict)

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        if event.get("level") not in _COUNTED:
            return event
        key = tuple(sorted((name, str(value)) for name, value in event.items()))
        now = self.clock()
        since, count = self._last.pop(key, (now, -1))
        if count >= 0 and now - since < self.window:
            self._last[key] = (since, count + 1)
            raise structlog.DropEvent
        self._last[key] = (now, 0)
        if len(self._last) > _MAX_COUNTED:
            del self._last[next(iter(self._last))]
        return {**event, "repeated": count} if count > 0 else event


_LOGFMT = structlog.processors.LogfmtRenderer(
    key_order=["timestamp", "level", "source", "event"], drop_missing=True
)


def logfmt_line(event: EventDict) -> str:
    return _LOGFMT(None, "", event)


def prose_line(event: EventDict) -> str:
    """Return an event as a person reads it on a terminal: the time of day in UTC, the level unless
    it is info, the source, what happened, and the other fields.

    >>> prose_line({"timestamp": "2026-03-01T12:00:05.1Z", "level": "info", "event": "server started", "url": "http://a/"})
    '12:00:05 server started: url http://a/'
    >>> prose_line({"timestamp": "2026-03-01T12:00:05.1Z", "level": "error", "source": "kenya", "event": "run failed"})
    '12:00:05 error: kenya: run failed'
    """
    names = ("timestamp", "level", "source", "event")
    timestamp, level, source, text = (str(event.get(name) or "") for name in names)
    head = [*([level] if level != "info" else []), *([source] if source else []), text]
    rest = [f"{name} {value}" for name, value in event.items() if name not in names]
    return f"{timestamp[11:19]} {': '.join([*head, *([', '.join(rest)] if rest else [])])}"


class Renderer:
    """Render an event as one *line*; the lines of a traceback follow it, indented."""

    def __init__(self, line: Callable[[EventDict], str] = logfmt_line) -> None:
        self._line = line

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        trace = map(_escaped, str(event.pop("exception", "")).splitlines())
        return "\n    ".join([self._line(escape_fields(logger, name, event)), *trace])


def _one_line(text: str) -> str:
    """Return *text* with a space in the place of each line break and of the space around it."""
    parts = _BREAKS.split(text)
    return " ".join(part for part in map(str.strip, parts) if part) if len(parts) > 1 else text


def escape_fields(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace line breaks by spaces and control characters by visible escapes.

    >>> escape_fields(None, "", {"event": "a\\r\\x1b[31m", "reason": "refused\\n\\tis it running?", "rows": 3})
    {'event': 'a <U+001B>[31m', 'reason': 'refused is it running?', 'rows': 3}
    """
    return {
        key: value if isinstance(value, int | float | None) else _escaped(_one_line(str(value)))
        for key, value in event.items()
    }


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


class LibraryHandler(logging.Handler):
    """Log library records as our own events: one line each, with the cause and without the
    library's traceback.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, except for cancelled tasks."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return
        ours = error is not None and record.levelno >= logging.ERROR and _is_own_error(error)
        reason = {"reason": f"{type(error).__name__}: {error}"} if error else {}
        log = structlog.get_logger(library=record.name)
        log.log(
            record.levelno,
            record.getMessage() or "library error",
            **reason,
            **({"exc_info": error} if ours else {}),
        )


def _is_own_error(error: BaseException) -> bool:
    """Return whether an exception passed through code of this program, so that its traceback is
    worth reading.
    """
    modules = (
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    return any(
        module.partition(".")[0]
        in {"harvesters", "publisher", "journal", "shapes", "vocab", "stocktake"}
        for module in modules
    )
