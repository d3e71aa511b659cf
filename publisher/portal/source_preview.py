"""Test a source definition of a visitor in a process of its own: one at a time, limited in time and memory; nothing is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from publisher.errors import QuotaExceeded, StoreBusy

SECONDS = 60.0  # after which the process is ended, whatever it does
MEMORY = 4 << 30  # bytes of addresses: libraries map much more than they use
MOST_PREVIEWS, WINDOW = 5, 600.0  # tries of one client, in so many seconds
_CLIENTS = 10_000  # remembered at once; the one that was quiet longest goes first
_LARGEST = 1 << 20  # bytes of an answer that is read


@dataclass(frozen=True, slots=True)
class RecordPreview:
    """The result for one record: *outcome* is published, withheld, unreadable or deleted."""

    key: str
    outcome: str
    title: str
    reason: str
    warnings: tuple[str, ...]
    statements: int


@dataclass(frozen=True, slots=True)
class PreviewOutcome:
    """The result of a preview: *error_kind* is the class of the error, "" for none, and *error* describes it in English."""

    records: tuple[RecordPreview, ...] = ()
    reported_total: int | None = None
    more: bool = False
    error_kind: str = ""
    error: str = ""


@dataclass(slots=True)
class PreviewRunner:
    """Preview source definitions by *command*, which reads one from standard input and writes JSON; *clock* is monotonic."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    _busy: bool = field(default=False, init=False)
    _had: dict[str, list[float]] = field(default_factory=dict, init=False)

    async def run(self, definition: str, client: str) -> PreviewOutcome:
        """Preview a source definition for a client; raises StoreBusy during another preview, and QuotaExceeded above the quota."""
        if self._busy:
            raise StoreBusy("Another preview is running; try again in a minute")
        self.admit(client)
        self._busy = True
        try:
            return await self._run(definition)
        finally:
            self._busy = False

    def admit(self, client: str) -> None:
        """Count a request of a client to another host; raises QuotaExceeded where the client has had its share."""
        now = self.clock()
        times = [at for at in self._had.pop(client, []) if now - at < WINDOW]
        self._had[client] = times
        if len(times) >= MOST_PREVIEWS:
            wait = int(times[0] + WINDOW - now) + 1
            raise QuotaExceeded(f"Your address has run {MOST_PREVIEWS} previews in {WINDOW / 60:g} minutes", wait)
        times.append(now)
        if len(self._had) > _CLIENTS:
            self._had.pop(next(iter(self._had)))

    async def _run(self, definition: str) -> PreviewOutcome:
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*self.command, stdin=pipe, stdout=pipe, stderr=none, env=dict(self.environment))
        try:
            async with asyncio.timeout(self.seconds):
                answer, _ = await process.communicate(definition.encode())
        except TimeoutError:
            return PreviewOutcome(error_kind="late", error=f"The test did not end within {self.seconds:g} seconds")
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        return parse_outcome(answer)


def parse_outcome(answer: bytes) -> PreviewOutcome:
    """Parse the output of the command. Output that cannot be parsed means that the process was ended at its limits."""
    try:
        output = orjson.loads(answer[:_LARGEST])
        records = tuple(RecordPreview(**{**item, "warnings": tuple(item["warnings"])}) for item in output.pop("records"))
        return PreviewOutcome(records, **output)
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return PreviewOutcome(error_kind="broken", error="The test ended without a result: it needed more memory than its limit")
