"""Start other stores as packaged, on loopback and in their own folders."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.measuring import free_port
from publisher.store.external.client import MERGE, StoreURLs

_READY = 240.0  # seconds until a store must answer
_PACKAGED = Path("/etc/virtuoso-opensource-7/virtuoso.ini")
# Higher limits for tests and benchmarks. Without _CUTS answers are complete; sorts still have at
# most 10,000 rows.
_ROOM = {
    "Parameters": {"ServerThreads": "40", "MaxQueryMem": "1G"},
    "HTTPServer": {"ServerThreads": "40", "MaxClientConnections": "40"},
}
_CUTS = (
    "ResultSetMaxRows",
    "MaxConstructTriples",
    "MaxQueryCostEstimationTime",
    "MaxQueryExecutionTime",
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running store: its name, its process, and its addresses."""

    name: str
    process: subprocess.Popen[bytes]
    address: StoreURLs


def missing(name: str) -> str:
    """Return why the engine *name* cannot be started here, "" if it can."""
    command, remedy = {
        "oxigraph": (_oxigraph(), "install the package oxigraph of PyPI"),
        "virtuoso": (
            shutil.which("virtuoso-t") if _PACKAGED.exists() else None,
            "install Debian's virtuoso-opensource",
        ),
    }[name]
    return "" if command else f"no {name}: {remedy}"


@contextmanager
def started(
    name: str,
    folder: Path,
    memory: int = 256 << 20,
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
    port: int = 0,
) -> Iterator[Engine]:
    """Start the engine *name* by calling *start*, with its store in *folder*, on *port* (0: a free
    one).

    Virtuoso gets buffers of *memory* bytes and higher limits; 0 leaves its settings as packaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    with (folder / "out.txt").open("wb") as out:
        process = start(_LINES[name](folder, port, memory), cwd=folder, stdout=out, stderr=out)
    address = _ADDRESSES[name](f"127.0.0.1:{port}")
    try:
        _await(f"http://127.0.0.1:{port}/", process, folder / "out.txt")
        yield Engine(name, process, address)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()  # Virtuoso would first write a checkpoint, which nobody needs
            process.wait()


def bulk_load(folder: Path, files: Sequence[Path]) -> None:
    """Load *files* into the Virtuoso that was started in *folder*; statements without a graph go to
    the graph with the merge of all.

    Raises RuntimeError with Virtuoso's message if a file could not be read.
    """
    incoming, ini = folder / "incoming", ConfigParser()
    incoming.mkdir()
    for file in files:
        (incoming / file.name).hardlink_to(file)
    ini.read(folder / "virtuoso.ini")
    command = [
        "isql-vt",
        ini["Parameters"]["ServerPort"],
        "dba",
        "dba",
        f"exec=ld_dir('{incoming}', '%', '{MERGE}'); rdf_loader_run(); checkpoint;"
        " select ll_error from DB.DBA.load_list where ll_state <> 2 or ll_error is not null;",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if "\n0 Rows." not in result.stdout:
        raise RuntimeError(f"Virtuoso could not load {incoming}:\n{result.stdout}{result.stderr}")


def _oxigraph() -> str | None:
    beside = Path(sys.executable).with_name("oxigraph")
    return str(beside) if beside.exists() else shutil.which("oxigraph")


def _oxigraph_line(folder: Path, port: int, memory: int) -> list[str]:
    address = ["--location", str(folder / "store"), "--bind", f"127.0.0.1:{port}"]
    # Without a timeout it would continue a query for hours after its client has disconnected.
    return [_oxigraph() or "oxigraph", "serve", *address, "--timeout-s", "120"]


def _virtuoso_line(folder: Path, port: int, memory: int) -> list[str]:
    settings = ConfigParser(strict=False, inline_comment_prefixes=(";",), interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    settings.read_string(
        _PACKAGED.read_text().replace("/var/lib/virtuoso-opensource-7/db", str(folder))
    )
    settings["Parameters"]["ServerPort"] = f"127.0.0.1:{free_port()}"
    settings["HTTPServer"]["ServerPort"] = f"127.0.0.1:{port}"
    if memory:
        buffers = memory // 8500  # bytes of a buffer, according to the comments in Debian's file
        for section, room in _ROOM.items():
            settings[section].update(room)
        settings["Parameters"].update(
            NumberOfBuffers=f"{buffers}",
            MaxDirtyBuffers=f"{buffers * 3 // 4}",
            DirsAllowed=f"{folder}",
        )
        for name in _CUTS:
            del settings["SPARQL"][name]
    file = folder / "virtuoso.ini"
    with file.open("w") as output:
        settings.write(output)
    return ["virtuoso-t", "+foreground", "+configfile", str(file)]


_LINES: dict[str, Callable[[Path, int, int], list[str]]] = {
    "oxigraph": _oxigraph_line,
    "virtuoso": _virtuoso_line,
}
_ADDRESSES: dict[str, Callable[[str], StoreURLs]] = {
    "oxigraph": lambda at: StoreURLs(
        f"http://{at}/query", f"http://{at}/update", f"http://{at}/store"
    ),
    "virtuoso": lambda at: StoreURLs(
        f"http://{at}/sparql",
        f"http://dba:dba@{at}/sparql-auth",
        f"http://dba:dba@{at}/sparql-graph-crud-auth",
    ),
}


def _await(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    end = time.monotonic() + _READY
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(url, trust_env=False, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start:\n{output.read_text(errors='replace')}")
