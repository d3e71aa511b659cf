"""Work beside requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger()


@asynccontextmanager
async def in_background(work: Coroutine[object, object, None] | None) -> AsyncIterator[None]:
    """Run *work*, if there is any, within the context, and cancel it at the end. An error in it is
    logged.
    """
    if work is None:
        yield
        return
    task = asyncio.create_task(work)
    task.add_done_callback(log_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def log_failure(task: asyncio.Task[None]) -> None:
    """Log the exception that ended a background task, which should run until it is cancelled."""
    if not task.cancelled() and (error := task.exception()):
        log.error("background task failed", task=repr(task.get_coro()), exc_info=error)
