"""Start processes of the publisher, lower their priority so that queries are not delayed, and run the
process that updates all projections of the journal.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from vocab.iris import Iris

log = structlog.get_logger(component="store")

MODULE = "publisher.follower"
# The seconds before a restart double after each short run.
RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 60.0
SHORT_RUN = 30.0  # seconds; a process that runs longer resets the delay
# Bytes that glibc may keep unused; with this the peak memory of a load is a tenth lower.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1000000"}
_ROOT = Path(__file__).resolve().parents[2]
NICE = 5  # nice value of what writes projections; at 10 a large load waits four times as long


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs *module* with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a subprocess: ours and *extra*, with our packages on PYTHONPATH."""
    path = os.environ.get("PYTHONPATH")
    return {
        **_MALLOC,
        **os.environ,
        **(extra or {}),
        "PYTHONPATH": f"{_ROOT}{os.pathsep}{path}" if path else str(_ROOT),
    }


def raise_nice(process: int, nice: int) -> None:
    """Raise the nice value of a process, and of threads that it starts, to *nice*; never lower it,
    which only root may (setpriority(2)).

    A process that was started under ``nice -n 10`` stays at 10. One that has exited is ignored.
    """
    with suppress(ProcessLookupError):
        if os.getpriority(os.PRIO_PROCESS, process) < nice:
            os.setpriority(os.PRIO_PROCESS, process, nice)


class FollowerProcess:
    """The follower of the journal in *data*, which writes the store in *store_folder*.

    *secrets*: environment variables with the URLs of an external store, None for the embedded
    store.

    *projections*: the position and error of each projection by name. *reason*: why the store does
    not follow the journal, "" while it does.
    """

    def __init__(
        self,
        data: Path,
        store_folder: Path,
        iris: Iris,
        secrets: Mapping[str, str] | None,
    ) -> None:
        self.projections: dict[str, dict[str, object]] = {}
        self.reason = ""
        self._data, self._secrets = data, secrets
        self._process: asyncio.subprocess.Process | None = None
        self._command = command(
            MODULE,
            *(str(data / "journal"), str(store_folder), str(data / "status.nq"), iris.status),
            *(["--external"] if secrets else []),
        )

    async def run(self) -> None:
        """Run the process and read its reports until cancelled; then kill it."""
        pipe, delay = asyncio.subprocess.PIPE, RESTART_DELAY
        while True:
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=pipe,
                stdout=pipe,
                env=environment(self._secrets),
                start_new_session=True,
            )
            self._process = process
            try:
                assert process.stdout is not None
                async for line in process.stdout:
                    self._read_report(line)
                code = await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.communicate()  # closes its pipes too
                raise
            log.warning("update process exited; restarting", module=MODULE, code=code)
            exited = (
                f"the follower process exited with code {code} and is being restarted; see the log"
            )
            self.reason = self.reason or exited
            is_short = time.monotonic() - started < SHORT_RUN
            delay = min(MAX_RESTART_DELAY, delay * 2) if is_short else RESTART_DELAY
            await asyncio.sleep(delay)

    def request_check(self) -> None:
        """Ask the process to verify the files of the newest snapshot and rebuild damaged ones. Does
        nothing while no process runs.
        """
        if self._process is not None and self._process.stdin is not None:
            with suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(b"c")

    def _read_report(self, line: bytes) -> None:
        with suppress(ValueError, TypeError, AttributeError):
            report = json.loads(line)
            self.reason = self._shorten_paths(report.get("reason", self.reason))
            for name, progress in report.get("projections", {}).items():
                if "error" in progress:
                    progress["error"] = self._shorten_paths(progress["error"])
                self.projections[name] = progress

    def _shorten_paths(self, reason: str) -> str:
        """Shorten file names to paths in the data folder, since the reason is public; return text
        that UTF-8 can encode.
        """
        shortened = reason.replace(f"{self._data.resolve()}/", "").replace(f"{self._data}/", "")
        return shortened.encode(errors="replace").decode()
