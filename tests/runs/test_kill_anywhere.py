"""After kill -9 before any system call that changes a file, a restart ends in the same bytes as an
undisturbed run.

``python -m pytest tests/runs/test_kill_anywhere.py --kills 500 --kill-seed 7`` kills at more
or other points.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import syscall_tracer
import traced_actions
from processes import Process

ROOT = Path(__file__).parents[2]
# These calls make data durable or remove it.
DURABLE = {"fsync", "fdatasync", "unlink", "unlinkat", "rmdir", "ftruncate"}
# The engines write too many files into these folders to kill before each.
ENGINES = {"store", "store.tmp", "index", "text"}
UNFINISHED = re.compile(r"\d+\.part")  # the directory of a snapshot until it is complete
AGAIN = 3  # at each third point, the recovery is killed too
DRIVERS = 2
PARTS = 8  # tests over the kinds of files, each of at most a minute
RANDOM_PARTS = 2  # tests over the chosen points of a seed
# Each of these is added to --kill-seed.
SEEDS = range(16)
TRIES = 5  # the store uses threads, so the number of calls varies


@dataclass
class Driver:
    errors: Path
    process: Process = field(init=False)

    def __enter__(self) -> Driver:
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
        here = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(self.errors.parent)}
        command = [sys.executable, str(Path(__file__).with_name("traced_actions.py"))]
        self.process = Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=here)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.discard()

    def send(self, action: str, home: Path, at: int | None = None) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        message = {"action": action, "home": str(home), "at": at, "errors": str(self.errors)}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the driver exited\n{self.process.output()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, action: str, home: Path, at: int | None = None) -> syscall_tracer.TraceResult:
        return syscall_tracer.TraceResult(**self.send(action, home, at))

    def finish(self, action: str, home: Path) -> syscall_tracer.TraceResult:
        ended = self.do(action, home)
        assert ended.code == 0, self.errors.read_text()[-3000:]
        return ended

    def snapshot(self, home: Path) -> dict[str, Any]:
        return self.send("snapshot", home)


@dataclass(frozen=True)
class Point:
    action: str
    at: int
    again: int | None = None


def is_engine_file(name: str) -> bool:
    parts = Path(name).parts
    if "snapshots" in parts:
        return bool(ENGINES & set(parts[parts.index("snapshots") + 1 :]))
    return "index" in parts


def _kind(action: str, file: Path) -> tuple[object, str]:
    if any(map(UNFINISHED.fullmatch, file.parent.parts)):
        return action, re.sub(r"\d+", "N", file.parent.name)
    return traced_actions.ACTIONS[action], re.sub(r"\d+", "N", file.name)


@dataclass
class Undisturbed:
    """The directory before each action, its contents afterwards, and the system calls of each
    action.
    """

    folder: Path
    calls: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)

    def stages(self) -> Iterator[Point]:
        """Return a point for each kind of file that each action creates: just before the first one.

        Files in a folder of an unfinished snapshot are of one kind: the rename of that snapshot
        publishes them together.
        """
        first: dict[tuple[Any, str], Point] = {}
        for action, calls in self.calls.items():
            for at, name in enumerate(calls, 1):
                if " " in name and not is_engine_file(name):
                    first.setdefault(_kind(action, Path(name.partition(" ")[2])), Point(action, at))
        return iter(first.values())

    def chosen(self, number: int, seed: int) -> Iterator[Point]:
        """Choose points evenly among the actions, half of them at calls that create, sync or remove
        files.
        """
        dice = random.Random(seed)
        for index in range(number):
            action = traced_actions.ORDER[index % len(traced_actions.ORDER)]
            calls = self.calls[action]
            critical = [at for at, name in enumerate(calls, 1) if name in DURABLE or " " in name]
            at = (
                dice.choice(critical)
                if index // len(traced_actions.ORDER) % 2 and critical
                else dice.randint(1, len(calls))
            )
            yield Point(action, at, dice.randint(1, len(calls)) if index % AGAIN == 0 else None)


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Driver]]:
    if reason := syscall_tracer.refusal():
        pytest.skip(reason)
    folders = [tmp_path_factory.mktemp(f"driver-{number}") for number in range(DRIVERS)]
    with Driver(folders[0] / "errors") as one, Driver(folders[1] / "errors") as two:
        yield [one, two]


@pytest.fixture(scope="module")
def undisturbed(drivers: list[Driver], tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    item = Undisturbed(tmp_path_factory.mktemp("undisturbed"))
    home = item.folder / "home"
    home.mkdir()
    for action in traced_actions.ORDER:
        shutil.copytree(home, item.folder / action)
        item.calls[action] = drivers[0].finish(action, home).calls
        item.after[action] = drivers[0].snapshot(home)
    return item


def killed(
    point: Point, driver: Driver, undisturbed: Undisturbed, home: Path
) -> syscall_tracer.TraceResult:
    """Kill an action at the point, or at its last call if it makes fewer this time."""
    at = point.at
    for _ in range(TRIES):
        shutil.copytree(undisturbed.folder / point.action, home)
        ended = driver.do(point.action, home, at)
        if ended.killed:
            break
        at = len(ended.calls)
        shutil.rmtree(home)
    assert ended.killed, f"{point}: it ended after {at} calls"
    return ended


def differences(point: Point, driver: Driver, undisturbed: Undisturbed, home: Path) -> list[str]:
    ended = killed(point, driver, undisturbed, home)
    if point.again:
        driver.do(point.action, home, point.again)
    driver.finish(point.action, home)
    results, wanted = driver.snapshot(home), undisturbed.after[point.action]
    shutil.rmtree(home)
    names = [name for name in wanted if results[name] != wanted[name]]
    return [
        f"{point} before {ended.calls[-1]}: {name}:{differing(results[name], wanted[name])}"
        for name in names
    ]


def differing(actual: Any, wanted: Any) -> str:
    if isinstance(actual, dict) and isinstance(wanted, dict):
        names = [name for name in {*actual, *wanted} if actual.get(name) != wanted.get(name)]
        return " ".join(f"{name}:{differing(actual.get(name), wanted.get(name))}" for name in names)
    if isinstance(actual, list) and isinstance(wanted, list):
        more, less = (
            [item for item in these if item not in those][:3]
            for these, those in ((actual, wanted), (wanted, actual))
        )
        return f" too many {more}, missing {less} of {len(wanted)}"
    return f" {actual} not {wanted}"


def all_differences(
    points: Sequence[Point], drivers: list[Driver], undisturbed: Undisturbed, folder: Path
) -> list[str]:
    left, folders = iter(points), count()

    def work(driver: Driver) -> list[str]:
        return [
            difference
            for point in left
            for difference in differences(point, driver, undisturbed, folder / str(next(folders)))
        ]

    with ThreadPoolExecutor(len(drivers)) as threads:
        try:
            return [item for some in threads.map(work, drivers) for item in some]
        except BaseException:
            for driver in drivers:
                driver.process.kill()  # so that no thread waits forever
            raise


@pytest.mark.parametrize("part", range(RANDOM_PARTS))
@pytest.mark.parametrize("seed", SEEDS)
def test_kill_before_any_file_change_leaves_no_trace_after_restart(
    drivers: list[Driver], undisturbed: Undisturbed, tmp_path: Path, pytestconfig: pytest.Config, seed: int, part: int
) -> None:  # fmt: skip
    seed += pytestconfig.getoption("--kill-seed")
    points = list(undisturbed.chosen(pytestconfig.getoption("--kills"), seed))[part::RANDOM_PARTS]

    result = all_differences(points, drivers, undisturbed, tmp_path)

    assert not result, "\n".join(result)


@pytest.mark.parametrize("part", range(PARTS))
def test_kill_before_a_file_is_published_leaves_no_trace_after_restart(
    drivers: list[Driver], undisturbed: Undisturbed, tmp_path: Path, part: int
) -> None:
    points = list(undisturbed.stages())[part::PARTS]

    result = all_differences(points, drivers, undisturbed, tmp_path)

    assert points
    assert not result, "\n".join(result)


def test_kill_points_cover_every_part_of_the_program(undisturbed: Undisturbed) -> None:
    actions = {point.action for point in undisturbed.stages()}

    assert actions >= {"first", "follow", "approve", "dump", "key", "release", "asked"}
