"""The million: a registry with so many records end to end, the time and the peak of memory of each
stage, next to what the model says.

Stage after stage, so that each has the machine: collected, planned, committed, loaded, put in
order, tables and text index, asked, dumped, released, read again. By hand: ``python -m
benchmarks.million_records --records 20000``
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer

from benchmarks.end_to_end import count, ready, settings
from benchmarks.model import KEPT, Costs, load_costs, predicted
from benchmarks.processes import Watch, below, fresh_peak
from benchmarks.result_table import Aim, Json, Line, err, show
from demo.registries import Demo
from demo.source_definitions import write_sources
from journal.journal import Journal
from publisher.store.snapshots import newest_snapshot

MEMORY = 500  # MB, the aim for the greatest process of a harvest
_DAY = 86_400.0  # seconds: what a single answer may take where the store is large
_REPORT_EVERY = 30.0  # seconds between two words on how far it is
# bytes a record that the disk should have room for: twice what a run leaves, for what is sorted on
# the way
_NEED = 30_000


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage took: seconds, processor seconds and peaks in MB by role, and at most *together*
    of all at once.
    """

    seconds: float
    processor: Mapping[str, float] = field(default_factory=dict)
    peaks: Mapping[str, float] = field(default_factory=dict)
    together: float = 0.0


@dataclass(slots=True)
class Course:
    """A run as it goes on: its stages by name, the parts of the harvest's time, and the sizes on
    the disk in bytes.
    """

    records: int
    folder: Path
    stages: dict[str, Stage] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    changed: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Watch the processes of a stage."""
        err.print(f"{name} ...", highlight=False)
        for pid in below(os.getpid()):
            fresh_peak(pid)
        with Watch() as watch:
            before, since = dict(watch.seconds()), time.perf_counter()
            yield
            took = time.perf_counter() - since
        spent = {
            role: seconds - before.get(role, 0.0)
            for role, seconds in watch.seconds().items()
            if role != "registry"
        }
        self.stages[name] = Stage(
            took,
            spent,
            {role: most for role, most in watch.peaks().items() if role != "registry"},
            watch.together,
        )
        peaks = ", ".join(
            f"{role} {most:,.0f} MB" for role, most in self.stages[name].peaks.items() if most >= 1
        )
        err.print(
            f"  {took:,.1f} s; {peaks}; {_gigabytes(size(self.folder))} in {self.folder}",
            highlight=False,
        )


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder, those with several names once."""
    results = {}
    for path in folder.rglob("*"):
        try:
            lstat = path.lstat()
        except OSError:  # what is written at the moment may be gone
            continue
        results[lstat.st_ino] = lstat.st_blocks * 512
    return sum(results.values())


def _gigabytes(bytes_: float) -> str:
    return f"{bytes_ / 1e9:,.2f} GB"


def run(records: int, folder: Path, registry: str = "oai", *, changing: bool = False) -> Course:
    """Take a new registry end to end; *changing*: then some of its records change, and are brought
    too.
    """
    course = Course(records, folder)
    with Demo(size=records, only=(registry,), faults=()) as portal:
        write_sources(portal.url, folder / "sources", (registry,))
        _harvest(course, "collect, plan and commit")
        with (
            served(folder) as (address, server),
            httpx.Client(base_url=address, timeout=_DAY) as client,
        ):
            _shelve(course, client, server)
            _harvest(course, "again, all read", "--full")
            if changing:
                portal.evolve(version=2)
                result = _harvest(course, "some changed, all read", "--full")
                course.changed = result["counts"]["changed"] + result["counts"]["new"]
                head = _head(folder)
                with course.stage("some changed: shown, with tables and text index"):
                    _until(lambda: _level(folder, head, whole=True), server, folder)
        _command(course, "dump")
        _command(course, "release")
    _measure(course)
    return course


def _harvest(course: Course, name: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.stages", str(course.folder), *options]
    with course.stage(name):
        process = subprocess.run(
            command, env=settings(course.folder), check=True, stdout=subprocess.PIPE
        )
    result: dict[str, Any] = orjson.loads(process.stdout.splitlines()[-1])
    if not options:
        whole = course.stages.pop(name)
        for span, (seconds, most) in result["spans"].items():
            peaks = {**whole.peaks, "harvester": most} if span == "collect" else {"harvester": most}
            course.stages[span] = (
                Stage(seconds, whole.processor, peaks, whole.together)
                if span == "collect"
                else Stage(seconds, {}, peaks)
            )
        course.parts.update(result["parts"])
    return result


@contextmanager
def served(data: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=settings(data, "seconds=3600")) as server:
        try:
            yield f"http://127.0.0.1:{port}", server
        finally:
            server.terminate()


def _shelve(course: Course, client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    folder, head = course.folder, _head(course.folder)
    with course.stage("store: loaded and shown"):
        _until(lambda: _level(folder, head) and ready(client), server, folder)
    with course.stage("tables and text index"):
        _until(lambda: _level(folder, head, whole=True), server, folder)
    with course.stage("all records counted at /sparql"):
        course.answered = count(client)
    if course.answered != course.records:
        raise SystemExit(
            f"{course.records:,} records were harvested, and {course.answered:,} are answered"
        )


def _head(folder: Path) -> int:
    head = Journal(folder / "journal").head
    return head.number if head else 0


def _level(folder: Path, head: int, *, whole: bool = False) -> bool:
    """Return whether the newest snapshot shows the journal up to *head*; *whole*: with tables and
    text index.
    """
    snapshot = newest_snapshot(folder / "store" / "snapshots")
    return (
        snapshot is not None
        and snapshot.position == head
        and (not whole or (snapshot.text, snapshot.columns) == (head, head))
    )


def _until(condition: Callable[[], bool], server: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait, however long it takes, while the server lives; say now and then that it goes on."""
    reported = since = time.monotonic()
    while not condition():
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        if time.monotonic() - reported > _REPORT_EVERY:
            reported = time.monotonic()
            err.print(
                f"  {reported - since:,.0f} s; the store has {_gigabytes(size(folder / 'store'))}",
                highlight=False,
            )
        time.sleep(0.1)


def _command(course: Course, word: str) -> None:
    with course.stage(word):
        command = [sys.executable, "-m", "stocktake", word]
        subprocess.run(command, env=settings(course.folder), check=True, stdout=subprocess.DEVNULL)


def _measure(course: Course) -> None:
    folders = {
        "archive": "archive", "journal": "journal", "store": "store/snapshots", "tables": "store/columns", "text": "store/text",
        "dumps": "dumps", "releases": "releases",
    }  # fmt: skip
    course.sizes.update({name: size(course.folder / path) for name, path in folders.items()})
    course.sizes["ledger"] = sum(
        path.stat().st_blocks * 512 for path in course.folder.glob("ledger.sqlite*")
    )


def lines(course: Course, costs: Costs | None) -> list[Line]:
    """Return the lines of a run, stage by stage, each next to the estimate of the model."""
    model = predicted(costs, course.records) if costs else {}
    what, results = f"{course.records:,} records: ", list[Line]()
    for name, stage in course.stages.items():
        model_value = model.get(name)
        spent = ", ".join(
            f"{role} {seconds:,.1f} s"
            for role, seconds in sorted(stage.processor.items())
            if seconds >= 0.05
        )
        memory = ", ".join(
            f"{role} {most:,.0f} MB" for role, most in sorted(stage.peaks.items()) if most >= 1
        )
        note = f"peaks: {memory}" + (f"; processor: {spent}" if spent else "")
        results.append(
            Line(
                what + name,
                "s",
                stage.seconds,
                model_value,
                model_value / stage.seconds if model_value else None,
                note=note,
            )
        )
    results += [
        Line(f"{what}of the harvest, {part}", "s", seconds)
        for part, seconds in course.parts.items()
    ]
    sizes = costs.sizes if costs else {}
    for name, whole in course.sizes.items():
        model_value = course.records * sizes[name] / 1e9 if name in sizes else None
        results.append(
            Line(
                f"{what}{name}",
                "GB",
                whole / 1e9,
                model_value,
                model_value / (whole / 1e9) if model_value else None,
            )
        )
    peaks = [
        stage.peaks.get(role, 0.0)
        for stage in course.stages.values()
        for role in ("harvester", "workers")
    ]
    together = max(stage.together for stage in course.stages.values())
    results.append(
        Line(
            f"{what}greatest process of a harvest",
            "MB",
            max(peaks),
            aim=Aim("most", MEMORY, "ours"),
        )
    )
    results.append(
        Line(f"{what}memory of all processes at once", "MB", together, note="without the registry")
    )
    return results


@contextmanager
def folder_for(records: int, under: Path | None) -> Iterator[Path]:
    """Return an empty folder with room for so many records; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="million-", dir=under) as name:
        free = shutil.disk_usage(name).free
        if free < records * _NEED:
            message = f"{name} has room for {_gigabytes(free)}; {records:,} records may take {_gigabytes(records * _NEED)}"
            raise SystemExit(f"{message}: name another --folder")
        yield Path(name)


def main(
    records: Annotated[int, typer.Option(help="Records of the registry.", min=100)] = 1_000_000,
    registry: Annotated[
        str, typer.Option(help="Which simulated registry: oai, ckan, csv ...")
    ] = "oai",
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the data goes; a folder for temporary files when not named."),
    ] = None,
    json: Json = False,
) -> None:
    """Take a registry of a million records end to end, and print its stages next to the model's."""
    with folder_for(records, folder) as data:
        result = lines(run(records, data, registry), load_costs() if KEPT.exists() else None)
    show(f"End to end ({registry}; the peer is the model)", result, json)


if __name__ == "__main__":
    typer.run(main)
