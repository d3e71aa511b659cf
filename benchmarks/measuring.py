"""The parts that benchmarks share: a figure beside its peer's and its aim, a watch over processes
(Linux), and a server over a data folder.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from journal.journal import Journal
from publisher.store.snapshots import newest_snapshot

PATIENCE = 3600.0  # seconds: a large journal is loaded first
# Seconds between looks. At most so much of the time of a process that exits is not counted.
_PAUSE = 0.1
_MEMORY_LOOKS = 20  # one look in this many is at memory too, which the kernel counts page by page
_TICKS = os.sysconf("SC_CLK_TCK")
_ROLES = {
    "follower\n": "follower",
    "multiprocessing.forkserver": "readers",
    "publisher.portal.report.builder": "report",
    "spawn_main": "workers",
    "resource_tracker": "workers",
    "demo": "registry",
    " harvest ": "harvester",
    " serve ": "server",
    " release ": "release",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A figure in *unit* beside its *peer*'s; *aim* is its upper limit, or with *is_least* its
    lower one.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    aim: float | None = None
    is_least: bool = False
    note: str = ""


def show(title: str, lines: Sequence[Line]) -> None:
    """Print the lines of a benchmark."""
    table = Table(
        "measured", "unit", "ours", "peer", "ours / peer", "aim", "reached", "note", title=title
    )
    for line in lines:
        ratio = line.ours / line.peer if line.peer else None
        reached = ""
        if line.aim is not None:
            is_met = line.ours >= line.aim if line.is_least else line.ours <= line.aim
            reached = "yes" if is_met else "no"
        figures = map(_written, (line.ours, line.peer, ratio, line.aim))
        table.add_row(line.what, line.unit, *figures, reached, line.note)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _written(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:,.2f}"


@dataclass(slots=True)
class Watch:
    """What the descendants of this process use: *seconds* has processor seconds and *peaks* the peak
    memory of a single process (MB), by role.

    *together* is the peak memory of all processes but the registry (MB); shared pages count once.
    *accounts* has the role, the seconds and the peak of each process.
    """

    accounts: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    together: float = 0.0

    @property
    def seconds(self) -> Mapping[str, float]:
        accounts = list(self.accounts.values())
        return {
            role: sum(use for name, use, _ in accounts if name == role) for role, *_ in accounts
        }

    @property
    def peaks(self) -> Mapping[str, float]:
        accounts = list(self.accounts.values())
        return {
            role: max(peak for name, _, peak in accounts if name == role) for role, *_ in accounts
        }

    def look(self, *, memory: bool = True) -> None:
        megabytes = 0.0
        for pid in below(os.getpid()):
            with suppress(OSError, ValueError, IndexError):  # a process may exit at any moment
                known, _, peak = self.accounts.get(pid, ("", 0.0, 0.0))
                role, peak = _role(pid) or known, max(peak, _megabytes(pid, "status", "VmHWM:"))
                self.accounts[pid] = (role, processor(pid), peak)
                if memory and role != "registry":
                    megabytes += _megabytes(pid, "smaps_rollup", "Pss:")
        self.together = max(self.together, megabytes)


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the descendants of this process until the context ends."""
    watch, ended = Watch(), threading.Event()

    def work() -> None:
        for looks in count():
            watch.look(memory=looks % _MEMORY_LOOKS == 0)
            if ended.wait(_PAUSE):
                break

    watch.look()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
        watch.look()


def below(pid: int) -> list[int]:
    """Return the descendants of the process *pid*."""
    results: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                children = [int(child) for child in (task / "children").read_text().split()]
                results += children + [other for child in children for other in below(child)]
    return results


def processor(pid: int) -> float:
    """Return the processor seconds of a process so far, in user and in system mode."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS


def _role(pid: int) -> str:
    files = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("comm", "cmdline"))
    words = b"".join(files).replace(b"\0", b" ").decode(errors="replace")
    return next((name for mark, name in _ROLES.items() if mark in words), "other" if words else "")


def _megabytes(pid: int, file: str, name: str) -> float:
    text = Path(f"/proc/{pid}/{file}").read_text()
    return int(text.partition(name)[2].split()[0]) / 1024


def until(condition: Callable[[], bool], seconds: float = PATIENCE, pause: float = 0.05) -> None:
    """Wait until *condition*; raise TimeoutError after *seconds*."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not done after {seconds:.0f} seconds")
        time.sleep(pause)


def environment(data: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of our processes over *data*, with the settings *more*."""
    others = {
        name: value for name, value in os.environ.items() if not name.startswith("STOCKTAKE_")
    }
    return {
        **others,
        "STOCKTAKE_DATA": str(data),
        "STOCKTAKE_SOURCES": str(data / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
        # All clients of a benchmark share one address, which must not be limited.
        "STOCKTAKE_QUERY_LIMITS": "budget=0, each=0, share=0, rows=2000000, seconds=60, wait=300",
        **(more or {}),
    }


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def served(data: Path, more: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
    """Serve *data* with the settings *more*; yield a client once the server answers."""
    port = free_port()
    command = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    with (
        subprocess.Popen(command, env=environment(data, more)) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client,
    ):
        try:
            until(lambda: _health(client) is not None or server.poll() is not None)
            yield client
        finally:
            server.terminate()


def _health(client: httpx.Client) -> dict[str, object] | None:
    with suppress(httpx.TransportError):
        answer = client.get("/health")
        if answer.is_success:
            return dict(answer.json())
    return None


def is_served(client: httpx.Client, data: Path) -> bool:
    """Return whether the server shows all that the journal has."""
    head = Journal(data / "journal").head
    health = _health(client)
    return health is not None and health["position"] == (head.number if head else 0)


def settled(data: Path, client: httpx.Client) -> None:
    """Wait until columns and text index are current, and no further snapshot is made."""
    head = Journal(data / "journal").head

    def is_indexed() -> bool:
        snapshot = newest_snapshot(data / "store" / "snapshots")
        position = snapshot.position if snapshot and snapshot.is_indexed else 0
        return position == (head.number if head else 0)

    until(is_indexed)
    before, since = None, time.monotonic()
    while time.monotonic() - since < 2:  # seconds without a new snapshot
        now = (_health(client) or {}).get("snapshot")
        before, since = now, since if now == before else time.monotonic()
        time.sleep(0.2)
