"""kill -9 before any change of a file, then start again: all is, byte for byte, as after an undisturbed run.

``python -m pytest tests/walk/test_kill_anywhere.py --kills 500 --kill-seed 7`` kills at more points, or at others.
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

import deeds
import pytest
import tracer
from processes import Process

ROOT = Path(__file__).parents[2]
KEPT = {"fsync", "fdatasync", "unlink", "unlinkat", "rmdir", "ftruncate"}  # something is kept for good, or taken away
ENGINES = {"store", "store.tmp", "index", "shown", "shown.part"}  # where the engines show files of their own, too many to be stages
AGAIN = 3  # each third point is killed once more while it recovers
DRIVERS = 2
PARTS = 8  # tests, so that each takes a minute at most
TRIES = 5  # the store works in threads: what was its thousandth call may be its last the next time


@dataclass
class Driver:
    """A process that does deeds as it is told, in forks of its own."""

    errors: Path
    process: Process = field(init=False)

    def __enter__(self) -> Driver:
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
        here = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(self.errors.parent)}
        command = [sys.executable, str(Path(__file__).with_name("deeds.py"))]
        self.process = Process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=here)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.discard()

    def tell(self, deed: str, home: Path, at: int | None = None) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        told = {"deed": deed, "home": str(home), "at": at, "errors": str(self.errors)}
        self.process.stdin.write(json.dumps(told).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the driver has ended\n{self.process.output()}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, deed: str, home: Path, at: int | None = None) -> tracer.Ended:
        return tracer.Ended(**self.tell(deed, home, at))

    def finish(self, deed: str, home: Path) -> tracer.Ended:
        ended = self.do(deed, home)
        assert ended.code == 0, self.errors.read_text()[-3000:]
        return ended

    def held(self, home: Path) -> dict[str, Any]:
        return self.tell("held?", home)


@dataclass(frozen=True)
class Point:
    """Before which call of a deed it is killed, and before which one while it recovers."""

    deed: str
    at: int
    again: int | None = None


def is_engine_file(name: str) -> bool:
    """Return whether *name* is a file that an engine shows: in a snapshot also what is below its folder ``store``."""
    parts = Path(name).parts
    if "snapshots" in parts:
        return bool(ENGINES & set(parts[parts.index("snapshots") + 1 :]))
    return bool((ENGINES - {"store"}) & set(parts))


@dataclass
class Undisturbed:
    """What is before and after each deed, and the calls that it makes."""

    folder: Path
    calls: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)

    def stages(self) -> Iterator[Point]:
        """Give a point for each kind of file that each kind of deed shows under its name: just before it does so for the first time."""
        first: dict[tuple[Any, str], Point] = {}
        for deed, calls in self.calls.items():
            for at, name in enumerate(calls, 1):
                if " " in name and not is_engine_file(name):
                    first.setdefault((deeds.DEEDS[deed], re.sub(r"\d+", "N", name.rpartition("/")[2])), Point(deed, at))
        return iter(first.values())

    def chosen(self, number: int, seed: int) -> Iterator[Point]:
        """Choose points: as many of each deed, half of them where something is shown, kept or taken away."""
        dice = random.Random(seed)
        for place in range(number):
            deed = deeds.ORDER[place % len(deeds.ORDER)]
            calls = self.calls[deed]
            grave = [at for at, name in enumerate(calls, 1) if name in KEPT or " " in name]
            at = dice.choice(grave) if place // len(deeds.ORDER) % 2 and grave else dice.randint(1, len(calls))
            yield Point(deed, at, dice.randint(1, len(calls)) if place % AGAIN == 0 else None)


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
        it.after[deed] = drivers[0].held(home)
    return it


def killed(point: Point, driver: Driver, undisturbed: Undisturbed, home: Path) -> tracer.Ended:
    """Do a deed and kill it at the point, or at its last call where it makes fewer this time."""
    at = point.at
    for _ in range(TRIES):
        shutil.copytree(undisturbed.folder / point.deed, home)
        ended = driver.do(point.deed, home, at)
        if ended.killed:
            break
        at = len(ended.calls)
        shutil.rmtree(home)
    assert ended.killed, f"{point}: it ends after {at} calls"
    return ended


def differences(point: Point, driver: Driver, undisturbed: Undisturbed, home: Path) -> list[str]:
    """Kill and start again; tell in what the end differs from the undisturbed one."""
    ended = killed(point, driver, undisturbed, home)
    if point.again:
        driver.do(point.deed, home, point.again)
    driver.finish(point.deed, home)
    found, wanted = driver.held(home), undisturbed.after[point.deed]
    shutil.rmtree(home)
    names = [name for name in wanted if found[name] != wanted[name]]
    return [f"{point} before {ended.calls[-1]}: {name}:{differing(found[name], wanted[name])}" for name in names]


def differing(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = [name for name in {*found, *wanted} if found.get(name) != wanted.get(name)]
        return " ".join(f"{name}:{differing(found.get(name), wanted.get(name))}" for name in names)
    if isinstance(found, list) and isinstance(wanted, list):
        more, less = ([it for it in these if it not in those][:3] for these, those in ((found, wanted), (wanted, found)))
        return f" too many {more}, missing {less} of {len(wanted)}"
    return f" {found} not {wanted}"


def wrong(points: Sequence[Point], drivers: list[Driver], undisturbed: Undisturbed, folder: Path) -> list[str]:
    """Kill at all points, with all drivers at once; tell all differences."""
    left, places = iter(points), count()

    def work(driver: Driver) -> list[str]:
        return [it for point in left for it in differences(point, driver, undisturbed, folder / str(next(places)))]

    with ThreadPoolExecutor(len(drivers)) as threads:
        try:
            return [it for some in threads.map(work, drivers) for it in some]
        except BaseException:
            for driver in drivers:
                driver.process.kill()  # so that no thread waits for it for ever
            raise


@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_killed_before_any_change_of_a_file_ends_as_if_it_had_not_been(
    drivers: list[Driver], undisturbed: Undisturbed, tmp_path: Path, pytestconfig: pytest.Config, part: int
) -> None:
    points = list(undisturbed.chosen(pytestconfig.getoption("--kills"), pytestconfig.getoption("--kill-seed")))[part::PARTS]

    found = wrong(points, drivers, undisturbed, tmp_path)

    assert not found, "\n".join(found)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_killed_before_it_shows_what_it_made_ends_as_if_it_had_not_been(
    drivers: list[Driver], undisturbed: Undisturbed, tmp_path: Path, part: int
) -> None:
    points = list(undisturbed.stages())[part::PARTS]

    found = wrong(points, drivers, undisturbed, tmp_path)

    assert points
    assert not found, "\n".join(found)


def test_the_stages_are_those_of_every_part_of_the_program(undisturbed: Undisturbed) -> None:
    deeds_seen = {point.deed for point in undisturbed.stages()}

    assert deeds_seen >= {"first", "follow", "approve", "dump", "key", "release", "asked"}
