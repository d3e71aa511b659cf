"""Peers that are Python packages, each in an environment of its own: rdflib-endpoint and maplib."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator, Sequence
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
    command = _environment("rdflib-endpoint", "rdflib-endpoint[cli]") / "rdflib-endpoint"
    port = free_port()
    address = ["--host", "127.0.0.1", "--port", f"{port}"]
    with _started([command, "serve", *address, file], f"http://127.0.0.1:{port}/") as url:
        yield url


@contextmanager
def maplib_endpoint(file: Path) -> Iterator[str]:
    """Serve *file* from maplib's store; return the endpoint's address. Raises TimeoutError where it
    takes too long to read it.
    """
    python, port = _environment("maplib", "maplib") / "python", free_port()
    script = Path(__file__).with_name("maplib_server.py")
    with _started([python, script, file, f"{port}"], f"http://127.0.0.1:{port}/") as url:
        yield url


def _environment(name: str, package: str) -> Path:
    """Return the folder of commands of an environment that has *package*, installed once."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = caches / "stocktake-benchmarks" / name
    if not (home / "bin" / "python").exists():
        venv.create(home, with_pip=True)
        pip: list[str | Path] = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, package], check=True)
    return home / "bin"


@contextmanager
def _started(line: Sequence[str | Path], url: str) -> Iterator[str]:
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(url), _READY, 0.5)
            yield url
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()  # a question that nobody waits for any more holds it


def _answers(url: str) -> bool:
    try:
        question = {"query": "SELECT ?s { ?s ?p ?o } LIMIT 1"}
        return httpx.post(url, data=question, timeout=30, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
