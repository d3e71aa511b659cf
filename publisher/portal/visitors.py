"""What visitors send and run: their forms, and commands of this installation, each in a process of
its own: one at a time, limited in time and memory. Nothing of them is stored here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cachetools import LRUCache
from fastapi import Depends
from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.errors import QuotaExceeded, StoreBusy
from publisher.sparql.endpoint import FORM
from web.middleware import Throttle
from web.respond import require
from web.sessions import check_origin

MULTIPART = "multipart/form-data"
MAX_FIELDS = 64 * 1024  # bytes of a form without files


async def read_form(request: Request, max_file: int = 0) -> dict[str, bytes]:
    """Return the fields of a form, with a file of at most *max_file* bytes; raises HTTPProblem if
    another site sends it, or if it is no form or too large.
    """
    check_origin(request)
    kind = media_type(request)
    require(
        kind in (FORM, MULTIPART),
        f"POST the form as {FORM}",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        {"Accept-Post": FORM},
    )
    longest = MAX_FIELDS + (max_file if kind == MULTIPART else 0)
    require(
        len(await request.body()) <= longest,
        f"The form is longer than {longest:,} bytes",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
    async with request.form(max_files=1, max_part_size=longest) as form:
        return {
            name: value.encode("utf-8", "replace") if isinstance(value, str) else await value.read()
            for name, value in form.items()
        }


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def as_text(fields: dict[str, bytes]) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace").strip() for name, value in fields.items()}


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form without files; raises HTTPProblem as ``read_form``."""
    return as_text(await read_form(request))


FieldsDep = Annotated[dict[str, str], Depends(read_fields)]


def optional_store(name: str, missing: str) -> Any:
    """Return the dependency of routes on a store that the app has as *name*; it raises HTTPProblem
    (404) with the text *missing* if there is none, as on a mirror.
    """

    async def get_store(request: Request) -> Any:
        return require(getattr(request.app.state, name), missing)

    return Depends(get_store)


def first_fault(checks: dict[str, bool]) -> str:
    """Return the name of the first field that is not valid, "" if all are."""
    return next((name for name, is_valid in checks.items() if not is_valid), "")


SECONDS = 60.0  # seconds after which the process is killed
MEMORY = 4 << 30  # bytes of address space: libraries map much more than they use
# The previews that a client may run, and the seconds in which they are counted.
MOST_PREVIEWS, WINDOW = 5, 600.0
EXPLANATIONS = 30  # explanations of statements for one client, in the same time
_OUTPUTS = 100  # outputs of a command that are remembered


class ClientQuota(Throttle):
    """The costly requests of clients, at most *most* of each in WINDOW; *clock* is monotonic.

    *is_busy*: one is being answered.
    """

    is_busy = False

    def __init__(
        self, most: int = MOST_PREVIEWS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock, most, WINDOW)

    def admit(self, client: str) -> None:
        """Count a request of a client; raises QuotaExceeded above the quota."""
        if wait := self.retry_after(client):
            raise QuotaExceeded(
                TranslatableText(
                    "Your address has run {count} previews in {minutes} minutes",
                    count=self._limit,
                    minutes=f"{WINDOW / 60:g}",
                ),
                wait,
            )
        self.record_failure(client)


@dataclass(frozen=True, slots=True)
class VisitorCommand:
    """A command that visitors may run, which reads standard input and writes its result; commands
    with one *quota* run one at a time.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    quota: ClientQuota = field(default_factory=ClientQuota)
    seconds: float = SECONDS
    _outputs: LRUCache[tuple[str, ...], bytes] = field(
        default_factory=lambda: LRUCache(_OUTPUTS), init=False
    )

    async def run(self, client: str, *arguments: str, data: bytes = b"") -> bytes:
        """Return what the command writes for a client; its temporary files are removed, also if it
        is killed.

        Raises StoreBusy during another, QuotaExceeded above the quota, and TimeoutError.
        """
        if self.quota.is_busy:
            raise StoreBusy(TranslatableText("Another preview is running; try again in a minute"))
        self.quota.admit(client)
        self.quota.is_busy = True
        try:
            with TemporaryDirectory(prefix="stocktake-", ignore_cleanup_errors=True) as folder:
                return await _output(
                    (*self.command, *arguments),
                    {**self.environment, "TMPDIR": folder},
                    data,
                    self.seconds,
                )
        finally:
            self.quota.is_busy = False

    async def check(self, client: str, *arguments: str, data: bytes = b"") -> bytes:
        """Return what the command writes, b"" if it ended without a result; raises as ``run`` does."""
        with suppress(TimeoutError):
            return await self.run(client, *arguments, data=data)
        return b""

    async def check_once(self, client: str, version: str, *arguments: str) -> bytes:
        """Return what ``check`` returns, cached while *version* is the same; also b"", the result
        on a mirror.
        """
        key = (version, *arguments)
        if key not in self._outputs:
            self._outputs[key] = await self.check(client, *arguments)
        return self._outputs[key]


async def _output(
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
        env=environment,
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
