"""Run several processes of this program and restart those that exit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from command_line.settings import Settings
from journal.stop_signal import StopSignal

_RESTART_DELAY = 2.0  # seconds before a process that exited is restarted
_STABLE_AFTER = 30.0  # seconds after which a restarted process counts as running
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself

log = structlog.get_logger()

Job = list[str] | dict[str, list[str]] | Callable[[], bool]


def subcommand(command: list[str]) -> list[str]:
    """Return the command line of a process of this program that exits when this one does."""
    return [sys.executable, "-m", "stocktake", f"--parent={os.getpid()}", *command]


def supervise(
    commands: Mapping[str, list[str]], settings: Settings, jobs: Sequence[Job] = ()
) -> None:
    """Keep processes running until SIGINT or SIGTERM, then terminate them; kill those still running
    after ten seconds.

    *jobs* run meanwhile, one after the other: a command runs once, a mapping names more processes
    to keep running, and a function is called each second until it returns True.
    """
    stop = StopSignal()
    services, waiting = dict(commands), deque(jobs)
    children: dict[str, subprocess.Popen[bytes]] = {}
    restarts: Counter[str] = Counter()
    started_at: dict[str, float] = {}
    job: subprocess.Popen[bytes] | None = None
    try:
        while not stop.wait(0.2 if children else 0):
            for name, command in services.items():
                if name in children and children[name].poll() is None:
                    if restarts[name] and time.monotonic() - started_at[name] > _STABLE_AFTER:
                        log.info("process recovered", process=name, restarts=restarts.pop(name))
                    continue
                if name in children:
                    log.error(
                        "process exited; restarting", process=name, code=children[name].returncode
                    )
                    restarts[name] += 1
                    stop.wait(_RESTART_DELAY)
                started_at[name] = time.monotonic()
                children[name] = _start_process(command, settings)
            if job is not None and (code := job.poll()) is not None:
                if code:
                    log.error(
                        "setup step failed; the portal keeps running",
                        command=str(job.args),
                        code=code,
                    )
                job = None
            if job is None and waiting:
                job = _start_next_job(waiting, services, settings, stop)
    finally:
        _stop_processes([*children.values(), *([job] if job else [])])


def _start_next_job(
    waiting: deque[Job],
    services: dict[str, list[str]],
    settings: Settings,
    stop: StopSignal,
) -> subprocess.Popen[bytes] | None:
    """Start the next job and return its process, if any. A function that returns False is called
    again later.
    """
    job = waiting[0]
    if callable(job) and not job():
        stop.wait(1)
        return None
    waiting.popleft()
    if isinstance(job, dict):
        services.update(job)
    return _start_process(job, settings, quiet="--json" in job) if isinstance(job, list) else None


def _start_process(
    command: list[str], settings: Settings, *, quiet: bool = False
) -> subprocess.Popen[bytes]:
    out = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(
        subcommand(command),
        env=settings.environment(),
        start_new_session=True,
        stdout=out,
        stderr=out,
    )


def _stop_processes(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
