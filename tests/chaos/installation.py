"""An installation that chaos disturbs: its data directory on a small disk of its own, its clock,
its processes and its backup.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from definitions import paged_json
from processes import Process, free_port
from waiting import wait_until

from harvesters.ledger.ledger import Ledger
from harvesters.runs.workers import create_app, create_tables, enqueue_due
from journal.journal import Journal

ROOT = Path(__file__).parents[2]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
DISK = 256  # MB of each installation's disk
COMMAND = 1800.0  # seconds that a command may take, beside other work
# In seconds; an undisturbed installation shows the newest entry within them.
SETTLE = 1800.0


@dataclass
class Installation:
    """A data directory below *folder*, on a disk of its own; *ledger* is the address of its
    database, "" for SQLite.
    """

    name: str
    folder: Path
    ledger: str = ""
    server_command: Sequence[str] = ("serve",)
    port: int = field(default_factory=free_port)
    server: Process | None = None
    workers: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "chaos", str(self.data)]
        self.has_disk = (
            os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
        )
        self.clock(0)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def backup(self) -> Path:
        return self.folder / "backup"

    def define(self, names: Sequence[str], port: int) -> None:
        (self.folder / "sources").mkdir()
        for name in names:
            (self.folder / "sources" / f"{name}.toml").write_text(
                paged_json(f"http://127.0.0.1:{port}/{name}")
            )

    def clock(self, hours: float) -> None:
        """Set the clock of all processes of this installation forward by *hours*, or back; they
        notice within a second.
        """
        part = self.folder / "clock.part"
        part.write_text(f"{hours * 3600:+.0f}\n")
        part.replace(self.folder / "clock")

    def environment(self) -> dict[str, str]:
        remaining = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOCKTAKE_", "OTEL_"))
        }
        ledger = self.ledger or f"sqlite:///{self.data}/ledger.sqlite"
        ours = {
            "DATA": self.data, "SOURCES": self.folder / "sources", "LEDGER": ledger, "ALLOW_HOSTS": "127.0.0.1",
        }  # fmt: skip
        results = {
            **remaining,
            **{f"STOCKTAKE_{name}": str(value) for name, value in ours.items()},
            "PYTHONPATH": str(ROOT),
        }
        if FAKETIME.exists():
            results |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_CACHE_DURATION": "1",
            }
            results |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        return results

    def start(self, *words: str) -> Process:
        return Process(
            [sys.executable, "-m", "stocktake", *words], env=self.environment(), cwd=self.folder
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stocktake", *words]
        return subprocess.run(
            command, env=self.environment(), cwd=self.folder, capture_output=True, text=True, timeout=COMMAND,
        )  # fmt: skip

    def serve(self) -> None:
        """Start the server if it does not run."""
        if self.server and self.server.poll() is None:
            return
        if self.server:
            self.server.discard()
        self.server = self.start(*self.server_command, "--port", str(self.port))

    def stop_server(self) -> None:
        if self.server and self.server.poll() is None:
            self.server.stop()
        self.server = None

    def work(self, count: int) -> None:
        """Start workers until *count* run."""
        for worker in [*self.workers]:
            if worker.poll() is not None:
                self.workers.remove(worker)
                worker.discard()
        while len(self.workers) < count:
            self.workers.append(self.start("worker", "--heartbeat", "2"))

    def enqueue(self, names: Sequence[str]) -> None:
        """Queue a run of each source that is due now, as the scheduler does."""
        app, due = create_app(self.ledger), int(time.time())

        async def enqueue_all() -> None:
            async with app.open_async():
                for name in names:
                    await enqueue_due(app, name, due)

        ledger = Ledger(self.ledger)
        create_tables(app, ledger)
        ledger.close()
        asyncio.run(enqueue_all())

    def head(self) -> int:
        head = Journal(self.data / "journal").head
        return head.number if head else 0

    def health(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = httpx.get(
                f"http://127.0.0.1:{self.port}/health", trust_env=False, timeout=20
            ).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return answer

    def wait_for(self, number: int) -> None:
        """Wait until the server shows the journal entry *number* and reports no fault; a server
        that has ended is started again.
        """

        def is_sound() -> bool:
            self.serve()
            health = self.health()
            return health.get("status") == "ok" and health.get("position") == number

        def report() -> str:
            return f"{self.health()}\n{self.server.output() if self.server else ''}"

        wait_until(is_sound, f"{self.name} to show entry {number}", SETTLE, report, pause=0.2)

    def fill_disk(self, spare: int) -> None:
        """Fill the disk but for *spare* bytes."""
        free = shutil.disk_usage(self.data).free
        with suppress(OSError), (self.data / ".ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - spare))

    def empty_disk(self) -> None:
        (self.data / ".ballast").unlink(missing_ok=True)

    def verify(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run ``stocktake verify``; return its exit code and its report by part."""
        completed = self.run("verify", "--json", *words)
        assert completed.returncode in (0, 1), completed.stderr
        return completed.returncode, json.loads(completed.stdout)

    def dump(self) -> bytes:
        """Write the dump and return it, gzipped."""
        completed = self.run("dump")
        assert completed.returncode == 0, completed.stderr
        return max(
            (self.data / "dumps").glob("*.nq.gz"),
            key=lambda path: int(re.findall(r"\d+", path.name)[0]),
        ).read_bytes()

    def close(self) -> None:
        for process in [*self.workers, *([self.server] if self.server else [])]:
            process.discard()
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self.data)], check=False)
