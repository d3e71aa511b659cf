"""Kills: a harvest that is killed at points chosen by a seed, each time from the same beginning,
and brought to its end.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.harvest_setup import NAME, office
from harvesters.ledger.models import Run, State
from harvesters.runs import publish_vocabularies
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.source import parse

_OPEN = (State.RUNNING, State.COMMITTING)


@dataclass(frozen=True, slots=True)
class Work:
    """What a process does: harvest the source into the folder *home*, with a clock that stands
    still at *now*.
    """

    definition: Mapping[str, Any]
    home: Path
    now: datetime

    def do(self) -> Run:
        """Harvest, unless that was done already; return the run."""
        with office(self.home, self.now) as harvest_context:
            publish_vocabularies.publish(harvest_context)
            return (
                _ended(harvest_context, self.now)
                or harvest(
                    parse(NAME, dict(self.definition), "test"), harvest_context, full=True
                ).run
            )


def _ended(harvest_context: HarvestContext, now: datetime) -> Run | None:
    last = harvest_context.ledger.last_run(NAME, [state for state in State if state not in _OPEN])
    return last if last and last.started >= now else None


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of it: how many were *killed* by the signal, how many of them ended with the *same*
    bytes, and one of their runs.
    """

    killed: int
    same: int
    run: Run


def kill(work: Work, points: int, seed: int) -> Killed:
    """Kill *work* at so many points of time, chosen by *seed*, and do it again each time; the
    folder is as after an undisturbed run.
    """
    # its processes have the program read already
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.crash_recovery"])
    dice, before, killed, same = random.Random(seed), work.home.with_name("before"), 0, 0
    shutil.copytree(work.home, before)
    context.Process(target=work.do).start()  # the server that forks
    _joined(context)
    shutil.rmtree(work.home)
    shutil.copytree(before, work.home)
    since = time.perf_counter()
    _finish(context, work)
    whole, took = _digest(work.home), time.perf_counter() - since
    run = work.do()
    while killed < points:
        shutil.rmtree(work.home)
        shutil.copytree(before, work.home)
        process = context.Process(target=work.do)
        process.start()
        process.join(dice.uniform(0, took))
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        if process.exitcode == -signal.SIGKILL:
            killed += 1
            _finish(context, work)
            same += _digest(work.home) == whole
    return Killed(killed, same, run)


def _joined(context: Any) -> None:
    for process in multiprocessing.active_children():
        process.join()


def _finish(context: Any, work: Work) -> None:
    process = context.Process(target=work.do)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(
            f"a run that was killed cannot be brought to its end (exit code {process.exitcode})"
        )


def _digest(home: Path) -> str:
    """Digest the journal, byte for byte."""
    digest = hashlib.sha256()
    for path in sorted((home / "journal").glob("*.rdfp.gz")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
