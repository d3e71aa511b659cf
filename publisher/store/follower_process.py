"""Run the process that updates all projections of the journal, and restart it when it exits."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

from publisher.store.process import command, environment
from vocab.iris import Iris

log = structlog.get_logger(component="store")

MODULE = "publisher.follower"
# seconds before a restart; doubled after each short run
RESTART_DELAY, MAX_RESTART_DELAY = 1.0, 60.0
SHORT_RUN = 30.0  # seconds; a process that runs longer resets the delay


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
            if code == -signal.SIGTERM:  # systemd sends it to all processes of a service
                log.info("update process stopped by SIGTERM", module=MODULE)
            else:
                log.error("update process exited; restarting", module=MODULE, code=code)
            if not self.reason:
                self.reason = f"the follower process exited with code {code} and is being restarted; see the log"
            delay = (
                min(MAX_RESTART_DELAY, delay * 2)
                if time.monotonic() - started < SHORT_RUN
                else RESTART_DELAY
            )
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
                error = (
                    {"error": self._shorten_paths(progress["error"])} if "error" in progress else {}
                )
                self.projections[name] = {**progress, **error}

    def _shorten_paths(self, reason: str) -> str:
        """Shorten file names to paths in the data folder, since the reason is public; return text
        that UTF-8 can encode.
        """
        shortened = reason.replace(f"{self._data.resolve()}/", "").replace(f"{self._data}/", "")
        return shortened.encode(errors="replace").decode()
