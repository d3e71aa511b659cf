"""What it takes to read, map and describe a file of a gigabyte, next to one of a tenth.

By hand: ``python -m benchmarks.memory --megabytes 1000``
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.result_table import Aim, Json, Line, show
from harvesters.archive import Archive
from harvesters.compatibility import check_compatible
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from harvesters.page_model import Record
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris
from vocab.statements.describe import describe

_CARDS = {
    "iati.xml": Source(name="a", title="A", protocol="iati", mapping="iati_activity", url="", licence="", language="en"),
    "rows.csv": Source(
        name="a", title="A", protocol="csv", mapping="fields", url="", licence="", language="en",
        fields={"key": "id", "title": "name", "description": "text", "countries": "country", "goals": "goal"},
    ),
}  # fmt: skip
_MOST = 300.0  # MB
_GROWTH = 1.2  # times: what ten times the file may take


def read(name: str, url: str) -> None:
    """Read the file at *url* as a run does, and print how many records came, in how many seconds,
    and the peak of memory in MB.
    """
    source = Source(
        **{field: getattr(_CARDS[name], field) for field in _CARDS[name].__dataclass_fields__}
        | {"url": url}
    )
    protocol, reader = check_compatible(source)
    map_ = reader.prepare(source, Crosswalks(Iris()))
    records, began = 0, time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="stocktake-benchmarks-") as folder:
        archive = Archive(Path(folder), "a", "a.1")
        with (
            closing(archive),
            Fetch(
                NetworkSettings(allow=frozenset(("127.0.0.1",))),
                pause=0,
                robots=False,
                archive=archive,
            ) as client,
        ):
            for page in protocol.collect(source, client, None):
                for item in page.items:
                    assert isinstance(item, Record), item
                    describe(map_(item), Iris(), "a")
                    records += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        orjson.dumps(
            {"records": records, "seconds": time.perf_counter() - began, "peak": peak}
        ).decode()
    )


@contextmanager
def _served() -> Iterator[str]:
    """Serve the generator's files from a process of its own, whose memory is not counted."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.large_source", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def _measured(root: str, name: str, size: int) -> dict[str, float]:
    """Read a file of *size* bytes in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--only", name, "--url", f"{root}/{name}?bytes={size}"],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    result: dict[str, float] = orjson.loads(process.stdout)
    return result


def main(
    megabytes: Annotated[
        int, typer.Option(help="Size of the large files; the small ones have a tenth.")
    ] = 200,
    json: Json = False,
    only: Annotated[str, typer.Option(hidden=True)] = "",
    url: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure the peak of memory while an IATI file and a CSV are read, each next to one of a tenth
    of its size.
    """
    if only:
        read(only, url)
        return
    lines = []
    with _served() as root:
        for name in _CARDS:
            small, large = (
                _measured(root, name, size) for size in (megabytes * 100_000, megabytes * 1_000_000)
            )
            note = f"{large['records']:,.0f} records in {large['seconds']:.0f} s"
            lines.append(
                Line(
                    f"{name}, {megabytes} MB: peak",
                    "MB",
                    large["peak"],
                    small["peak"],
                    None,
                    Aim("most", _MOST, "ours"),
                    note,
                )
            )
            ratio = large["peak"] / small["peak"]
            lines.append(
                Line(
                    f"{name}: growth from a tenth",
                    "times",
                    ratio,
                    None,
                    None,
                    Aim("most", _GROWTH, "ours"),
                )
            )
    show("Memory", lines, json)


if __name__ == "__main__":
    typer.run(main)
