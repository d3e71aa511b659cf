"""kill -9 before any change of a file, then start again: all is, byte for byte, as after an undisturbed run.

``python -m pytest tests/walk/test_kill_anywhere.py --kills 500 --kill-seed 7`` kills at more points, or at others.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deeds
import pytest
import tracer
from held import held

ROOT = Path(__file__).parents[2]
SHOWING = {"rename", "renameat", "renameat2", "fsync", "fdatasync", "link", "linkat", "unlink", "unlinkat", "rmdir", "ftruncate"}
AGAIN = 3  # each third point is killed once more while it recovers
DRIVERS = 2


@dataclass
class Driver:
    """A process that does deeds as it is told, in forks of its own."""

    errors: Path
    process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Driver:
        here = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.errors.parent)}
        command = [sys.executable, str(Path(__file__).with_name("deeds.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=here)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def do(self, deed: str, home: Path, at: int | None = None) -> tracer.Ended:
        assert self.process.stdin
        assert self.process.stdout
        told = {"deed": deed, "home": str(home), "at": at, "errors": str(self.errors)}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return tracer.Ended(**json.loads(self.process.stdout.readline()))

    def finish(self, deed: str, home: Path) -> tracer.Ended:
        ended = self.do(deed, home)
        assert ended.code == 0, self.errors.read_text()[-3000:]
        return ended


@dataclass(frozen=True)
class Point:
    deed: str
    at: int
    again: int | None


@dataclass
class Undisturbed:
    """What is before and after each deed, and the calls that it makes."""

    folder: Path
    calls: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)

    def points(self, count: int, seed: int) -> Iterator[Point]:
        """Choose points: as many of each deed, half of them where something is shown, kept or taken away."""
        dice = random.Random(seed)
        for number in range(count):
            deed = deeds.ORDER[number % len(deeds.ORDER)]
            calls = self.calls[deed]
            shown = [at for at, name in enumerate(calls, 1) if name in SHOWING]
            at = dice.choice(shown) if number // len(deeds.ORDER) % 2 and shown else dice.randint(1, len(calls))
            yield Point(deed, at, dice.randint(1, len(calls)) if number % AGAIN == 0 else None)


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Driver]]:
    if why := tracer.refusal():
        pytest.skip(why)
    places = [tmp_path_factory.mktemp(f"driver-{number}") for number in range(DRIVERS)]
    with Driver(places[0] / "errors") as one, Driver(places[1] / "errors") as two:
        yield [one, two]


@pytest.fixture(scope="module")
def undisturbed(drivers: list[Driver], tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    it = Undisturbed(tmp_path_factory.mktemp("undisturbed"))
    home = it.folder / "home"
    home.mkdir()
    for deed in deeds.ORDER:
        shutil.copytree(home, it.folder / deed)
        it.calls[deed] = drivers[0].finish(deed, home).calls
        it.after[deed] = held(home)
    return it


def differences(point: Point, driver: Driver, undisturbed: Undisturbed, home: Path) -> list[str]:
    """Kill and start again; tell in what the end differs from the undisturbed one."""
    shutil.copytree(undisturbed.folder / point.deed, home)
    ended = driver.do(point.deed, home, point.at)
    told = [] if ended.killed else ["it was not killed"]
    if point.again:
        driver.do(point.deed, home, point.again)
    driver.finish(point.deed, home)
    found, wanted = held(home), undisturbed.after[point.deed]
    shutil.rmtree(home)
    at = f"{point} before {ended.calls[-1]}"
    return [f"{at}: {it}" for it in told] + [f"{at}: {name} differs:{differing(found[name], wanted[name])}" for name in wanted if found[name] != wanted[name]]


def differing(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return " ".join(f"{key}:{differing(found.get(key), wanted.get(key))}" for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if isinstance(found, list) and isinstance(wanted, list):
        return f" too many {[it for it in found if it not in wanted][:3]}, missing {[it for it in wanted if it not in found][:3]} of {len(wanted)}"
    return f" {found} not {wanted}"


def test_what_is_killed_before_any_change_of_a_file_ends_as_if_it_had_not_been(
    drivers: list[Driver], undisturbed: Undisturbed, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    points = list(undisturbed.points(pytestconfig.getoption("--kills"), pytestconfig.getoption("--kill-seed")))

    def share(number: int) -> list[str]:
        mine = points[number :: len(drivers)]
        return [it for place, point in enumerate(mine) for it in differences(point, drivers[number], undisturbed, tmp_path / f"{number}-{place}")]

    with ThreadPoolExecutor(len(drivers)) as threads:
        wrong = [it for some in threads.map(share, range(len(drivers))) for it in some]

    assert not wrong, "\n".join(wrong)
