"""Logs: each is one line on standard error, whatever stands in it."""

from __future__ import annotations

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

# What ends a line, moves a terminal's cursor or turns the order of what follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def to_stderr() -> None:
    """Leave standard output to results; the stream is looked up at each line, since tests replace it."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            visible,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "source", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def visible(logger: WrappedLogger, name: str, told: EventDict) -> EventDict:
    """Write what a terminal or a reader of lines would obey as an escape.

    >>> visible(None, "", {"event": "a\\r\\x1b[31m", "rows": 3})
    {'event': 'a<U+000D><U+001B>[31m', 'rows': 3}
    """
    return {key: value if isinstance(value, int | float | None) else _UNSEEN.sub(_code, str(value)) for key, value in told.items()}


def _code(match: re.Match[str]) -> str:
    return f"<U+{ord(match[0]):04X}>"
