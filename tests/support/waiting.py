"""The one way to wait in a test: for a condition, with a deadline, and with an error that says what
did not happen.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

# In seconds; an idle machine needs much less, but tests also run beside other work.
WITHIN = 240.0
PAUSE = 0.05
LONGEST_PAUSE = 0.25  # a pause is a tenth of the time so far, since each look takes processor time

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None], what: str, within: float = WITHIN, output: Callable[[], str] | None = None, pause: float = PAUSE
) -> T:  # fmt: skip
    """Call *condition* until its result is true, and return that result.

    Raises AssertionError after *within* seconds: with *what* was waited for, the last result, and
    *output*, which returns what the server wrote.

    >>> wait_until(lambda: 7, "a number")
    7
    """
    begin = time.monotonic()
    while not (result := condition()):
        waited = time.monotonic() - begin
        if waited > within:
            raise AssertionError(_message(what, within, result, output))
        time.sleep(max(pause, min(waited / 10, LONGEST_PAUSE)))
    return result


@overload
async def wait_until_async(
    condition: Callable[[], Awaitable[T | None]],
    what: str,
    within: float = WITHIN,
    output: Callable[[], str] | None = None,
    pause: float = PAUSE,
) -> T: ...


@overload
async def wait_until_async(
    condition: Callable[[], T | None],
    what: str,
    within: float = WITHIN,
    output: Callable[[], str] | None = None,
    pause: float = PAUSE,
) -> T: ...


async def wait_until_async(
    condition: Callable[[], T | Awaitable[T | None] | None],
    what: str,
    within: float = WITHIN,
    output: Callable[[], str] | None = None,
    pause: float = PAUSE,
) -> T:
    """Do what `wait_until` does without blocking the event loop; *condition* may be a coroutine
    function.
    """
    begin = time.monotonic()
    while True:
        results = condition()
        result: T | None = await results if inspect.isawaitable(results) else results
        if result:
            return result
        waited = time.monotonic() - begin
        if waited > within:
            raise AssertionError(_message(what, within, result, output))
        await asyncio.sleep(max(pause, min(waited / 10, LONGEST_PAUSE)))


def _message(what: str, within: float, result: object, output: Callable[[], str] | None) -> str:
    message = f"waited {within:g} s for {what}; the last result was {result!r}"
    return f"{message}\n{text}" if output and (text := output()) else message
