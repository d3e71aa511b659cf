"""Measure a release beside `oxigraph dump | sort | gzip` of the same data, and compare the bytes.

All processes are real ones. By hand: ``python -m benchmarks release --records 20000``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import file_digest
from multiprocessing import Process
from pathlib import Path
from typing import Annotated

import typer
from isal import igzip

from benchmarks.measuring import Line, Watch, environment, show, watched
from benchmarks.worlds import write
from command_line.console import err
from journal.journal import Journal
from publisher.releases.dump import canonical_quads, gzip_writer

MEMORY = 500  # aim in MB
_OXIGRAPH = str(Path(sys.executable).with_name("oxigraph"))


def cut(data: Path) -> tuple[float, dict[str, float], Watch]:
    """Make a release by the command; return its seconds in all and by stage, and the watch of its
    processes. The command prints the beginning of each stage on standard error.
    """
    line = [sys.executable, "-m", "stocktake", "release"]
    since, begins = time.perf_counter(), [("start", 0.0)]
    with (
        watched() as watch,
        subprocess.Popen(
            line,
            env=environment(data),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr
        for message in process.stderr:
            if message.endswith(" ...\n"):
                begins.append((message.removesuffix(" ...\n"), time.perf_counter() - since))
    if process.returncode:
        raise SystemExit("no release made")
    seconds = time.perf_counter() - since
    ends = [*(at for _, at in begins[1:]), seconds]
    stages = {name: end - at for (name, at), end in zip(begins, ends, strict=True)}
    return seconds, stages, watch


def quads_alone(data: Path, file: Path) -> float:
    """Write only the canonical N-Quads of a journal; return the seconds."""
    since, journal = time.perf_counter(), Journal(data / "journal")
    head = journal.head
    with gzip_writer(file) as out:
        out.writelines(canonical_quads(journal, head.number if head else 0, file.parent))
    return time.perf_counter() - since


def theirs(quads: Path, folder: Path) -> tuple[float, float]:
    """Load *quads* into the peer's store, then dump, sort and compress it with the system's tools.
    Return the seconds without loading, and the peak memory of a process in MB.
    """
    text, store = folder / "quads.nq", folder / "oxigraph"
    with igzip.open(quads, "rb") as source, text.open("wb") as out:
        out.writelines(source)
    load = [_OXIGRAPH, "load", "--lenient", "--location", str(store), "--file", str(text)]
    subprocess.run(load, check=True, capture_output=True)
    line = f"{_OXIGRAPH} dump --location {store} --format nq | sort | gzip > {folder}/theirs.nq.gz"
    with watched() as watch:
        since = time.perf_counter()
        quiet = {"check": True, "stderr": subprocess.DEVNULL}
        subprocess.run(["/bin/sh", "-c", line], env=os.environ | {"LC_ALL": "C"}, **quiet)  # type: ignore[call-overload]
        seconds = time.perf_counter() - since
    return seconds, max(watch.peaks.values())


def _digest(path: Path) -> str:
    with igzip.open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _lines(data: Path, folder: Path) -> Iterator[Line]:
    seconds, stages, watch = cut(data)
    ours = next((data / "releases/1").glob("*.nq.gz"))
    err.print("loading the peer's store")
    other, their_memory = theirs(ours, folder)
    alone = quads_alone(data, folder / "alone.nq.gz")
    if len({_digest(path) for path in (ours, folder / "theirs.nq.gz", folder / "alone.nq.gz")}) > 1:
        raise SystemExit("the quads differ: the benchmark compares nothing")
    note = "peer: oxigraph dump | sort | gzip; the same bytes"
    yield Line("canonical N-Quads alone", "s", alone, other, note=note)
    files = len(list((data / "releases/1").iterdir()))
    yield Line("the whole command", "s", seconds, other, note=f"{files} files and the report")
    for stage, part in stages.items():
        yield Line(f"of it: {stage}", "s", part)
    memory = max(watch.peaks.values())
    yield Line("its greatest process", "MB", memory, their_memory, aim=MEMORY)
    yield Line("all its processes at once", "MB", watch.together)


def main(
    records: Annotated[int, typer.Option(help="Records of the journal.", min=1000)] = 20_000,
) -> None:
    """Write a journal, make a release of it, and let the peer do the same."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        data = folder / "data"
        err.print(f"writing {records:,} records")
        # A process that is forked here would count the memory of the writer as its own.
        writer = Process(target=write, args=(Journal(data / "journal"), records))
        writer.start()
        writer.join()
        lines = list(_lines(data, folder))
    show(f"A release of {records:,} records", lines)


if __name__ == "__main__":
    typer.run(main)
