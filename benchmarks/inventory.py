"""Measure processor time and memory of `stocktake harvest` for a data.json of 5,000 datasets: the
first harvest, one of the same file, and one of equal datasets in other bytes.

By hand: ``python -m benchmarks inventory --datasets 5000``
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.measuring import Line, Watch, environment, show, watched

_MOST_MEMORY = 250.0  # MB
_MOST_HELP = 0.5  # seconds of processor time
_MOST_SECONDS = 2.0  # seconds of processor time beyond the start of the program
_SOURCE = """
title = "Inventory"
protocol = "pod"
mapping = "dcat"
url = "http://127.0.0.1:{port}/data.json"
licence = "https://creativecommons.org/publicdomain/zero/1.0/"
language = "en"
enabled = true
"""
_PROSE = "Measurements of the wells of the district, of which each was visited once in a quarter. "


def dataset(number: int) -> dict[str, Any]:
    """Return a dataset of about 2.5 kB with four distributions, by Project Open Data 1.1."""
    address = f"https://data.example/{number}"
    return {
        "@type": "dcat:Dataset",
        "identifier": address,
        "title": f"Wells of the district {number}",
        "description": _PROSE * 5,
        "keyword": ["water", "wells", "ground water", f"district {number % 50}"],
        "modified": f"2026-01-{number % 28 + 1:02}",
        "issued": "2023-10-19",
        "accrualPeriodicity": "R/P3M",
        "accessLevel": "public",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "spatial": "Kenya",
        "temporal": "2020-01-01/2025-12-31",
        "theme": ["Water"],
        "bureauCode": ["015:11"],
        "programCode": ["015:001"],
        "landingPage": address,
        "publisher": {"@type": "org:Organization", "name": f"Water Agency {number % 40}"},
        "contactPoint": {
            "@type": "vcard:Contact",
            "fn": f"Office {number % 40}",
            "hasEmail": f"mailto:office{number % 40}@data.example",
        },
        "distribution": [
            {
                "@type": "dcat:Distribution",
                "downloadURL": f"{address}/rows.{form}",
                "mediaType": media,
                "title": f"Rows as {form}",
                "description": f"All rows of the district {number} as {form}.",
            }
            for form, media in (
                ("csv", "text/csv"),
                ("json", "application/json"),
                ("xml", "application/xml"),
                ("rdf", "application/rdf+xml"),
            )
        ],
    }


@contextmanager
def _served(files: list[bytes]) -> Iterator[int]:
    """Serve the last of *files* as /data.json, in a thread of this process; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_file = self.path == "/data.json"
            self.send_response(200 if is_file else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(files[-1] if is_file else b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def _run(data: Path, *arguments: str) -> tuple[float, Watch]:
    """Run a command; return the processor seconds and the watch of its processes."""
    command = [sys.executable, "-m", "stocktake", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with watched() as watch:
        subprocess.run(command, env=environment(data), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, watch


def _lines(name: str, cost: tuple[float, Watch], start: float, most: float | None) -> list[Line]:
    seconds, watch = cost
    return [
        Line(f"{name}: processor time beyond the start", "s", seconds - start, aim=most),
        Line(
            f"{name}: memory of the largest process",
            "MB",
            max(watch.peaks.values()),
            aim=_MOST_MEMORY,
        ),
        Line(f"{name}: memory of all processes", "MB", watch.together, aim=_MOST_MEMORY),
    ]


def main(
    datasets: Annotated[int, typer.Option(help="Datasets in the file.")] = 5000,
) -> None:
    """Measure three harvests of a data.json: the first, one of the same file, and one of equal
    datasets in other bytes.
    """
    rows = [dataset(number) for number in range(datasets)]
    files = [json.dumps({"dataset": rows}).encode()]
    with (
        tempfile.TemporaryDirectory(prefix="stocktake-benchmarks-") as folder,
        _served(files) as port,
    ):
        data = Path(folder)
        (data / "sources").mkdir()
        help_text, _ = _run(data, "harvest", "--help")
        _run(data, "harvest")  # creates the ledger, and publishes the vocabulary
        start, _ = _run(data, "harvest")
        (data / "sources" / "inventory.toml").write_text(_SOURCE.format(port=port))
        first = _run(data, "harvest", "inventory")
        unchanged = _run(data, "harvest", "inventory")
        files.append(json.dumps({"dataset": rows}, indent=1).encode())
        equal = _run(data, "harvest", "inventory")
    lines = [
        Line("the help of harvest", "s", help_text, aim=_MOST_HELP),
        Line("start: a harvest of no source", "s", start),
        *_lines(f"first harvest of {datasets:,} datasets", first, start, None),
        *_lines("the same file again", unchanged, start, _MOST_SECONDS),
        *_lines("equal datasets in other bytes", equal, start, _MOST_SECONDS),
    ]
    show("Inventory", lines)


if __name__ == "__main__":
    typer.run(main)
