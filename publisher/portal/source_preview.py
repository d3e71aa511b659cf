"""Test a source definition of a visitor in a process of its own: one at a time, limited in time and
memory; nothing is stored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import orjson
from cachetools import LRUCache

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.errors import QuotaExceeded, StoreBusy

SECONDS = 60.0  # after which the process is killed
MEMORY = 4 << 30  # bytes of address space: libraries map much more than they use
# previews of one client, and the seconds in which they are counted
MOST_PREVIEWS, WINDOW = 5, 600.0
EXPLANATIONS = 30  # explanations of statements for one client, in the same time
_CLIENTS = 10_000  # clients whose requests are counted; the least recent is dropped
_OUTPUTS = 100  # outputs of a command that are remembered
_LARGEST = 1 << 20  # bytes of output that are read


_SHOWN = ("key", "outcome", "title", "reason", "statements")  # of a record, beside its warnings


@dataclass(frozen=True, slots=True)
class RecordPreview:
    """The result for one record: *outcome* is published, withheld, unreadable, duplicate or deleted."""

    key: str
    outcome: str
    title: str
    reason: str
    warnings: tuple[str, ...]
    statements: int


@dataclass(frozen=True, slots=True)
class PreviewOutcome:
    """The result of a preview: *error_kind* is the class of the error, "" for none, and *error*
    describes it.
    """

    records: tuple[RecordPreview, ...] = ()
    reported_total: int | None = None
    more: bool = False
    error_kind: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class PreviewRunner:
    """Preview source definitions by *command*, which reads one from standard input and writes JSON,
    and check feeds by *check_command*, which reads one from standard input; *clock* is monotonic. A
    client has *quota* runs in WINDOW. *explainer* has the command that explains statements,
    *reporter* the one that reports what a source's last runs withheld, if there is one.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    seconds: float = SECONDS
    clock: Callable[[], float] = time.monotonic
    check_command: tuple[str, ...] = ()
    check_environment: Mapping[str, str] = field(default_factory=dict)
    quota: int = MOST_PREVIEWS
    explainer: PreviewRunner | None = None
    reporter: PreviewRunner | None = None
    _busy: bool = field(default=False, init=False)
    _requests: dict[str, list[float]] = field(default_factory=dict, init=False)
    _outputs: LRUCache[tuple[str, ...], bytes] = field(
        default_factory=lambda: LRUCache(_OUTPUTS), init=False
    )

    async def run(self, definition: str, client: str) -> PreviewOutcome:
        """Preview a source definition for a client, with reasons in the language of the request.

        Raises StoreBusy during another preview, and QuotaExceeded above the quota.
        """
        command = (*self.command, f"--language={current_locale().language}")
        try:
            return parse_outcome(
                await self._run(command, self.environment, definition.encode(), client)
            )
        except TimeoutError:
            text = _("The test did not end within %(seconds)s seconds.") % {
                "seconds": f"{self.seconds:g}"
            }
            return PreviewOutcome(error_kind="late", error=text)

    async def check(self, arguments: tuple[str, ...], feed: bytes, client: str) -> bytes:
        """Return what the command that checks feeds writes, b"" if it ended without a result;
        raises as ``run`` does.
        """
        try:
            return await self._run(
                (*self.check_command, *arguments), self.check_environment, feed, client
            )
        except TimeoutError:
            return b""

    async def check_once(self, arguments: tuple[str, ...], version: str, client: str) -> bytes:
        """Return what ``check`` returns, cached while *version* is the same; also b"", the result
        on a mirror.
        """
        key = (version, *arguments)
        if key not in self._outputs:
            self._outputs[key] = await self.check(arguments, b"", client)
        return self._outputs[key]

    def admit(self, client: str) -> None:
        """Count a request of a client to another host; raises QuotaExceeded above the quota."""
        now = self.clock()
        times = [
            timestamp for timestamp in self._requests.pop(client, []) if now - timestamp < WINDOW
        ]
        self._requests[client] = times
        if len(times) >= self.quota:
            wait = int(times[0] + WINDOW - now) + 1
            raise QuotaExceeded(
                TranslatableText(
                    "Your address has run {count} previews in {minutes} minutes",
                    count=self.quota,
                    minutes=f"{WINDOW / 60:g}",
                ),
                wait,
            )
        times.append(now)
        if len(self._requests) > _CLIENTS:
            self._requests.pop(next(iter(self._requests)))

    async def _run(
        self, command: tuple[str, ...], environment: Mapping[str, str], data: bytes, client: str
    ) -> bytes:
        """Return the output of a process that reads *data*; its temporary files are removed, also
        if it is killed.
        """
        if self._busy:
            raise StoreBusy(TranslatableText("Another preview is running; try again in a minute"))
        self.admit(client)
        self._busy = True
        try:
            with TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True) as folder:
                return await _limited_output(
                    command, {**environment, "TMPDIR": folder}, data, self.seconds
                )
        finally:
            self._busy = False


async def _limited_output(
    command: tuple[str, ...], environment: Mapping[str, str], data: bytes, seconds: float
) -> bytes:
    """Return what a process writes. After *seconds* it is killed with all its children, and
    TimeoutError is raised.
    """
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe if data else none,
        stdout=pipe,
        stderr=none,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate(data or None)
        return output
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


def parse_outcome(answer: bytes) -> PreviewOutcome:
    """Parse the output of the command. Output that cannot be parsed means that the process was
    ended at its limits.
    """
    try:
        output = orjson.loads(answer[:_LARGEST])
        records = tuple(
            RecordPreview(**{name: item[name] for name in _SHOWN}, warnings=tuple(item["warnings"]))
            for item in output.pop("records")
        )
        return PreviewOutcome(records, **{**output, "notes": tuple(output.get("notes", ()))})
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        return PreviewOutcome(
            error_kind="broken",
            error=_("The test ended without a result: it needed more memory than its limit."),
        )
