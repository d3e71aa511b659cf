"""rdflib's server: PyPI's rdflib-endpoint over a file, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import httpx

from benchmarks.endpoint import free_port
from benchmarks.processes import until

_READY = 900.0  # seconds, for a million statements take some minutes


def share(dump: Path, folder: Path, most: int) -> tuple[Path, bool]:
    """Write the first *most* statements of an N-Quads file as N-Triples; return whether these are
    all.
    """
    out = folder / "share.nt"
    with dump.open(encoding="utf-8") as source, out.open("w", encoding="utf-8") as file:
        file.writelines(f"{line.rpartition(' <')[0]} .\n" for line in islice(source, most))
        return out, next(source, None) is None


@contextmanager
def rdflib_endpoint(file: Path) -> Iterator[str]:
    """Serve *file*; return the endpoint's address. Raises TimeoutError where it takes too long to
    read it.
    """
    home = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "stocktake-benchmarks"
        / "rdflib-endpoint"
    )
    command = home / "bin" / "rdflib-endpoint"
    if not command.exists():
        venv.create(home, with_pip=True)
        subprocess.run(
            [home / "bin" / "python", "-m", "pip", "install", "--quiet", "rdflib-endpoint[cli]"],
            check=True,
        )
    port = free_port()
    line = [str(command), "serve", "--host", "127.0.0.1", "--port", str(port), str(file)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/"), _READY, 0.5)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()  # a question that nobody waits for any more holds it


def _answers(url: str) -> bool:
    try:
        return (
            httpx.get(
                url, params={"query": "ASK { ?s ?p ?o }"}, timeout=30, trust_env=False
            ).status_code
            == 200
        )
    except httpx.TransportError:
        return False
